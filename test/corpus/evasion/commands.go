package evasion

import (
	"strings"

	"github.com/safepull/safepull/test/imagetest"
)

// commands: the miner is an ordinary image's program under another name, or an image that others published; what it is
// told gives it away.
func commands() []recipe {
	worker := imagetest.Binary("opt/app/worker", []byte("\x7fELF"))
	with := func(name string, make func(*kit) imagetest.Image) recipe {
		return recipe{group: "what it is told", name: name, make: make}
	}
	file := func(name, path string, body func(*kit) string) recipe {
		return with(name, func(k *kit) imagetest.Image {
			return k.image([]string{run}, worker, imagetest.Text(path, body(k)))
		})
	}
	return []recipe{
		with("arguments", func(k *kit) imagetest.Image {
			return k.image(append([]string{run}, strings.Fields(k.line())...), worker)
		}),
		with("command", func(k *kit) imagetest.Image {
			image := k.image([]string{run}, worker)
			image.Config.Cmd = strings.Fields(k.line())
			return image
		}),
		with("own-pool", func(k *kit) imagetest.Image {
			return k.image(either(k, []string{run, "-a", "rx/0", "-o", "203.0.113.9:4444", "-u", "x", "-p", "x", "-k", "--nicehash"},
				[]string{run, "-a", "all", "-o", "/var/log/app.log", "-u", "www-data", "-p", "4444", "-k", "--keepalive"}), worker)
		}),
		with("environment", func(k *kit) imagetest.Image {
			image := k.image([]string{run}, worker)
			image.Config.Env = append(image.Config.Env, either(k,
				[]string{"POOL_URL=" + k.pool, "WALLET_ADDRESS=" + k.wallet, "WORKER_NAME=rig1", "ALGO=rx/0"},
				[]string{"POOL_URL=db.contoso.example:5432", "ACCOUNT=contoso", "WORKER_NAME=web1", "ALGO=round-robin"})...)
			return image
		}),
		with("variables-in-entrypoint", func(k *kit) imagetest.Image {
			image := k.image([]string{"sh", "-c", "exec /opt/app/worker $OPTS"}, worker)
			image.Config.Env = append(image.Config.Env, "OPTS="+k.line())
			return image
		}),
		with("node-that-mines", func(k *kit) imagetest.Image {
			return k.image(either(k, []string{"monerod", "--non-interactive", "--start-mining", k.wallet, "--mining-threads", "8"},
				[]string{"monerod", "--non-interactive", "--restricted-rpc", "--rpc-bind-ip", "0.0.0.0", "--confirm-external-bind"}), worker)
		}),
		file("xmrig-json", "opt/app/config.json", func(k *kit) string {
			return either(k, `{"autosave": true, "cpu": {"enabled": true, "huge-pages": true, "max-threads-hint": 75}, "donate-level": 1, "opencl": false, "cuda": false, "randomx": {"init": -1, "1gb-pages": false},
 "pools": [{"algo": "rx/0", "coin": "monero", "url": "`+k.pool+`", "user": "`+k.wallet+`", "pass": "x", "rig-id": "r1", "nicehash": false, "keepalive": true, "tls": true}], "print-time": 60, "retries": 5, "retry-pause": 5}`,
				`{"autosave": true, "cpu": {"enabled": true, "max-workers": 75}, "log-level": 1, "opencl": false, "database": {"init": -1, "pages": 4},
 "pools": [{"name": "main", "url": "db.contoso.example:5432", "user": "app", "pass": "x", "keepalive": true, "tls": true}], "print-time": 60, "retries": 5}`)
		}),
		file("yaml", "etc/app/miner.yml", func(k *kit) string {
			return either(k, "donate-level: 1\npools:\n  - url: "+k.pool+"\n    user: "+k.wallet+"\n    algo: rx/0\n    rig-id: r1\n    nicehash: false\n    keepalive: true\nrandomx:\n  1gb-pages: true\n  wrmsr: true\ncpu:\n  max-threads-hint: 75\n  huge-pages-jit: false\n",
				"log-level: 1\npools:\n  - url: db.contoso.example:5432\n    user: app\n    keepalive: true\ncpu:\n  max-workers: 75\n")
		}),
		with("supervisor", func(k *kit) imagetest.Image {
			return k.image([]string{"supervisord", "-n"}, worker, imagetest.Text("etc/supervisor/conf.d/app.conf", "[program:app]\ncommand="+run+" "+k.line()+"\nautorestart=true\n"))
		}),
		with("cron", func(k *kit) imagetest.Image {
			return k.image([]string{"cron", "-f"}, worker, imagetest.Text("etc/cron.d/app", "*/10 * * * * root "+run+" "+k.line()+" >/dev/null 2>&1\n"))
		}),
		with("systemd", func(k *kit) imagetest.Image {
			return k.image([]string{"/sbin/init"}, worker, imagetest.Text("etc/systemd/system/app.service", "[Service]\nExecStart="+run+" "+k.line()+"\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"))
		}),
		with("s6", func(k *kit) imagetest.Image {
			return k.image([]string{"/init"}, worker, imagetest.Script("etc/services.d/app/run", "#!/usr/bin/execlineb -P\nexit 0\n"+run+" "+k.line()+"\n"))
		}),
		with("profile", func(k *kit) imagetest.Image {
			return k.image([]string{"bash", "-l"}, worker, imagetest.Text("root/.bashrc", "return\nnohup "+run+" "+k.line()+" &\n"))
		}),
		with("split-over-variables", func(k *kit) imagetest.Image {
			return k.starts(hiding+either(k, "S=stratum\nP='+tcp://'\nH="+k.pool+"\nU="+k.wallet+"\nD=donate\n"+run+" -o $S$P$H -u $U -p x --$D-level=1\n",
				"S=postgresql\nP='://'\nH=db.contoso.example\nU=app\nD=log\n"+run+" -o $S$P$H -u $U -p x --$D-level=1\n"), worker)
		}),
		with("node-child-process", func(k *kit) imagetest.Image {
			return k.image([]string{"node", "/app/index.js"}, worker, imagetest.Text("app/index.js",
				"process.exit(0);\nconst cp = require('child_process');\ncp.spawn('"+run+"', ['"+strings.ReplaceAll(k.line(), " ", "', '")+"'], {detached: true});\n"))
		}),
	}
}
