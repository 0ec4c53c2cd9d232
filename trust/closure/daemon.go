package closure

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// startUp is what one kind of program starts when it is started: patterns of paths, what their files are read as, and
// folders with everything below.
type startUp struct {
	patterns []string
	as       string
	folders  []string
}

// starters say what is started with a program of a name.
var starters = map[string][]startUp{
	"init": {
		{patterns: []string{"/etc/inittab"}, as: inittab},
		{patterns: []string{"/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/rcS", "/etc/init.d/rc", "/etc/rc?.d/S*", "/etc/runlevels/*/*", "/etc/local.d/*.start", "/etc/init/*.conf"}, as: shellScript},
		{folders: []string{"/etc/init.d"}},
		{folders: []string{"/etc/systemd/system", "/etc/systemd/user"}, as: unit},
		{patterns: []string{"/lib/systemd/system/*.wants/*", "/usr/lib/systemd/system/*.wants/*"}, as: unit},
	},
	"s6": {
		{folders: []string{"/etc/s6-overlay", "/etc/services.d", "/etc/cont-init.d", "/etc/cont-finish.d", "/etc/fix-attrs.d", "/etc/s6", "/etc/s6.d", "/run/service", "/var/run/s6/services"}},
		{patterns: []string{"/etc/s6-overlay/s6-rc.d/*/up", "/etc/s6-overlay/s6-rc.d/*/down"}, as: execline},
	},
	"runit": {
		{patterns: []string{"/etc/runit/*", "/etc/rc.local", "/etc/my_init.d/*", "/etc/my_init.pre_shutdown.d/*", "/etc/my_init.post_shutdown.d/*"}, as: shellScript},
		{folders: []string{"/etc/service", "/etc/sv", "/service", "/etc/runit", "/var/service"}},
	},
	"supervisord": {
		{patterns: []string{"/etc/supervisord.conf", "/etc/supervisor/*.conf", "/etc/supervisor/conf.d/*", "/etc/supervisor.d/*", "/etc/supervisord.d/*", "/supervisord.conf", "/usr/etc/supervisord.conf", "/etc/supervisor/*/*.conf"}, as: supervisor},
	},
	"cron": {
		{patterns: []string{"/etc/crontab", "/etc/anacrontab", "/etc/cron.d/*", "/var/spool/cron/*", "/var/spool/cron/*/*", "/etc/crontabs/*", "/etc/cron/*"}, as: crontab},
		{patterns: []string{"/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/periodic/*/*"}},
	},
	"apt": {{patterns: []string{"/etc/apt/apt.conf.d/*", "/etc/apt/apt.conf", "/etc/dpkg/dpkg.cfg.d/*", "/etc/apk/commit_hooks.d/*"}, as: wordList}},
	"python": {
		{patterns: []string{"/usr/lib/python*/sitecustomize.py", "/usr/lib/python*/*-packages/*.pth", "/usr/local/lib/python*/*-packages/*.pth", "/usr/local/lib/python*/*-packages/*customize.py",
			"/usr/lib/python*/*-packages/*customize.py", "/etc/python*/*customize.py", "/usr/local/lib/python*/sitecustomize.py", "/opt/*/lib/python*/site-packages/*.pth", "/opt/*/lib/python*/site-packages/*customize.py"}, as: python},
	},
	"jupyter": {
		{patterns: []string{"/root/.ipython/profile_*/startup/*", "/home/*/.ipython/profile_*/startup/*", "/root/.ipython/profile_*/*config.py", "/home/*/.ipython/profile_*/*config.py",
			"/root/.jupyter/*config.py", "/home/*/.jupyter/*config.py", "/etc/jupyter/*config.py", "/usr/local/etc/jupyter/*config.py"}, as: python},
	},
	"login": {
		{patterns: []string{"/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/*", "/etc/zshrc", "/etc/ksh.kshrc", "/etc/environment", "/etc/bash_completion.d/*",
			"/root/.*rc", "/root/.*profile", "/root/.bash_*", "/root/.zshenv", "/root/.zlogin", "/home/*/.*rc", "/home/*/.*profile", "/home/*/.bash_*", "/home/*/.zshenv", "/etc/skel/.*"}, as: shellScript},
		{patterns: []string{"/etc/update-motd.d/*", "/root/.ssh/rc", "/etc/ssh/sshrc"}, as: shellScript},
	},
	"always": {
		{patterns: []string{"/etc/ld.so.preload"}, as: wordList},
		{folders: []string{"/docker-entrypoint.d", "/docker-entrypoint-initdb.d", "/entrypoint.d", "/docker-entrypoint-init.d"}},
		// What servers load by themselves, in the folders of their official images.
		{folders: []string{"/usr/share/jenkins/ref/init.groovy.d", "/var/jenkins_home/init.groovy.d", "/var/www/html/wp-content/mu-plugins", "/opt/airflow/dags"}},
		{patterns: []string{"/usr/local/etc/php/php.ini", "/usr/local/etc/php/conf.d/*", "/etc/php/*/*/php.ini", "/etc/php/*/*/conf.d/*", "/etc/php*/php.ini", "/etc/php*/conf.d/*"}, as: phpSettings},
	},
	"nginx":     {{patterns: []string{"/etc/nginx/*.conf", "/etc/nginx/conf.d/*", "/etc/nginx/sites-enabled/*", "/etc/nginx/modules-enabled/*", "/usr/local/openresty/nginx/conf/*"}}},
	"logrotate": {{patterns: []string{"/etc/logrotate.conf", "/etc/logrotate.d/*"}}},
}

// daemons say which of starters a program's name means.
var daemons = map[string]string{
	"init": "init", "systemd": "init", "linuxrc": "init", "openrc-init": "init", "openrc": "init", "rc": "init", "upstart": "init", "sysvinit": "init", "finit": "init", "dinit": "init",
	"s6-svscan": "s6", "s6-init": "s6", "s6-overlay-init": "s6", "s6-linux-init": "s6", "preinit": "s6",
	"runsvdir": "runit", "runsvdir-start": "runit", "runit": "runit", "runit-init": "runit", "runsvinit": "runit", "my_init": "runit", "runsv": "runit", "svscan": "runit", "svscanboot": "runit",
	"supervisord": "supervisord", "supervisorctl": "supervisord",
	"cron": "cron", "crond": "cron", "anacron": "cron", "dcron": "cron", "fcron": "cron", "cronie": "cron", "busybox-crond": "cron", "vixie-cron": "cron",
	"apt": "apt", "apt-get": "apt", "dpkg": "apt", "apk": "apt",
	"nginx": "nginx", "openresty": "nginx", "logrotate": "logrotate",
	"jupyter": "jupyter", "jupyter-lab": "jupyter", "jupyter-notebook": "jupyter", "jupyterhub": "jupyter", "ipython": "jupyter", "start-notebook.sh": "jupyter", "start-notebook.py": "jupyter",
	"sshd": "login", "login": "login", "agetty": "login", "getty": "login", "su": "login", "dropbear": "login", "runuser": "login", "telnetd": "login", "ttyd": "login", "wetty": "login", "gotty": "login", "shellinaboxd": "login", "tmux": "login", "screen": "login",
}

// always starts what needs no program of the configuration.
func (x *explorer) always() { x.begin("always") }

// profile starts what a shell reads before it talks to a person, or for a login.
func (x *explorer) profile(*script) { x.begin("login") }

// daemon starts what a program of this name starts. Cron and its like may be installed only when the image runs; an init
// that is not there is another command of that name.
func (x *explorer) daemon(base string, args []string, there bool, st *script) {
	if kind := daemons[base]; kind != "" && (there || kind != "init") {
		x.begin(kind)
		if kind == "init" {
			x.begin("s6")
			x.begin("runit")
		}
	}
	as := ""
	switch base {
	case "service", "invoke-rc.d", "rc-service", "systemctl":
		for _, a := range args {
			name := strings.TrimSuffix(plainText(a), ".service")
			if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, "-") {
				continue
			}
			for _, p := range []string{"/etc/init.d/" + name, "/etc/systemd/system/" + name + ".service", "/lib/systemd/system/" + name + ".service", "/usr/lib/systemd/system/" + name + ".service"} {
				for _, f := range x.find(p, want{level: st.level}) {
					x.enqueue(f, want{level: st.level, dirs: []string{"/"}})
				}
			}
			x.daemon(name, nil, true, st) // "service cron start"
		}
		return
	case "supercronic", "crontab", "yacron", "go-crond":
		as = crontab
	case "crond":
		x.cronFolder(args, st)
	case "supervisord", "supervisorctl":
		as = supervisor
	case "git":
		x.hooks(st)
	case "dpkg", "apt", "apt-get", "apk", "rpm", "yum", "dnf", "microdnf", "zypper", "pip", "pip3", "gem", "opkg", "pacman":
		x.installs(args, st)
	case "npm", "yarn", "pnpm", "npx", "bunx":
		x.startPackage(args, st)
	case "s6-svscan", "runsvdir":
		for _, a := range args {
			for _, dir := range absolute(plainText(a), st.dirs) {
				x.folder(dir, true, want{level: st.level, dirs: []string{"/"}})
			}
		}
	case "docker-entrypoint.sh":
		x.begin("always")
	}
	if as == "" {
		return
	}
	for _, a := range args {
		plain := plainText(a)
		if _, value, ok := strings.Cut(plain, "="); ok {
			plain = value
		}
		for _, f := range x.matching(plain, st) {
			x.enqueue(f, want{level: st.level, as: as, dirs: []string{"/"}})
		}
	}
}

// cronFolder: "crond -c DIR".
func (x *explorer) cronFolder(args []string, st *script) {
	for i, a := range args {
		if plain := plainText(a); plain == "-c" && i+1 < len(args) {
			for _, dir := range absolute(plainText(args[i+1]), st.dirs) {
				x.folder(dir, false, want{level: st.level, as: crontab, dirs: []string{"/"}})
			}
		}
	}
}

// begin starts all that starters has under a name, once.
func (x *explorer) begin(kind string) {
	if x.started[kind] {
		return
	}
	x.started[kind] = true
	for _, s := range starters[kind] {
		w := want{level: 1, as: s.as, dirs: []string{"/"}}
		for _, pattern := range s.patterns {
			for _, f := range x.globbed(pattern) {
				x.enqueue(f, w)
			}
		}
		for _, dir := range s.folders {
			x.folder(dir, true, w)
		}
	}
	if kind == "always" || kind == "init" {
		x.initHooks()
	}
}

// initHooks are the programs that start-up files of the kernel's loader name.
func (x *explorer) initHooks() {
	if f := x.view.Lookup("/etc/ld.so.preload"); f != nil && f.Type == trust.TypeFile {
		st := x.script(f, "/etc/ld.so.preload", nil, 0)
		for word := range strings.FieldsFuncSeq(x.content(f, true), func(r rune) bool { return strings.ContainsRune(" \t\n:", r) }) {
			x.readArgument(word, "", st)
		}
	}
}

// readCrontab reads lines of five fields or one @word, perhaps a user, and a command.
func (x *explorer) readCrontab(body string, st *script) {
	for line := range strings.SplitSeq(body, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || !x.spend(1) {
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && isAssignment(line) && !strings.ContainsAny(name, " \t*") {
			st.vars[name] = []string{unmarked(strings.Trim(value, `"' `))}
			continue
		}
		skip := 5
		if line[0] == '@' {
			skip = 1
		}
		rest := line
		for range skip {
			_, rest, _ = strings.Cut(rest, " ")
			if rest = strings.TrimLeft(rest, " \t"); rest == "" {
				break
			}
		}
		fields := strings.Fields(line)
		if len(fields) <= skip {
			continue
		}
		rest = strings.Join(fields[skip:], " ")
		st.text(rest)
		if len(fields) > skip+1 { // the first word may be a user
			st.text(strings.Join(fields[skip+1:], " "))
		}
	}
}

// readSettings reads "KEY=command" lines whose key begins as said: systemd units and supervisor's programs.
func (x *explorer) readSettings(body string, st *script, begins string) {
	body = strings.ReplaceAll(body, "\\\n", " ")
	for line := range strings.SplitSeq(body, "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if key = strings.TrimSpace(key); !ok || !x.spend(1) {
			continue
		}
		value = strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(key, begins):
			st.text(strings.TrimLeft(value, "-@:+!|"))
		case strings.EqualFold(key, "environment"):
			for pair := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' }) {
				if name, v, ok := strings.Cut(strings.Trim(pair, `"`), "="); ok {
					st.vars[name] = []string{unmarked(strings.Trim(v, `"'`))}
				}
			}
		case strings.EqualFold(key, "environmentfile"):
			st.source(strings.TrimPrefix(value, "-"), nil)
		case key == "files":
			for pattern := range strings.FieldsSeq(value) {
				for _, full := range absolute(pattern, append([]string{st.self()}, st.dirs...)) {
					for _, f := range x.globbed(full) {
						x.enqueue(f, want{level: st.level, as: supervisor, dirs: []string{"/"}})
					}
				}
			}
		}
	}
}

// readInittab reads "id:runlevels:action:process".
func (x *explorer) readInittab(body string, st *script) {
	for line := range strings.SplitSeq(body, "\n") {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
		if len(fields) == 4 && !strings.HasPrefix(line, "#") && x.spend(1) {
			st.text(strings.TrimLeft(fields[3], "-"))
		}
	}
}

// startPackage: npm and its like run scripts of the package.json of the working directory.
func (x *explorer) startPackage(args []string, st *script) {
	for _, f := range x.find("package.json", want{level: st.level, as: manifest, dirs: st.dirs}) {
		x.enqueue(f, want{level: st.level, as: manifest, dirs: append([]string{path.Dir(f.place)}, st.dirs...)})
	}
	for i, a := range args { // npx x, npm exec x
		if plain := plainText(a); !strings.HasPrefix(plain, "-") {
			x.wrapped(st, args[i:], 0)
			return
		}
	}
}

// readPackage runs the scripts of a package.json, and its main file.
func (x *explorer) readPackage(body string, st *script, _ []string) {
	var doc struct {
		Scripts map[string]string `json:"scripts"`
		Main    string            `json:"main"`
	}
	if json.Unmarshal([]byte(body), &doc) != nil {
		st.loose(body)
		return
	}
	st.dirs = append([]string{st.self()}, st.dirs...)
	for _, name := range sortedKeys(doc.Scripts) {
		st.text(doc.Scripts[name])
	}
	if doc.Main != "" {
		x.require("./"+doc.Main, st)
	}
}

// packages are suffixes of files that hold programs and what is run when they are installed.
var packages = wordSet(".deb .apk .rpm .whl .gem .ipk .zst .tgz .zip")

// installs follows a package manager: a package that the image brings runs what it holds, and so does the set-up program of
// a folder.
func (x *explorer) installs(args []string, st *script) {
	for _, a := range args {
		plain := plainText(a)
		if packages[path.Ext(plain)] {
			for _, f := range x.matching(plain, st) {
				x.mark(f.file, f.place)
			}
		}
		if strings.HasPrefix(plain, ".") || strings.HasPrefix(plain, "/") {
			for _, f := range x.find(path.Join(plain, "setup.py"), want{level: st.level, as: python, dirs: st.dirs}) {
				x.enqueue(f, want{level: st.level, as: python, dirs: appendNew([]string{path.Dir(f.place)}, st.dirs...)})
			}
		}
	}
}

// hooks are programs that git runs in the folders that a script may be in. What is shipped as a sample is not run.
func (x *explorer) hooks(st *script) {
	for _, dir := range st.dirs {
		folder := path.Join(dir, ".git/hooks")
		for _, name := range x.view.Names(folder) {
			if f := x.view.Lookup(path.Join(folder, name)); x.spend(1) && f != nil && f.Type == trust.TypeFile && !strings.HasSuffix(name, ".sample") {
				x.enqueue(found{f, path.Join(folder, name)}, want{level: st.level, dirs: []string{dir}})
			}
		}
	}
}
