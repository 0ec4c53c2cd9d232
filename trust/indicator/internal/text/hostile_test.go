package text

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestHosts: what is a host and what is none, at the limits of names and ports.
func TestHosts(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	long := label + "." + label + "." + label + "." + strings.Repeat("a", 61)
	for in, want := range map[string]string{
		"a.de:1": "a.de 1", "a.de:65535": "a.de 65535", "a.de:00080": "a.de 80", "a.de:000080": "", "a.de:": "", "a.de:+80": "", "a.de:-1": "", "a.de:0": "", "a.de:65536": "",
		"a.de:8 0": "", "a.de:0x50": "", "a.de:８０": "", "a.de": "a.de 0", "a.de.": "a.de 0", "a..de:1": "", ".de:1": "", "-a.de:1": "", "a-.de:1": "a-.de 1", "_a.de:1": "_a.de 1",
		label + ".de:1": label + ".de 1", "a" + label + ".de:1": "", long + ":1": long + " 1", long + "a:1": "",
		"a:1": "", "ab:1": "ab 1", "1.2.3.4": "1.2.3.4 0", "1.2.3.4:1": "1.2.3.4 1", "1.2.3:1": "", "256.1.1.1:1": "", "1.2.3.4.5:1": "", "a.1:1": "",
		"[::1]:5": "::1 5", "[2001:db8::1]:443": "2001:db8::1 443", "http://[2001:db8::1]/x": "2001:db8::1 0", "[2001:db8::1]": "2001:db8::1 0", "[::ffff:192.0.2.1]:3": "::ffff:192.0.2.1 3",
		"(http://a.de:3)": "a.de 3", "http://a.de:3)": "a.de 3", "http://a.de:3/x:y@z": "a.de 3", "http://a.de:3?x": "a.de 3", "http://a.de:3#x": "a.de 3", "a.de:3/x": "", "a.de/x": "",
		"u@a.de:3": "a.de 3", "u@v@a.de:3": "a.de 3", "@a.de:3": "a.de 3", "http://u:p@a.de:3/": "a.de 3", "://a.de:3": "a.de 3", "http://": "", "http:///x": "", "http://:3": "",
		"ä.de:3": "", "a.de:3\x00": "", "a\x00b.de:3": "", "a%20b.de:3": "", "*.de:3": "", "a,b.de:3": "",
	} {
		e, ok := ParseEndpoint(in)
		got := ""
		if ok {
			got = fmt.Sprint(e.Host, " ", e.Port)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestEndpointsAreStable: a host in another case is the same, and what was read reads the same when it is written out.
func TestEndpointsAreStable(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	const letters = "ab1-._:@/[]?#xX "
	accepted := 0
	for range 50_000 {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteByte(letters[rng.IntN(len(letters))])
		}
		e, ok := ParseEndpoint(b.String())
		upper, upperOK := ParseEndpoint(strings.ToUpper(b.String()))
		if ok != upperOK || ok && (e.Host != upper.Host || e.Port != upper.Port) {
			t.Fatalf("%q: %+v %t, in capitals %+v %t", b.String(), e, ok, upper, upperOK)
		}
		if !ok {
			continue
		}
		accepted++
		host := e.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		written := host
		if e.Port > 0 {
			written = fmt.Sprintf("%s:%d", host, e.Port)
		}
		if again, ok := ParseEndpoint(written); !ok || again.Host != e.Host || again.Port != e.Port {
			t.Fatalf("%q: %+v, and %q: %+v", b.String(), e, written, again)
		}
		if strings.ContainsAny(e.Host, " @/[]?#") || e.Port < 0 || e.Port > 65535 {
			t.Fatalf("%q: %+v", b.String(), e)
		}
	}
	if accepted < 500 {
		t.Errorf("only %d were accepted", accepted)
	}
}

// TestLine: the line around a place, never more than the limit to each side, and never another line.
func TestLine(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	for range 3000 {
		window := make([]byte, rng.IntN(30))
		for i := range window {
			window[i] = "ab\n"[rng.IntN(3)]
		}
		at, limit := rng.IntN(len(window)+1), rng.IntN(12)
		from, to := at, at
		for from > 0 && at-from < limit && window[from-1] != '\n' {
			from--
		}
		for to < len(window) && to-at < limit && window[to] != '\n' {
			to++
		}
		line, start := Line(window, at, limit)
		if start != from || !bytes.Equal(line, window[from:to]) {
			t.Fatalf("%q at %d, at most %d: %q at %d, want %q at %d", window, at, limit, line, start, window[from:to], from)
		}
	}
}

// TestSeamAgainstOracle: whatever the chunks and their sizes, each span of Keep bytes is shown, nothing is shown
// that is not there, and memory stays small.
func TestSeamAgainstOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		content := make([]byte, 1+rng.IntN(200))
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		s := Seam{Keep: 1 + rng.IntN(20)}
		shown := make([]bool, len(content))
		visit := func(piece []byte, at int64) {
			if at < 0 || int(at)+len(piece) > len(content) || !bytes.Equal(piece, content[at:int(at)+len(piece)]) {
				t.Fatalf("%d bytes at %d are not of the content", len(piece), at)
			}
			for i := 0; i+s.Keep <= len(piece); i++ {
				shown[int(at)+i] = true
			}
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), rng.IntN(1+rng.IntN(60)))
			s.Next(bytes.Clone(rest[:n]), visit) // the caller may use its chunk again
			rest = rest[n:]
			if len(s.tail) > 2*s.Keep {
				t.Fatalf("%d bytes are kept of at most %d", len(s.tail), s.Keep)
			}
		}
		ended := 0
		s.Close(func(piece []byte, at int64) {
			ended = int(at) + len(piece)
			visit(piece, at)
		})
		if ended != len(content) {
			t.Fatalf("the end is at %d, not at %d", len(content), ended)
		}
		for i := 0; i+s.Keep <= len(content); i++ {
			if !shown[i] {
				t.Fatalf("the %d bytes at %d were never shown", s.Keep, i)
			}
		}
	}
}

func TestCommandAt(t *testing.T) {
	t.Parallel()
	in := []byte("run a b; go 'c d'\nlast")
	for at, want := range map[int]string{0: "run", 3: "run", 6: "run", 7: "", 8: "", 9: "go", 13: "go", 15: "go", 16: "", 17: "", 18: "last", 21: "last", 22: "", 99: ""} {
		got := ""
		if c := CommandAt(Commands(in), at); c != nil {
			got = c[0].Text
		}
		if got != want {
			t.Errorf("%d: %q, want %q", at, got, want)
		}
	}
}

// TestCommandsTakeTheirLength: text that invites to look back or ahead again and again costs no more than its length.
func TestCommandsTakeTheirLength(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"\n", " \n", "\\\n", ",\n", "(\n", "\"", "'\"", "[", "{[(", "])}", "a=(", "- \n", "f\"", "|&;", "\\", "\x00", "a|b", "}:{"} {
		in := bytes.Repeat([]byte(piece), 1<<19/len(piece))
		for _, c := range Commands(in) {
			if len(c) > MaxWords {
				t.Errorf("%q: a command of %d words", piece, len(c))
			}
		}
	}
}

func TestResolveHostile(t *testing.T) {
	t.Parallel()
	values := map[string]string{"A": "1", "B": "$A", "C": "", "ENV": "e"}
	for word, want := range map[string]string{
		"$A": "1", "${A}": "1", "$A:$A": "1:1", "${A}:${A}": "1:1", "$AB": "$AB", "${AB}": "${AB}", "a$A": "a1", "%A%": "1", "{A}": "1", "x{A}y": "x1y",
		"$B": "$A", "x$B": "x$A", // once, so that nothing goes in a circle
		"$C": "", "": "", "$": "$", "${": "${", "${}": "${}", "$$A": "1", "$1": "$1", "env:A": "1", "$env:ENV": "e", "${A:-x}": "1", "${Z:-x}": "x", "${Z:-}": "", "${:-x}": "${:-x}",
	} {
		if got := Resolve(word, values); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "n%d=v\n", i)
	}
	if got := len(Assignments([]byte(many.String()))); got != 512 {
		t.Errorf("%d assignments were read", got)
	}
	for in, want := range map[string]string{
		"a=" + strings.Repeat("v", 512): strings.Repeat("v", 512), "a=" + strings.Repeat("v", 600): strings.Repeat("v", 512), "a=": "", "a = 'v w'": "v", "a:v": "v", "xa=v": "", "a=v;a=w": "v", "a:=v": "v", "a==v": "=v",
	} {
		if got := Assignments([]byte(in))["a"]; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestBase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "a": "a", "/a": "a", "/a/b": "b", "a/": "", `C:\x\y.exe`: "y.exe", `a/b\c`: "c", `a\b/c`: "c", "/": ""} {
		if got := Base(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
