package minerconfig

import (
	"fmt"
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

// full has the shape of a whole configuration.
func full(url, user string) string {
	return fmt.Sprintf(`{
    // tolerant
    "autosave": true, "background": false, "colors": true,
    "randomx": {"init": -1, "1gb-pages": false, "rdmsr": true, "wrmsr": true, "scratchpad_prefetch_mode": 1},
    "cpu": {"enabled": true, "huge-pages": true, "huge-pages-jit": false, "hw-aes": null, "max-threads-hint": 100},
    "donate-level": 1, "donate-over-proxy": 1,
    "pools": [{"algo": null, "coin": null, "url": "%s", "user": "%s", "pass": "x", "rig-id": null, "nicehash": false, "keepalive": false,}],
    "print-time": 60, "health-print-time": 60,
}`, url, user)
}

func samples() []indicatortest.Sample {
	script, text, exe, config := trust.KindScript, trust.KindText, trust.KindExecutable, trust.KindConfig
	escaped := strings.ReplaceAll(`{"pools":[{"url":"203.0.113.7:3333","user":"w","pass":"x","keepalive":true}],"donate-level":0}`, `"`, `\"`)
	return []indicatortest.Sample{
		{Name: "whole", Path: "opt/x/config.json", Kind: text, Content: full("203.0.113.7:3333", "w"), Want: trust.Proof},
		{Name: "whole-url", Path: "opt/x/c", Kind: text, Content: full("stratum+ssl://gulf.pool.invalid:443", "w"), Want: trust.Proof},
		{Name: "short", Path: "opt/c.json", Kind: text, Content: `{"pools":[{"url":"203.0.113.7:3333","user":"w","pass":"x"}],"donate-level":0}`, Want: trust.Proof},
		{Name: "shortest", Path: "opt/c.json", Kind: text, Content: `{"pools":[{"url":"203.0.113.7:3333","user":"w","pass":"x","tls":true}]}`, Want: trust.Strong},
		{Name: "template", Path: "opt/c.json", Kind: text, Content: full("donate.v2.xmrig.com:3333", "YOUR_WALLET_ADDRESS"), Want: trust.Weak},
		{Name: "heredoc", Path: "run.sh", Kind: script, Content: "cat > /tmp/c.json <<EOF\n" + full("$POOL", "$WALLET") + "\nEOF\n", Want: trust.Proof},
		{Name: "echo", Path: "run.sh", Kind: script, Content: `echo "` + escaped + `" > c.json`, Want: trust.Proof},
		{Name: "python", Path: "dao.py", Kind: script, Content: "POOL = '203.0.113.7:3333'\ncfg = {'autosave': False, 'donate-level': 1, 'cpu': {'max-threads-hint': 50},\n 'pools': [{'url': POOL, 'user': WALLET, 'pass': 'x'}]}\n", Want: trust.Proof},
		{Name: "in-program", Path: "bin/x", Kind: exe, Content: "\x7fELF\x00" + full("203.0.113.7:3333", "w") + "\x00", Want: trust.Proof},
		{Name: "stak", Path: "opt/pools.txt", Kind: text, Content: "\"pool_list\" :\n[\n{\"pool_address\" : \"203.0.113.7:3333\", \"wallet_address\" : \"w\", \"rig_id\" : \"\", \"use_nicehash\" : false, \"pool_weight\" : 1 },\n],", Want: trust.Proof},
		{Name: "source", Path: "src/config_test.go", Kind: text, Content: full("203.0.113.7:3333", "w"), Want: trust.Weak, IfRun: trust.Proof},
		{Name: "yaml", Path: "opt/c.yml", Kind: text, Content: "donate-level: 1\ncpu:\n  huge-pages: true\npools:\n  - url: 203.0.113.1:3333\n    user: w\n    pass: x\n    keepalive: true\n", Want: trust.Proof},
		{Name: "toml", Path: "opt/c.toml", Kind: text, Content: "donate-level = 1\nautosave = false\n[[pools]]\nurl = \"203.0.113.1:3333\"\nuser = \"w\"\npass = \"x\"\nrig-id = \"a\"\n", Want: trust.Proof},
		{Name: "sed", Path: "setup.sh", Kind: script, Content: "sed -i 's/\"donate-level\": *[^,]*,/\"donate-level\": 1,/' $HOME/x/config.json\nsed -i 's/\"url\": *\"[^\"]*\",/\"url\": \"gulf.pool.invalid:'$PORT'\",/' $HOME/x/config.json\nsed -i 's/\"user\": *\"[^\"]*\",/\"user\": \"'$WALLET'\",/' $HOME/x/config.json\nsed -i 's/\"max-cpu-usage\": *[^,]*,/\"max-cpu-usage\": 100,/' $HOME/x/config.json\n", Want: trust.Proof},
		{Name: "jq", Path: "start.sh", Kind: script, Content: "jq --arg u \"$W\" '.pools[0].url=\"203.0.113.1:3333\" | .pools[0].user=$u | .[\"donate-level\"]=0 | .cpu[\"max-threads-hint\"]=60' /a > /b\n", Want: trust.Proof},
		{Name: "t-rex", Path: "opt/t.json", Kind: text, Content: "{\"pools\":[{\"user\":\"0xabc\",\"url\":\"stratum+tcp://203.0.113.1:4444\",\"worker\":\"rig0\",\"pass\":\"x\"}],\"algo\":\"kawpow\",\"api-bind-http\":\"0.0.0.0:4067\",\"pci-indexing\":false,\"validate-shares\":false}", Want: trust.Proof},
		{Name: "lolminer", Path: "opt/l.json", Kind: text, Content: "{\"DEFAULTS\":{\"APIPORT\":8020,\"DUALMODE\":\"none\",\"TLS\":\"on\"},\"ETC\":{\"ALGO\":\"ETCHASH\",\"POOL\":\"203.0.113.1:1010\",\"USER\":\"0xabc.rig\"}}", Want: trust.Proof},
		{Name: "ccminer", Path: "opt/ccminer.conf", Kind: text, Content: "{\"algo\":\"verus\",\"pools\":[{\"url\":\"stratum+tcp://203.0.113.1:3956\",\"timeout\":180}],\"user\":\"RWWW.p\",\"pass\":\"\",\"threads\":8,\"cpu-priority\":1,\"cpu-affinity\":-1,\"retry-pause\":5}", Want: trust.Proof},
		{Name: "srbminer", Path: "opt/s.json", Kind: text, Content: "{\"algorithm\":\"randomx\",\"pool\":\"203.0.113.1:3333\",\"wallet\":\"48WW\",\"password\":\"x\",\"disable-msr-tweaks\":true,\"cpu-threads-intensity\":1}", Want: trust.Proof},
		{Name: "nanominer-short", Path: "opt/n.ini", Kind: text, Content: "[kawpow]\nwallet=RWWW\nrigName=a\npool1=203.0.113.1:10400\n", Want: trust.Proof},
		{Name: "environment", Path: "config:env", Kind: config, Content: "PATH=/bin\nPOOL=203.0.113.4:3333\nWALLET=48WW\nWORKER=a\nALGO=rx/0", Want: trust.Proof},
		{Name: "environment-compose", Path: "srv/compose.yaml", Kind: text, Content: "services:\n  w:\n    environment:\n      - POOL=pool.invalid:443\n      - WALLET=48WWWW\n      - ALGO=rx/0\n", Want: trust.Strong},
		{Name: "environment-yaml", Path: "srv/w.yaml", Kind: text, Content: "env:\n  MINING_POOL: \"stratum+ssl://203.0.113.4:443\"\n  WALLET_ADDRESS: \"48WW\"\n", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "environment-export", Path: "e.sh", Kind: script, Content: "export XMRIG_POOL=203.0.113.4:3333\nexport XMRIG_USER=ww\nexport XMRIG_DONATE=0\n", Want: trust.Proof},
		{Name: "environment-file", Path: "app/.env", Kind: text, Content: "POOL_HOST=203.0.113.4:3333\nPOOL_USER=ww\nPOOL_PASS=x\n", Want: trust.Strong},
		{Name: "printf", Path: "e.sh", Kind: script, Content: "printf '{\"pools\":[{\"url\":\"%s\",\"user\":\"%s\",\"pass\":\"x\",\"keepalive\":true}],\"cpu\":{\"max-threads-hint\":%s},\"donate-level\":0}' \"$P\" \"$W\" \"$H\" > /run/c.json\n", Want: trust.Proof},
		{Name: "among-documents", Path: "opt/x/docs/config.json", Kind: text, Content: full("203.0.113.7:3333", "w"), Want: trust.Weak, IfRun: trust.Proof},
		{Name: "nanominer", Path: "opt/config.ini", Kind: text, Content: "[RandomX]\nwallet = w\nrigName = r\ncoin = XMR\nsortPools = false\npool1 = 203.0.113.7:3333\n", Want: trust.Proof},
	}
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	script, text, exe, config := trust.KindScript, trust.KindText, trust.KindExecutable, trust.KindConfig
	indicatortest.Run(t, ind, samples(), []indicatortest.Twin{
		{Name: "documentation", Path: "usr/share/doc/xmrig/config.md", Kind: text, Content: full("203.0.113.7:3333", "w")},
		{Name: "database-pools", Path: "app/db.json", Kind: text, Content: `{"pools":[{"url":"postgres://db.local:5432/x","user":"app","pass":"x","tls":true}],"retries":5,"cpu":1}`},
		{Name: "web-service", Path: "app/c.json", Kind: text, Content: `{"pools":[{"url":"https://api.invalid:8443","user":"app","pass":"x"}],"colors":true,"watch":true,"background":"x","threads":4}`},
		{Name: "database-environment", Path: "app/.env", Kind: text, Content: "POOL=10\nPOOL_SIZE=20\nWORKER=gunicorn\nWALLET=stripe\nALGO=HS256\nDB_POOL_URL=postgres://db:5432/x\n"},
		{Name: "worker-environment", Path: "wrangler.toml", Kind: text, Content: "WORKER = \"edge\"\nPOOL = \"primary.db.example.org:6432\"\nALGO = \"ed25519\"\nWALLET = \"0x0000\"\n"},
		{Name: "pool-only", Path: "config:env", Kind: config, Content: "POOL_URL=https://pool.acme.dev:8443\nWALLET_ADDRESS=0xabcdefabcdefabcdefabcdefabcdefabcdefabcd\nWORKERS=4"},
		{Name: "thread-pool", Path: "config:env", Kind: config, Content: "POOL=5\nWORKERS=4\nHASH_ALGO=sha256\nDATABASE_POOL_URL=db:5432"},
		{Name: "payments", Path: "config:env", Kind: config, Content: "WALLET_ID=w-1234\nPOOL_HOST=redis.acme.dev:6379\nAPI=x"},
		{Name: "haproxy", Path: "lb.yaml", Kind: text, Content: "pools:\n  - url: backend-1.internal:8080\n    user: svc\n    pass: secret\nretries: 3\nretry-pause: 5\n", Allowed: trust.Weak},
		{Name: "template-environment", Path: "app/.env.example", Kind: text, Content: "POOL=pool.example.com:3333\nWALLET=YOUR_WALLET_ADDRESS\nWORKER=a\nALGO=rx/0\n"},
		{Name: "database-pool", Path: "config:env", Kind: config, Content: "DATABASE_POOL=203.0.113.4:5432\nWALLET_ADDRESS=0xabcabcabcabcabcabcabcabcabcabcabcabcabca\nWORKER=1"},
		{Name: "one-key", Path: "a.py", Kind: script, Content: `if "donate-level" in cfg or cfg.get("rig-id"): print("miner configuration!")`},
		{Name: "detector", Path: "scan.sh", Kind: script, Content: "grep -q '\"donate-level\":' $f && grep -q '\"pools\"' $f && alert"},
		{Name: "swimming", Path: "a.json", Kind: text, Content: `{"pools":["north","south"],"url":"x","user":"bob"}`},
		{Name: "keys-in-program", Path: "bin/x", Kind: exe, Content: "\x7fELF\x00donate-level\x00pools\x00url\x00user\x00rig-id\x00nicehash\x00"},
		{Name: "load-balancer", Path: "lb.yaml", Kind: text, Content: "'pools':\n - url: backend.local:8080\n   weight: 3\n"},
		{Name: "empty-keys", Path: "a.json", Kind: text, Content: `{"donate-level":1}`},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing": func(r *Rules) { *r = Rules{} },
		"short": func(r *Rules) {
			r.Families = []Family{{Name: "x", Wake: []string{"pools"}, Distinctive: []string{"a"}, URL: []string{"u"}, User: []string{"u"}}}
		},
		"no-url": func(r *Rules) {
			r.Families = []Family{{Name: "x", Wake: []string{"pools-"}, Distinctive: []string{"a"}}}
		},
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
		indicatortest.Inspect(ind, indicator.File{Path: "x.json", Kind: trust.KindText}, in, indicatortest.Drive{})
	})
}
