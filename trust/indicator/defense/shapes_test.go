package defense

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
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	indicatortest.Shapes(t, ind, []indicatortest.Sample{
		{Name: "two-clouds", Path: "d.sh", Kind: script, Content: "service aegis stop; /etc/init.d/aegis uninstall; pkill AliYunDun\n/usr/local/qcloud/YunJing/uninst.sh\n", Want: trust.Strong},
		{Name: "windows-lines", Path: "d.sh", Kind: script, Content: "systemctl stop falcon-sensor\r\nsetenforce 0\r\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "files-unlocked", Path: "d.sh", Kind: script, Content: "chattr -iua /tmp/\nchattr -ia /var/spool/cron/root\nufw disable\nhistory -c\n", Want: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"systemctl stop wazuh-agent && setenforce 0; exec /a\"", Want: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/d", Kind: text, Content: "* * * * * root pkill -9 wazuh-agent; setenforce 0; iptables -F\n", Want: trust.Strong},
		{Name: "downloaders-moved", Path: "d.sh", Kind: script, Content: "mv -f /bin/wget /bin/wge\n", Want: trust.Weak},
		{Name: "four-ordinary", Path: "d.sh", Kind: script, Content: "setenforce 0\niptables -F\nunset HISTFILE\nrm -f /var/log/wtmp\n", Want: trust.Weak},
		{Name: "logs", Path: "d.sh", Kind: script, Content: "systemctl disable falcon-sensor\ncat /dev/null > /var/log/secure\nHISTSIZE=0\n", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "agent-started", Path: "d.sh", Kind: script, Content: "systemctl enable --now falcon-sensor\nsystemctl restart wazuh-agent\n/opt/CrowdStrike/falconctl -s --cid=X\n"},
		{Name: "log-shipped", Path: "d.sh", Kind: script, Content: "tail -F /var/log/secure /var/log/auth.log | nc log.internal 514\n"},
		{Name: "rule-of-a-monitor", Path: "etc/falco/x.rules", Kind: text, Content: "cmd contains \"setenforce 0\" or \"iptables -F\" or \"systemctl stop aliyun.service\"\n"},
		{Name: "attributes", Path: "d.sh", Kind: script, Content: "chattr +i /etc/resolv.conf\nchattr -R -i /srv/data\nlsattr /etc/passwd\n"},
		{Name: "moved-binary", Path: "d.sh", Kind: script, Content: "mv /usr/bin/app /usr/bin/app.old\ncp /usr/bin/curl /opt/bin/\n"},
		{Name: "commented", Path: "d.sh", Kind: script, Content: "# systemctl stop falcon-sensor\n# setenforce 0\n# iptables -F\n"},
		{Name: "watchdog-on", Path: "d.sh", Kind: script, Content: "sysctl -w kernel.nmi_watchdog=1\necho 1 > /proc/sys/kernel/nmi_watchdog\n"},
		{Name: "history-size", Path: "root/.bashrc", Kind: text, Content: "HISTSIZE=10000\nexport HISTFILE=~/.history\n"},
	})
}
