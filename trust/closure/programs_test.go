package closure_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/inspect"
)

// Programs in other languages are read for what they call, whichever way strings are written.
func TestProgram_calls(t *testing.T) {
	t.Parallel()
	for language, bodies := range map[string]map[string]string{
		"python3 /x.py": {
			"system": "import os\nos.system('/p/a -x')\n", "popen": "os.popen(\"/p/a\").read()\n", "run-list": "subprocess.run(['/p/a', '-x'], check=True)\n", "run-shell": "subprocess.run('nice /p/a', shell=True)\n", "over-lines": "subprocess.Popen(\n    [\n        '/p/a',\n        '-x',\n    ],\n)\n",
			"check": "subprocess.check_call(('/p/a',))\n", "imported": "from subprocess import Popen\nPopen(['/p/a'])\n", "exec": "os.execvp('/p/a', ['a'])\n", "exec-list": "os.execl('/p/a', 'a', '-x')\n", "spawn": "os.spawnlp(os.P_NOWAIT, '/p/a', 'a')\n", "posix": "os.posix_spawn('/p/a', ['a'], os.environ)\n",
			"async": "await asyncio.create_subprocess_exec('/p/a', '-x')\n", "async-shell": "await asyncio.create_subprocess_shell('nice /p/a')\n", "pty": "pty.spawn('/p/a')\n", "library": "ctypes.CDLL('/p/a')\n", "raw": "os.system(r'/p/a')\n", "bytes": "os.system(b'/p/a')\n", "triple": "os.system('''/p/a''')\n",
			"format": "os.system(f'/p/a -x {y}')\n", "through-a-shell": "subprocess.call(['sh', '-c', 'nice /p/a'])\n", "environment": "subprocess.Popen(['env', 'X=1', '/p/a'])\n", "escaped": "os.system('\\x2fp\\x2fa')\n", "variable": "cmd = '/p/a'\nos.system(cmd)\n",
			"joined": "os.system('/p/' + 'a')\n", "path-join": "os.system(os.path.join('/p', 'a'))\n", "list-before": "cmd = ['/p/a', '-x']\nsubprocess.Popen(cmd)\n", "exec-file": "exec(open('/p/a.py').read())\n", "runpy": "runpy.run_path('/p/a.py')\n", "windows": "import os\r\nos.system('/p/a')\r\n",
		},
		"node /x.js": {
			"exec": "require('child_process').exec('/p/a -x')\n", "spawn": "const { spawn } = require('child_process')\nspawn('/p/a', ['-x'])\n", "spawn-sync": "cp.spawnSync(\"/p/a\")\n", "file": "execFile('/p/a', ['-x'], cb)\n", "file-sync": "execFileSync('/p/a')\n", "template": "execSync(`/p/a -x`)\n",
			"shell": "spawn('sh', ['-c', 'nice /p/a'])\n", "fork": "fork('/p/a.js')\n", "import": "import '/p/a.js'\n", "dynamic-import": "await import('/p/a.js')\n", "require": "require('/p/a.js')\n", "worker": "new Worker('/p/a.js')\n", "variable": "const c = '/p/a'\nexec(c)\n",
		},
		"perl /x.pl": {
			"system": "system('/p/a', '-x');\n", "system-bare": "system \"/p/a -x\";\n", "exec": "exec('/p/a');\n", "back-quotes": "my $x = `/p/a -x`;\n", "qx": "my $x = qx(/p/a -x);\n", "qx-braces": "my $x = qx{/p/a -x};\n", "open-pipe": "open(my $f, '-|', '/p/a', '-x');\n", "open-old": "open(F, \"/p/a -x|\");\n", "do": "do '/p/a.pl';\n", "require": "require '/p/a.pl';\n",
		},
		"ruby /x.rb": {
			"system": "system('/p/a', '-x')\n", "bare": "system '/p/a -x'\n", "exec": "exec '/p/a'\n", "spawn": "pid = spawn('/p/a')\n", "back-quotes": "x = `/p/a -x`\n", "percent": "x = %x(/p/a -x)\n", "popen": "IO.popen(['/p/a', '-x'])\n", "load": "load '/p/a.rb'\n", "require": "require_relative 'p/a.rb'\n",
		},
		"php /x.php": {
			"exec": "<?php exec('/p/a -x');\n", "shell-exec": "<?php shell_exec(\"/p/a\");\n", "system": "<?php system('/p/a');\n", "passthru": "<?php passthru('/p/a');\n", "proc-open": "<?php proc_open('/p/a', [], $p);\n", "popen": "<?php popen('/p/a', 'r');\n", "back-quotes": "<?php `/p/a -x`;\n", "pcntl": "<?php pcntl_exec('/p/a', []);\n", "include": "<?php include '/p/a.php';\n", "require": "<?php require_once('/p/a.php');\n",
		},
	} {
		program, file, _ := strings.Cut(language, " /")
		for name, body := range bodies {
			t.Run(program+"-"+name, func(t *testing.T) {
				t.Parallel()
				files := toolbox().with(image{file: body, "p/a.py": "x", "p/a.js": "x", "p/a.pl": "x", "p/a.rb": "x", "p/a.php": "x"})
				c := files.resolve(entry(program, "/"+file))
				got := strings.Fields(files.reached(c))
				if !slices.ContainsFunc(got, func(p string) bool { return p == "a" || strings.HasPrefix(p, "a.") }) || len(got) > 3 || c.Everything() != "" {
					t.Errorf("%q: %s leads to %q", c.Everything(), body, got)
				}
			})
		}
	}
}

// What a program only mentions does not run.
func TestProgram_mentions(t *testing.T) {
	t.Parallel()
	for file, body := range map[string]string{
		"comment.py": "# see /p/a\nx = 1\n", "string.py": "DEFAULT = '/p/a'\nprint(DEFAULT)\n", "text.py": "open('/p/text').read()\n", "comment.js": "// /p/a\nmodule.exports = 1\n", "string.js": "const x = '/p/a'\n", "text.js": "fs.readFileSync('/p/text')\n",
		"comment.pl": "# /p/a\n", "log.rb": "puts '/p/a'\n", "page.php": "<html>/p/a</html>\n", "empty.py": "\n", "route.js": "app.get('/p/a', (req, res) => res.send('x'))\n", "argument.py": "parser.add_argument('--file', default='/p/a')\n",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			program := map[string]string{"py": "python3", "js": "node", "pl": "perl", "rb": "ruby", "hp": "php"}[file[len(file)-2:]]
			files := toolbox().with(image{file: body, "p/text": "TEXT a"})
			if got := files.reached(files.resolve(entry(program, "/"+file))); got != file {
				t.Errorf("%s leads to %q", body, got)
			}
		})
	}
}

// Init systems, schedulers and loaders start what their files say, once something starts them.
func TestStartUp(t *testing.T) {
	t.Parallel()
	unit := "[Unit]\nDescription=x\n[Service]\n%s\n[Install]\nWantedBy=multi-user.target\n"
	for name, tc := range map[string]struct {
		program, file, body, want string
	}{
		"inittab":             {"/sbin/init", "etc/inittab", "# /p/b\n::sysinit:/p/a -x\n", "a"},
		"inittab-sysv":        {"/sbin/init", "etc/inittab", "x:2345:respawn:/p/a -x\n", "a"},
		"inittab-dash":        {"/sbin/init", "etc/inittab", "tty1::askfirst:-/p/a\n", "a"},
		"inittab-colons":      {"/sbin/init", "etc/inittab", "x:2:wait:/p/a --url=x:1:2 /p/b\n", "a b"},
		"inittab-short":       {"/sbin/init", "etc/inittab", "x:/p/a\n", ""},
		"rc-local":            {"/sbin/init", "etc/rc.local", "#!/bin/sh -e\n/p/a &\nexit 0\n", "a"},
		"rc-links":            {"/sbin/init", "etc/rc2.d/S99x", "-> /p/start", "a start"},
		"openrc":              {"/sbin/init", "etc/local.d/x.start", "/p/a\n", "a"},
		"service":             {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart=/p/a -x"), "a"},
		"service-marks":       {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart=-@+/p/a a -x"), "a"},
		"service-before":      {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStartPre=/p/a\nExecStopPost=/p/b\nExecReload=/p/c"), "a b c"},
		"service-shell":       {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart=/bin/sh -c 'exec /p/a'"), "a"},
		"service-spaces":      {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart = /p/a"), "a"},
		"service-continued":   {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart=nice \\\n  /p/a \\\n  -x"), "a"},
		"service-environment": {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "Environment=\"M=/p/a\" N=1\nExecStart=/bin/sh -c \"$M\""), "a"},
		"service-file":        {"/sbin/init", "etc/systemd/system/x.service", fmt.Sprintf(unit, "EnvironmentFile=-/p/env\nExecStart=/bin/sh -c \"$M\""), "a env"},
		"service-wanted":      {"/sbin/init", "usr/lib/systemd/system/multi-user.target.wants/x.service", fmt.Sprintf(unit, "ExecStart=/p/a"), "a"},
		"service-drop-in":     {"/sbin/init", "etc/systemd/system/x.service.d/override.conf", "[Service]\nExecStart=/p/a\n", "a"},
		"systemctl":           {"systemctl start x", "lib/systemd/system/x.service", fmt.Sprintf(unit, "ExecStart=/p/a"), "a"},
		"supervisor":          {"supervisord -n", "etc/supervisord.conf", "[supervisord]\n[program:x]\ncommand = /p/a -x ; comment\n", "a"},
		"supervisor-quoted":   {"supervisord", "etc/supervisor/conf.d/x.conf", "[program:x]\ncommand=bash -c \"exec /p/a\"\n", "a"},
		"supervisor-list":     {"supervisord", "etc/supervisor/conf.d/x.conf", "[program:x]\nenvironment=A=\"1\",M=\"/p/a\"\ncommand=sh -c '$M'\n", "a"},
		"supervisor-listener": {"supervisord", "etc/supervisor/conf.d/x.conf", "[eventlistener:x]\ncommand=/p/a\nevents=PROCESS_STATE\n", "a"},
		"supervisor-option":   {"supervisord -c /p/conf", "x", "x", "a conf"},
		"supervisor-glued":    {"supervisord --configuration=/p/conf", "x", "x", "a conf"},
		"crontab":             {"cron", "etc/crontab", "MAILTO=x\n0 * * * * root /p/a >/dev/null\n", "a"},
		"crontab-tabs":        {"cron", "etc/crontab", "0\t*\t*\t*\t*\troot\t/p/a\n", "a"},
		"crontab-user":        {"cron", "var/spool/cron/crontabs/root", "0 * * * * /p/a\n", "a"},
		"crontab-at":          {"cron", "etc/cron.d/x", "@reboot root /p/a\n", "a"},
		"crontab-pipe":        {"cron", "etc/cron.d/x", "* * * * * root nice /p/a | /p/b\n", "a b"},
		"crontab-variable":    {"cron", "etc/cron.d/x", "M=\"/p/a\"\n* * * * * root $M\n", "a"},
		"crontab-path":        {"cron", "etc/cron.d/x", "PATH=/p:/bin\n* * * * * root a\n", "a"},
		"crontab-comment":     {"cron", "etc/cron.d/x", "#* * * * * root /p/a\n", ""},
		"crontab-steps":       {"cron", "etc/cron.d/x", "*/5 1-3,7 * jan mon-fri root cd / && /p/a\n", "a"},
		"cron-hourly":         {"crond -f", "etc/cron.hourly/x", "#!/bin/sh\n/p/a\n", "a"},
		"cron-folder":         {"crond -c /p/tabs", "p/tabs/root", "* * * * * /p/a\n", "a tabs/root"},
		"cron-busybox":        {"busybox crond -f", "etc/crontabs/root", "* * * * * /p/a\n", "a"},
		"cron-given":          {"crontab /p/tab", "p/tab", "* * * * * /p/a\n", "a tab"},
		"cron-other":          {"supercronic /p/tab", "p/tab", "* * * * * /p/a\n", "a tab"},
		"s6":                  {"/init", "etc/services.d/x/run", "#!/bin/execlineb -P\nwith-contenv\ns6-setuidgid nobody /p/a\n", "a"},
		"s6-once":             {"/init", "etc/cont-init.d/x", "#!/usr/bin/with-contenv sh\n/p/a\n", "a"},
		"s6-rc":               {"/init", "etc/s6-overlay/s6-rc.d/x/up", "/p/a -x\n", "a"},
		"s6-folder":           {"s6-svscan /p/services", "p/services/x/run", "#!/bin/sh\nexec /p/a\n", "a services/x/run"},
		"runit":               {"runsvdir /p/services", "p/services/x/run", "#!/bin/sh\nexec 2>&1\nexec chpst -u x /p/a\n", "a services/x/run"},
		"my-init":             {"my_init", "etc/my_init.d/x", "#!/bin/sh\n/p/a\n", "a"},
		"profile":             {"bash -l", "etc/profile.d/x.sh", "/p/a &\n", "a"},
		"bashrc":              {"bash -i", "root/.bashrc", "(/p/a &)\n", "a"},
		"logout":              {"bash", "root/.bash_logout", "/p/a\n", "a"},
		"home":                {"su - user", "home/user/.profile", "/p/a\n", "a"},
		"ssh":                 {"sshd -D", "etc/profile", "/p/a\n", "a"},
		"preload":             {"true", "etc/ld.so.preload", "/p/a\n/p/b /p/c:/p/d\n", "a b c d"},
		"python-path":         {"python3 -V", "usr/lib/python3/dist-packages/x.pth", "import os; os.system('/p/a')\n", "a"},
		"apt":                 {"apt-get update", "etc/apt/apt.conf.d/x", "APT::Update::Pre-Invoke {\"/p/a\";};\n", "a"},
		"npm-hook":            {"npm install", "package.json", `{"scripts":{"postinstall":"nice /p/a"}}`, "a"},
		"npm-broken":          {"npm start", "package.json", `{"scripts":{"start":"/p/a",}`, "a"},
		"make":                {"make", "Makefile", "X = /p/b\nall:\n\t@nice /p/a\n", "a"},
		"entrypoint-folder":   {"true", "docker-entrypoint-initdb.d/x.sh", "/p/a\n", "a"},
		"not-started":         {"true", "etc/cron.d/x", "* * * * * root /p/a\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := toolbox().with(image{
				"sbin/init": "ELF", "init": "ELF", "p/start": "#!/bin/sh\n/p/a\n", "p/env": "TEXT M=/p/a\n", "p/conf": "[program:x]\ncommand=/p/a\n", "usr/sbin/crond": "ELF", "usr/sbin/sshd": "ELF", tc.file: tc.body,
			})
			c := files.resolve(inspect.Config{Cmd: strings.Fields(tc.program)})
			got := slices.DeleteFunc(strings.Fields(files.reached(c)), func(p string) bool {
				return p == strings.TrimPrefix(tc.file, "p/") && !strings.Contains(tc.want, p) || p == "init" || p == "sbin/init" || p == tc.file
			})
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" || c.Everything() != "" {
				t.Errorf("%q %s", c.Everything(), diff)
			}
		})
	}
}
