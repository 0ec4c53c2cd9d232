package minerconfig

import (
	"fmt"
	"math/rand/v2"
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
	short := `{"pools":[{"url":"203.0.113.7:3333","user":"w","pass":"x","rig-id":"a"}],"donate-level":0}`
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "one-line", Path: "opt/c.json", Kind: text, Content: short, Want: trust.Proof},
		{Name: "any-name", Path: "usr/lib/x86_64-linux-gnu/libz.cache", Kind: text, Content: short, Want: trust.Proof},
		{Name: "windows-lines", Path: "opt/c.json", Kind: text, Content: strings.ReplaceAll(full("203.0.113.7:3333", "w"), "\n", "\r\n"), Want: trust.Proof},
		{Name: "tabs", Path: "opt/c.json", Kind: text, Content: strings.ReplaceAll(full("203.0.113.7:3333", "w"), " ", "\t"), Want: trust.Proof},
		{Name: "value-in-the-next-line", Path: "opt/c.json", Kind: text, Content: strings.ReplaceAll(full("203.0.113.7:3333", "w"), ": \"", ":\n        \""), Want: trust.Proof},
		{Name: "tls-port-by-name", Path: "opt/c.json", Kind: text, Content: full("stratum+tls://proxy.acme.dev:443", "w"), Want: trust.Proof},
		{Name: "onion", Path: "opt/c.json", Kind: text, Content: full(strings.Repeat("a", 56)+".onion:18081", "w"), Want: trust.Proof},
		{Name: "solo", Path: "opt/c.json", Kind: text, Content: full("daemon+http://10.0.0.1:18081", "w"), Want: trust.Proof},
		{Name: "template-pool-only", Path: "opt/c.json", Kind: text, Content: full("pool.example.org:3333", "w"), Want: trust.Weak},
		{Name: "template-user-only", Path: "opt/c.json", Kind: text, Content: full("203.0.113.7:3333", "YOUR_WALLET"), Want: trust.Weak},
		{Name: "no-user", Path: "opt/c.json", Kind: text, Content: full("203.0.113.7:3333", ""), Want: trust.Weak},
		{Name: "ruby-hash", Path: "a.rb", Kind: script, Content: "c = { 'donate-level' => 1, 'pools' => [{ 'url' => '203.0.113.7:3333', 'user' => w, 'pass' => 'x' }] }\n", Want: trust.Proof},
		{Name: "javascript-object", Path: "a.js", Kind: script, Content: "fs.writeFileSync('/tmp/c', JSON.stringify({'donate-level': 1, autosave: false, pools: [{url: '203.0.113.7:3333', user: wallet, pass: 'x', 'rig-id': id}]}))\n", Want: trust.Proof},
		{Name: "javascript-keys", Path: "a.js", Kind: script, Content: "const c = {autosave: true, pools: [{url: '203.0.113.7:443', user: w, pass: 'x', tls: true, nicehash: false}], cpu: {'max-threads-hint': 50}}\n", Want: trust.Proof},
		{Name: "yaml-in-a-format", Path: "a.py", Kind: script, Content: "f\"\"\"\ndonate-level: 0\npools:\n  - url: {pool}\n    user: {wallet}\n    pass: x\n    keepalive: true\n\"\"\"\n", Want: trust.Proof},
		{Name: "yaml-of-variables", Path: "a.sh", Kind: script, Content: "cat <<E\ndonate-level: 0\npools:\n  - url: ${POOL}\n    user: ${W}\n    pass: x\n    keepalive: true\nE\n", Want: trust.Proof},
		{Name: "php-array", Path: "a.php", Kind: script, Content: "$c = ['donate-level' => 0, 'pools' => [['url' => '203.0.113.7:3333', 'user' => $w, 'pass' => 'x', 'nicehash' => true]]];\n", Want: trust.Proof},
		{Name: "python-keywords", Path: "a.py", Kind: script, Content: "cfg['donate-level'] = 1\ncfg['pools'][0]['url'] = '203.0.113.7:3333'\ncfg['pools'][0]['user'] = W\ncfg['pools'][0]['rig-id'] = 'x'\ncfg['autosave'] = False\n", Want: trust.Proof},
		{Name: "config-map", Path: "k8s/cm.yaml", Kind: text, Content: "data:\n  config.json: |\n    " + short + "\n", Want: trust.Proof},
		{Name: "label", Path: "config:labels", Kind: config, Content: "c=" + short, Want: trust.Proof},
		{Name: "in-data", Path: "x.bin", Kind: data, Content: "\x00\x01" + short + "\x00", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "at-the-end-of-a-program", Path: "bin/x", Kind: exe, Content: "\x7fELF" + strings.Repeat("\x00", 9000) + short, Want: trust.Proof},
		{Name: "test-file", Path: "src/c.ts", Kind: text, Content: "export const c = " + short, Want: trust.Weak, IfRun: trust.Proof},
		{Name: "environment-lines", Path: "run.sh", Kind: script, Content: "POOL_URL=203.0.113.4:3333 \\\nWALLET_ADDRESS=48WWWWWWWWWWWWWWWWWWWWWWWWWWWW \\\nRIG_NAME=a \\\n./w\n", Want: trust.Strong},
		{Name: "environment-of-a-unit", Path: "etc/systemd/system/w.service", Kind: text, Content: "[Service]\nEnvironment=\"POOL=203.0.113.4:3333\" \"WALLET=48WW\" \"ALGO=rx/0\"\nExecStart=/opt/w\n", Want: trust.Strong},
		{Name: "environment-with-donation", Path: "config:env", Kind: config, Content: "POOL=203.0.113.4:3333\nWALLET=48WW\nDONATE_LEVEL=0\nTHREADS=4", Want: trust.Proof},
		{Name: "qubic", Path: "q/appsettings.json", Kind: text, Content: `{"ClientSettings":{"poolAddress":"wss://wps.qubic.li/ws","accessToken":"eyJhbGciOi","alias":"x","trainer":{"cpu":true,"cpuVersion":"AVX2","cpuThreads":16},"pps":true,"qubicAddress":null}}`, Want: trust.Proof},
		{Name: "qubic-short", Path: "q/appsettings.json", Kind: text, Content: `{"ClientSettings":{"poolAddress":"wss://wps.qubic.li/ws","accessToken":"eyJhbGciOi","alias":"x","trainer":{"cpu":true,"cpuThreads":16}}}`, Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "dotnet-settings", Path: "app/appsettings.json", Kind: text, Content: `{"ClientSettings":{"baseUrl":"https://api.contoso.example","accessToken":"eyJhbGciOi","alias":"web"},"Logging":{"LogLevel":{"Default":"Information"}}}`},
		{Name: "training", Path: "app/train.json", Kind: text, Content: `{"trainer":{"cpu":true,"gpuVersion":"A100"},"baseUrl":"wss://wandb.contoso.example/ws","accessToken":"x"}`, Allowed: trust.Weak},
		{Name: "kubernetes-pools", Path: "k8s/pool.yaml", Kind: text, Content: "apiVersion: v1\npools:\n  - url: https://a:443\n    user: b\n    pass: c\n    keepalive: true\n    tls: true\n"},
		{Name: "sentry", Path: "app/c.json", Kind: text, Content: `{"rig-id": "oil-7", "url": "https://sentry.acme.dev/1", "user": "x"}`},
		{Name: "oil-rig", Path: "app/c.json", Kind: text, Content: `{"rig-id": "north-3", "depth": 4000, "algo": "kriging", "threads": 4}`},
		{Name: "mysql-pools", Path: "app/c.json", Kind: text, Content: `{"pools": [{"url": "mysql://db:3306/x", "user": "a", "pass": "b", "retries": 3}], "log-file": null, "threads": 4}`},
		{Name: "redis", Path: "app/c.yml", Kind: text, Content: "url: redis.acme.dev:6379\nuser: a\npass: b\n"},
		{Name: "grpc", Path: "app/c.yml", Kind: text, Content: "algo: round_robin\nkeepalive: true\ntls: true\nretries: 5\nurl: svc.acme.dev:443\n"},
		{Name: "cpu-affinity-of-a-service", Path: "app/c.json", Kind: text, Content: `{"cpu-affinity": 3, "cpu-priority": 2, "threads": 8, "url": "http://a:80", "user": "x"}`},
		{Name: "schema", Path: "app/schema.json", Kind: text, Content: `{"properties": {"donate-level": {"type": "integer"}, "pools": {"type": "array"}, "url": {"type": "string"}, "user": {"type": "string"}}}`, Allowed: trust.Weak},
		{Name: "commented-environment", Path: "run.sh", Kind: script, Content: "# POOL=203.0.113.4:3333\n# WALLET=48WW\n# ALGO=rx/0\n"},
		{Name: "placeholder-environment", Path: "config:env", Kind: config, Content: "POOL=pool.example.com:3333\nWALLET=48WW\nALGO=rx/0"},
		{Name: "web-environment", Path: "config:env", Kind: config, Content: "POOL_URL=https://203.0.113.4:443\nWALLET_ADDRESS=0xabc\nALGO=rs256"},
		{Name: "wallet-service", Path: "config:env", Kind: config, Content: "WALLET_ADDRESS=https://wallet.acme.dev\nPOOL_URL=db.acme.dev:5432\nWORKER_NAME=a"},
		{Name: "documented-environment", Path: "README.md", Kind: text, Content: "POOL=203.0.113.4:3333\nWALLET=48WW\nALGO=rx/0\n"},
		{Name: "environment-in-a-program", Path: "bin/x", Kind: exe, Content: "\x7fELF\x00POOL=203.0.113.4:3333\nWALLET=48WW\nALGO=rx/0\n"},
	})
}

// The keys of a configuration may come in any order: it weighs the same.
func TestOrderOfKeysDoesNotMatter(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	keys := []string{`"donate-level": 1`, `"url": "203.0.113.7:3333"`, `"user": "w"`, `"pass": "x"`, `"max-threads-hint": 50`, `"autosave": true`, `"log-file": null`, `"comment": "plain"`}
	random := rand.New(rand.NewPCG(2, 2))
	for range 80 {
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		content := "{" + strings.Join(keys, []string{",", ", ", ",\n\t"}[random.IntN(3)]) + "}"
		found := indicatortest.Inspect(ind, indicator.File{Path: "c", Kind: trust.KindText}, []byte(content), indicatortest.Drive{Chunk: random.IntN(50)})
		if len(found) != 1 || found[0].Strength != trust.Proof {
			t.Errorf("%s: %+v", content, found)
		}
	}
}

// How many points the variables have decides, at each limit.
func TestEnvironmentPoints(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	const pool, wallet = "POOL=203.0.113.4:3333\n", "WALLET=48WW\n"
	long := "WALLET=" + strings.Repeat("4", minWallet) + "\n"
	for content, want := range map[string]trust.Strength{
		pool + wallet: trust.Context,
		pool + "WALLET=" + strings.Repeat("4", 25): trust.Context,
		pool + long:                                  trust.Strong,
		pool + wallet + "WORKER=a\n":                 trust.Strong,
		pool + long + "WORKER=a\n":                   trust.Strong,
		pool + long + "WORKER=a\nTHREADS=4\n":        trust.Proof,
		pool + wallet + "ALGO=kawpow\n":              trust.Strong,
		pool + long + "ALGO=kawpow\n":                trust.Proof,
		pool + wallet + "ALGO=kawpow\nWORKER=a\n":    trust.Proof,
		pool + wallet + "ALGO=sha1\n":                trust.Context,
		pool + wallet + "WORKER=a\nWORKER=a\n":       trust.Strong,
		pool + "WORKER=a\nTHREADS=4\nALGO=rx/0\n":    trust.Context,
		long + "WORKER=a\nTHREADS=4\nALGO=rx/0\n":    trust.Context,
		pool + long + "DONATE=1\n":                   trust.Proof,
		"POOL=stratum+tcp://203.0.113.4\n" + wallet:  trust.Strong,
		"POOL=203.0.113.4\n" + long + "ALGO=rx/0\n":  trust.Context,
		"POOL=web:80\n" + long + "ALGO=rx/0\n":       trust.Context,
		"POOL=pool_address\n" + long + "ALGO=rx/0\n": trust.Context,
		pool + "WALLET=x\nALGO=rx/0\nWORKER=a\n":     trust.Context,
	} {
		found := indicatortest.Inspect(ind, indicator.File{Path: "config:env", Kind: trust.KindConfig}, []byte(content), indicatortest.Drive{})
		got := trust.Context
		for _, f := range found {
			got = max(got, f.Strength)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", content, got, want)
		}
	}
}

// Long files of keys, and many configurations, are read to their end.
func TestLongFiles(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	file := indicator.File{Path: "c.json", Kind: trust.KindText}
	bait := strings.Repeat(`{"rig-id": "a", "name": "b"}`+"\n", 40_000)
	content := []byte(bait + full("203.0.113.7:3333", "w"))
	found := indicatortest.Inspect(ind, file, content, indicatortest.Drive{Chunk: 1 << 16})
	strongest := trust.Context
	for _, f := range found {
		strongest = max(strongest, f.Strength)
	}
	if unread := indicatortest.Unread(ind, file, content, indicatortest.Drive{Chunk: 1 << 16}); strongest != trust.Proof || unread != "" {
		t.Errorf("found %s, unread %q", strongest, unread)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	family := func(change func(*Family)) func(*Rules) {
		return func(r *Rules) {
			f := Family{Name: "x", Wake: []string{"abcdef"}, Distinctive: []string{"a"}, URL: []string{"u"}, User: []string{"v"}}
			change(&f)
			r.Families = []Family{f}
		}
	}
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"families":    {func(r *Rules) { r.Families = nil }, "families and schemes must not be empty"},
		"schemes":     {func(r *Rules) { r.Schemes = nil }, "families and schemes must not be empty"},
		"name":        {family(func(f *Family) { f.Name = "" }), `family ""`},
		"wake":        {family(func(f *Family) { f.Wake = nil }), `family "x"`},
		"distinctive": {family(func(f *Family) { f.Distinctive = nil }), `family "x"`},
		"user":        {family(func(f *Family) { f.User = nil }), `family "x"`},
		"five-bytes":  {family(func(f *Family) { f.Wake = []string{"abcde"} }), `"abcde" is shorter than 6 bytes`},
		"no-wake":     {func(r *Rules) { r.Environment.Wake = nil }, "environment: wake must not be empty"},
		"short-wake":  {func(r *Rules) { r.Environment.Wake = []string{"POOL="} }, `"POOL=" is shorter than 6 bytes`},
		"no-pattern":  {func(r *Rules) { r.Environment.Worker = "" }, "every name must have a pattern"},
		"pattern":     {func(r *Rules) { r.Environment.Only = "(" }, "environment: error parsing regexp"},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "minerconfig rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	r := rules(t)
	family(func(*Family) {})(&r)
	if _, err := New(r); err != nil {
		t.Error(fmt.Errorf("the least that is enough: %w", err))
	}
}
