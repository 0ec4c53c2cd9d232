package text

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/indicator"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   string
		want [][]string
	}{
		"shell":         {"cd /x && ./m -o 1.2.3.4:33 -u 'a b' & sleep 1; ls", [][]string{{"cd", "/x"}, {"./m", "-o", "1.2.3.4:33", "-u", "a", "b"}, {"sleep", "1"}, {"ls"}}},
		"continued":     {"./m \\\n  -o h:1 \\\n -u x\nnext", [][]string{{"./m", "-o", "h:1", "-u", "x"}, {"next"}}},
		"json":          {`["./x","-o","1.2.3.4:3333","-u","x"]`, [][]string{{"./x", "-o", "1.2.3.4:3333", "-u", "x"}}},
		"escaped-json":  {`[\"./x\",\"-o\",\"h.de:1\"]`, [][]string{{"./x", "-o", "h.de:1"}}},
		"python-lines":  {"Popen([\n  './x',\n  '-o', 'h:1',\n])\nprint(1)", [][]string{{"Popen", "./x", "-o", "h:1"}, {"print(1"}}},
		"python-concat": {`os.system("./x -o " + POOL + " -u " + W)`, [][]string{{"os.system", "./x", "-o", "POOL", "-u", "W"}}},
		"yaml":          {"args:\n  - -o\n  - h:1\n  - -u\n", [][]string{{"args:", "-o", "h:1", "-u"}}},
		"ipv6":          {"-o stratum+tcp://[2001:db8::1]:3333 [::1]:5]", [][]string{{"-o", "stratum+tcp://[2001:db8::1]:3333", "[::1]:5"}}},
		"query":         {"get http://x/?a=1&b=2;c", [][]string{{"get", "http://x/?a=1&b=2;c"}}},
		"variable":      {"-u ${WALLET}.$(hostname)", [][]string{{"-u", "${WALLET}.$(hostname"}}},
		"pipe-in-quote": {`sh -c "a|b" | c`, [][]string{{"sh", "-c", "a|b"}, {"c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][]string
			for _, c := range Commands([]byte(test.in)) {
				var words []string
				for _, w := range c {
					words = append(words, w.Text)
					if !strings.HasPrefix(test.in[w.At:], w.Text) {
						t.Errorf("%q is not at %d", w.Text, w.At)
					}
				}
				got = append(got, words)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCommandsLimit(t *testing.T) {
	t.Parallel()
	got := Commands(bytes.Repeat([]byte("x "), 3*MaxWords))
	if len(got) != 1 || len(got[0]) != MaxWords {
		t.Errorf("got %d commands", len(got))
	}
}

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Endpoint{
		"1.2.3.4:3333":                          {Host: "1.2.3.4", Port: 3333},
		"Pool.Example.COM:443":                  {Host: "pool.example.com", Port: 443},
		"stratum+ssl://w.x:y@[2001:db8::1]:3/a": {Scheme: "stratum+ssl", User: "w.x:y", Host: "2001:db8::1", Port: 3},
		"[::1]:5":                               {Host: "::1", Port: 5},
		"https://h.de/path":                     {Scheme: "https", Host: "h.de"},
		"proxy:3333":                            {Host: "proxy", Port: 3333},
		"x.onion:80":                            {Host: "x.onion", Port: 80},
	} {
		got, ok := ParseEndpoint(in)
		if !ok || got != want {
			t.Errorf("%q: got %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "$POOL", "out.txt:x", "a:0", "a:65536", "1.2.3", "<pool>:3333", "a b:3", "/tmp/x:3", "-x:3", "${H}:3333", "10.5:80"} {
		if got, ok := ParseEndpoint(in); ok {
			t.Errorf("%q: got %+v", in, got)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"pool.example.com": true, "example.org": true, "yourpool.com": true, "pool": true, "pool.example": true,
		"192.0.2.1": false, "pool.example.invalid": false, "notexample.com": false, "gulf.pools.de": false,
	} {
		if got := (Endpoint{Host: host}).Placeholder(); got != want {
			t.Errorf("%s: got %v", host, got)
		}
	}
}

func TestSeamCutsNothing(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	const keep = 7
	for _, step := range []int{1, 2, 3, 6, 7, 8, 9, 13, 50, 299, 300, 1000} {
		seen := map[int64]bool{}
		visit := func(p []byte, at int64) {
			if !bytes.Equal(p, content[at:int(at)+len(p)]) {
				t.Fatalf("step %d: piece at %d is not the content", step, at)
			}
			for i := 0; i+keep <= len(p); i++ {
				seen[at+int64(i)] = true
			}
		}
		s := Seam{Keep: keep}
		for i := 0; i < len(content); i += step {
			s.Next(content[i:min(i+step, len(content))], visit)
		}
		s.Close(visit)
		if len(seen) != len(content)-keep+1 {
			t.Errorf("step %d: saw %d of %d spans", step, len(seen), len(content)-keep+1)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	window, at := Clip(indicator.Hit{Window: make([]byte, 10_000), At: 3000})
	if at != indicator.WindowBefore || len(window) != indicator.WindowBefore+indicator.WindowAfter {
		t.Errorf("got %d bytes, hit at %d", len(window), at)
	}
	window, at = Clip(indicator.Hit{Window: make([]byte, 20), At: 5})
	if at != 5 || len(window) != 20 {
		t.Errorf("got %d bytes, hit at %d", len(window), at)
	}
}

func TestAssignmentsAndResolve(t *testing.T) {
	t.Parallel()
	values := Assignments([]byte("export POOL=1.2.3.4:33\nwallet = 'abc'\n\"url\": \"h:1\"\nPOOL=later\nx := \"go\""))
	for word, want := range map[string]string{
		"$POOL": "1.2.3.4:33", "${POOL}": "1.2.3.4:33", "wallet": "abc", "{wallet}": "abc", "url": "h:1", "x": "go",
		"${NONE:-h.de:3}": "h.de:3", "${POOL:-z}": "1.2.3.4:33", "other": "other",
	} {
		if got := Resolve(word, values); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func FuzzCommands(f *testing.F) {
	f.Add([]byte("a 'b' [\"c\", d] \\\n;|&"))
	f.Add([]byte("\\\""))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range Commands(in) {
			for _, w := range c {
				if w.Text == "" || w.At < 0 || !bytes.HasPrefix(in[w.At:], []byte(w.Text)) {
					t.Errorf("word %q at %d", w.Text, w.At)
				}
				_, _ = ParseEndpoint(w.Text)
			}
		}
		_ = Assignments(in)
	})
}
