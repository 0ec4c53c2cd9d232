package pyc_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/pyc"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func u32(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }

// Writers of marshalled objects.

func str(s string) string     { return "z" + string([]byte{byte(len(s))}) + s }
func ref(s string) string     { return "\xda" + string([]byte{byte(len(s))}) + s } // interned, may be referred to
func raw(s string) string     { return "s" + u32(len(s)) + s }
func again(n int) string      { return "r" + u32(n) }
func number(v int) string     { return "i" + u32(v) }
func unicode(s string) string { return "u" + u32(len(s)) + s }

func tuple(items ...string) string {
	return ")" + string([]byte{byte(len(items))}) + strings.Join(items, "")
}

// version is a layout of code objects.
type version struct {
	name          string
	magic, header int
	numbers       int
	modern        bool
}

var versions = []version{
	{"2.7", 62211, 8, 4, false}, {"3.6", 3379, 12, 5, false}, {"3.7", 3394, 16, 5, false}, {"3.8", 3413, 16, 6, false},
	{"3.11", 3495, 16, 5, true}, {"3.14", 3627, 16, 5, true},
}

// code is a code object of the version.
func (v version) code(consts, names, name string) string {
	out := "\xe3" + strings.Repeat(u32(1), v.numbers-1) + u32(0x73) + raw(hiddenCode) + consts + names
	if v.modern {
		return out + tuple(str("local")) + raw("\x20") + str("file.py") + str(name) + str(name) + number(1)[1:] + raw("lines") + raw("exceptions")
	}
	return out + tuple(str("local")) + tuple() + tuple() + str("file.py") + str(name) + u32(1) + raw("lines")
}

func (v version) file(object string) []byte {
	return []byte(string(binary.LittleEndian.AppendUint16(nil, uint16(v.magic))) + "\r\n" + strings.Repeat("\x00", v.header-4) + object)
}

const (
	module     = "<module>"
	hiddenCode = "byte code that is never shown, whatever stands in it"
)

func samples() []unwraptest.Sample {
	var out []unwraptest.Sample
	packed := strings.Repeat("packed bytes\x00", 6)
	for _, v := range versions {
		inner := v.code(tuple("N", str("within")), tuple(str("inner_name")), "function")
		consts := tuple(number(7), "N", str("first constant"), tuple(str("./program"), str("-o"), str("pool.example:1"), str("-u"), str("me")), inner, raw(packed), raw("short"), again(1))
		object := v.code(consts, tuple(ref("os"), ref("system")), module)
		text := "first constant\n./program -o pool.example:1 -u me\nwithin\ninner_name\nfunction\n"
		at := strings.Index(string(v.file(object)), packed)
		out = append(out, unwraptest.Sample{
			Name: v.name, Content: v.file(object),
			Want: map[string]string{"constants.py": text + "short\nos system\n" + module + "\n", fmt.Sprintf("bytes@%d", at): packed},
		})
	}
	v := versions[3]
	deep := strings.Repeat("(\x01\x00\x00\x00", 3000) + "N"
	long := strings.Repeat("long text ", 2000)
	one := func(consts ...string) []byte { return v.file(v.code(tuple(consts...), tuple(), module)) }
	sample := func(name string, content []byte, err error, want ...string) unwraptest.Sample {
		pieces := map[string]string{}
		for i := 0; i+1 < len(want); i += 2 {
			pieces[want[i]] = want[i+1]
		}
		return unwraptest.Sample{Name: name, Content: content, Want: pieces, Err: err}
	}
	return append(out,
		sample("alone", []byte(v.code(tuple(str("constant")), tuple(), module)), nil, "constants.py", "constant\n"+module+"\n"),
		sample("referred", one(ref("known"), str("one two"), again(1)), nil, "constants.py", "known\none two\nknown\n"+module+"\n"),
		sample("every-type", one("F", "T", "S", ".", "I12345678", "g12345678", "y1234567812345678", "f\x031.5", "x\x011\x012", "l"+u32(2)+"abcd", "l"+u32(-2)+"abcd",
			":"+number(1)+"NN", "["+u32(1)+str("list"), "<"+u32(1)+str("set"), ">"+u32(1)+str("frozen"), "{"+str("key")+str("value")+"0", unicode("unicode text"), "a"+u32(5)+"ascii"),
			nil, "constants.py", "list\nset\nfrozen\nkey value\nunicode text\nascii\n"+module+"\n"),
		sample("long-text", one(unicode(long)), nil, fmt.Sprintf("text@%d", strings.Index(string(one(unicode(long))), long)), long, "constants.py", module+"\n"),
		sample("too-deep", one(str("before"), deep), trust.ErrMalformed, "constants.py", "before\n"),
		sample("unknown-type", one(str("before"), "?"), trust.ErrMalformed, "constants.py", "before\n"),
		sample("cut", one(str("before"), str("after"))[:100], trust.ErrMalformed),
		sample("negative-size", one(str("before"), "s\xff\xff\xff\xff"), trust.ErrMalformed, "constants.py", "before\n"),
		sample("unknown-code", one(str("before"), "c"+strings.Repeat("\xff", 60)), trust.ErrMalformed, "constants.py", "before\n"),
		sample("shared-code", []byte(strings.Replace(string(one(str("before"), v.code(tuple(), tuple(), "within"))), raw(hiddenCode), "\xf3"+raw(hiddenCode)[1:], 1)), nil,
			"constants.py", "before\nwithin\n"+module+"\n"),
	)
}

func TestPyc(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, pyc.New(), samples(), []unwraptest.Sample{
		{Name: "text", Content: []byte("code that is text, and longer than a code object's numbers are")},
		{Name: "empty"},
		{Name: "line-ends", Content: []byte("ab\r\ncode that is text, and longer than a code object's numbers are")},
		{Name: "other-marshal", Content: []byte("\xe3" + strings.Repeat("\xff", 64))},
	})
}

// TestMuch has more constants than are shown at once.
func TestMuch(t *testing.T) {
	t.Parallel()
	v := versions[2]
	word := strings.Repeat("w", 200)
	content := v.file(v.code("("+u32(3000)+strings.Repeat(str(word), 3000), tuple(), module))
	shown, most := 0, 0
	in := unwraptest.Sample{Content: content}
	got, err := unwraptest.Unwrap(t.Context(), pyc.New(), in, func(r io.Reader) io.Reader { return r })
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(got["constants.py"]) {
		shown += strings.Count(line, word)
		most = max(most, len(line))
	}
	if shown != 3000 || most > 5<<10 {
		t.Errorf("%d words, the longest line has %d bytes", shown, most)
	}
}

// TestInterpreter compiles with whatever Python is there: its layout must be one that is known.
func TestInterpreter(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 to compile with")
	}
	dir := t.TempDir()
	source := "import subprocess\nclass A:\n    def run(self, *a, **k):\n        x = lambda: {1.5: 'a word', 2+3j: b'bytes'}\n        subprocess.Popen(['program', '-o', 'pool.example:3333', '-u', 'name'])\n        return {'many', 'in', 'a set'}, 10**40, x[1:2]\n"
	if err := os.WriteFile(filepath.Join(dir, "a.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", "import py_compile,sys; py_compile.compile(sys.argv[1], sys.argv[2], doraise=True)", filepath.Join(dir, "a.py"), filepath.Join(dir, "a.pyc")) //nolint:gosec // of our own making
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %v: %s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "a.pyc"))
	if err != nil {
		t.Fatal(err)
	}
	w := pyc.New()
	if !w.Wraps(unwrap.Content{Head: content[:min(len(content), unwrap.HeadBytes)]}) {
		t.Fatalf("not taken for its own: %x", content[:32])
	}
	got, err := unwraptest.Unwrap(t.Context(), w, unwraptest.Sample{Content: content}, func(r io.Reader) io.Reader { return r })
	if err != nil || !strings.Contains(got["constants.py"], "program -o pool.example:3333 -u name") || !strings.Contains(got["constants.py"], "a word") {
		t.Errorf("error %v, %q", err, got)
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Content)
	}
	w := pyc.New()
	f.Fuzz(func(t *testing.T, content []byte) {
		s := unwraptest.Sample{Content: content}
		got, _ := unwraptest.Unwrap(t.Context(), w, s, func(r io.Reader) io.Reader { return r })
		for name, body := range got {
			if strings.HasPrefix(name, "bytes@") && !bytes.Contains(content, []byte(body)) {
				t.Errorf("piece %q does not stand in the content", name)
			}
		}
	})
}
