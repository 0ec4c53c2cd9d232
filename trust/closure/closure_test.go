package closure_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// image is a file system of one layer: paths to contents. A content that begins with "->" is a symbolic link, "ELF" is a
// program, "DATA" is neither text nor program, "TEXT " begins text that is no script, "CUT " a script of which no more
// than that is kept.
type image map[string]string

// cutSize is how long the scripts are of which a part is kept: more than is parsed as shell.
const cutSize = 300 << 10

var lower = digest.FromString("layer")

func (i image) tree() trust.Tree {
	var t trust.Tree
	for _, p := range slices.Sorted(maps.Keys(i)) {
		body := i[p]
		e := trust.TreeEntry{Path: p, Type: trust.TypeFile, Mode: 0o755, Size: int64(len(body)), Kind: trust.KindScript}
		switch {
		case strings.HasPrefix(body, "->"):
			e.Type, e.Target, e.Kind, e.Size = trust.TypeSymlink, strings.TrimSpace(body[2:]), "", 0
		case body == "ELF":
			e.Kind = trust.KindExecutable
		case strings.HasPrefix(body, "DATA"):
			e.Kind = trust.KindData
		case strings.HasPrefix(body, "TEXT "):
			e.Kind, e.Body, e.Size, e.Mode = trust.KindText, body[5:], e.Size-5, 0o644
		case strings.HasPrefix(body, "CUT "):
			e.Body, e.Size = body[4:], cutSize
		default:
			e.Body = body
		}
		t.Add(e)
	}
	return t
}

func (i image) resolve(c inspect.Config, upper ...image) *closure.Closure {
	layers := []rootfs.Layer{{Digest: lower, Tree: i.tree()}}
	links := []map[string]string{rootfs.Links(layers[0].Tree)}
	for n, u := range upper {
		l := rootfs.Layer{Digest: digest.FromString(strings.Repeat("upper", n+1)), Tree: u.tree()}
		layers = append(layers, l)
		links = append(links, rootfs.Links(l.Tree))
	}
	return closure.Resolve(c, closure.LinksOf(links...), false, rootfs.Merge(layers), nil)
}

// running are the files of the image's lowest layer that run, without the words of the configuration.
func (i image) running(c *closure.Closure) []string {
	var got []string
	for _, p := range slices.Sorted(maps.Keys(i)) {
		if strings.HasPrefix(i[p], "->") {
			continue
		}
		kind := trust.KindScript
		if strings.HasPrefix(i[p], "TEXT ") {
			kind = trust.KindText
		}
		if c.Reach(trust.Finding{Layer: lower, Path: p, Kind: kind}) == trust.ReachRuns {
			got = append(got, p)
		}
	}
	return got
}

func entry(argv ...string) inspect.Config { return inspect.Config{Entrypoint: argv} }

// shellFiles are what every image of the tests has.
func (i image) with(more image) image {
	all := image{}
	maps.Copy(all, i)
	maps.Copy(all, more)
	return all
}

func TestResolve(t *testing.T) {
	t.Parallel()
	base := image{
		"bin": "-> usr/bin", "usr/bin/dash": "ELF", "usr/bin/sh": "-> dash", "usr/bin/bash": "ELF", "usr/bin/env": "ELF", "usr/bin/cat": "ELF",
		"usr/bin/python3": "-> python3.11", "usr/bin/python3.11": "ELF", "usr/bin/node": "ELF", "usr/bin/perl": "ELF",
		"usr/bin/tini": "ELF", "usr/sbin/cron": "ELF", "usr/bin/supervisord": "ELF", "sbin/init": "ELF", "m": "ELF", "opt/m": "ELF", "opt/x/m": "ELF",
		"etc/bash.bashrc": "", "unused.sh": "exec /unused\n", "unused": "ELF",
	}
	sh := func(body string) image { return image{"e.sh": "#!/bin/sh\n" + body} }
	run := entry("/e.sh")
	for name, tc := range map[string]struct {
		config inspect.Config
		files  image
		want   string // of base, all that is not in usr/bin
	}{
		"exec-form":              {entry("/m"), nil, "m"},
		"shell-form":             {entry("/bin/sh", "-c", "exec /opt/m --x"), nil, "opt/m"},
		"script":                 {run, sh("exec /opt/m\n"), "e.sh opt/m"},
		"wrapper":                {entry("tini", "--", "/e.sh"), sh("nohup nice -n 10 /opt/m &\n"), "e.sh opt/m"},
		"variable":               {run, sh("D=/opt\nX=\"$D\"/m\n\"$X\" -o y\n"), "e.sh opt/m"},
		"variable-of-two":        {run, sh("if true; then D=/opt; else D=/opt/x; fi\n$D/m\n"), "e.sh opt/m opt/x/m"},
		"default":                {run, sh("${M:-/opt/m}\n"), "e.sh opt/m"},
		"environment":            {inspect.Config{Entrypoint: []string{"/e.sh"}, Env: []string{"D=/opt"}}, sh("$D/x/m\n"), "e.sh opt/x/m"},
		"all-arguments":          {inspect.Config{Entrypoint: []string{"/e.sh"}, Cmd: []string{"run"}}, sh("exec \"$@\"\n").with(image{"usr/local/bin/run": "/opt/m\n"}), "e.sh opt/m usr/local/bin/run"},
		"set-arguments":          {run, sh("set -- /opt/m \"$@\"\nexec \"$@\"\n"), "e.sh opt/m"},
		"first-argument":         {entry("/e.sh", "/opt/m"), sh("\"$1\" --go\n"), "e.sh opt/m"},
		"cd":                     {run, sh("cd /opt && ./m\n"), "e.sh m opt/m"}, // the folder before counts too
		"own-folder":             {entry("/opt/e.sh"), image{"opt/e.sh": "#!/bin/sh\nD=$(cd \"$(dirname \"$0\")\" && pwd)\n$D/x/m\n"}, "opt/e.sh opt/x/m"},
		"unknown-folder":         {run, sh("$(where)/x/m\n"), "e.sh opt/x/m"},
		"unknown-ending":         {run, sh("/opt/m-$(uname -m)\n").with(image{"opt/m-x86": "ELF", "opt/n-x86": "ELF"}), "e.sh opt/m-x86"},
		"unknown-command":        {entry("/opt/e.sh"), image{"opt/e.sh": "#!/bin/sh\n$WHAT\n", "opt/notes": "TEXT a"}, "opt/e.sh opt/m"},
		"source":                 {run, sh(". /opt/lib\n$M\n").with(image{"opt/lib": "M=/opt/m\n"}), "e.sh opt/lib opt/m"},
		"source-twice":           {run, sh(". /opt/lib\n. /opt/lib\n").with(image{"opt/lib": ". /e.sh\n"}), "e.sh opt/lib"},
		"eval":                   {run, sh("eval \"/opt/m -x\"\n"), "e.sh opt/m"},
		"sh-c":                   {run, sh("bash -c 'X=/opt/m; exec $X'\n"), "e.sh opt/m"},
		"heredoc":                {run, sh("bash <<EOF\n/opt/m\nEOF\n"), "e.sh opt/m"},
		"heredoc-of-a-script":    {run, sh("cat > /tmp/x <<'EOF'\n#!/bin/sh\n/opt/m\nEOF\n"), "e.sh opt/m"},
		"heredoc-of-text":        {run, sh("cat > /tmp/x <<'EOF'\n/opt/m\nEOF\n"), "e.sh"},
		"pipe-into-a-shell":      {run, sh("cat /opt/lib | sh\n").with(image{"opt/lib": "/opt/m\n"}), "e.sh opt/lib opt/m"},
		"echo-into-a-shell":      {run, sh("echo /opt/m | sh -s\n"), "e.sh opt/m"},
		"pipe-into-a-pager":      {run, sh("cat /opt/lib | less\n").with(image{"opt/lib": "/opt/m\n"}), "e.sh"},
		"copied":                 {run, sh("cp /opt/m /tmp/y\n/tmp/y &\n"), "e.sh opt/m"},
		"copied-later":           {run, sh("later() { /tmp/y; }\ncp /opt/m /tmp/y\nlater\n"), "e.sh opt/m"},
		"copied-into-a-folder":   {run, sh("cp /opt/m /tmp/\n/tmp/m\n"), "e.sh opt/m"},
		"folder-copied":          {run, sh("cp -r /opt /srv\n/srv/x/m\n"), "e.sh opt/x/m"},
		"copied-and-left":        {run, sh("cp /opt/m /tmp/y\n"), "e.sh"},
		"made-executable":        {run, sh("chmod +x /opt/m\n"), "e.sh opt/m"},
		"made-readable":          {run, sh("chmod 644 /opt/m\n"), "e.sh"},
		"inert":                  {run, sh("rm -f /opt/m; ls /opt/m; echo /opt/m\n"), "e.sh"},
		"settings":               {run, sh("/opt/m --config=/etc/a.conf -c /etc/b.conf\n").with(image{"etc/a.conf": "TEXT a", "etc/b.conf": "TEXT b", "etc/c.conf": "TEXT c"}), "e.sh etc/a.conf etc/b.conf opt/m"},
		"settings-beside":        {run, sh("/opt/m\n").with(image{"opt/config.json": "TEXT a", "opt/README": "TEXT a"}), "e.sh opt/config.json opt/m"},
		"joined":                 {run, sh("cat /opt/a /opt/b > /tmp/ab; chmod +x /tmp/ab; /tmp/ab\n").with(image{"opt/a": "DATA", "opt/b": "DATA"}), "e.sh opt/a opt/b"},
		"hooks-of-git":           {run, sh("cd /app && git checkout -q main\n").with(image{"app/.git/hooks/post-checkout": "/opt/m\n", "app/.git/hooks/pre-commit.sample": "/opt/x/m\n"}), "app/.git/hooks/post-checkout e.sh opt/m"},
		"before-every-page":      {entry("php-fpm"), image{"usr/local/etc/php/conf.d/z.ini": "auto_prepend_file = /opt/p.php\n", "opt/p.php": "<?php system('/opt/m');\n", "opt/m": "ELF"}, "opt/m opt/p.php usr/local/etc/php/conf.d/z.ini"},
		"set-up-of-a-folder":     {run, sh("cd /app && pip install .\n").with(image{"app/setup.py": "import os\nos.system('/opt/m')\n"}), "app/setup.py e.sh opt/m"},
		"package-of-the-image":   {run, sh("dpkg -i /opt/app.deb\n").with(image{"opt/app.deb": "DATA"}), "e.sh opt/app.deb"},
		"loaded-by-a-server":     {entry("airflow"), image{"opt/airflow/dags/d.py": "import os\nos.system('/opt/m')\n", "opt/m": "ELF"}, "opt/airflow/dags/d.py opt/m"},
		"rotation-of-logs":       {run, sh("logrotate /etc/logrotate.conf\n").with(image{"etc/logrotate.d/x": "TEXT postrotate"}), "e.sh etc/logrotate.d/x"},
		"loop":                   {run, sh("for f in /opt/d/*.sh; do . \"$f\"; done\n").with(image{"opt/d/a.sh": "/opt/m\n", "opt/d/b.txt": "TEXT b"}), "e.sh opt/d/a.sh opt/m"},
		"find-loop":              {run, sh("find /opt/d -name '*.sh' | while read f; do sh $f; done\n").with(image{"opt/d/a.sh": "/opt/m\n", "opt/d/b": "/opt/x/m\n"}), "e.sh opt/d/a.sh opt/m"},
		"run-parts":              {run, sh("run-parts /opt/d\n").with(image{"opt/d/a": "/opt/m\n"}), "e.sh opt/d/a opt/m"},
		"not-parsed":             {run, sh("if ; then\n/opt/m -x \"\n"), "e.sh opt/m"},
		"busybox":                {entry("/bin/ash", "/e.sh"), sh("/opt/m\n").with(image{"usr/bin/busybox": "ELF", "usr/bin/ash": "-> /bin/busybox"}), "e.sh opt/m"},
		"search-path-order":      {inspect.Config{Entrypoint: []string{"x"}, Env: []string{"PATH=/a:/b"}}, image{"a/x": "ELF", "b/x": "ELF"}, "a/x b/x"}, // words name both
		"path-in-script":         {inspect.Config{Entrypoint: []string{"/e.sh"}, Env: []string{"PATH=/a:/b"}}, sh("x\n").with(image{"a/x": "ELF", "b/x": "ELF"}), "a/x e.sh"},
		"shebang":                {entry("/e"), image{"e": "#!/usr/bin/env python3\nimport os\nos.system('/opt/m -x')\n"}, "e opt/m"},
		"own-interpreter":        {entry("/e"), image{"e": "#!/opt/x/m\n"}, "e opt/x/m"},
		"python-list":            {entry("python3", "/a.py"), image{"a.py": "import subprocess\nsubprocess.Popen([\n  \"/opt/m\", '-o', x])\n"}, "a.py opt/m"},
		"python-sibling":         {entry("python3", "/app/a.py"), image{"app/a.py": "from lib import b\nimport c.d as e, f\n", "app/lib/b.py": "", "app/c/d.py": "x", "app/f.py": "import os; os.execv('/opt/m', [])\n", "app/g.py": "x"}, "app/a.py app/c/d.py app/f.py opt/m"},
		"python-module":          {inspect.Config{Entrypoint: []string{"python3", "-m", "app.w"}, WorkingDir: "/srv"}, image{"srv/app/__init__.py": "x", "srv/app/w.py": "os.popen('/opt/m')\n"}, "opt/m srv/app/w.py"},
		"python-package":         {entry("python3", "/a.py"), image{"a.py": "import one\n", "usr/lib/python3/dist-packages/one/x.py": "x", "usr/lib/python3/dist-packages/two/x.py": "x"}, "a.py"},
		"python-start-up":        {entry("python3", "/a.py"), image{"a.py": "x", "usr/lib/python3/dist-packages/a.pth": "import os; os.system('/opt/m')\n"}, "a.py opt/m"},
		"node":                   {entry("node", "/app/a.js"), image{"app/a.js": "const b = require('./b'); require('pkg')\n", "app/b.js": "child_process.spawn('/opt/m', ['-o'])\n", "app/node_modules/pkg/c.js": "x", "app/node_modules/other/c.js": "x"}, "app/a.js app/b.js app/node_modules/pkg/c.js opt/m"},
		"npm":                    {inspect.Config{Entrypoint: []string{"npm", "start"}, WorkingDir: "/app"}, image{"usr/bin/npm": "-> /usr/lib/npm.js", "usr/lib/npm.js": "#!/usr/bin/env node\n", "app/package.json": `{"scripts":{"start":"node a.js","poststart":"/opt/m"}}`, "app/a.js": "x"}, "app/a.js app/package.json opt/m"},
		"perl":                   {entry("perl", "/a.pl"), image{"a.pl": "system('/opt/m'); my $x = `/opt/x/m`;\n"}, "a.pl opt/m opt/x/m"},
		"health-check":           {inspect.Config{Healthcheck: []string{"CMD-SHELL", "X=/opt/m; $X"}}, nil, "opt/m"},
		"on-build":               {inspect.Config{OnBuild: []string{"RUN D=/opt; $D/m"}}, nil, "opt/m"},
		"preload":                {entry("/m"), image{"etc/ld.so.preload": "/opt/x/m\n"}, "etc/ld.so.preload m opt/x/m"},
		"bash-env":               {inspect.Config{Entrypoint: []string{"/m"}, Env: []string{"BASH_ENV=/opt/lib"}}, image{"opt/lib": "/opt/m\n"}, "m opt/lib opt/m"},
		"cron":                   {entry("cron", "-f"), image{"etc/crontab": "SHELL=/bin/sh\n# x\n*/5 * * * * root /opt/m\n", "etc/cron.daily/a": "/opt/x/m\n"}, "etc/cron.daily/a etc/crontab opt/m opt/x/m"},
		"cron-of-a-user":         {entry("/usr/sbin/cron"), image{"var/spool/cron/crontabs/root": "@reboot cd /opt; ./m\n"}, "m opt/m var/spool/cron/crontabs/root"},
		"cron-not-started":       {entry("/m"), image{"etc/crontab": "*/5 * * * * root /opt/m\n", "etc/cron.daily/a": "/opt/m\n"}, "m"},
		"service-cron":           {run, sh("service cron start\n").with(image{"etc/cron.d/a": "* * * * * root /opt/m\n", "etc/init.d/cron": "/usr/sbin/cron\n"}), "e.sh etc/cron.d/a etc/init.d/cron opt/m"},
		"supervisor":             {entry("supervisord"), image{"etc/supervisor/conf.d/a.conf": "[program:x]\nenvironment=D=\"/opt\"\ncommand=/opt/m -c %(x)s\n"}, "etc/supervisor/conf.d/a.conf opt/m"},
		"supervisor-elsewhere":   {entry("supervisord", "-c", "/s.conf"), image{"s.conf": "[include]\nfiles = d/*.ini\n", "d/a.ini": "[program:x]\ncommand = /opt/m\n"}, "d/a.ini opt/m s.conf"},
		"systemd":                {entry("/sbin/init"), image{"etc/systemd/system/a.service": "[Service]\nEnvironment=D=/opt\nExecStart=-/opt/m \\\n  -x\n", "lib/systemd/system/b.service": "ExecStart=/opt/x/m\n"}, "etc/systemd/system/a.service opt/m sbin/init"},
		"systemd-not-started":    {entry("/m"), image{"etc/systemd/system/a.service": "[Service]\nExecStart=/opt/m\n"}, "m"},
		"inittab":                {entry("/sbin/init"), image{"etc/inittab": "::sysinit:/opt/m -x\n# a\n"}, "etc/inittab opt/m sbin/init"},
		"s6":                     {entry("/init"), image{"init": "#!/bin/sh\n", "etc/services.d/a/run": "#!/usr/bin/with-contenv bash\nexec /opt/m\n", "etc/cont-init.d/b": "#!/usr/bin/execlineb -P\nforeground { /opt/x/m }\n"}, "etc/cont-init.d/b etc/services.d/a/run init opt/m opt/x/m"},
		"profile-of-a-prompt":    {inspect.Config{Cmd: []string{"bash"}}, image{"root/.bashrc": "/opt/m\n"}, "etc/bash.bashrc opt/m root/.bashrc"},
		"profile-of-a-login":     {entry("bash", "-lc", "true"), image{"etc/profile.d/a.sh": "/opt/m\n"}, "etc/bash.bashrc etc/profile.d/a.sh opt/m"},
		"profile-of-no-prompt":   {run, sh("bash /x\n").with(image{"root/.bashrc": "/opt/m\n", "etc/profile.d/a.sh": "/opt/m\n", "x": "true\n"}), "e.sh x"},
		"entrypoint-folder":      {entry("/m"), image{"docker-entrypoint.d/a.sh": "/opt/m\n"}, "docker-entrypoint.d/a.sh m opt/m"},
		"value-in-a-file":        {run, sh("M=$(cat /etc/which)\n$M\n").with(image{"etc/which": "TEXT /opt/m\n"}), "e.sh etc/which opt/m"},
		"dollar-quote":           {run, sh("$'\\x2fopt\\057m'\n"), "e.sh opt/m"},
		"array":                  {run, sh("A=(/opt/m -o x)\n\"${A[@]}\"\n"), "e.sh opt/m"},
		"find-exec":              {run, sh("find /srv -exec /opt/m {} \\;\n"), "e.sh opt/m"},
		"chroot-su":              {run, sh("su - user -c \"/opt/m -x\"\n"), "e.sh etc/bash.bashrc opt/m"},
		"zip-archive-in-scripts": {run, sh("unzip -P secret /opt/a.zip -d /tmp\n").with(image{"opt/a.zip": "DATA"}), "e.sh opt/a.zip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := base.with(tc.files)
			c := files.resolve(tc.config)
			var got []string
			for _, p := range files.running(c) {
				if !strings.HasPrefix(p, "usr/bin/") && !strings.HasPrefix(p, "usr/sbin/") && !strings.HasPrefix(p, "usr/lib/") && files[p] != "" {
					got = append(got, p)
				}
			}
			want := strings.Fields(strings.ReplaceAll(" "+tc.want+" ", " etc/bash.bashrc ", " "))
			if diff := cmp.Diff(want, got); diff != "" || c.Everything() != "" {
				t.Errorf("%s\n%s", c.Everything(), diff)
			}
		})
	}
}
