package tuning

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
		{Name: "setup-script", Path: "a.sh", Kind: script, Content: "sysctl -w vm.nr_hugepages=$((1168+$(nproc)))\n", Want: trust.Weak},
		{Name: "every-thread", Path: "run.sh", Kind: script, Content: "sysctl -w vm.nr_hugepages=$(nproc)\n./x\n", Want: trust.Weak},
		{Name: "huge-and-registers", Path: "boost.sh", Kind: script, Content: "sysctl -w vm.nr_hugepages=$((1168+$(nproc)))\nmodprobe msr allow_writes=on\nwrmsr -a 0xc0011020 0x4480000000000\n", Want: trust.Strong},
		{Name: "intel-registers", Path: "boost.sh", Kind: script, Content: "modprobe msr\nwrmsr -a 0x1a4 0xf\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "script-of-a-miner", Path: "run.sh", Kind: script, Content: "/opt/x/scripts/randomx_boost.sh && /opt/x/scripts/enable_1gb_pages.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "python-probe", Path: "dao.py", Kind: script, Content: "n = os.cpu_count()\nflags = open('/proc/cpuinfo').read()\nalgo = 'rx/0' if 'aes' in flags else 'cn-heavy/xhv'\nos.system('sysctl -w vm.nr_hugepages=%d' % (1168 + n))\n", Want: trust.Strong},
		{Name: "probe-only", Path: "pick.py", Kind: script, Content: "flags = open('/proc/cpuinfo').read()\nalgo = 'rx/0' if 'aes' in flags else 'argon2/chukwa'\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "shell-probe", Path: "pick.sh", Kind: script, Content: "if grep -q aes /proc/cpuinfo; then ALGO=rx/0; else ALGO=cn-lite/1; fi\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"modprobe msr allow_writes=on; wrmsr -a 0xc0011020 0x4480000000000; exec /app\"", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text := trust.KindScript, trust.KindText
	return []indicatortest.Twin{
		{Name: "database", Path: "etc/sysctl.d/30-postgresql.conf", Kind: text, Content: "vm.nr_hugepages = 1280\nvm.overcommit_memory = 2\n"},
		{Name: "packet-processor", Path: "usr/bin/dpdk-setup", Kind: script, Content: "echo 1024 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages\nmodprobe vfio-pci\n"},
		{Name: "packet-processor-1gb", Path: "usr/bin/dpdk-setup", Kind: script, Content: "echo 4 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages\nsysctl -w vm.nr_hugepages=2048\n"},
		{Name: "undervolt", Path: "usr/bin/undervolt.sh", Kind: script, Content: "modprobe msr\nwrmsr -a 0x1a0 0x850089\nwrmsr 0x150 0x8000001100000000\nrdmsr -a 0x1a2\n"},
		{Name: "build", Path: "make.sh", Kind: script, Content: "THREADS=$(grep -c ^processor /proc/cpuinfo)\nmake -j\"$(nproc)\"\nif grep -q aes /proc/cpuinfo; then ./configure --enable-aesni; fi\n"},
		{Name: "java", Path: "jvm.sh", Kind: script, Content: "sysctl -w vm.nr_hugepages=600\njava -XX:+UseLargePages -jar app.jar\n"},
		{Name: "test-suite", Path: "tests/test_algo.py", Kind: script, Content: "@pytest.mark.parametrize('algo', ['rx/0', 'cn/r', 'argon2/chukwa'])\ndef test_name(algo):\n    assert parse(algo)\n"},
		{Name: "comment", Path: "a.sh", Kind: script, Content: "# sysctl -w vm.nr_hugepages=$((1168+$(nproc)))\n# wrmsr -a 0x1a4 0xf\n"},
		{Name: "documentation", Path: "usr/share/doc/hwloc/README.md", Kind: text, Content: "run `sysctl -w vm.nr_hugepages=$((1168+$(nproc)))` and wrmsr -a 0x1a4 0xf"},
		{Name: "thread-pool", Path: "srv/pool.js", Kind: script, Content: "const n = os.cpus().length; for (let i = 0; i < n; i++) cluster.fork();"},
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
