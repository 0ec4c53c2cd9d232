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
