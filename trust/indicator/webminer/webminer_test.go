package webminer

import (
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
)

func rules(t testing.TB) behaviour.Rules {
	t.Helper()
	var r behaviour.Rules
	indicatortest.Decode(t, name, &r)
	return r
}

func samples() []indicatortest.Sample {
	script, text := trust.KindScript, trust.KindText
	return []indicatortest.Sample{
		{Name: "page", Path: "var/www/html/index.php", Kind: script, Content: "<script src=\"https://coinhive.com/lib/coinhive.min.js\"></script>\n<script>var m = new CoinHive.Anonymous('abcdefghijklmnopqrstuvwxyzabcdef', {throttle: 0.3}); m.start();</script>\n", Want: trust.Proof},
		{Name: "html", Path: "usr/share/nginx/html/index.html", Kind: text, Content: "<script src=\"/js/deepMiner.min.js\"></script><script>var miner = new deepMiner.Anonymous('48abcdefghijkl', {autoThreads: true, throttle: 0.2}).start()</script>", Want: trust.Proof},
		{Name: "worker", Path: "var/www/js/w.js", Kind: script, Content: "var hash_cn = Module.cwrap('hash_cn', 'string', ['string','string']);\nvar ws = new WebSocket(\"wss://x.example.net/proxy?pool=p:3333\");\n", Want: trust.Strong},
		{Name: "tag", Path: "var/www/html/t.html", Kind: text, Content: "<script async src=\"https://www.hostingcloud.racing/x1.js\"></script>", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "client", Path: "srv/public/app.js", Kind: script, Content: "var c = new Client.Anonymous('0123456789abcdef0123456789abcdef', { throttle: 0.5, c: 'w' }); c.start();", Want: trust.Strong},
		{Name: "start", Path: "srv/public/i.html", Kind: text, Content: "<script src=\"https://www.webmine.pro/lib/crlt.js\"></script><script>var miner=new CRLT.Anonymous(\"0123456789abcdef0123456789\", {threads:4,throttle:0.2});</script>", Want: trust.Proof},
		{Name: "module", Path: "srv/public/x.js", Kind: script, Content: "fetch('/static/cryptonight.wasm').then(r => r.arrayBuffer()).then(b => WebAssembly.instantiate(b));\nws = new WebSocket('wss://pool.example.net/');\n", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text := trust.KindScript, trust.KindText
	return []indicatortest.Twin{
		{Name: "ad-block", Path: "usr/share/ublock/nocoin.txt", Kind: text, Content: "! Title: NoCoin\n||coinhive.com^$third-party\n||authedmine.com^\n/coinhive.min.js\n/cryptonight.wasm\n/deepMiner.js\n"},
		{Name: "hosts", Path: "etc/hosts.block", Kind: text, Content: "0.0.0.0 coinhive.com\n0.0.0.0 crypto-loot.com\n0.0.0.0 hostingcloud.racing\n"},
		{Name: "detector", Path: "ext/detect.js", Kind: script, Content: "const BAD = [/coinhive\\.min\\.js/, /cryptonight\\.wasm/, /deepMiner\\.js/];\nif (window.CoinHive) report('miner');\n"},
		{Name: "article", Path: "srv/blog/post.md", Kind: text, Content: "Sites embedded `<script src=\"https://coinhive.com/lib/coinhive.min.js\">` and `new CoinHive.Anonymous('KEY...........')`."},
		{Name: "throttle", Path: "srv/app.js", Kind: script, Content: "const f = _.throttle(fn, 100); new WebSocket(\"wss://chat.example.org/ws\"); setThrottle(0.5);"},
		{Name: "admin", Path: "srv/adminer.php", Kind: script, Content: "<?php // adminer.com\nfunction startMining($x) { return $x; } startMining(\"data\");"},
		{Name: "yara", Path: "rules/web.yar", Kind: text, Content: "rule coinhive { strings: $a = \"CoinHive.Anonymous('\" $b = \"cwrap('hash_cn'\" condition: any of them }"},
		{Name: "wallet-library", Path: "node_modules/monero/x.js", Kind: script, Content: "exports.cn_fast_hash = function (x) { return Module.cwrap(\"cn_fast_hash\", \"string\", [\"string\"])(x); };"},
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
	for name, change := range map[string]func(*behaviour.Rules){
		"nothing": func(r *behaviour.Rules) { *r = behaviour.Rules{} },
		"short":   func(r *behaviour.Rules) { r.Habits[0].Wake = []string{"abc"} },
		"pattern": func(r *behaviour.Rules) { r.Habits[0].Line = []string{"("} },
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
