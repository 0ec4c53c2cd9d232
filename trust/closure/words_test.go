package closure_test

import (
	"strconv"
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
		"folder":              {inspect.Config{Cmd: []string{"sh", "-c", "for f in /opt/conf/*; do . $f; done"}}, []string{"opt/conf/a"}, []string{"opt/a", "opt/conf/b/a"}},
		"pattern":             {inspect.Config{WorkingDir: "/opt", Cmd: []string{"sh", "-c", ". conf/x?"}}, []string{"opt/conf/xy"}, []string{"opt/xy"}},
		"run-parts":           {inspect.Config{Cmd: []string{"run-parts", "/opt/d/"}}, []string{"opt/d/x"}, []string{"opt/x"}},
		"behind-a-variable":   {inspect.Config{Cmd: []string{"sh", "-c", ". ${HOME}/lib/env"}}, []string{"root/lib/env", "lib/env"}, []string{"root/lib/other"}},
		"odd-names":           {inspect.Config{Cmd: []string{"sh", "/opt/st\u00e4rt me"}}, []string{"opt/st\u00e4rt me"}, []string{"opt/st\u00e4rt you"}},
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
		{trust.Finding{Path: "run!/x!/y", Strength: trust.Weak, IfRun: trust.Proof}, trust.Proof},
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

func TestFollow(t *testing.T) {
	t.Parallel()
	config := inspect.Config{Entrypoint: []string{"sh", "/start"}, Cmd: []string{"/app/run", "/conf/"}}
	many := make(map[string]string, 1<<18+1)
	for i := range 1<<18 + 1 {
		many[strconv.Itoa(i)] = "x"
	}
	tests := map[string]struct {
		layers     []map[string]string
		cut        bool
		named, not []string
	}{
		"link":            {[]map[string]string{{"start": "usr/share/doc/notes.md"}}, false, []string{"usr/share/doc/notes.md", "start"}, []string{"usr/share/doc/other.md"}},
		"chain":           {[]map[string]string{{"start": "a", "a": "b/c", "b": "d"}}, false, []string{"a", "b/c", "d/c"}, []string{"d/e"}},
		"across-layers":   {[]map[string]string{{"a": "b"}, {"start": "a"}}, false, []string{"b"}, []string{"c"}},
		"across-backward": {[]map[string]string{{"start": "a"}, {"a": "b"}}, false, []string{"b"}, []string{"c"}},
		"folder-above":    {[]map[string]string{{"app": "usr/share/doc/x"}}, false, []string{"usr/share/doc/x/run"}, []string{"usr/share/doc/x/ran"}},
		"folder-itself":   {[]map[string]string{{"conf": "srv/c"}}, false, []string{"srv/c/any"}, []string{"srv/any"}},
		"search-path":     {[]map[string]string{{"bin": "opt/tools"}}, false, []string{"opt/tools/sh"}, []string{"opt/sh"}},
		"earlier-folder":  {[]map[string]string{{"srv/c/x": "doc/x"}, {"conf": "srv/c"}}, false, []string{"doc/x"}, []string{"doc/y"}},
		"earlier-search":  {[]map[string]string{{"opt/tools/sh": "doc/x"}, {"bin": "opt/tools"}}, false, []string{"doc/x"}, []string{"doc/y"}},
		"unpacked-there":  {[]map[string]string{{"d": "app"}}, false, []string{"d/run"}, []string{"d/ran"}},
		"unpacked-far":    {[]map[string]string{{"d": "e/f"}, {"e": "srv", "srv/f": "app"}}, false, []string{"d/run"}, []string{"d/ran"}},
		"below-itself":    {[]map[string]string{{"app": "app/x"}}, false, []string{"app/x/run", "app/x/x/run"}, []string{"app/x/ran"}},
		"doubling":        {[]map[string]string{{"app": "app/x"}, {"app": "app/y"}}, false, []string{"anything"}, nil},
		"doubling-alone":  {[]map[string]string{{"app": "app/run", "app/run": "app/run/b"}}, false, []string{"anything"}, nil},
		"too-long":        {[]map[string]string{{"app": "app/" + strings.Repeat("x/", 2048)}}, false, []string{"anything"}, nil},
		"loop":            {[]map[string]string{{"start": "a", "a": "start"}}, false, []string{"a"}, []string{"b"}},
		"not-named":       {[]map[string]string{{"stop": "a"}}, false, nil, []string{"a"}},
		"cut":             {[]map[string]string{nil}, true, []string{"anything"}, nil},
		"too-many":        {[]map[string]string{many}, false, []string{"anything"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := closure.Of(config)
			c.Follow(closure.LinksOf(tt.layers...), tt.cut)
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
	var nothing closure.Closure
	nothing.Follow(closure.LinksOf(map[string]string{"a": "b"}), true)
	if nothing.Names("a") || nothing.Names("b") {
		t.Error("a closure of nothing names a file")
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

func TestOf_workingDirectoryIsBounded(t *testing.T) {
	t.Parallel()
	if c := closure.Of(inspect.Config{WorkingDir: strings.Repeat("/w", 1<<20), Cmd: []string{"x"}}); !c.Names("any/other") {
		t.Error("a working directory that is too long to read must name every file")
	}
}

func TestFollow_deepPaths(t *testing.T) {
	t.Parallel()
	c := closure.Of(inspect.Config{Cmd: []string{strings.Repeat("/w", 1<<16)}})
	c.Follow(closure.LinksOf(map[string]string{"w": "v"}), false)
	if c.Names("any/other") {
		t.Error("a word that is longer than every path names every file")
	}
}

func FuzzOf(f *testing.F) {
	f.Add("python3 /x.py", "/app", "PATH=/a:b", "app", "app/x")
	f.Fuzz(func(_ *testing.T, cmd, dir, env, from, to string) {
		c := closure.Of(inspect.Config{Cmd: []string{cmd}, WorkingDir: dir, Env: []string{env}})
		c.Follow(closure.LinksOf(map[string]string{from: to}, map[string]string{from: from + to}), false)
		c.Names(cmd)
	})
}
