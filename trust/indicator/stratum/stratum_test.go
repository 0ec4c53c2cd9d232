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
		{Name: "verbs-script", Path: "m.js", Kind: script, Content: "const s = net.connect(3333, h);" + subscribe + `{"method":"mining.submit"}`, Want: trust.Strong},
		{Name: "verbs-program", Path: "m", Kind: exe, Content: "\x7fELF\x00mining.subscribe\x00mining.notify\x00mining.set_target\x00", Want: trust.Strong},
		{Name: "verbs-without-socket", Path: "m.lua", Kind: script, Content: subscribe + `{"method":"mining.submit"}`, Want: trust.Weak, IfRun: trust.Strong},
		{Name: "verbs-ethereum", Path: "m.py", Kind: script, Content: "s = socket.create_connection((h, p))\nsend('eth_submitLogin'); send('eth_getWork'); send('eth_submitWork')\n", Want: trust.Strong},
		{Name: "login-call", Path: "m.py", Kind: script, Content: "s = socket.create_connection((h, 3333))\nsend(\"login\", {\"login\": w, \"pass\": \"x\", \"agent\": \"a\", \"rigid\": \"\"})\n", Want: trust.Strong},
		{Name: "login-javascript", Path: "m.js", Kind: script, Content: "const c = net.connect(3333, h);\nc.write(JSON.stringify({ id: 1, method: 'login', params: { login: a, pass: 'x', agent: 'n' } }));", Want: trust.Strong},
		{Name: "submit", Path: "m.rb", Kind: script, Content: "s = TCPSocket.new h, 3333\ns.puts({ 'method' => 'submit', 'params' => { 'id' => i, 'job_id' => j, 'nonce' => n, 'result' => r } }.to_json)\n", Want: trust.Strong},
		{Name: "client", Path: "m.py", Kind: script, Content: "s = socket.create_connection((h, 3333))\nsend(\"login\", {\"login\": w, \"pass\": \"x\", \"agent\": \"a\"})\nsend('submit', {\"id\": i, \"job_id\": j, \"nonce\": n, \"result\": r, \"rigid\": \"\"})\n", Want: trust.Proof},
		{Name: "login-python", Path: "m.py", Kind: script, Content: "m = {'method': 'login', 'params': {'login': w,\n 'pass': 'x', 'agent': 'a/1'}}", Want: trust.Weak, IfRun: trust.Strong},
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
		{Name: "job-queue", Path: "q.py", Kind: script, Content: `s = socket.create_connection((h, 1)); send({"job_id": 7, "result": "ok", "state": "done"})`},
		{Name: "chat-login", Path: "c.js", Kind: script, Content: "ws = new WebSocket('wss://x'); ws.send(JSON.stringify({method: 'login', params: {login: 'bob', pass: 'x'}}));"},
		{Name: "form-submit", Path: "f.js", Kind: script, Content: `rpc({"method": "submit", "params": {"form": f, "nonce": 3, "result": ok}});`},
		{Name: "random", Path: "x.bin", Kind: data, Content: strings.Repeat("\x00\x01stratum\xff", 50)},
		{Name: "geology", Path: "srv/rocks", Kind: text, Content: "the lowest stratum, stratum+clay"},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Rules{}); err == nil {
		t.Error("empty rules were accepted")
	}
	var shipped Rules
	indicatortest.Decode(t, name, &shipped)
	r := shipped
	r.Wake = []string{"login"}
	if _, err := New(r); err == nil {
		t.Error("a short literal was accepted")
	}
	r = shipped
	r.Sockets = []string{"("}
	if _, err := New(r); err == nil {
		t.Error("a bad pattern was accepted")
	}
	r = shipped
	r.Messages = []Message{{Why: "x", Fields: []string{"a"}, Min: 1}}
	if _, err := New(r); err == nil {
		t.Error("a message of one field was accepted")
	}
}
