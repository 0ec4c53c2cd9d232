package stratum

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	var r Rules
	indicatortest.Decode(t, name, &r)
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	samples := []indicatortest.Sample{
		{Name: "user-information", Path: "a.sh", Kind: script, Content: "-P stratum://0xabc.rig:x@203.0.113.4:4444\n", Want: trust.Strong},
		{Name: "json-escapes", Path: "a.sh", Kind: script, Content: `echo "{\"url\":\"stratum+ssl://203.0.113.4:443\"}"`, Want: trust.Strong},
		{Name: "yaml-list", Path: "values.yaml", Kind: text, Content: "pools:\n  - stratum+tcp://203.0.113.4:3333\n", Want: trust.Strong},
		{Name: "last-bytes", Path: "a.sh", Kind: script, Content: "stratum+tcp://203.0.113.4:3333", Want: trust.Strong},
		{Name: "list-with-semicolons", Path: "a.sh", Kind: script, Content: "P='stratum+tcp://203.0.113.4:3333;stratum+tcp://203.0.113.5:3333'\n", Want: trust.Strong},
		{Name: "path-behind", Path: "a.sh", Kind: script, Content: "stratum1+tcp://203.0.113.4:4444/0xabc/rig\n", Want: trust.Strong},
		{Name: "history", Path: "config:history[3]", Kind: config, Content: "ENV POOL=stratum+tcp://proxy.acme.dev:3333", Want: trust.Strong},
		{Name: "shell-variable-port", Path: "a.sh", Kind: script, Content: "U=stratum+tcp://$H:3333\n", Want: trust.Weak},
		{Name: "python-format", Path: "a.py", Kind: script, Content: "u = f'stratum+tcp://{host}:{port}'\n", Want: trust.Weak},
		{Name: "percent-format", Path: "a.py", Kind: script, Content: "u = 'stratum+tcp://%s:%d' % (h, p)\n", Want: trust.Weak},
		{Name: "bare-word", Path: "a.sh", Kind: script, Content: "stratum+tcp://pool\n", Want: trust.Weak},
		{Name: "bare-word-and-port", Path: "a.sh", Kind: script, Content: "stratum+tcp://proxy:3333\n", Want: trust.Strong},
		{Name: "in-data", Path: "x", Kind: data, Content: "\x00stratum+tcp://203.0.113.4:3333\x00", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "verbs-apart", Path: "x", Kind: exe, Content: "mining.subscribe" + strings.Repeat("\x00", 20_000) + "mining.authorize" + strings.Repeat("\x00", 20_000) + "mining.submit", Want: trust.Strong},
		{Name: "verbs-in-a-command", Path: "config:command", Kind: config, Content: "python -c \"... 'mining.subscribe' 'mining.authorize' 'mining.submit'\"", Want: trust.Strong},
		{Name: "verbs-over-netcat", Path: "a.sh", Kind: script, Content: "echo '{\"method\":\"mining.subscribe\"}{\"method\":\"mining.authorize\"}{\"method\":\"mining.submit\"}' | nc 203.0.113.4 3333\n", Want: trust.Strong},
		{Name: "login-perl", Path: "a.pl", Kind: script, Content: "my $s = IO::Socket::INET->new($p); print $s encode_json({ method => 'login', params => { login => $w, pass => 'x', agent => 'a' } });\n", Want: trust.Strong},
		{Name: "result-of-a-program", Path: "x", Kind: exe, Content: `{"method":"submit","params":{"id":"%s","job_id":"%s","nonce":"%s","result":"%s"}}`, Want: trust.Strong},
		{Name: "submit-in-a-document", Path: "docs/protocol.md", Kind: text, Content: `{"id":"1","job_id":"2","nonce":"3","result":"4"}`, Want: trust.Context, IfRun: trust.Strong},
	}
	for _, s := range r.Schemes {
		samples = append(samples, indicatortest.Sample{Name: s, Path: "a.sh", Kind: script, Content: "U=" + strings.ToUpper(s[:4]) + s[4:] + "203.0.113.4:3333 ", Want: trust.Strong})
	}
	indicatortest.Shapes(t, shipped(t), samples, []indicatortest.Twin{
		{Name: "tail-of-a-scheme", Path: "a.sh", Kind: script, Content: "superstratum://203.0.113.4:3333 x_stratum+tcp://203.0.113.4:3333\n"},
		{Name: "variable-in-a-program", Path: "x", Kind: exe, Content: "\x00stratum+tcp://%s:%d\x00"},
		{Name: "nothing-behind", Path: "a.py", Kind: script, Content: "SCHEMES = ['stratum+tcp://', 'stratum+ssl://', \"stratum://\"]\n"},
		{Name: "host-with-two-dots", Path: "a.sh", Kind: script, Content: "stratum+tcp://a..b:3333\n"},
		{Name: "port-too-great", Path: "a.sh", Kind: script, Content: "stratum+tcp://203.0.113.4:70000\n"},
		{Name: "verbs-two-and-parts", Path: "x", Kind: exe, Content: "mining.subscribe\x00mining.subscribe_x\x00mining.authorize\x00xmining.submit\x00a.mining.notify\x00"},
		{Name: "one-verb-often", Path: "x", Kind: exe, Content: strings.Repeat("mining.submit\x00", 100)},
		{Name: "login-two-fields", Path: "x", Kind: exe, Content: `{"method":"login","params":{"login":"a","pass":"b"}}`},
		{Name: "job-of-a-builder", Path: "a.py", Kind: script, Content: `post({"job_id": 4, "result": "green", "log": "x"})`},
		{Name: "fields-too-far", Path: "x", Kind: exe, Content: `"method":"login"` + strings.Repeat(" ", messageSpan+1) + `"login": "a", "pass": "b", "agent": "c"`},
		{Name: "fields-as-values", Path: "x", Kind: exe, Content: `{"method":"login","fields":["login","pass","agent","rigid"]}`},
	})
}

func TestAddress(t *testing.T) {
	t.Parallel()
	long := "stratum+tcp://" + strings.Repeat("a", 2*maxURL)
	for in, want := range map[string]string{
		"a://b:1 c": "a://b:1", "a://b:1\"": "a://b:1", "a://b:1\x00": "a://b:1", "a://b:1;c": "a://b:1", "a://b,c": "a://b", "a://b|c": "a://b",
		"a://<pool>:1": "a://<", "a://b<i>": "a://b", "a://b`c": "a://b", "a://b\\n": "a://b", "a://b\x7f": "a://b", "": "", " a": "",
		"a://ü:1 ": "a://ü:1", long: long[:maxURL],
	} {
		if got := string(address([]byte(in))); got != want {
			t.Errorf("%.40q: got %.40q, want %.40q", in, got, want)
		}
	}
}

// Files of bait end, report no more than they may, and do not hide what stands behind.
func TestBait(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for name, bait := range map[string]string{"schemes": "stratum+tcp:// ", "placeholders": "stratum+tcp://pool:3333 ", "verbs": "mining.subscribe ", "logins": `"method":"login" `} {
		content := strings.Repeat(bait, 3000) + "\nstratum+ssl://203.0.113.4:443 "
		found := indicatortest.Inspect(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{Chunk: 9000})
		strongest := trust.Context
		for _, f := range found {
			strongest = max(strongest, f.Strength)
		}
		if strongest != trust.Strong || len(found) > 16 {
			t.Errorf("%s: %d findings, the strongest is %s", name, len(found), strongest)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"verbs":    {func(r *Rules) { r.Verbs = r.Verbs[:minVerbs-1] }, "must not be empty"},
		"wake":     {func(r *Rules) { r.Wake = nil }, "must not be empty"},
		"messages": {func(r *Rules) { r.Messages = nil }, "must not be empty"},
		"scheme":   {func(r *Rules) { r.Schemes = []string{"a+b:/"} }, `"a+b:/" is shorter than 6 bytes`},
		"no-why":   {func(r *Rules) { r.Messages = []Message{{Fields: []string{"a", "b"}, Min: 2}} }, `message ""`},
		"more":     {func(r *Rules) { r.Messages = []Message{{Why: "x", Fields: []string{"a", "b"}, Min: 3}} }, `message "x"`},
		"sockets":  {func(r *Rules) { r.Sockets = []string{"a", "["} }, "sockets: error parsing regexp"},
	} {
		var r Rules
		indicatortest.Decode(t, "stratum", &r)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "stratum rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
