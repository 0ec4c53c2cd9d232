package lookalike

import "strings"

// Costs of an edit, in tenths of one. Fingers slip to a neighbouring key, swap letters, and press twice or not at all.
const (
	costNear   = 5  // a neighbouring key, a swap, a letter doubled or one of two left out
	costBeside = 7  // a neighbouring key pressed as well
	costSounds = 7  // a letter that sounds the same
	costLess   = 8  // a letter left out
	costOther  = 10 // anything else
)

// rows are those of the keyboards whose letters most people use; QWERTZ and AZERTY differ in a few letters.
func rows() []string { return []string{"1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm"} }

// keys says of two characters whether their keys touch.
type keys [128][128]bool

func newKeys() *keys {
	k := new(keys)
	all := rows()
	for r, row := range all {
		for i := range row {
			if i+1 < len(row) {
				k.touch(row[i], row[i+1])
			}
			if r+1 < len(all) {
				// A key touches the one below it and the one before that.
				for _, j := range []int{i - 1, i} {
					if j >= 0 && j < len(all[r+1]) {
						k.touch(row[i], all[r+1][j])
					}
				}
			}
		}
	}
	return k
}

func (k *keys) touch(a, b byte) { k[a][b], k[b][a] = true, true }

func (k *keys) near(a, b byte) bool { return a < 128 && b < 128 && k[a][b] }

// distance is the least cost of edits (a letter for another, left out, added, two neighbours swapped) that make typed of
// name, or limit+1 when it is more than limit. Both are at most maxName bytes.
func (k *keys) distance(name, typed string, limit int) int {
	if len(name) > maxName || len(typed) > maxName {
		return limit + 1
	}
	var table [3][maxName + 1]int
	before, last, row := &table[0], &table[1], &table[2]
	for j := 1; j <= len(typed); j++ {
		row[j] = row[j-1] + k.added(typed, j-1)
	}
	for i := 1; i <= len(name); i++ {
		before, last, row = last, row, before
		row[0] = last[0] + left(name, i-1)
		least := row[0]
		for j := 1; j <= len(typed); j++ {
			cost := min(last[j]+left(name, i-1), row[j-1]+k.added(typed, j-1), last[j-1]+k.other(name[i-1], typed[j-1]))
			if i > 1 && j > 1 && name[i-1] == typed[j-2] && name[i-2] == typed[j-1] {
				cost = min(cost, before[j-2]+costNear)
			}
			row[j] = cost
			least = min(least, cost)
		}
		if least > limit+costNear { // a swap may still reach back over one row
			return limit + 1
		}
	}
	return min(row[len(typed)], limit+1)
}

// left is the cost of leaving out a letter of the name.
func left(name string, i int) int {
	if i > 0 && name[i] == name[i-1] || i+1 < len(name) && name[i] == name[i+1] {
		return costNear
	}
	return costLess
}

// added is the cost of a letter that the name has not.
func (k *keys) added(typed string, j int) int {
	switch {
	case j > 0 && typed[j] == typed[j-1]:
		return costNear
	case j > 0 && k.near(typed[j], typed[j-1]), j+1 < len(typed) && k.near(typed[j], typed[j+1]):
		return costBeside
	}
	return costOther
}

func (k *keys) other(a, b byte) int {
	switch {
	case a == b:
		return 0
	case k.near(a, b):
		return costNear
	case soundsLike(a, b):
		return costSounds
	}
	return costOther
}

// soundsLike: who knows a name by ear writes one for the other.
func soundsLike(a, b byte) bool {
	switch string([]byte{min(a, b), max(a, b)}) {
	case "ck", "iy", "sz", "vw", "kq":
		return true
	}
	return false
}

// allowance is the cost up to which a name of n letters counts as mistyped: short ones must be exact.
func allowance(n int) int {
	switch {
	case n < 5:
		return 0
	case n < 8:
		return 8
	case n < 10:
		return 10
	case n < 13:
		return 13
	}
	return 16
}

// letters is the set of characters of s, one bit each: what two sets do not share bounds the distance from below.
func letters(s string) uint64 {
	var set uint64
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			set |= 1 << (c - 'a')
		case c >= '0' && c <= '9':
			set |= 1 << (26 + c - '0')
		default:
			set |= 1 << 40
		}
	}
	return set
}

// difference shows where a and b differ: what each has between their common beginning and their common end.
func difference(a, b string) (inA, inB string) {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// change is the difference as words: how typed differs from name.
func change(name, typed string) string {
	was, is := difference(name, typed)
	switch {
	case was == "":
		return quote(is) + " added"
	case is == "":
		return quote(was) + " left out"
	}
	return quote(is) + " for " + quote(was)
}

func quote(s string) string { return `"` + s + `"` }

const separators = "-_."

// plain is s without separators.
func plain(s string) string {
	if !strings.ContainsAny(s, separators) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if strings.IndexByte(separators, s[i]) < 0 {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// parts are what separators part.
func parts(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) })
}
