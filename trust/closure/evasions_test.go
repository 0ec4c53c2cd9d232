package closure_test

import (
	"testing"

	"github.com/safepull/safepull/trust/inspect"
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
