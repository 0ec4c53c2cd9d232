// Package minerconfig finds configuration files of miners, as files of their own, in a script's here-document, or as
// a dictionary in a program: by the keys that stand together, tolerantly, and by whether pool and account are filled
// in or are still the template's.
package minerconfig

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "minerconfig"
	version = 5

	// maxPairs bounds the keys that are read around one hit.
	maxPairs = 512
)

// Rules are the data of this indicator.
type Rules struct {
	Families []Family `yaml:"families"`
	// Templates are accounts and pools that stand in files nobody has filled in.
	Templates []string `yaml:"templates"`
	// Schemes are beginnings of pool URLs; a URL of another scheme is no pool.
	Schemes []string `yaml:"schemes"`
	// Environment is how a miner is configured by nothing but variables.
	Environment Environment `yaml:"environment"`
}

// Family is one program's configuration.
type Family struct {
	Name string `yaml:"name"`
	// Wake are texts that begin an inspection, at least 6 bytes each.
	Wake []string `yaml:"wake"`
	// Distinctive keys stand in no other program's configuration, Support keys beside them.
	Distinctive []string `yaml:"distinctive"`
	Support     []string `yaml:"support"`
	// Together are support keys that are as good as a distinctive one when all of them stand together.
	Together []string `yaml:"together"`
	// URL and User are the keys of the pool and the account.
	URL  []string `yaml:"url"`
	User []string `yaml:"user"`
	// Enough is how many keys must stand beside pool and account, 3 if it is left out.
	Enough int `yaml:"enough"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	family   [][]int // those that each literal wakes; environment is that of variables
	names    names
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Families) == 0 || len(r.Schemes) == 0 {
		return nil, errors.New("minerconfig rules: families and schemes must not be empty")
	}
	ind := &Indicator{rules: r}
	if err := ind.addEnvironment(); err != nil {
		return nil, err
	}
	for i, f := range r.Families {
		if f.Name == "" || len(f.Wake) == 0 || len(f.Distinctive) == 0 || len(f.URL) == 0 || len(f.User) == 0 {
			return nil, fmt.Errorf("minerconfig rules: family %q: name, wake, distinctive, url and user must not be empty", f.Name)
		}
		for _, w := range f.Wake {
			if len(w) < 6 {
				return nil, fmt.Errorf("minerconfig rules: %q is shorter than 6 bytes", w)
			}
			ind.wake(w, i)
		}
	}
	return ind, nil
}

// wake makes a literal wake a family, besides others.
func (ind *Indicator) wake(literal string, family int) {
	l := indicator.Literal{Text: literal}
	at := slices.Index(ind.literals, l)
	if at < 0 {
		at = len(ind.literals)
		ind.literals, ind.family = append(ind.literals, l), append(ind.family, nil)
	}
	ind.family[at] = append(ind.family[at], family)
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Idle implements indicator.Idler.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{ind: ind, file: f, out: report.New(f), next: map[int]int64{}}
}

type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report
	read report.Budget
	next map[int]int64 // of each family
}

// stride is how close to the last window read a hit is passed over: that window reaches far behind it. It is no less
// than what the budget gives a read for, so that a long file of such keys stays within it.
const stride = 1 << 10

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	for _, f := range w.ind.family[h.Literal] {
		// Hits before next are in a window that was read.
		if h.Offset < w.next[f] || f == environment && !report.MayBeText(w.file) || !w.read.Spend(w.out, h.Offset) {
			continue
		}
		w.next[f] = h.Offset + stride
		if f == environment {
			w.environment(h)
		} else {
			w.settings(h, &w.ind.rules.Families[f])
		}
	}
}

// settings looks at the keys around a hit.
func (w *watch) settings(h indicator.Hit, family *Family) {
	window, at := text.Clip(h)
	s := w.ind.read(family, window)
	strength, why := s.weigh(family)
	if strength == trust.Context && why == "" {
		return
	}
	// The place is that of the first key, so that all hits in one configuration are one finding.
	offset := h.Offset + int64(s.first-at)
	excerpt := window[s.show:min(len(window), s.show+200)]
	// A configuration is text that nobody executes: the miner reads it, wherever it lies.
	switch isText, documents := w.file.Kind == trust.KindText && !report.IsSource(w.file.Path), w.out.Role() == report.Documents; {
	case isText && !documents:
		w.out.AddWeighed(offset, strength, trust.Context, excerpt, why)
	case isText && report.IsSettings(w.file.Path) && strength > trust.Weak:
		w.out.AddWeighed(offset, trust.Weak, strength, excerpt, why)
	default:
		w.out.Add(offset, strength, excerpt, why)
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding { return w.out.Findings() }

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

// pair matches key and value however they are quoted: JSON, JSON inside a string, Python, YAML, INI.
// A value goes on in the next line only in quotes: what stands below a key of YAML is keys of its own, and so is what
// stands in a list or an object behind one, unless it is a variable's name in braces.
var pair = regexp.MustCompile(`([A-Za-z0-9][A-Za-z0-9_-]{2,31})\\?["']?\]?[ \t]*(?::|=>?)(?:[ \t\r\n]*\\?["']([^"'\\,}\r\n]{0,256})|[ \t]*((?:\{{1,2}\w{1,64}\}|[^"'\\,}\[{\r\n][^"'\\,}\r\n]{0,255})?))`)

// splice is where a shell's variable stands between the quotes of an edit: 's/"user": .*/"user": "'$WALLET'",/'.
var splice = regexp.MustCompile(`'"?\$\{?\w+\}?"?'`)

// joinSplices puts spaces for the quotes around such variables, so that they are part of the value they stand in.
func joinSplices(window []byte) []byte {
	if !bytes.Contains(window, []byte("'$")) && !bytes.Contains(window, []byte("'\"$")) {
		return window
	}
	return splice.ReplaceAllFunc(bytes.Clone(window), func(m []byte) []byte {
		return bytes.Map(func(r rune) rune {
			if r == '"' || r == '\'' {
				return ' '
			}
			return r
		}, m)
	})
}

// signs are the keys of one family around a hit.
type signs struct {
	first, show int
	distinctive map[string]bool
	support     map[string]bool
	pool        bool // a URL that can be a pool's
	template    bool
	user        bool
}

func (ind *Indicator) read(f *Family, window []byte) signs {
	s := signs{first: -1, distinctive: map[string]bool{}, support: map[string]bool{}}
	var values map[string]string
	window = joinSplices(window)
	for _, m := range pair.FindAllSubmatchIndex(window, maxPairs) {
		from, to := max(m[4], m[6]), max(m[5], m[7]) // in quotes, or not
		key, value := string(window[m[2]:m[3]]), strings.TrimSpace(string(window[from:to]))
		told := true
		switch {
		case slices.Contains(f.Distinctive, key):
			s.distinctive[key] = true
		case slices.Contains(f.Support, key):
			s.support[key] = true
		default:
			told = false
		}
		if slices.Contains(f.URL, key) || slices.Contains(f.User, key) {
			told = true
			if values == nil {
				values = text.Assignments(window)
			}
			if slices.Contains(f.URL, key) {
				if ind.readURL(&s, value, text.Resolve(value, values)) {
					s.show = m[2]
				}
			} else {
				s.readUser(ind, value)
			}
		}
		if told && s.first < 0 {
			s.first = m[2]
		}
	}
	if s.first >= 0 && s.show == 0 {
		s.show = s.first
	}
	s.first = max(s.first, 0)
	return s
}

func (ind *Indicator) readURL(s *signs, raw, value string) bool {
	raw, value = strings.TrimSpace(raw), strings.ReplaceAll(strings.TrimSpace(value), " ", "")
	if i := strings.Index(value, ":$"); i > 0 { // a port by a variable
		value = value[:i] + ":443"
	}
	lower := strings.ToLower(value)
	if ind.isTemplate(lower) {
		s.template = true
		return false
	}
	scheme, _, has := strings.Cut(lower, "://")
	pool := slices.ContainsFunc(ind.rules.Schemes, func(p string) bool { return strings.HasPrefix(scheme, p) })
	if has && !pool {
		return false
	}
	e, ok := text.ParseEndpoint(value)
	switch {
	case ok && e.Placeholder():
		s.template = true
	case ok && (e.Port > 0 || pool):
		s.pool = true
	case raw == "%s", raw == "%v", strings.HasPrefix(raw, "$"), strings.HasPrefix(raw, "{"), strings.Contains(strings.ToUpper(raw), "POOL") && raw == strings.ToUpper(raw):
		s.pool = true // a variable: filled in at run time
	default:
		return false
	}
	return s.pool
}

func (s *signs) readUser(ind *Indicator, value string) {
	switch {
	case value == "" || value == "null" || value == "None":
	case ind.isTemplate(strings.ToLower(value)):
		s.template = true
	default:
		s.user = true
	}
}

func (ind *Indicator) isTemplate(lower string) bool {
	return slices.ContainsFunc(ind.rules.Templates, func(t string) bool { return strings.Contains(lower, t) })
}

// weigh: distinctive keys make it the family's configuration, pool and account make it an active one.
func (s signs) weigh(f *Family) (trust.Strength, string) {
	special, all := len(s.distinctive), len(s.distinctive)+len(s.support)
	if len(f.Together) > 0 && !slices.ContainsFunc(f.Together, func(key string) bool { return !s.support[key] }) {
		special++
	}
	active := s.pool && s.user
	switch {
	case active && special >= 1 && all >= cmp.Or(f.Enough, 3), active && special >= 2:
		return trust.Proof, fmt.Sprintf("is a configuration of %s with pool and account filled in", f.Name)
	case active && all >= 3:
		return trust.Strong, fmt.Sprintf("looks like a configuration of %s with pool and account filled in", f.Name)
	case special >= 3, special >= 1 && all >= 6:
		return trust.Weak, fmt.Sprintf("is a configuration of %s without pool or account", f.Name)
	}
	return trust.Context, ""
}
