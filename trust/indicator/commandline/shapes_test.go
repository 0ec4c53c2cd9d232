package commandline

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
	"github.com/safepull/safepull/trust/indicator/internal/text"
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
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "compose", Path: "docker-compose.yml", Kind: text, Content: "services:\n  web:\n    command: [\"/w\", \"-o\", \"203.0.113.7:3333\", \"-u\", \"a\", \"-p\", \"x\"]\n", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "compose-string", Path: "docker-compose.yml", Kind: text, Content: "    command: /w -o 203.0.113.7:3333 -u a -p x\n", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "kubernetes", Path: "k8s/cronjob.yaml", Kind: text, Content: "command: [\"/bin/sh\"]\nargs: [\"-c\", \"/w --url 203.0.113.7:3333 --user a --algo rx/0 --donate-level 1\"]\n", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "init-script", Path: "etc/init.d/x", Kind: script, Content: "case $1 in start) start-stop-daemon --exec /usr/sbin/x -- -o 203.0.113.7:80 -u a -p x -B ;; esac\n", Want: trust.Proof},
		{Name: "crontab", Path: "var/spool/cron/root", Kind: text, Content: "@reboot /var/tmp/.x/sshd -o 203.0.113.7:443 -u a -p x --tls\n", Want: trust.Proof},
		{Name: "procfile", Path: "app/Procfile", Kind: text, Content: "worker: ./w -o 203.0.113.7:443 -u a -p x\n", Want: trust.Proof},
		{Name: "supervisor", Path: "etc/supervisor/conf.d/x.conf", Kind: text, Content: "[program:x]\ncommand=/w -o 203.0.113.7:443 -u a -p x\n", Want: trust.Proof},
		{Name: "windows-lines", Path: "run.sh", Kind: script, Content: "./w -o 203.0.113.7:443 -u a -p x\r\n", Want: trust.Proof},
		{Name: "tabs", Path: "run.sh", Kind: script, Content: "\t./w\t-o\t203.0.113.7:443\t-u\ta\t-p\tx\n", Want: trust.Proof},
		{Name: "equals-signs", Path: "run.sh", Kind: script, Content: "/w --url=203.0.113.7:443 --user=a --pass=x --algo=rx/0\n", Want: trust.Proof},
		{Name: "quoted-options", Path: "run.sh", Kind: script, Content: "'/w' '-o' '203.0.113.7:443' '-u' 'a' '-p' 'x'\n", Want: trust.Proof},
		{Name: "here-document", Path: "run.sh", Kind: script, Content: "cat > /usr/bin/s <<'E'\n#!/bin/sh\nexec /w -o 203.0.113.7:443 -u a -p x\nE\n", Want: trust.Proof},
		{Name: "echoed-into-a-file", Path: "run.sh", Kind: script, Content: "echo '*/5 * * * * /w -o 203.0.113.7:443 -u a -p x' | crontab -\n", Want: trust.Proof},
		{Name: "case-of-shell-c", Path: "run.sh", Kind: script, Content: "bash -c \"cd /opt; ./w -o 203.0.113.7:443 -u a -p x\" &\n", Want: trust.Proof},
		{Name: "eval", Path: "run.sh", Kind: script, Content: "eval \"$BIN -o 203.0.113.7:443 -u $W -p x\"\n", Want: trust.Proof},
		{Name: "after-and", Path: "run.sh", Kind: script, Content: "cd /opt && ./w -o 203.0.113.7:443 -u a -p x && true\n", Want: trust.Proof},
		{Name: "ruby", Path: "a.rb", Kind: script, Content: "spawn('/w', '-o', '203.0.113.7:443', '-u', 'a', '-p', 'x')\n", Want: trust.Proof},
		{Name: "rust", Path: "src/main.rs", Kind: text, Content: "Command::new(\"/w\").args([\"-o\", \"203.0.113.7:443\", \"-u\", \"a\", \"-p\", \"x\"]).spawn()", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "node", Path: "a.js", Kind: script, Content: "require('child_process').spawn('/w', ['-o', '203.0.113.7:443', '-u', 'a', '-p', 'x'], {detached: true})\n", Want: trust.Proof},
		{Name: "java", Path: "A.java", Kind: text, Content: "new ProcessBuilder(\"/w\", \"-o\", \"203.0.113.7:443\", \"-u\", \"a\", \"-p\", \"x\").start();", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "lua", Path: "a.lua", Kind: script, Content: "os.execute(\"/w -o 203.0.113.7:443 -u a -p x\")\n", Want: trust.Proof},
		{Name: "minified", Path: "a.js", Kind: script, Content: "a=1;spawn(\"/w\",[\"-o\",\"203.0.113.7:443\",\"-u\",\"a\",\"-p\",\"x\"]);b=2", Want: trust.Proof},
		{Name: "host-by-name", Path: "run.sh", Kind: script, Content: "./w -o proxy.acme.dev:3333 -u a -p x\n", Want: trust.Proof},
		{Name: "wallet-spelled-out", Path: "run.sh", Kind: script, Content: "./w --pool 203.0.113.7:443 --wallet a --password x\n", Want: trust.Strong},
		{Name: "coin", Path: "run.sh", Kind: script, Content: "./w --coin monero --url 203.0.113.7:443 -u a\n", Want: trust.Proof},
		{Name: "capital-name", Path: "run.sh", Kind: script, Content: "/opt/XMRig --algo rx/0\n", Want: trust.Strong},
		{Name: "algorithm-in-capitals", Path: "run.sh", Kind: script, Content: "./w -a KAWPOW -o 203.0.113.7:443 -u a\n", Want: trust.Proof},
		{Name: "healthcheck", Path: "config:healthcheck", Kind: config, Content: "/w -o 203.0.113.7:443 -u a -p x", Want: trust.Proof},
		{Name: "nested-string", Path: "config:cmd", Kind: config, Content: `["sh","-c","exec /w --url \"203.0.113.7:443\" --user a --pass x --nicehash"]`, Want: trust.Proof},
		{Name: "in-data-with-flags", Path: "blob", Kind: data, Content: "\x00./w --donate-level 1 -o 203.0.113.7:3333 -u x\x00", Want: trust.Weak, IfRun: trust.Proof},
		{Name: "format-in-program", Path: "x", Kind: exe, Content: "\x7fELF\x00%s --donate-level 1 -o %s -u %s --randomx-1gb-pages\x00", Want: trust.Proof},
		{Name: "wownerod", Path: "run.sh", Kind: script, Content: "wownerod --detach --start-mining " + strings.Repeat("Wo", 49) + "\n", Want: trust.Proof},
		{Name: "address-of-start-mining", Path: "run.sh", Kind: script, Content: "./d --start-mining=" + strings.Repeat("4", 95) + "\n", Want: trust.Proof},
		{Name: "shortest-wallet-of-start-mining", Path: "run.sh", Kind: script, Content: "./d --start-mining " + strings.Repeat("4", 90) + "\n", Want: trust.Proof},
		{Name: "placeholder-user", Path: "run.sh", Kind: script, Content: "./x -o your-pool.example.org:3333 -u W --nicehash --rig-id a\n", Want: trust.Strong},
		{Name: "plots-and-farms", Path: "run.sh", Kind: script, Content: "chia init && chia plots create -k 32 -n 10 -t /tmp -d /plots && chia start farmer\n", Want: trust.Proof},
		{Name: "farms", Path: "run.sh", Kind: script, Content: "chia init\nchia start farmer\n", Want: trust.Strong},
		{Name: "proves", Path: "run.sh", Kind: script, Content: "exec /usr/bin/snarkos start --prover --private-key $KEY\n", Want: trust.Proof},
		{Name: "nockchain", Path: "run.sh", Kind: script, Content: "RUST_LOG=info nockchain --mine --mining-pubkey $KEY\n", Want: trust.Proof},
		{Name: "xelis", Path: "run.sh", Kind: script, Content: "./xelis_miner --miner-address xel:rmdgrx0lplkf50f850d5z3rw7pz9y74p0ycrhkmywldsgg9uhfvsqkhs7s0 --daemon-address 203.0.113.7:8080\n", Want: trust.Proof},
		{Name: "onezero", Path: "run.sh", Kind: script, Content: "./a -a dynex -w x -o stratum+tcp://203.0.113.7:3000 --mallob-endpoint http://203.0.113.7:8000\n", Want: trust.Strong},
		{Name: "pearl", Path: "run.sh", Kind: script, Content: "./worker --algo pearl --url prl.kryptex.network:7048 --user krxABCDEFG/r1\n", Want: trust.Proof},
	}, []indicatortest.Twin{
		{Name: "farm-status", Path: "run.sh", Kind: script, Content: "chia farm summary\nchia show -s\nchia wallet show\n"},
		{Name: "farm-said", Path: "run.sh", Kind: script, Content: "echo \"run chia plots create -k 32 first\"\n# chia start farmer\n"},
		{Name: "farm-documented", Path: "usr/share/doc/chia/README.md", Kind: text, Content: "Run `chia plots create -k 32` and then `chia start farmer`.\n"},
		{Name: "wallet-service", Path: "run.sh", Kind: script, Content: "monero-wallet-rpc --daemon-address node.contoso.example:18081 --password x --wallet-file /w --rpc-bind-port 18083\n"},
		{Name: "prover", Path: "run.sh", Kind: script, Content: "coqc a.v; prover start --prover z3\n"},
		{Name: "no-address-of-start-mining", Path: "run.sh", Kind: script, Content: "./d --start-mining " + strings.Repeat("4", 89) + "\n"},
		{Name: "otel", Path: "run.sh", Kind: script, Content: "otel-cli span -o collector:4317 -u svc\n"},
		{Name: "openssl", Path: "run.sh", Kind: script, Content: "openssl s_client -connect 1.2.3.4:443 -u x -p y -o out\n"},
		{Name: "ldap", Path: "run.sh", Kind: script, Content: "ldapsearch -H ldap://1.2.3.4:389 -u -p 3 -o ldif-wrap=no\n"},
		{Name: "nmap", Path: "run.sh", Kind: script, Content: "nmap -oN out.txt -p 1-100 -u 1.2.3.4:80\n"},
		{Name: "docker-login", Path: "run.sh", Kind: script, Content: "docker login -u user -p pass registry.acme.dev:5000\n"},
		{Name: "helm", Path: "run.sh", Kind: script, Content: "helm repo add --username a --password b acme https://charts.acme.dev:8443\n"},
		{Name: "mongo", Path: "run.sh", Kind: script, Content: "mongo -u root -p secret --authenticationDatabase admin mongo:27017/x\n"},
		{Name: "redis", Path: "run.sh", Kind: script, Content: "redis-cli -u redis://a:b@10.0.0.1:6379 -p 6379\n"},
		{Name: "mosquitto", Path: "run.sh", Kind: script, Content: "mosquitto_pub -h 10.0.0.1 -p 1883 -u a -P b -t x -m y\n"},
		{Name: "smbclient", Path: "run.sh", Kind: script, Content: "mount -t cifs -o username=a,password=b //1.2.3.4/x /mnt\n"},
		{Name: "ssh-jump", Path: "run.sh", Kind: script, Content: "autossh -M 0 -o ServerAliveInterval=30 -N -L 1.2.3.4:3306:db:3306 -u x -p 22\n"},
		{Name: "tar", Path: "run.sh", Kind: script, Content: "tar -xpf a.tar -o -u --owner=0:0\n"},
		{Name: "install", Path: "run.sh", Kind: script, Content: "install -o root:root -u -p a b\n"},
		{Name: "chown-list", Path: "a.py", Kind: script, Content: "args = ['-o', 'user:group', '-u', 'x']\n"},
		{Name: "curl-upload", Path: "run.sh", Kind: script, Content: "curl -s -u \"$U:$P\" -o out.json -T f http://10.0.0.1:8081/repository\n"},
		{Name: "javac", Path: "Makefile", Kind: text, Content: "\tjavac -a -o out -p mods:lib -u x\n"},
		{Name: "gradle", Path: "run.sh", Kind: script, Content: "./gradlew publish -Purl=http://10.0.0.1:8081 -Puser=a -Ppass=b\n"},
		{Name: "sonar", Path: "run.sh", Kind: script, Content: "sonar-scanner --url http://10.0.0.1:9000 --user a --pass b --algo sha256\n"},
		{Name: "stress", Path: "run.sh", Kind: script, Content: "hey -n 1000 -c 4 -o csv -a user:pass http://10.0.0.1:80/\n"},
		{Name: "keytool", Path: "run.sh", Kind: script, Content: "keytool -genkey -alias a -keyalg RSA -storepass x -keypass x -dname CN=a\n"},
		{Name: "node-without-address", Path: "run.sh", Kind: script, Content: "geth --mine --http --http.port 8545\nmonerod --no-igd --prune-blockchain\n"},
		{Name: "commented-list", Path: "flags.txt", Kind: text, Content: "--donate-level\n", Allowed: trust.Weak},
		{Name: "unit-of-a-service", Path: "etc/systemd/system/p.service", Kind: text, Content: "ExecStart=/usr/bin/prometheus --web.listen-address=0.0.0.0:9090 --config.file=/p.yml\n"},
		{Name: "env-with-port", Path: "config:env", Kind: config, Content: "URL=10.0.0.1:80\nUSER=a\nPASS=b"},
	})
}

// What an option and its value look like side by side, and how far apart: all spellings of one command weigh the same.
func TestSpellingsWeighTheSame(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	parts := [][2]string{{"-o", "203.0.113.7:3333"}, {"-u", "node1"}, {"-p", "x"}, {"--donate-level", "1"}}
	random := rand.New(rand.NewPCG(1, 1))
	for round := range 120 {
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var content string
		switch quote := []string{"", `"`, "'"}[random.IntN(3)]; round % 4 {
		case 0: // a line
			content = "/opt/w"
			for _, p := range parts {
				content += " " + p[0] + strings.Repeat(" ", 1+random.IntN(3)) + quote + p[1] + quote
			}
		case 1: // lines
			content = "/opt/w"
			for _, p := range parts {
				content += " \\\n\t" + p[0] + " " + quote + p[1] + quote
			}
		case 2: // a list
			content = `run(["/opt/w"`
			for _, p := range parts {
				content += `, "` + p[0] + `", "` + p[1] + `"`
			}
			content += "])"
		default: // steps
			content = "A=/opt/w\n"
			for _, p := range parts {
				content += `A="$A ` + p[0] + " " + p[1] + "\"\n"
			}
			content += "$A\n"
		}
		found := indicatortest.Inspect(ind, indicator.File{Path: "run.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{Chunk: 1 + random.IntN(90)})
		strongest := trust.Context
		for _, f := range found {
			strongest = max(strongest, f.Strength)
		}
		if strongest != trust.Proof {
			t.Errorf("%q: %s", content, strongest)
		}
	}
}

// A command is seen wherever it stands in a file much longer than what is read at once.
func TestPlaceDoesNotMatter(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	const command = "/opt/w -o 203.0.113.7:3333 -u node1 -p x\n"
	for _, at := range []int{0, 1, before - 1, before, before + 1, after, before + after, before + after + 64, 9000, 20_000} {
		content := strings.Repeat("\n", at) + command + strings.Repeat("true\n", 3000)
		for _, chunk := range []int{0, 500, before + after} {
			found := indicatortest.Inspect(ind, indicator.File{Path: "run.sh", Kind: trust.KindScript}, []byte(content), indicatortest.Drive{Chunk: chunk})
			if len(found) != 1 || found[0].Strength != trust.Proof || found[0].Offset != int64(at+len("/opt/w ")) {
				t.Errorf("at %d in chunks of %d: %+v", at, chunk, found)
			}
		}
	}
}

// The options of one command may be as far apart as what is read of it; beyond, the file is not called clean.
func TestLongCommands(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for _, filler := range []string{" ", "\t", " \\\n"} {
		for _, n := range []int{10, 500, 1000, 2500, 3200, 6000, 20_000} {
			gap := strings.Repeat(filler, n/len(filler)+1)
			content := []byte("/opt/w -o 203.0.113.7:3333" + gap + "-u node1 -p x -k\n")
			file := indicator.File{Path: "run.sh", Kind: trust.KindScript}
			for _, d := range []indicatortest.Drive{{}, {Chunk: 777}} {
				found := indicatortest.Inspect(ind, file, content, d)
				if unread := indicatortest.Unread(ind, file, content, d); len(found) == 0 && unread == "" {
					t.Errorf("%d bytes of %q between the options: nothing found and nothing unread", n, filler)
				}
			}
		}
	}
}

func TestGatherLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		parts   int
		last    bool
	}{
		"one-less": {strings.Repeat("A=\"$A -z\"\n", maxParts-1) + "A=\"$A -last\"\n", maxParts, true},
		"too-many": {strings.Repeat("A=\"$A -z\"\n", maxParts) + "A=\"$A -last\"\n", maxParts, false},
		"others":   {"A=\"$A -z\"\nB=\"$B -y\"\nA=\"$A -last\"\n", 2, true},
	} {
		all := text.Commands([]byte(test.content))
		got := gather(all, all[0])
		last := got[len(got)-1].Text == "-last"
		if parts := strings.Count(join(got), "A="); parts != test.parts || last != test.last {
			t.Errorf("%s: %d parts, ends with the last %v: %s", name, parts, last, join(got))
		}
	}
}

func join(c text.Command) string {
	var words []string
	for _, w := range c {
		words = append(words, w.Text)
	}
	return strings.Join(words, " ")
}

func TestGivesTo(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`ARGS="$ARGS -o x"`: "ARGS", `ARGS+=" -o x"`: "ARGS", `local a="-o x"`: "a", `export A='-o x'`: "A", `args.append("-o")`: "args",
		`a.extend(["-o", p])`: "a", `$cmd = "-o x"`: "cmd", `my @args = ("-o", "x")`: "args", `let v = ["-o", x]`: "v", `list.push("-o", x)`: "list",
		`a := []string{"-o"}`: "a", `a += ["-o", x]`: "a", `./w -o x`: "", `w`: "", `"a b".append("x")`: "", `=x y`: "", `local`: "",
	} {
		all := text.Commands([]byte(in))
		if got := givesTo(all[0]); got != want {
			t.Errorf("%s: got %q, want %q (%q)", in, got, want, join(all[0]))
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"only":      {func(r *Rules) { r.Only = r.Only[:1] }, "must not be empty"},
		"user":      {func(r *Rules) { r.User = nil }, "must not be empty"},
		"pass":      {func(r *Rules) { r.Pass = nil }, "must not be empty"},
		"algorithm": {func(r *Rules) { r.Algorithm = nil }, "must not be empty"},
		"schemes":   {func(r *Rules) { r.Schemes = nil }, "must not be empty"},
		"programs":  {func(r *Rules) { r.Programs = nil }, "must not be empty"},
		"word":      {func(r *Rules) { r.Only = []string{"--donate-level", "nicehash"} }, `"nicehash"`},
		"two-bytes": {func(r *Rules) { r.Only = []string{"--donate-level", "-o"} }, `"-o"`},
		"starter":   {func(r *Rules) { r.Starters = []string{"mine"} }, `"mine"`},
		"endpoint":  {func(r *Rules) { r.Endpoint = []string{"-o", "-"} }, `"-"`},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "commandline rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	r := rules(t)
	r.Only, r.Endpoint = []string{"-wa", "--donate-level"}, []string{"-o"} // the shortest that are taken
	if _, err := New(r); err != nil {
		t.Error(err)
	}
}
