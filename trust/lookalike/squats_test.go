package lookalike

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// squats makes names that imitate known ones, by what is known of real ones and without the detector's code: a table of
// keys as people see them, letters that look alike in print, words that real squatters add. The same seed makes the same.
type squats struct {
	rand *rand.Rand
	// namespaces are known publishers, repositories known images, registries known hosts.
	namespaces, repositories, registries []string
}

// beside are keys next to a key.
var beside = map[byte]string{
	'a': "qsz", 'b': "vn", 'c': "xv", 'd': "sf", 'e': "wr", 'f': "dg", 'g': "fh", 'h': "gj", 'i': "uo", 'j': "hk", 'k': "jl",
	'l': "k", 'm': "n", 'n': "bm", 'o': "ip", 'p': "o", 'q': "wa", 'r': "et", 's': "ad", 't': "ry", 'u': "yi", 'v': "cb",
	'w': "qe", 'x': "zc", 'y': "tu", 'z': "xa",
}

// alike are letters as forgers write them.
var alike = []struct{ is, was string }{
	{"rn", "m"}, {"vv", "w"}, {"0", "o"}, {"1", "l"}, {"1", "i"}, {"l", "i"}, {"3", "e"}, {"5", "s"}, {"4", "a"},
}

func (s *squats) pick(from []string) string { return from[s.rand.IntN(len(from))] }

// inner is the place of a letter in a name, neither its first nor its last.
func (s *squats) inner(name string) int {
	for {
		if i := 1 + s.rand.IntN(len(name)-2); isLetter(name[i]) {
			return i
		}
	}
}

func (s *squats) swap(name string) string {
	for range 20 {
		i := s.inner(name)
		if name[i] != name[i-1] && isLetter(name[i]) && isLetter(name[i-1]) {
			return name[:i-1] + string([]byte{name[i], name[i-1]}) + name[i+1:]
		}
	}
	return ""
}

func (s *squats) slipped(name string) string {
	i := s.inner(name)
	near := beside[name[i]]
	if near == "" {
		return ""
	}
	return name[:i] + string(near[s.rand.IntN(len(near))]) + name[i+1:]
}

func (s *squats) omitted(name string) string {
	i := s.inner(name)
	return name[:i] + name[i+1:]
}

func (s *squats) doubled(name string) string {
	i := s.inner(name)
	return name[:i] + name[i:i+1] + name[i:]
}

func (s *squats) forged(name string) string {
	for range 20 {
		a := alike[s.rand.IntN(len(alike))]
		if strings.Contains(name, a.was) {
			return strings.Replace(name, a.was, a.is, 1)
		}
	}
	return ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// slips are the ways of the fingers and of the eye.
func (s *squats) slips() map[string]func(string) string {
	return map[string]func(string) string{
		"swap": s.swap, "neighbouring key": s.slipped, "letter left out": s.omitted, "letter doubled": s.doubled, "letters alike": s.forged,
	}
}

// person is an account that nobody knows.
func (s *squats) person() string {
	const syllables = "bakodamerutipovifasenu"
	var b strings.Builder
	for range 4 {
		i := s.rand.IntN(len(syllables)/2) * 2
		b.WriteString(syllables[i : i+2])
	}
	return b.String() + fmt.Sprint(s.rand.IntN(90)+10)
}

// registry makes a host that passes for a known one and that somebody could register.
func (s *squats) registry() string {
	host := s.pick(s.registries)
	labels := strings.Split(host, ".")
	label := &labels[len(labels)-2]
	switch s.rand.IntN(6) {
	case 0:
		return host + "." + s.pick([]string{"example.com", "cdn-mirror.net", "evil.example"})
	case 1:
		return strings.ReplaceAll(host, ".", "-") + ".com"
	case 2:
		i := strings.LastIndex(host, "io")
		if i != len(host)-2 {
			return ""
		}
		return host[:i] + s.pick([]string{"lo", "1o", "i0", "oi"})
	case 3:
		if *label = s.forged(*label); *label == "" {
			return ""
		}
		return strings.Join(labels, ".")
	}
	if len(*label) < 4 {
		return ""
	}
	if s.rand.IntN(2) == 0 {
		*label = s.swap(*label)
	} else {
		*label = s.omitted(*label)
	}
	if *label == "" {
		return ""
	}
	return strings.Join(labels, ".")
}

// library makes a namespace that passes for that of the official images.
func (s *squats) library() string {
	return s.pick([]string{"1ibrary", "libary", "librarry", "llbrary", "libraray", "libray", "librery", "iibrary", "lirbary", "official-library"})
}

// combined adds to a known name what squatters add.
func (s *squats) combined(name string) string {
	if s.rand.IntN(2) == 0 {
		return name + s.pick([]string{"official", "123321", "inc", "team", "nql", "hub", "images", "2024"})
	}
	return s.pick([]string{"official", "real", "team"}) + name
}

// separated writes a name of several words otherwise.
func (s *squats) separated(name string) string {
	return strings.Replace(name, "-", s.pick([]string{"", "_"}), 1)
}
