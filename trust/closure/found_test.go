package closure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

func shellImage(body string, more image) image {
	return image{"bin/sh": "ELF", "e.sh": "#!/bin/sh\n" + body}.with(more)
}

// Command lines are kept as they are when they run, where that says more than the script.
func TestResolve_commands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config inspect.Config
		files  image
		want   map[string]string
	}{
		"nothing-to-fill-in": {entry("/e.sh"), shellImage("/m -o a:1 -u b\n", nil), nil},
		"environment":        {inspect.Config{Entrypoint: []string{"/e.sh"}, Env: []string{"P=a:1"}}, shellImage("/m -o $P -u \"${U:-nobody}\"\n", nil), map[string]string{"e.sh": "/m -o a:1 -u nobody\n"}},
		"arguments":          {inspect.Config{Entrypoint: []string{"/e.sh"}, Cmd: []string{"-o", "a:1"}}, shellImage("exec /m \"$@\" -x\n", nil), map[string]string{"e.sh": "exec /m -o a:1 -x\n"}},
		"two-values":         {entry("/e.sh"), shellImage("P=a:1\n[ x ] && P=b:2\n/m -o $P\n", nil), map[string]string{"e.sh": "/m -o b:2\n/m -o a:1\n"}},
		"options-in-one":     {entry("/e.sh"), shellImage("A=\"-o a:1\"\nA=\"$A -u b\"\nA+=' -k'\n/m $A\n", nil), map[string]string{"e.sh": "/m -o a:1 -u b -k\n/m -o a:1 -k\n"}},
		"not-known":          {entry("/e.sh"), shellImage("/m -o $POOL $(date) -u b\n", nil), map[string]string{"e.sh": "/m -o '$POOL' '$(date)' -u b\n"}},
		"across-files":       {entry("/e.sh"), shellImage(". /env\nexport W\n/n $P\n", image{"env": "P=a:1\nW=\"w x\"\n", "n": "#!/bin/sh\n/m -u \"$W\" -o $1\n"}), map[string]string{"e.sh": "/n a:1\n", "n": "/m -u '$W' -o a:1\n"}},
		"crontab":            {entry("cron"), image{"usr/sbin/cron": "ELF", "etc/crontab": "P=a:1\n* * * * * root /m -o $P\n"}, map[string]string{"etc/crontab": "/m -o a:1\nroot /m -o a:1\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tc.files.resolve(tc.config)
			var got map[string]string
			for _, command := range c.Commands {
				if got == nil {
					got = map[string]string{}
				}
				got[command.File.Path] += command.Text
			}
			if len(tc.want) == 0 && len(got) == 0 {
				return
			}
			for p, text := range tc.want {
				for line := range strings.Lines(text) {
					if !strings.Contains(got[p], line) {
						t.Errorf("%s: %q is missing in %q", p, line, got[p])
					}
				}
			}
			if len(got) != len(tc.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestResolve_joins(t *testing.T) {
	t.Parallel()
	parts := image{"p/a": "DATA", "p/b": "DATA", "p/c": "DATA", "usr/bin/python3": "ELF"}
	for name, tc := range map[string]struct{ script, want string }{
		"cat":             {"cat /p/a /p/b > /tmp/x\n", "/tmp/x = p/a p/b"},
		"cat-in-order":    {"cat /p/b /p/a >/tmp/x\n", "/tmp/x = p/b p/a"},
		"pattern":         {"cd /p; cat * > /tmp/x\n", "/tmp/x = p/a p/b p/c"},
		"append":          {"cat /p/a > /tmp/x\ncat /p/b >> /tmp/x\n", "/tmp/x = p/a p/b"},
		"decoded":         {"cat /p/a /p/b | base64 -d > /tmp/x\n", "/tmp/x = p/a p/b decoded"},
		"decoded-alone":   {"base64 --decode /p/a > /tmp/x\n", "/tmp/x = p/a decoded"},
		"into-a-shell":    {"cat /p/a /p/b | base64 -d | sh\n", "the input of shell = p/a p/b decoded"},
		"in-braces":       {"{ cat /p/a; cat /p/b; } > /tmp/x\n", "/tmp/x = p/a p/b"},
		"in-a-subshell":   {"(cat /p/a; cat /p/b) | sh\n", "the input of shell = p/a p/b"},
		"tee":             {"cat /p/a /p/b | tee /tmp/x >/dev/null\n", "/tmp/x = p/a p/b"},
		"dd":              {"dd if=/p/a of=/tmp/x\ndd if=/p/b of=/tmp/x seek=1 conv=notrunc\n", "/tmp/x = p/a p/b"},
		"tail-bytes":      {"tail -c +101 /p/a > /tmp/x; sh /tmp/x\n", "/tmp/x = p/a skip 100"},
		"tail-unpacked":   {"tail -c +9 /p/a | gunzip > /tmp/x\n", "/tmp/x = p/a skip 8"},
		"tail-its-end":    {"tail -c 4k /p/a > /tmp/x\n", "/tmp/x = p/a last 4096"},
		"tail-lines":      {"tail -n +12 /p/a | tar xz\n", "the input of tar = p/a skip-lines 11"},
		"tail-old":        {"tail +12 /p/a | tar xz\n", "the input of tar = p/a skip-lines 11"},
		"tail-decoded":    {"tail -n+3 /p/a | base64 -d | sh\n", "the input of shell = p/a skip-lines 2 decoded"},
		"tail-of-itself":  {"tail -n +4 \"$0\" | tar xz\nexit\nXX\n", "the input of tar = e.sh skip-lines 3"},
		"tail-variable":   {"N=9; tail -c +$N /p/a | sh\n", "the input of shell = p/a skip 8"},
		"tail-sum":        {"N=9; tail -c +$((N * 2 + 1)) /p/a | sh\n", "the input of shell = p/a skip 18"},
		"tail-unknown":    {"N=$(awk '/^X/{print NR+1}' /p/a); tail -n +$N /p/a | tar xz\n", "the input of tar = p/a search"},
		"tail-redirected": {"tail -c +5 < /p/a | sh\n", "the input of shell = p/a skip 4"},
		"tail-busybox":    {"busybox tail -c +5 /p/a | busybox sh\n", "the input of shell = p/a skip 4"},
		"head-and-tail":   {"head -c 500 /p/a | tail -c 100 > /tmp/x\n", "/tmp/x = p/a first 500 last 100"},
		"head-but-last":   {"head --bytes=-16 /p/a > /tmp/x\n", "/tmp/x = p/a first -16"},
		"two-halves":      {"(head -c 9 /p/a; tail -c +5 /p/b) > /tmp/x\n", "/tmp/x = p/a first 9 p/b skip 4"},
		"cut-of-a-join":   {"cat /p/a /p/b | tail -c +5 | sh\n", "the input of shell = p/a p/b skip 4"},
		"dd-a-part":       {"dd if=/p/a of=/tmp/x bs=1 skip=77 count=5\n", "/tmp/x = p/a skip 77 first 5"},
		"dd-blocks":       {"dd if=/p/a bs=4k skip=2 | gunzip | sh\n", "the input of shell = p/a skip 8192"},
		"dd-of-a-pipe":    {"tail -c +5 /p/a | dd of=/tmp/x\n", "/tmp/x = p/a skip 4"},
		"sed-up-to-mark":  {"sed '1,/^__MARK__$/d' /p/a | tar xz\n", "the input of tar = p/a behind ^__MARK__$"},
		"sed-up-to-line":  {"sed 1,7d /p/a | tar xz\n", "the input of tar = p/a skip-lines 7"},
		"sed-from-mark":   {"sed -n '/^#__X__/,$p' /p/a | base64 -d | sh\n", "the input of shell = p/a behind ^#__X__ decoded"},
		"sed-that-edits":  {"sed 's/a/b/' /p/a > /tmp/x\n", ""},
		"awk-mark":        {"awk 'f; /^__X__/{f=1}' /p/a | sh\n", "the input of shell = p/a behind ^__X__"},
		"awk-line":        {"awk 'NR>12' /p/a | sh\n", "the input of shell = p/a skip-lines 12"},
		"function":        {"cutout() { dd if=\"$1\" bs=$2 skip=1; }\ncutout /p/a 40 | gzip -cd | tar x\n", "the output of dd = p/a skip 40"},
		"translated":      {"tail -c +3 /p/a | tr 'A-Za-z' 'N-ZA-Mn-za-m' | base64 -d | sh\n", "the input of shell = p/a skip 2 translate decoded"},
		"to-a-reader":     {"head -n 1 /p/a | cut -c 5\n", ""},
		"one-is-a-copy":   {"cat /p/a > /tmp/x\n", ""},
		"to-nowhere":      {"cat /p/a /p/b > /dev/null\n", ""},
		"of-what-is-gone": {"cat /q/a /q/b > /tmp/x\n", ""},
		"by-a-filter":     {"grep x /p/a /p/b > /tmp/x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := shellImage(tc.script, parts).resolve(entry("/e.sh"))
			var got []string
			for _, j := range c.Joins {
				line := j.Target + " ="
				for _, p := range j.Parts {
					line += " " + p.File.Path + told(p.Steps)
				}
				line += told(j.Steps)
				got = append(got, line)
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestResolve_passwords(t *testing.T) {
	t.Parallel()
	files := image{"opt/a.zip": "DATA", "opt/b.7z": "DATA", "usr/bin/python3": "ELF"}
	for name, tc := range map[string]struct {
		config inspect.Config
		files  image
		want   string
	}{
		"unzip":       {entry("/e.sh"), shellImage("unzip -q -P secret /opt/a.zip -d /x\n", nil), "opt/a.zip secret"},
		"unzip-later": {entry("/e.sh"), shellImage("sudo -E unzip -P secret /opt/a.zip\n", nil), "opt/a.zip secret"},
		"no-program":  {entry("/e.sh"), shellImage("sudo cat -P secret /opt/a.zip\n", nil), ""},
		"unzip-glued": {entry("/e.sh"), shellImage("cd /opt; unzip -Psecret a\n", nil), "opt/a.zip secret"},
		"variable":    {entry("/e.sh"), shellImage("P=secret\n7z x -p\"$P\" -o/x /opt/b.7z\n", nil), "opt/b.7z secret"},
		"openssl":     {entry("/e.sh"), shellImage("openssl enc -d -aes-256-cbc -pass pass:secret -in /opt/a.zip | sh\n", nil), "opt/a.zip secret"},
		"not-known":   {entry("/e.sh"), shellImage("unzip -P $(ask) /opt/a.zip\n", nil), ""},
		"no-password": {entry("/e.sh"), shellImage("unzip -p /opt/a.zip\n", nil), ""},
		"python":      {entry("python3", "/a.py"), image{"a.py": "with zipfile.ZipFile('/opt/a.zip') as z: z.extractall(pwd=b'secret')\n"}, "opt/a.zip secret"},
		"not-reached": {entry("/e.sh"), shellImage("true\n", image{"x.sh": "unzip -P secret /opt/a.zip\n"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := files.with(tc.files).resolve(tc.config)
			var got []string
			for _, p := range c.Passwords {
				got = append(got, p.Archive.Path+" "+p.Password)
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What was not kept of a script is asked for, and leads on when it is there.
func TestResolve_unread(t *testing.T) {
	t.Parallel()
	files := shellImage("/long.sh\npython3 /long.py\n", image{"long.sh": "CUT #!/bin/sh\n", "long.py": "CUT x", "usr/bin/python3": "ELF", "m": "ELF", "other": "ELF"})
	layers := []rootfs.Layer{{Digest: lower, Tree: files.tree()}}
	view := rootfs.Merge(layers)
	c := closure.Resolve(entry("/e.sh"), nil, false, view, nil)
	var got []string
	for _, u := range c.Unread {
		got = append(got, fmt.Sprint(u.File.Path, " ", u.Shell))
	}
	if diff := cmp.Diff([]string{"long.py false", "long.sh true"}, got); diff != "" {
		t.Fatal(diff)
	}
	if c.Reach(trust.Finding{Layer: lower, Path: "m"}) != trust.ReachPresent {
		t.Error("a file runs that only an unread script names")
	}
	pad := func(s string) string { return s + strings.Repeat("#", cutSize-len(s)) }
	bodies := map[*rootfs.File]string{c.Unread[0].File: pad("import os; os.system('/m')\n"), c.Unread[1].File: pad("#!/bin/sh\ntrue\n")}
	c = closure.Resolve(entry("/e.sh"), nil, false, view, bodies)
	if len(c.Unread) != 0 || c.Everything() != "" || c.Reach(trust.Finding{Layer: lower, Path: "m"}) != trust.ReachRuns || c.Reach(trust.Finding{Layer: lower, Path: "other"}) != trust.ReachPresent {
		t.Errorf("%d unread, %q", len(c.Unread), c.Everything())
	}
	for f := range bodies {
		bodies[f] = "too short"
	}
	c = closure.Resolve(entry("/e.sh"), nil, false, view, bodies)
	if c.Everything() == "" || c.Reach(trust.Finding{Layer: lower, Path: "other"}) != trust.ReachRuns {
		t.Error("a script that is too long to be read must make everything run")
	}
}

// Beyond the limits every file counts as running.
func TestResolve_isBounded(t *testing.T) {
	t.Parallel()
	scripts := func(n int, body func(int) string) image {
		files := image{"bin/sh": "ELF"}
		for i := range n {
			files[fmt.Sprintf("s/%d", i)] = "#!/bin/sh\n" + body(i)
		}
		return files
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("/s/%d\n", i)
	}
	for name, tc := range map[string]struct {
		files image
		run   string
		all   bool
	}{
		"depth-in":         {scripts(8, func(i int) string { return fmt.Sprintf("/s/%d\n", i+1) }), "/s/0", false},
		"depth":            {scripts(12, func(i int) string { return fmt.Sprintf("/s/%d\n", i+1) }), "/s/0", true},
		"round":            {scripts(3, func(i int) string { return fmt.Sprintf("/s/%d\n", (i+1)%3) }), "/s/0", false},
		"growing":          {scripts(1, func(int) string { return "/s/0 \"$@\" x\n" }), "/s/0", false},
		"scripts":          {scripts(2500, func(i int) string { return "" }).with(image{"e": "#!/bin/sh\n" + strings.Join(many, "")}), "/e", true},
		"copies":           {image{"bin/sh": "ELF", "e": "#!/bin/sh\n" + strings.Repeat("cp /a /b$((1))c\n", 1) + copies(5000)}, "/e", true},
		"nested-texts":     {image{"bin/sh": "ELF", "e": "#!/bin/sh\n" + nestedEval(20)}, "/e", true},
		"wrapped":          {image{"bin/sh": "ELF", "usr/bin/nice": "ELF", "e": "#!/bin/sh\n" + strings.Repeat("nice ", 40) + "x\n"}, "/e", true},
		"deep-parentheses": {image{"bin/sh": "ELF", "e": "#!/bin/sh\n" + strings.Repeat("(", 60000)}, "/e", false},
		"deep-keywords":    {image{"bin/sh": "ELF", "e": "#!/bin/sh\n" + strings.Repeat("if ", 20000)}, "/e", true},
		"deep-arithmetic":  {image{"bin/sh": "ELF", "e": "#!/bin/sh\necho $((" + strings.Repeat("!", 60000) + "1))\n"}, "/e", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tc.files.with(image{"other": "ELF"}).resolve(entry(tc.run))
			if all := c.Everything() != ""; all != tc.all {
				t.Errorf("everything runs: %t %q", all, c.Everything())
			}
			if tc.all != (c.Reach(trust.Finding{Layer: lower, Path: "other"}) == trust.ReachRuns) {
				t.Error("the reach of another file is wrong")
			}
		})
	}
}

func copies(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "cp /a%d /b\n", i)
	}
	return b.String()
}

func nestedEval(n int) string {
	text := "true"
	for range n {
		text = "eval eval " + text
	}
	return text + "\n"
}

func TestReach(t *testing.T) {
	t.Parallel()
	low := image{"bin/sh": "ELF", "e.sh": "#!/bin/sh\n/m\n", "m": "ELF", "n": "ELF", "gone": "ELF", "a!/b": "ELF"}
	high := image{"m": "#!/bin/sh\n", ".wh.gone": ""}
	c := low.resolve(entry("/e.sh"), high)
	for _, tc := range []struct {
		f    trust.Finding
		want trust.Reach
	}{
		{trust.Finding{Layer: lower, Path: "e.sh"}, trust.ReachRuns},
		{trust.Finding{Layer: lower, Path: "e.sh!/x!/y"}, trust.ReachRuns},
		{trust.Finding{Layer: lower, Path: "m"}, trust.ReachHidden},
		{trust.Finding{Layer: lower, Path: "gone"}, trust.ReachHidden},
		{trust.Finding{Layer: lower, Path: "gone!/x"}, trust.ReachHidden},
		{trust.Finding{Layer: lower, Path: "n"}, trust.ReachPresent},
		{trust.Finding{Layer: lower, Path: "a!/b"}, trust.ReachPresent},
		{trust.Finding{Layer: lower, Path: "nowhere"}, trust.ReachPresent},
		{trust.Finding{Layer: "sha256:config", Path: "config:command", Kind: trust.KindConfig}, trust.ReachRuns},
		{trust.Finding{Layer: "sha256:config", Path: "config:command!/base64@5", Kind: trust.KindScript}, trust.ReachRuns},
		{trust.Finding{Layer: "sha256:config", Path: "config:env", Kind: trust.KindConfig}, trust.ReachRuns},
		{trust.Finding{Layer: "sha256:config", Path: "config:labels", Kind: trust.KindText}, trust.ReachPresent},
		{trust.Finding{Layer: "sha256:config", Path: "config:history[0]", Kind: trust.KindConfig}, trust.ReachPresent},
		{trust.Finding{Layer: "sha256:manifest", Path: "manifest:annotations", Kind: trust.KindText}, trust.ReachPresent},
		{trust.Finding{Layer: lower, Path: "closure:e.sh", Kind: trust.KindConfig}, trust.ReachRuns},
		{trust.Finding{Layer: lower, Path: "config:command", Kind: trust.KindScript}, trust.ReachPresent},
	} {
		if got := c.Reach(tc.f); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.f.Path, got, tc.want)
		}
	}
	f := c.Weigh(trust.Finding{Layer: lower, Path: "gone", Why: "a miner", Strength: trust.Weak, IfRun: trust.Proof})
	if f.Strength != trust.Weak || f.Reach != trust.ReachHidden {
		t.Errorf("%+v", f)
	}
	if f = closure.Of(entry("/e.sh")).Weigh(trust.Finding{Layer: lower, Path: "e.sh", IfRun: trust.Strong}); f.Reach != trust.ReachRuns || f.Strength != trust.Strong {
		t.Errorf("%+v", f)
	}
	if r := closure.Of(entry("/e.sh")).Reach(trust.Finding{Layer: lower, Path: "n"}); r != "" {
		t.Errorf("reach %q before the layers are known", r)
	}
}

// Each bound by itself, with a little more than it allows.
func TestResolve_eachBound(t *testing.T) {
	t.Parallel()
	script := func(line func(int) string, n int) string {
		var b strings.Builder
		b.WriteString("#!/bin/sh\n")
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	parts, folders := image{}, image{}
	for i := range 1100 {
		parts[fmt.Sprintf("p/%d", i)] = "DATA"
	}
	for i := range 300 {
		folders[fmt.Sprintf("d/%d/same", i)] = "ELF"
	}
	big := image{"big": "#!/bin/sh\n" + strings.Repeat("#", 9<<20)}
	marks := image{}
	for i := range 1<<16 + 10 {
		marks[fmt.Sprintf("opt/%d", i)] = "ELF"
	}
	for name, tc := range map[string]struct {
		files image
		body  string
		want  string
	}{
		"joins":     {parts, script(func(i int) string { return fmt.Sprintf("cat /p/1 /p/2 > /t%d\n", i) }, 300), "join"},
		"parts":     {parts, script(func(int) string { return "cat /p/* >> /t\n" }, 2), "join"},
		"passwords": {parts, script(func(i int) string { return fmt.Sprintf("unzip -P x%d /p/1\n", i) }, 70), "password"},
		"named":     {folders, "#!/bin/sh\n$(which)/same\n", "fits too many"},
		"read":      {big, script(func(i int) string { return fmt.Sprintf("/big %d\n", i) }, 8), "too long"},
		"marks":     {marks, "#!/bin/sh\nchmod +x /opt/*\n", "too many"},
		"wanted":    {nil, script(func(i int) string { return fmt.Sprintf("./w%d\n", i) }, 140_000), "too many"},
		"work":      {nil, script(func(int) string { return "a b c d e f g h i j k l\n" }, 400_000), "too long"},
		"within":    {parts.with(folders), "#!/bin/sh\ncat /p/1 /p/2 > /t\nunzip -P x /p/1\n/d/1/same\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tc.files.with(image{"bin/sh": "ELF", "e": tc.body}).resolve(entry("/e"))
			if got := c.Everything(); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if len(c.Joins) > 256 || len(c.Passwords) > 64 {
				t.Errorf("%d joins, %d passwords", len(c.Joins), len(c.Passwords))
			}
		})
	}
}

// Command lines beyond the bounds are left out; the scripts themselves are inspected as files all the same.
func TestResolve_commandsAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("#!/bin/sh\nA=" + strings.Repeat("x", 500) + "\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "/m $A %d\n", i)
	}
	c := image{"bin/sh": "ELF", "e": b.String()}.resolve(entry("/e"))
	if len(c.Commands) != 1 || len(c.Commands[0].Text) > 64<<10 || c.Everything() != "" {
		t.Errorf("%d commands, %q", len(c.Commands), c.Everything())
	}
}

// told are steps in words: "decoded", "skip 5".
func told(steps []closure.Step) string {
	out := ""
	for _, s := range steps {
		switch s.Op {
		case closure.Decode:
			out += " decoded"
		case closure.Behind:
			out += " " + string(s.Op) + " " + s.Text
		case closure.Translate:
			out += " translate"
		case closure.Search:
			out += " search"
		default:
			out += fmt.Sprintf(" %s %d", s.Op, s.N)
		}
	}
	return out
}
