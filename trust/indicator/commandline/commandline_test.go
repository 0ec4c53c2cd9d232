package commandline

import (
	"strings"
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
	script, text, config, exe := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable
	return []indicatortest.Sample{
		{Name: "two-flags-endpoint", Path: "run.sh", Kind: script, Content: "exec ./httpd --url=203.0.113.7:3333 --donate-level=1 --nicehash &\n", Want: trust.Proof},
		{Name: "flag-endpoint-user", Path: "run.sh", Kind: script, Content: "nohup /tmp/.x/kworker -o 203.0.113.7:3333 -u x --donate-level 1 >/dev/null", Want: trust.Proof},
		{Name: "continued-lines", Path: "run.sh", Kind: script, Content: "./w \\\n  --donate-level 1 \\\n  -o pool.invalid:443 \\\n  -u abc\n", Want: trust.Proof},
		{Name: "own-pool", Path: "run.sh", Kind: script, Content: "./x -o 203.0.113.7:3333 -u x -p x\n", Want: trust.Proof},
		{Name: "own-pool-keeps-alive", Path: "run.sh", Kind: script, Content: "exec /usr/lib/agent -o 198.51.100.7:14444 -u node1 -p secret -k -t 4\n", Want: trust.Proof},
		{Name: "own-pool-no-habit", Path: "run.sh", Kind: script, Content: "/usr/lib/agent -o 198.51.100.7:14444 -u node1 -p secret\n", Want: trust.Strong},
		{Name: "own-pool-in-data", Path: "opt/x", Kind: trust.KindData, Content: "# \x01\x02\n./x -o 203.0.113.7:3333 -u x -p x\n", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "rules-of-a-monitor", Path: "etc/falco/rules.yaml", Kind: text, Content: "condition: proc.cmdline contains \"--donate-level\" or proc.name in (xmrig, minerd)\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "joined", Path: "config:command", Kind: config, Content: "/a -o203.0.113.7:3333 -unode1 -px -k", Want: trust.Proof},
		{Name: "host-and-port-apart", Path: "run.sh", Kind: script, Content: "H=203.0.113.7\nP=3333\n/opt/a -o $H:${P} -u node1 -p x -k\n", Want: trust.Proof},
		{Name: "format-string", Path: "x.py", Kind: script, Content: "host='203.0.113.7'; port=3333\nsubprocess.run(['/opt/a', '-o', f'{host}:{port}', '-u', 'node1', '-p', 'x'])\n", Want: trust.Proof},
		{Name: "shell-array", Path: "run.sh", Kind: script, Content: "args=(--url 203.0.113.7:443 --user node1 --pass x --tls)\nexec /usr/lib/a \"${args[@]}\"\n", Want: trust.Strong},
		{Name: "own-pool-any-order", Path: "run.sh", Kind: script, Content: "/usr/sbin/nginx -p x -u x -o [2001:db8::5]:3333", Want: trust.Proof},
		{Name: "algorithm", Path: "run.sh", Kind: script, Content: "taskset -c 4 ./http -a rx/0 -o 203.0.113.7:9200 -u w", Want: trust.Proof},
		{Name: "scheme", Path: "run.sh", Kind: script, Content: "./http -o stratum+tcp://203.0.113.7:9200 -u w -p x", Want: trust.Proof},
		{Name: "renamed-cpuminer", Path: "run.sh", Kind: script, Content: "./sh -a cryptonight -o stratum+tcp://p.invalid:1 -u w -p x", Want: trust.Proof},
		{Name: "json-entrypoint", Path: "config:entrypoint", Kind: config, Content: `["./x","-o","1.2.3.4:3333","-u","w","-p","x"]`, Want: trust.Proof},
		{Name: "json-entrypoint-flag", Path: "config:cmd", Kind: config, Content: `["./x","-o","1.2.3.4:3333","-u","w","--donate-level","1"]`, Want: trust.Proof},
		{Name: "joined-entrypoint", Path: "config:entrypoint", Kind: config, Content: "./x -o 1.2.3.4:3333 -u w -p x", Want: trust.Proof},
		{Name: "shell-form", Path: "config:cmd", Kind: config, Content: `["/bin/sh","-c","proxychains4 ./xmrig -o 1.2.3.4:3333 -u w"]`, Want: trust.Proof},
		{Name: "known-name-alone", Path: "config:entrypoint", Kind: config, Content: "/opt/xmrig", Want: trust.Weak},
		{Name: "python-list", Path: "dao.py", Kind: script, Content: "subprocess.Popen([\n    'proxychains4', './a',\n    '-o', '203.0.113.7:3333',\n    '-u', 'x',\n    '-p', 'x',\n])\n", Want: trust.Proof},
		{Name: "python-format", Path: "dao.py", Kind: script, Content: `POOL = "203.0.113.7:3333"` + "\nos.system(\"./a -o %s -u x -p x --randomx-1gb-pages\" % POOL)\nos.system(f'./b -o {POOL} -u x -p x --nicehash')\n", Want: trust.Proof},
		{Name: "variables", Path: "run.sh", Kind: script, Content: "HOST=203.0.113.7:3333\n./a -o $HOST -u x -p x\n", Want: trust.Proof},
		{Name: "unknown-variables", Path: "run.sh", Kind: script, Content: "./a -o ${POOL_URL} -u $WALLET --donate-level=0\n", Want: trust.Proof},
		{Name: "value-elsewhere", Path: "config:command", Kind: config, Content: "/opt/worker -o $POOL -u $WALLET -p x", Want: trust.Strong},
		{Name: "format", Path: "dao.py", Kind: script, Content: `cmd = "./a -o %s -u %s -p x -a rx/0" % (host, name)`, Want: trust.Proof},
		{Name: "javascript", Path: "x.js", Kind: script, Content: `spawn("./a", ["-o", "203.0.113.7:3333", "-u", "x", "-p", "x"])`, Want: trust.Proof},
		{Name: "perl", Path: "x.pl", Kind: script, Content: `system("./a", "-o", "203.0.113.7:3333", "-u", "x", "-p", "x");`, Want: trust.Proof},
		{Name: "yaml", Path: "deploy.yaml", Kind: text, Content: "args:\n  - -o\n  - 203.0.113.7:3333\n  - -u\n  - x\n  - --donate-level\n  - '1'\n", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "systemd", Path: "etc/systemd/system/x.service", Kind: text, Content: "[Service]\nExecStart=/opt/x --donate-level 1 -o 203.0.113.7:3333 -u w\n", Want: trust.Proof},
		{Name: "node", Path: "config:cmd", Kind: config, Content: `["monerod","--start-mining","` + strings.Repeat("4a", 47) + `"]`, Want: trust.Proof},
		{Name: "p2pool", Path: "run.sh", Kind: script, Content: "./p2pool --wallet w --start-mining 4", Want: trust.Proof},
		{Name: "flags-alone", Path: "run.sh", Kind: script, Content: "./a --config=/x.json --donate-level=1 --huge-pages-jit", Want: trust.Strong},
		{Name: "steps-shell", Path: "run.sh", Kind: script, Content: "ARGS=\"\"\nARGS=\"$ARGS -o 203.0.113.80:8080\"\nARGS=\"$ARGS -u worker01\"\nARGS=\"$ARGS -p x\"\n./httpd $ARGS\n", Want: trust.Proof},
		{Name: "steps-python", Path: "a.py", Kind: script, Content: "args = [\"./w\"]\nargs += [\"-o\", POOL]\nargs += [\"-u\", W, \"-p\", \"x\"]\nargs.append(\"--donate-level=1\")\nPopen(args)\n", Want: trust.Proof},
		{Name: "steps-javascript", Path: "a.js", Kind: script, Content: "const a = [];\na.push('-o', pool);\na.push('-u', wallet);\na.push('--nicehash');\nspawn(bin, a);\n", Want: trust.Proof},
		{Name: "added-port", Path: "a.py", Kind: script, Content: "cmd = \"/opt/svc -o \" + host + \":443 -u \" + wallet + \" -p x --tls\"\n", Want: trust.Proof},
		{Name: "quoted-values", Path: "run", Kind: script, Content: "exec /usr/bin/worker --url=\"${POOL}\" --user=\"${WALLET}\" --pass=x --randomx-mode=light\n", Want: trust.Proof},
		{Name: "host-port-options", Path: "run.sh", Kind: script, Content: "./frames --algo ethash --server 203.0.113.5 --port 4444 --user 0xabc.rig\n", Want: trust.Proof},
		{Name: "phoenix", Path: "run.sh", Kind: script, Content: "./frames -pool 203.0.113.5:4444 -wal 0xabc.rig -pass x\n", Want: trust.Proof},
		{Name: "web-socket", Path: "run.sh", Kind: script, Content: "exec /opt/a --url wss://203.0.113.4:443 --user w --algo rx/0\n", Want: trust.Proof},
		{Name: "settings", Path: "run.sh", Kind: script, Content: "nohup /opt/xmrig -c /opt/c.json &\n", Want: trust.Strong},
		{Name: "minergate", Path: "run.sh", Kind: script, Content: "exec minergate-cli -user a@b.cc -xmr 4\n", Want: trust.Strong},
		{Name: "onion", Path: "run.sh", Kind: script, Content: "/opt/netd -o aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.onion:3333 -u x\n", Want: trust.Strong},
		{Name: "go", Path: "src/main.go", Kind: text, Content: "exec.Command(\"/usr/local/bin/nginx\", \"-o\", \"203.0.113.50:14444\", \"-u\", \"node1\", \"-p\", \"x\", \"-k\")", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "c", Path: "src/l.c", Kind: text, Content: "char *a[] = {\"/usr/lib/sd\", \"--url\", \"stratum+tcp://203.0.113.4:3333\", \"--user\", \"w\", \"--pass\", \"x\", NULL}; execv(a[0], a);", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "powershell", Path: "a.ps1", Kind: script, Content: "Start-Process -FilePath svc.exe -ArgumentList \"-o 203.0.113.4:3333 -u w -p x --donate-level 1\"\n", Want: trust.Proof},
		{Name: "lines-of-a-string", Path: "a.py", Kind: script, Content: "CMD = \"\"\"\n/opt/app/server\n  --url {pool}\n  --user {wallet}\n  --pass x\n  --donate-level 1\n\"\"\"\n", Want: trust.Proof},
		{Name: "environment-values", Path: "a.py", Kind: script, Content: "os.execvp(\"/usr/bin/w\", [\"w\", \"--algo\", \"rx/0\", \"--url\", os.environ[\"P\"], \"--user\", os.environ[\"U\"]])\n", Want: trust.Proof},
		{Name: "joined-with-dots", Path: "a.php", Kind: script, Content: "<?php\n$cmd = '/tmp/.x/fpm -o ' . $host . ':3333 -u ' . $w . ' -p x -B';\n", Want: trust.Proof},
		{Name: "program-flag", Path: "run.sh", Kind: script, Content: "xmrig --donate-level=1", Want: trust.Strong},
		{Name: "one-flag", Path: "run.sh", Kind: script, Content: "./a --donate-level=1", Want: trust.Weak},
		{Name: "placeholder", Path: "run.sh", Kind: script, Content: "./a -o pool.example.com:3333 -u YOUR_WALLET --donate-level=1", Want: trust.Strong},
		{Name: "in-program", Path: "usr/bin/dropper", Kind: exe, Content: "\x7fELF\x00\x00./a --donate-level 1 -o 203.0.113.7:3333 -u x\x00", Want: trust.Proof},
	}
}

func twins() []indicatortest.Twin {
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	return []indicatortest.Twin{
		{Name: "signatures", Path: "sig.py", Kind: script, Content: "FLAGS = [\"--donate-level\", \"--nicehash\", \"--randomx-mode\", \"stratum+tcp://\"]\n", Allowed: trust.Weak},
		{Name: "signatures-go", Path: "rules.go", Kind: text, Content: "var flags = []string{\"--donate-level\", \"--cpu-max-threads-hint\", \"--randomx-1gb-pages\"}\n"},
		{Name: "sigma", Path: "lnx.yml", Kind: text, Content: "CommandLine|contains:\n - ' --cpu-priority='\n - '--donate-level=0'\n - ' -o pool.'\n - ' --nicehash'\n - 'stratum+tcp://'\n", Allowed: trust.Weak},
		{Name: "argparse", Path: "p.py", Kind: script, Content: "p.add_argument(\"--donate-level\", type=int)\np.add_argument(\"--rig-id\")\n", Allowed: trust.Weak},
		{Name: "telemetry", Path: "a.sh", Kind: script, Content: "telegraf-agent --server 203.0.113.8:8086 --user a --password b\notelcol -o 203.0.113.9:4317 -u tenant\n"},
		{Name: "benchmark", Path: "a.sh", Kind: script, Content: "xmrig --bench=1M --submit\nxmrig --version\n"},
		{Name: "kill", Path: "a.sh", Kind: script, Content: "pkill xmrig -u root; which xmrig -a; apt-get install -y xmrig -o Dpkg::Use-Pty=0\n"},
		{Name: "database", Path: "a.sh", Kind: script, Content: "influx --url 10.0.0.1:8086 --user a --password b\ndbtool --server db.acme.dev --port 5432 --user app\n"},
		{Name: "lists", Path: "a.sh", Kind: script, Content: "A=\"$A -o out.txt\"\nA=\"$A -u user\"\nA=\"$A -p 22\"\nscp $A host:x .\n"},
		{Name: "falco-macro", Path: "etc/falco/x.yaml", Kind: text, Content: "condition: (proc.args contains \"--donate-level\" or proc.args contains \"-o stratum+tcp://\" or proc.args contains \"--algo rx/0 --url\")\n"},
		{Name: "wazuh", Path: "etc/miner.xml", Kind: text, Content: "<rule id=\"1\"><match>xmrig -o pool.minexmr.com:443 -u</match><description>--donate-level=1 --nicehash</description></rule>\n"},
		{Name: "test-runner", Path: "app/test/miner.test.js", Kind: script, Content: "const cmd = \"./xmrig -o pool.minexmr.com:3333 -u W -p x --donate-level 1\";\n"},
		{Name: "scanner-log", Path: "var/log/scan.log", Kind: text, Content: "/tmp/x: FOUND xmrig -o pool.minexmr.com:4444 -u w --donate-level 1\n"},
		{Name: "option-list", Path: "opt/tool.sh", Kind: script, Content: "tool \\\n  --config /x\n--verbose\n--output y\n"},
		{Name: "curl", Path: "a.sh", Kind: script, Content: "curl -o out.json -u user:pass http://127.0.0.1:8080/x\ncurl --url http://10.0.0.1:8080 --user a --pass b\n"},
		{Name: "message-broker", Path: "a.sh", Kind: script, Content: "client --server mq.acme.dev:8883 --user a --tls\ncollector -o otel.acme.dev:4317 -u tenant -k\n"},
		{Name: "joined-other", Path: "a.sh", Kind: script, Content: "cc -o$OUT:x -pthread -undefined a.o\n"},
		{Name: "curl-url-port", Path: "a.sh", Kind: script, Content: "curl -u admin:x -p -o 1.2.3.4:80 host\n"},
		{Name: "ssh", Path: "a.sh", Kind: script, Content: "ssh -o StrictHostKeyChecking=no -o ProxyCommand='nc -x 1.2.3.4:80 %h %p' -u x -p 22 host"},
		{Name: "ffmpeg", Path: "a.sh", Kind: script, Content: "ffmpeg -i in.mp4 -o out:1 -u x -p fast"},
		{Name: "sqlplus", Path: "a.sh", Kind: script, Content: "sqlplus -u scott -p tiger -o report.txt 10.0.0.1:1521/x"},
		{Name: "wget", Path: "a.sh", Kind: script, Content: "wget -O - --user x --password y http://1.2.3.4:80/ | tar x"},
		{Name: "mysql", Path: "a.sh", Kind: script, Content: "mysql -u root -p secret -h db:3306"},
		{Name: "format", Path: "a.py", Kind: script, Content: `os.system("tool -o %s -u %s -p x" % (out, user)); os.system("gcc -o $OUT -u $SYM -p")`},
		{Name: "docker", Path: "a.sh", Kind: script, Content: "docker run -u 1000 -p 127.0.0.1:80:80 --url http://x:80 img"},
		{Name: "test", Path: "a.sh", Kind: script, Content: "if [ -f a -o -u b -o -p c ]; then ls -o -p; fi\nset -o pipefail\nset -u\n"},
		{Name: "gcc", Path: "Makefile", Kind: text, Content: "all:\n\tgcc -o prog:1 -u main -p -a x.c\n"},
		{Name: "ps", Path: "a.sh", Kind: script, Content: "ps -a -o pid,user:20,cmd -u root -p 1\n"},
		{Name: "sort-user-tool", Path: "a.sh", Kind: script, Content: "tool --server https://ci.invalid:8443 --user x --password y\n"},
		{Name: "service-client", Path: "a.sh", Kind: script, Content: "argocd login --server argo.invalid --user admin --password x"},
		{Name: "documentation", Path: "usr/share/doc/xmrig/README.md", Kind: text, Content: "xmrig -o pool.supportxmr.com:443 -u W --donate-level 1 --nicehash"},
		{Name: "detector", Path: "scan.sh", Kind: script, Content: "ps aux | grep -E -- '--donate-level|--nicehash|--randomx-mode' && pgrep -f 'donate-level'\n"},
		{Name: "prefix-of-flag", Path: "a.sh", Kind: script, Content: "tool --nicehash-report --donate-levels 3 --rig-identity x"},
		{Name: "config-plain", Path: "config:cmd", Kind: config, Content: `["nginx","-g","daemon off;"]`},
		{Name: "config-postgres", Path: "config:cmd", Kind: config, Content: `["psql","-o","out","-u","x","-p","5432"]`},
		{Name: "history", Path: "config:history", Kind: config, Content: "RUN apt-get install -o Acquire::http::Proxy=http://10.0.0.1:3142 -y nginx && useradd -u 1000 -p x app"},
		{Name: "rsync", Path: "a.py", Kind: script, Content: `run(["rsync", "-a", "-o", "host:22", "-u", "x", "-p"])`},
		{Name: "monero-docs", Path: "a.sh", Kind: script, Content: "echo 'pass --start-mining to mine'"},
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
		"nothing":  func(r *Rules) { *r = Rules{} },
		"short":    func(r *Rules) { r.Only = []string{"-o", "up"} },
		"no-flags": func(r *Rules) { r.Endpoint = []string{"url"} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzJudge(f *testing.F) {
	ind, err := New(rules(f))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range samples() {
		f.Add([]byte(s.Content))
	}
	f.Fuzz(func(_ *testing.T, in []byte) {
		for _, d := range []indicatortest.Drive{{}, {Chunk: 100}} {
			indicatortest.Inspect(ind, indicator.File{Path: "x.sh", Kind: trust.KindScript}, in, d)
		}
	})
}

func TestUnread(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		content string
		want    bool
	}{
		"ordinary":     {"./x -o 203.0.113.7:3333 -u x -p x\n", false},
		"compilations": {strings.Repeat("\t$(CC) -c -o $@ $<\n", 6000), false},
		"bait":         {strings.Repeat(": -o a:1 -u b\n", 3000), true},
		"padding":      {"/x -o 203.0.113.7:3333 " + strings.Repeat("\\\n", 3000) + "-u x -p x\n", true},
		"long-command": {"/x -o out.txt " + strings.Repeat("\\\n", 3000) + "-u x\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := indicator.File{Path: "run.sh", Kind: trust.KindScript}
			if got := indicatortest.Unread(ind, file, []byte(tc.content), indicatortest.Drive{}); (got != "") != tc.want {
				t.Errorf("unread: %q", got)
			}
		})
	}
}
