package packed

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func decrypting() []indicatortest.Sample {
	script, config := trust.KindScript, trust.KindConfig
	opaque := func(name, path string, kind trust.Kind, content string) indicatortest.Sample {
		return indicatortest.Sample{Name: name, Path: path, Kind: kind, Content: content, Want: trust.Context, IfRun: trust.Strong}
	}
	return []indicatortest.Sample{
		opaque("python", "a.py", script, "exec(Fernet(key).decrypt(open('/lib/d','rb').read()))\n"),
		opaque("python-variable", "a.py", script, "from cryptography.fernet import Fernet\nd = Fernet(b'x').decrypt(open('/lib/d','rb').read())\nexec(d)\n"),
		opaque("python-marshal", "a.py", script, "c = AES.new(k, AES.MODE_CBC, iv)\np = c.decrypt(blob)\nexec(marshal.loads(p))\n"),
		opaque("node", "a.js", script, "const d = crypto.createDecipheriv('aes-256-cbc', k, iv);\nconst p = d.update(b) + d.final();\nconst q = decipher.update(b);\neval(q)\n"),
		opaque("node-function", "a.js", script, "new Function(decrypt(blob, process.env.K))()\n"),
		opaque("php", "a.php", script, "<?php eval(openssl_decrypt($b, 'aes-256-cbc', $k, 0, $iv));\n"),
		opaque("shell", "a.sh", script, "openssl enc -aes-256-cbc -pbkdf2 -d -k \"$K\" -in /lib/.d | bash\n"),
		opaque("shell-eval", "config:command", config, "sh -c 'eval \"$(openssl enc -d -aes-128-cbc -k $K -in /lib/d)\"'"),
		opaque("gpg", "a.sh", script, "gpg --batch --passphrase $P -d /lib/d.gpg | gunzip -c | sh\n"),
	}
}

func TestDecrypts(t *testing.T) {
	t.Parallel()
	script := trust.KindScript
	indicatortest.Run(t, shipped(t), decrypting(), []indicatortest.Twin{
		{Name: "settings", Path: "a.py", Kind: script, Content: "conf = json.loads(Fernet(key).decrypt(open('/etc/app.enc','rb').read()))\nsubprocess.run(['nginx'])\n"},
		{Name: "vault", Path: "a.sh", Kind: script, Content: "gpg --batch -d secrets.gpg > /run/secrets.env\nopenssl enc -d -aes-256-cbc -in dump.enc -out dump.sql\npsql -f dump.sql\n"},
		{Name: "backup", Path: "a.sh", Kind: script, Content: "openssl enc -d -aes-256-cbc -k $K -in b.enc | tar xz -C /srv\ngpg -d db.gpg | psql app\n"},
		{Name: "only-encoded", Path: "a.sh", Kind: script, Content: "printf %s \"$CONFIG\" | openssl enc -base64 -d -A | sh\n"},
		{Name: "key-of-a-repository", Path: "a.sh", Kind: script, Content: "curl -fsSL https://download.docker.com/linux/debian/gpg | gpg --dearmor -o /usr/share/keyrings/docker.gpg\n"},
		{Name: "library", Path: "a.js", Kind: script, Content: "exports.decrypt = function decrypt(b, k) { const d = createDecipheriv('aes', k); return d.update(b) };\nexports.x = eval\n"},
		{Name: "tests", Path: "a.py", Kind: script, Content: "assert cipher.decrypt(c) == plain\nexec_time = time.time()\n"},
	})
	// Nobody can see what runs: a finding of the class that policies hold.
	for _, s := range decrypting() {
		for _, f := range indicatortest.Inspect(shipped(t), indicator.File{Path: s.Path, Kind: s.Kind}, []byte(s.Content), indicatortest.Drive{}) {
			if f.Class != trust.ClassOpaque {
				t.Errorf("%s: %+v", s.Name, f)
			}
		}
	}
}

func TestDecryptsBait(t *testing.T) {
	t.Parallel()
	bait := strings.Repeat("decrypt(x)\n"+strings.Repeat("#\n", before/2), 4000)
	if got := indicatortest.Unread(shipped(t), indicator.File{Path: "a.py", Kind: trust.KindScript}, []byte(bait), indicatortest.Drive{}); got != "" {
		t.Errorf("an ordinary library: %s", got)
	}
}

func TestNewRefusesDecrypts(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Rules{
		"short":      {Entropy: 7, Decrypts: []string{"dec"}},
		"no-runs":    {Entropy: 7, Decrypts: []string{"decrypt("}, Results: []string{"(x)"}},
		"no-group":   {Entropy: 7, Decrypts: []string{"decrypt("}, Runs: []string{"x"}, Results: []string{"x"}},
		"no-pattern": {Entropy: 7, Decrypts: []string{"decrypt("}, Runs: []string{"("}, Results: []string{"(x)"}},
	} {
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "packed rules: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
