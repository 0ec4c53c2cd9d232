package stratum

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func shipped(t *testing.T) *Indicator {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	ind, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

const subscribe = `{"id":1,"method":"mining.subscribe","params":[]} {"method":"mining.authorize"} `

func TestIndicator(t *testing.T) {
	t.Parallel()
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "url", Path: "start.sh", Kind: script, Content: "./w -o stratum+tcp://gulf.pool.invalid:10128 -u x", Want: trust.Strong},
		{Name: "url-upper-case", Path: "start.sh", Kind: script, Content: "URL=STRATUM+SSL://192.0.2.9:443\n", Want: trust.Strong},
		{Name: "url-ipv6-user", Path: "m.py", Kind: script, Content: `p = "stratum1+ssl://w.rig:x@[2001:db8::7]:3333"`, Want: trust.Strong},
		{Name: "url-in-env", Path: "config:env", Kind: config, Content: "POOL=stratum+tcp://pool.minexmr.com:4444", Want: trust.Strong},
		{Name: "url-in-program", Path: "usr/bin/httpd", Kind: exe, Content: "\x7fELF\x00\x00stratum+tcp://198.51.100.4:3333\x00\x00", Want: trust.Strong},
		{Name: "url-in-settings", Path: "opt/app.json", Kind: text, Content: `{"url": "stratum+tcp://198.51.100.4:3333"}`, Want: trust.Strong},
		{Name: "url-in-text", Path: "opt/notes", Kind: text, Content: "stratum+tcp://198.51.100.4:3333", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "url-of-variables", Path: "run.sh", Kind: script, Content: `X="stratum+tcp://${HOST}:${PORT}"`, Want: trust.Weak},
		{Name: "placeholder", Path: "run.sh", Kind: script, Content: `X="stratum+tcp://pool.example.com:3333"`, Want: trust.Weak},
		{Name: "onion", Path: "run.sh", Kind: script, Content: "stratum+tcp://" + strings.Repeat("a", 56) + ".onion:10032", Want: trust.Strong},
		{Name: "verbs-script", Path: "m.js", Kind: script, Content: subscribe + `{"method":"mining.submit"}`, Want: trust.Strong},
		{Name: "verbs-program", Path: "m", Kind: exe, Content: "\x7fELF\x00mining.subscribe\x00mining.notify\x00mining.set_target\x00", Want: trust.Strong},
		{Name: "login-python", Path: "m.py", Kind: script, Content: "m = {'method': 'login', 'params': {'login': w,\n 'pass': 'x', 'agent': 'a/1'}}", Want: trust.Strong},
		{Name: "login-go", Path: "m", Kind: exe, Content: `{"id":1,"method":"login","params":{"login":"%s","pass":"x","rigid":"","agent":"x"}}`, Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "ntp", Path: "etc/chrony.conf", Kind: text, Content: "local stratum 10\n# stratum://\nstratumweight 0.001\n"},
		{Name: "documentation", Path: "usr/share/doc/x/README.md", Kind: text, Content: "Use `-o stratum+tcp://pool.supportxmr.com:3333`."},
		{Name: "placeholder-angle", Path: "docs.txt", Kind: text, Content: "run with stratum+tcp://<pool>:3333"},
		{Name: "detector-grep", Path: "check.sh", Kind: script, Content: `grep -r "stratum+tcp://" /proc/*/cmdline && echo "found stratum+ssl:// too"`},
		{Name: "two-verbs", Path: "m.py", Kind: script, Content: subscribe},
		{Name: "verbs-as-data", Path: "etc/suricata/x.rules", Kind: text, Content: subscribe + "mining.submit mining.notify"},
		{Name: "longer-words", Path: "m.js", Kind: script, Content: "x.mining.subscribe datamining.notify mining.submitted mining.notifyAll mining.submit"},
		{Name: "login-form", Path: "a.js", Kind: script, Content: `post({"method":"login","params":{"login":"bob","password":"x"}})`},
		{Name: "login-page", Path: "a.js", Kind: script, Content: `rpc({"method": "login", "params": {"user": u, "pass": p}})`},
		{Name: "random", Path: "x.bin", Kind: data, Content: strings.Repeat("\x00\x01stratum\xff", 50)},
		{Name: "geology", Path: "srv/rocks", Kind: text, Content: "the lowest stratum, stratum+clay"},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Rules{}); err == nil {
		t.Error("empty rules were accepted")
	}
	r := Rules{Schemes: []string{"x://"}, Verbs: []string{"mining.a", "mining.b", "mining.c"}, Logins: []string{"loginlogin"}, LoginFields: []string{"a", "b"}}
	if _, err := New(r); err == nil {
		t.Error("a short literal was accepted")
	}
}
