package pool

import (
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func rules(t testing.TB) Rules {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	return r
}

func samples() []indicatortest.Sample {
	script, text, config, exe := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable
	return []indicatortest.Sample{
		{Name: "host", Path: "run.sh", Kind: script, Content: "H=xmr-eu1.nanopool.org:10343\n", Want: trust.Strong},
		{Name: "call", Path: "m.py", Kind: script, Content: "s.connect((\"pool.supportxmr.com\", 3333))", Want: trust.Strong},
		{Name: "call-javascript", Path: "m.js", Kind: script, Content: "const c = net.connect(port, 'x'); net.createConnection({host: 'pool.supportxmr.com', port: 3333})", Want: trust.Strong},
		{Name: "environment", Path: "config:env", Kind: config, Content: "POOL_HOST=pool.hashvault.pro", Want: trust.Strong},
		{Name: "environment-late", Path: "config:env", Kind: config, Content: "A=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nA=pool.hashvault.pro\nB=pool.hashvault.pro:443", Want: trust.Strong},
		{Name: "option", Path: "run.sh", Kind: script, Content: "./x --url=gulf.moneroocean.stream -u w", Want: trust.Strong},
		{Name: "option-apart", Path: "config:command", Kind: config, Content: "/app -o pool.minexmr.com -u w", Want: trust.Strong},
		{Name: "stratum", Path: "run.sh", Kind: script, Content: "X=stratum+ssl://eu.luckpool.net:3956", Want: trust.Strong},
		{Name: "web-socket", Path: "m.js", Kind: script, Content: "new WebSocket(\"wss://ws.c3pool.com:443/\")", Want: trust.Strong},
		{Name: "settings", Path: "opt/c.json", Kind: text, Content: "{\"url\": \"pool.hashvault.pro:80\"}", Want: trust.Strong},
		{Name: "settings-host", Path: "opt/c.ini", Kind: text, Content: "pool1 = rvn.2miners.com\n", Want: trust.Weak},
		{Name: "text", Path: "opt/notes", Kind: text, Content: "pool.hashvault.pro:443", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "program", Path: "usr/bin/x", Kind: exe, Content: "\x7fELF\x00pool.supportxmr.com:443\x00", Want: trust.Strong},
		{Name: "shell-device", Path: "run.sh", Kind: script, Content: "exec 3<>/dev/tcp/pool.supportxmr.com/3333", Want: trust.Strong},
		{Name: "two-operators", Path: "run.sh", Kind: script, Content: "A=pool.supportxmr.com:443\nB=gulf.moneroocean.stream:10128\n", Want: trust.Strong},
		{Name: "donation", Path: "run.sh", Kind: script, Content: "-o donate.v2.xmrig.com:3333", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text, exe := trust.KindScript, trust.KindText, trust.KindExecutable
	return []indicatortest.Twin{
		{Name: "web-page", Path: "a.py", Kind: script, Content: "URL = \"https://supportxmr.com/api\"; B = \"https://www.nicehash.com:443/x\""},
		{Name: "exporter", Path: "a.py", Kind: script, Content: "API = \"https://supportxmr.com/api/miner/{}/stats\"\nrequests.get(API)"},
		{Name: "dashboard", Path: "etc/grafana/pool.json", Kind: text, Content: "{\"expr\":\"hashrate{pool=\\\"supportxmr.com\\\"}\",\"links\":[{\"url\":\"https://supportxmr.com/#/dashboard\"}]}", Allowed: trust.Weak},
		{Name: "other-domain", Path: "a.sh", Kind: script, Content: "curl notsupportxmr.com:3333; nc zpool.cache:33; nc zpool.ca.example.org:3333"},
		{Name: "cache-file", Path: "init.sh", Kind: script, Content: "ZPOOL=/etc/zfs/zpool.cache\nzpool.ca\n"},
		{Name: "block-list", Path: "deny.sh", Kind: script, Content: "for h in 2miners.com:1 antpool.com:22 c3pool.com:33 f2pool.com:44 hashvault.pro:55 nanopool.org:66 supportxmr.com:77 zpool.ca:88; do iptables -A OUTPUT -d ${h%:*} -j DROP; done"},
		{Name: "hosts", Path: "etc/pihole/list", Kind: text, Content: "0.0.0.0 pool.minexmr.com\n0.0.0.0 supportxmr.com\n0.0.0.0 moneroocean.stream\n"},
		{Name: "rules", Path: "etc/suricata/x.rules", Kind: text, Content: "dns.query; content:\"pool.supportxmr.com\"; content:\"xmr.nanopool.org:443\""},
		{Name: "documentation", Path: "usr/share/doc/x/README.md", Kind: text, Content: "Use `-o pool.supportxmr.com:3333`."},
		{Name: "comment", Path: "a.sh", Kind: script, Content: "# pool.supportxmr.com:3333\n"},
		{Name: "sentence", Path: "a.sh", Kind: script, Content: "echo see supportxmr.com for statistics\n"},
		{Name: "adminer", Path: "a.php", Kind: script, Content: "$u = \"https://adminer.com/\"; $h = \"webhop.net:80\";"},
		{Name: "strings-of-a-scanner", Path: "usr/bin/scanner", Kind: exe, Content: "\x7fELF\x00supportxmr.com:3333\x00nanopool.org:3333\x00minexmr.com:3333\x00c3pool.com:3333\x00hashvault.pro:3333\x002miners.com:3333\x00f2pool.com:3333\x00antpool.com:3333\x00nicehash.com:3333\x00"},
	}
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	indicatortest.Run(t, ind, samples(), twins())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing": func(r *Rules) { *r = Rules{} },
		"short":   func(r *Rules) { r.Pools = []string{"a.b"} },
		"upper":   func(r *Rules) { r.Pools = []string{"Pool.Example"} },
		"pattern": func(r *Rules) { r.Options = []string{"("} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzHit(f *testing.F) {
	ind, err := New(rules(f))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range samples() {
		f.Add([]byte(s.Content))
	}
	f.Fuzz(func(_ *testing.T, in []byte) {
		indicatortest.Inspect(ind, indicator.File{Path: "x.sh", Kind: trust.KindScript}, in, indicatortest.Drive{})
	})
}
