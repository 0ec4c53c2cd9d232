package tuning

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
		{Name: "amd-registers", Path: "b.sh", Kind: script, Content: "modprobe msr allow_writes=on\nwrmsr -a 0xC0011022 0x401500\nwrmsr -a 0xc001102b 0x2000cc14\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "as-a-list", Path: "b.py", Kind: script, Content: "subprocess.run([\"modprobe\", \"msr\"])\nsubprocess.run([\"wrmsr\", \"-a\", \"0x1a4\", \"0xf\"])\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "one-gigabyte-pages-too", Path: "b.sh", Kind: script, Content: "sysctl -w vm.nr_hugepages=$((1280 + $(nproc)))\nfor i in /sys/devices/system/node/*; do echo 3 > $i/hugepages/hugepages-1048576kB/nr_hugepages; done\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "script-by-name", Path: "b.sh", Kind: script, Content: "bash ./randomx_boost.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"/opt/enable_1gb_pages.sh; /opt/a\"", Want: trust.Strong},
		{Name: "unit", Path: "etc/systemd/system/x.service", Kind: text, Content: "ExecStartPre=/sbin/wrmsr -a 0x1a4 0xf\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "javascript-probe", Path: "p.js", Kind: script, Content: "const n = os.cpus().length;\nconst algo = flags.includes('aes') ? 'rx/0' : 'cn/r';\n", Want: trust.Weak, IfRun: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "oracle", Path: "etc/sysctl.d/97-oracle.conf", Kind: text, Content: "vm.nr_hugepages = 1168\nkernel.shmmax = 4398046511104\n"},
		{Name: "redis", Path: "r.sh", Kind: script, Content: "echo never > /sys/kernel/mm/transparent_hugepage/enabled\nsysctl vm.overcommit_memory=1\n"},
		{Name: "virtual-machines", Path: "v.sh", Kind: script, Content: "PAGES=$((MEM / 2048))\nsysctl -w vm.nr_hugepages=$PAGES\n"},
		{Name: "turbo", Path: "t.sh", Kind: script, Content: "modprobe msr\nrdmsr 0x1a0\nwrmsr -p0 0x1a0 0x4000850089\nwrmsr -a 0x610 0x1\n"},
		{Name: "turbostat", Path: "t.sh", Kind: script, Content: "apt-get install -y msr-tools\nmodprobe msr && turbostat --show PkgWatt\n"},
		{Name: "crypto-choice", Path: "c.py", Kind: script, Content: "cipher = 'aes-256-gcm' if 'aes' in flags else 'chacha20-poly1305'\nn = os.cpu_count()\n"},
		{Name: "password-hash", Path: "p.py", Kind: script, Content: "PasswordHasher(time_cost=2, memory_cost=102400, parallelism=os.cpu_count())  # argon2\n"},
		{Name: "commented", Path: "b.sh", Kind: script, Content: "# ./randomx_boost.sh\n// wrmsr -a 0x1a4 0xf\n"},
	})
}
