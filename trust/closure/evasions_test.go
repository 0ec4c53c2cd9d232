package closure_test

import (
	"fmt"
	"testing"

	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// What a script does to hide what it starts. Each image has the programs of toolbox.
func TestResolve_evasions(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config inspect.Config
		files  image
		want   string
	}{
		"shell-linked":         {entry("/e.sh"), shellImage("/x -c 'nice /p/a'\n", image{"x": "-> /bin/dash"}), "a"},
		"shell-as-echo":        {entry("/e.sh"), shellImage("/echo -c 'nice /p/a'\n", image{"echo": "-> bin/sh"}), "a"},
		"shell-copied":         {entry("/e.sh"), shellImage("cp /bin/bash /tmp/y\n/tmp/y -c 'nice /p/a'\n", nil), "a"},
		"shell-reads-a-script": {entry("/x", "/s"), image{"x": "-> bin/sh", "s": "TEXT nice /p/a\n"}, "a s"},
		"python-linked":        {entry("/e.sh"), shellImage("/x -c \"import os; os.system('nice /p/a')\"\n", image{"x": "-> /usr/bin/python3"}), "a"},
		"wrapper-linked":       {entry("/e.sh"), shellImage("/x -n 5 /p/a\n", image{"x": "-> /usr/bin/nice"}), "a"},
		"first-line-linked":    {entry("/s"), image{"s": "#!/x\nnice /p/a\n", "x": "-> bin/sh"}, "a s"},
		"many-in-one":          {entry("/e.sh"), shellImage("/bin/echo -c 'nice /p/a'\n", image{"usr/bin/echo": "-> busybox"}), ""},
		"other-linked":         {entry("/e.sh"), shellImage("/x -c 'nice /p/a'\n", image{"x": "-> /p/b"}), "b"},
		"code-with-a-name":     {entry("/e.sh"), shellImage("python3 -c \"c='nice /p/a'; import os; os.system(c)\"\n", nil), "a"},
		"code-with-two-names":  {entry("/e.sh"), shellImage("python3 -uc \"c='nice /p/a'; d='nice /p/b'; import os; os.system(d)\"\n", nil), "b"},
		"code-joined":          {entry("/e.sh"), shellImage("node -e \"require('child_process').exec('nice /p' + '/a')\"\n", nil), "a"},
		"code-of-many-options": {entry("/e.sh"), shellImage("perl -lne 'my $c = \"nice /p/a\"; system($c);'\n", nil), "a"},
		"code-names-only":      {entry("/e.sh"), shellImage("python3 -c \"c='nice /p/a'; print(c)\"\n", nil), ""},
		"open-end":             {entry("/e.sh"), shellImage("/q/$(date)\n", image{"q/r/x": "ELF", "q/r/text": "TEXT x", "r/x": "ELF"}), "q/r/x"},
		"open-end-of-a-name":   {entry("/e.sh"), shellImage("sh /q/r$(date)z\n", image{"q/r/s/xz": "#!/bin/sh\n/p/a\n", "q/r/s/xy": "ELF", "q/s/xz": "ELF"}), "a q/r/s/xz"},
		"open-middle":          {entry("/e.sh"), shellImage("/q/$(date)/x\n", image{"q/r/s/x": "ELF", "q/r/s/y": "ELF", "t/r/x": "ELF"}), "q/r/s/x"},
		"open-in-a-shared":     {entry("/e.sh"), shellImage("/var/$(date)\n", image{"var/lib/x/y": "ELF"}), ""},
		"open-middle-shared":   {entry("/e.sh"), shellImage("/var/$(date)/y\n", image{"var/lib/x/y": "ELF"}), "var/lib/x/y"},
		"open-in-two-places":   {entry("/e.sh"), shellImage("/q/$(date)/r/x$(date)\n", image{"q/a/b/r/x1": "ELF", "q/a/r1": "ELF"}), "q/a/b/r/x1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := toolbox().with(tc.files)
			delete(files, "bin/sh") // toolbox links bin to usr/bin
			c := files.resolve(tc.config)
			if got := files.reached(c); got != tc.want || c.Everything() != "" {
				t.Errorf("%s: %q, want %q", c.Everything(), got, tc.want)
			}
		})
	}
}

// Of a folder with more than is looked at, all code runs, and nothing beside it.
func TestResolve_openEndIsBounded(t *testing.T) {
	t.Parallel()
	files := shellImage("/q/$(date)\n", image{"other/r/x": "ELF"})
	for i := range 2100 {
		files[fmt.Sprintf("q/r/%d", i)] = "ELF"
	}
	c := files.resolve(entry("/e.sh"))
	if got := len(files.running(c)); got != 2102 || c.Everything() != "" {
		t.Errorf("%s: %d files run", c.Everything(), got)
	}
}

// What looks like no text is read all the same when a shell or another interpreter is given it.
func TestResolve_unreadData(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ script, data, body, want string }{
		"shell":    {"sh /s\n", "s", "nice /p/a\n\x01", "a s"},
		"input":    {"sh < /s\n", "s", "nice /p/a\n\xff", "a s"},
		"python":   {"python3 /s\n", "s", "os.system('nice /p/a') # \xff", "a s"},
		"compiled": {"python3 /s.pyc\n", "s.pyc", "", "s.pyc"},
		"argument": {"/p/b /s\n", "s", "", "b s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := toolbox().with(image{"e.sh": "#!/bin/sh\n" + tc.script, tc.data: "DATA"})
			view := rootfs.Merge([]rootfs.Layer{{Digest: lower, Tree: files.tree()}})
			c := closure.Resolve(entry("/e.sh"), nil, false, view, nil)
			bodies := map[*rootfs.File]string{}
			for _, u := range c.Unread {
				bodies[u.File] = tc.body
			}
			if len(bodies) > 0 != (tc.body != "") {
				t.Errorf("%d unread", len(bodies))
			}
			c = closure.Resolve(entry("/e.sh"), nil, false, view, bodies)
			if got := files.reached(c); got != tc.want || c.Everything() != "" {
				t.Errorf("%s: %s, want %s", c.Everything(), got, tc.want)
			}
		})
	}
}
