package closure_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// fuzzScript resolves an image in which a script has a body that is made up, and checks what must always hold.
func fuzzScript(t *testing.T, config inspect.Config, name, body string) {
	t.Helper()
	files := image{
		"bin/sh": "ELF", "usr/bin/python3": "ELF", "usr/bin/node": "ELF", "usr/sbin/cron": "ELF", "sbin/init": "ELF", "usr/bin/nice": "ELF",
		"m": "ELF", "p/a": "DATA", "p/b": "TEXT b", "e.sh": "#!/bin/sh\n/m\n",
	}
	if body == "" || strings.HasPrefix(body, "->") {
		return
	}
	files[name] = body
	resolve := func() *closure.Closure { return files.resolve(config) }
	first, second := resolve(), resolve()
	for p := range files {
		f := trust.Finding{Layer: lower, Path: p}
		if first.Reach(f) != second.Reach(f) {
			t.Fatalf("%s: %q, then %q", p, first.Reach(f), second.Reach(f))
		}
	}
	if first.Everything() != second.Everything() || len(first.Commands) != len(second.Commands) || len(first.Joins) != len(second.Joins) {
		t.Fatal("the same image was followed in two ways")
	}
	for i, c := range first.Commands {
		if c.Text != second.Commands[i].Text || len(c.Text) > 64<<10 || strings.ContainsAny(c.Text, "\x00\x01\x02") {
			t.Fatalf("commands %q", c.Text)
		}
	}
	for _, j := range first.Joins {
		if len(j.Parts) == 0 || len(j.Parts) > 1024 {
			t.Fatalf("a join of %d files", len(j.Parts))
		}
	}
}

func FuzzShell(f *testing.F) {
	for _, seed := range []string{
		"A=/m; \"$A\" -x ${B:-y} $(dirname \"$0\") `pwd`\n", "for i in /p/*; do . $i; done; cat /p/a /p/b | base64 -d | sh\n",
		"case $1 in a) exec \"$@\";; esac; set -- x \"$@\"\n", "bash <<EOF\n/m $X\nEOF\n", "f() { eval \"$1\"; }; trap 'f /m' EXIT\n", "$'\\x2fm' ${A##*/} ${A%/*} \"${A[@]}\" $((1+1)) <(cat /p/b)\n",
		"cp /m /x; chmod +x /x; /x & dd if=/p/a of=/y seek=1\n", "if ; then ( {{ \"", "unzip -P x /p/a; su - u -c '/m'; find /p -exec /m {} \\;", "A=(/m b); A+=c; declare -x B=\"$A $A\"; $B\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fuzzScript(t, inspect.Config{Entrypoint: []string{"/s.sh"}, Cmd: []string{"-a", "/m"}, Env: []string{"X=/m"}}, "s.sh", body)
		fuzzScript(t, entry("sh", "-c", body), "unused", "#!/bin/sh\n")
	})
}

func FuzzProgram(f *testing.F) {
	for _, seed := range []string{
		"import os, a.b as c\nfrom . import d\nos.system('/m -x')\nsubprocess.Popen([\"/m\", '-o'])\nexec(open('/p/b').read())\n", "require('./x'); import y from \"y\"; child_process.spawn('/m', ['-o'])\n",
		"my $x = `/m`; system('/m', qw(a)); do './y.pl';\n", "'''unclosed", "z.extractall(pwd=b'x') # '/p/a.zip'\n", "{\"scripts\":{\"start\":\"/m\"},\"main\":\"x.js\"}",
		"var a = 'x' + 'y'; exec(' ')\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for program, name := range map[string]string{"python3": "x.py", "node": "x.js", "perl": "x.pl", "ruby": "x.rb", "php": "x.php"} {
			fuzzScript(t, entry(program, "/"+name), name, body)
		}
		fuzzScript(t, inspect.Config{Cmd: []string{"npm", "start"}}, "package.json", body)
	})
}

func FuzzStartUp(f *testing.F) {
	for _, seed := range []string{
		"* * * * * root /m\n@reboot /m\nA=b\n", "[Service]\nExecStart=-/m \\\n x\nEnvironment=A=b\nEnvironmentFile=-/p/b\n", "[program:x]\ncommand=/m\nenvironment=A=\"b\",C=d\n[include]\nfiles = /p/*\n",
		"::respawn:/m\nid:3:wait:-/m\n", "#!/usr/bin/execlineb -P\nforeground { /m } nice /m\n", "/p/a:/p/b /m", "all:\n\t@-/m\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for name, program := range map[string]string{
			"etc/crontab": "cron", "etc/systemd/system/a.service": "/sbin/init", "etc/inittab": "/sbin/init", "etc/supervisord.conf": "supervisord",
			"etc/services.d/a/run": "/sbin/init", "etc/ld.so.preload": "/m", "Makefile": "make",
		} {
			fuzzScript(t, entry(program), name, body)
		}
	})
}

// FuzzResolve: whatever the configuration and the links, following ends, and what is hidden does not run.
func FuzzResolve(f *testing.F) {
	f.Add("/bin/sh -c /a", "a", "b", "/m")
	f.Add("x", "bin", "../usr/bin", "..")
	f.Fuzz(func(t *testing.T, command, from, to, work string) {
		if from == "" || strings.ContainsRune(from, 0) || !utf8.ValidString(from) {
			return
		}
		var low, high trust.Tree
		low.Add(trust.TreeEntry{Path: "m", Type: trust.TypeFile, Kind: trust.KindExecutable})
		low.Add(trust.TreeEntry{Path: from, Type: trust.TypeSymlink, Target: to})
		high.Add(trust.TreeEntry{Path: ".wh.m", Type: trust.TypeFile})
		layers := []rootfs.Layer{{Digest: lower, Tree: low}, {Digest: "sha256:high", Tree: high}}
		c := closure.Resolve(inspect.Config{Entrypoint: strings.Fields(command), WorkingDir: work}, closure.LinksOf(rootfs.Links(low)), false, rootfs.Merge(layers), nil)
		if r := c.Reach(trust.Finding{Layer: lower, Path: "m"}); c.Everything() == "" && r != trust.ReachHidden && from != "m" {
			t.Fatalf("a hidden file is %q", r)
		}
	})
}
