package closure_test

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
)

func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config inspect.Config
		named  []string
		not    []string
	}{
		"absolute-path":       {inspect.Config{Entrypoint: []string{"/opt/run.txt"}}, []string{"opt/run.txt", "/opt/run.txt"}, []string{"opt/other.txt", "run.txt"}},
		"relative-to-workdir": {inspect.Config{WorkingDir: "/app", Cmd: []string{"python3", "dao"}}, []string{"app/dao", "usr/bin/python3"}, []string{"dao", "srv/dao"}},
		"looked-up-in-path":   {inspect.Config{Entrypoint: []string{"start"}}, []string{"usr/local/bin/start", "bin/start"}, []string{"opt/start"}},
		"own-path":            {inspect.Config{Entrypoint: []string{"start"}, Env: []string{"PATH=/srv/tools:/bin"}}, []string{"srv/tools/start"}, []string{"usr/bin/start"}},
		"inside-a-script":     {inspect.Config{Cmd: []string{"sh", "-c", "cd /tmp; exec '/opt/x y' --config=/etc/m.json & . ./lib"}}, []string{"etc/m.json", "lib"}, []string{"etc/n.json"}},
		"python-module":       {inspect.Config{Entrypoint: []string{"python", "-m", "acme.worker"}}, []string{"usr/lib/python3/site-packages/acme/worker.py", "srv/acme/worker/__main__.py"}, []string{"srv/worker.py"}},
		"health-check":        {inspect.Config{Healthcheck: []string{"CMD-SHELL", "/check || exit 1"}}, []string{"check"}, nil},
		"environment":         {inspect.Config{Env: []string{"LD_PRELOAD=/usr/lib/x.so"}}, []string{"usr/lib/x.so"}, nil},
		"dots":                {inspect.Config{WorkingDir: "/a/b", Entrypoint: []string{"../c/./run"}}, []string{"a/c/run"}, nil},
		"nothing":             {inspect.Config{}, nil, []string{"etc/passwd", ".", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := closure.Of(tt.config)
			for _, p := range tt.named {
				if !c.Names(p) {
					t.Errorf("%q is not named", p)
				}
			}
			for _, p := range tt.not {
				if c.Names(p) {
					t.Errorf("%q is named", p)
				}
			}
		})
	}
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	c := closure.Of(inspect.Config{Entrypoint: []string{"/run"}})
	tests := []struct {
		f    trust.Finding
		want trust.Strength
	}{
		{trust.Finding{Path: "run", Strength: trust.Weak, IfRun: trust.Proof}, trust.Proof},
		{trust.Finding{Path: "other", Strength: trust.Weak, IfRun: trust.Proof}, trust.Weak},
		{trust.Finding{Path: "run", Strength: trust.Strong}, trust.Strong},
		{trust.Finding{Path: "run", Strength: trust.Strong, IfRun: trust.Weak}, trust.Strong},
	}
	for _, tt := range tests {
		if got := c.Weigh(tt.f).Strength; got != tt.want {
			t.Errorf("%+v weighs %s, want %s", tt.f, got, tt.want)
		}
	}
	var none closure.Closure
	if none.Names("run") {
		t.Error("the zero closure names a file")
	}
}

func TestOf_isBounded(t *testing.T) {
	t.Parallel()
	c := closure.Of(inspect.Config{Cmd: []string{strings.Repeat("/w ", 100_000) + "/last"}})
	if !c.Names("last") || !c.Names("any/other") {
		t.Error("a configuration with too many words to read must name every file")
	}
	if c = closure.Of(inspect.Config{Cmd: []string{strings.Repeat("/w ", 4095), "/last"}}); !c.Names("last") || c.Names("any/other") {
		t.Error("a configuration within the limit must name its own files only")
	}
}

func FuzzOf(f *testing.F) {
	f.Add("python3 /x.py", "/app", "PATH=/a:b")
	f.Fuzz(func(_ *testing.T, cmd, dir, env string) {
		closure.Of(inspect.Config{Cmd: []string{cmd}, WorkingDir: dir, Env: []string{env}}).Names(cmd)
	})
}
