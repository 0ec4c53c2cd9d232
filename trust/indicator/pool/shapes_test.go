package pool

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func shipped(t testing.TB) *Indicator {
	t.Helper()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

func TestShapes(t *testing.T) {
	t.Parallel()
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	const host = "pool.supportxmr.com"
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "capitals", Path: "a.sh", Kind: script, Content: "H=POOL.SupportXMR.COM:3333\n", Want: trust.Strong},
		{Name: "root-dot", Path: "a.sh", Kind: script, Content: "nc " + host + ".:3333\n", Want: trust.Strong},
		{Name: "netcat", Path: "a.sh", Kind: script, Content: "nc " + host + " 3333\n", Want: trust.Strong},
		{Name: "variable-port", Path: "a.sh", Kind: script, Content: "H=" + host + ":$PORT\n", Want: trust.Strong},
		{Name: "format-port", Path: "a.py", Kind: script, Content: "u = '" + host + ":%d' % p\n", Want: trust.Strong},
		{Name: "brace-port", Path: "a.py", Kind: script, Content: "u = f'" + host + ":{port}'\n", Want: trust.Strong},
		{Name: "named-port", Path: "a.py", Kind: script, Content: "connect('" + host + "', port=p)\n", Want: trust.Strong},
		{Name: "stratum-without-port", Path: "a.sh", Kind: script, Content: "U=stratum+tcp://w@" + host + "\n", Want: trust.Strong},
		{Name: "json-escapes", Path: "a.sh", Kind: script, Content: `echo "{\"url\":\"` + host + `:443\"}"`, Want: trust.Strong},
		{Name: "first-byte", Path: "a.sh", Kind: script, Content: host + ":3333", Want: trust.Strong},
		{Name: "settings-json", Path: "c.json", Kind: text, Content: `{"pool": "` + host + `:3333"}`, Want: trust.Strong},
		{Name: "data", Path: "x.bin", Kind: data, Content: "\x00" + host + ":443\x00", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "program-stratum", Path: "x", Kind: exe, Content: "\x00stratum+ssl://" + host + "\x00", Want: trust.Strong},
		{Name: "program-stratum-port", Path: "x", Kind: exe, Content: "\x00stratum+ssl://" + host + ":443\x00", Want: trust.Strong},
		{Name: "unit", Path: "etc/systemd/system/x.service", Kind: text, Content: "ExecStart=/opt/x -o " + host + ":443\n", Want: trust.Strong},
		{Name: "example", Path: "usr/share/doc/x/examples/a.sh", Kind: script, Content: "H=" + host + ":3333\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "label", Path: "config:labels", Kind: config, Content: "pool=" + host + ":3333", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "longer-domain", Path: "a.sh", Kind: script, Content: "H=" + host + ".acme.dev:3333 I=" + host + "munity.org:3333 J=" + host + "-x.dev:80\n"},
		{Name: "other-name", Path: "a.sh", Kind: script, Content: "H=mysupportxmr.com:3333 I=my-supportxmr.com:3333 J=my_supportxmr.com:3333\n"},
		{Name: "page", Path: "a.sh", Kind: script, Content: "curl https://" + host + ":443/stats\nopen http://www.supportxmr.com\n"},
		{Name: "page-of-a-user", Path: "a.sh", Kind: script, Content: "curl https://a:b@" + host + ":443/stats\n"},
		{Name: "long-number", Path: "a.txt", Kind: text, Content: host + ":123456 " + host + ":1 "},
		{Name: "mail", Path: "a.txt", Kind: text, Content: "write to admin at supportxmr.com, or see supportxmr.com/help\n"},
		{Name: "program-without-port", Path: "x", Kind: exe, Content: "\x00" + host + "\x00supportxmr.com\x00"},
		{Name: "page-in-a-program", Path: "x", Kind: exe, Content: "\x00https://" + host + ":443/stats\x00\x01https://" + host},
		{Name: "commented", Path: "a.py", Kind: script, Content: "  # H = '" + host + ":3333'\n"},
		{Name: "log", Path: "var/log/dns.log", Kind: text, Content: "query " + host + ":53 blocked\n"},
	})
}

// So many operators make a list, and one less does not, wherever they stand.
func TestLists(t *testing.T) {
	t.Parallel()
	r, ind := rules(t), shipped(t)
	for _, test := range []struct {
		path string
		kind trust.Kind
		many int
		want trust.Strength // of one less
	}{
		{"a.sh", trust.KindScript, manyPools, trust.Strong},
		{"x", trust.KindExecutable, manyPools, trust.Strong},
		{"c.json", trust.KindText, manyInSettings, trust.Strong},
		{"notes", trust.KindText, manyInText, trust.Weak},
	} {
		for n, want := range map[int]trust.Strength{test.many - 1: test.want, test.many: trust.Context, test.many + 5: trust.Context} {
			content := "P=" + strings.Join(r.Pools[:n], ":3333\nP=") + ":3333\n"
			got := trust.Context
			for _, f := range indicatortest.Inspect(ind, indicator.File{Path: test.path, Kind: test.kind}, []byte(content), indicatortest.Drive{Chunk: 64}) {
				got = max(got, f.Strength)
			}
			if got != want {
				t.Errorf("%s with %d operators: %s, want %s", test.path, n, got, want)
			}
		}
	}
}

func TestHasPort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		":3333": true, ":80": true, ":65535\"": true, ":1": false, ":123456": false, ":": false, "": false, ":$P": true, ":${P}": true, ":%d": true, ":{p}": true, ":x": false,
		"\", 3333)": true, "', '3333'": true, "\", port)": true, "\", PORT": true, "\", timeout": false, "/3333": true, "/x": false, " 3333": true, " x": false,
		".:3333": true, ".": false, "\",": false, "\"": false,
	} {
		if got := hasPort([]byte(in)); got != want {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

func TestSchemeBefore(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"stratum+tcp://": "stratum+tcp", "U=HTTPS://": "https", "https://a:b@": "https", "x https://y ": "", "(wss://": "wss", "url:": "", "[a](http://": "http",
		"a,b;c|ftp://": "ftp", "\x00stratum+ssl://": "stratum+ssl", "\x01\xffhttps://": "https", "://": "", "": "",
	} {
		if got := schemeBefore([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Mentions do not crowd out what weighs more.
func TestHoldKeepsTheStrongest(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for _, n := range []int{maxHosts - 1, maxHosts, maxHosts + 1, 4 * maxHosts} {
		content := strings.Repeat("H='supportxmr.com'\n", n) + "H=supportxmr.com:3333\n" + strings.Repeat("H='supportxmr.com'\n", n)
		got := trust.Context
		for _, f := range indicatortest.Inspect(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{}) {
			got = max(got, f.Strength)
		}
		if got != trust.Strong {
			t.Errorf("%d mentions: %s", n, got)
		}
	}
}
