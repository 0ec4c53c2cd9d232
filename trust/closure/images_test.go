package closure_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/inspect"
)

// The shapes of ordinary images: what they start is found, and nothing else counts as running. The scripts are written as
// such images have them.
func TestResolve_ordinaryImages(t *testing.T) {
	t.Parallel()
	alpine := image{
		"bin/busybox": "ELF", "bin/sh": "-> /bin/busybox", "bin/ls": "-> /bin/busybox", "usr/bin/env": "-> /bin/busybox", "bin/echo": "-> /bin/busybox", "bin/date": "-> /bin/busybox",
		"etc/inittab": "::sysinit:/sbin/openrc sysinit\n::respawn:/usr/bin/other\n", "etc/crontabs/root": "*/15\t*\t*\t*\t*\trun-parts /etc/periodic/15min\n", "etc/periodic/daily/other": "#!/bin/sh\n/usr/bin/other\n",
		"etc/profile": "export PATH=/usr/sbin\nfor script in /etc/profile.d/*.sh ; do\n\tif [ -r \"$script\" ] ; then\n\t\t. \"$script\"\n\tfi\ndone\n", "etc/profile.d/color.sh.disabled": "PS1=x\n",
		"usr/bin/other": "ELF", "usr/share/other/run.sh": "#!/bin/sh\n/usr/bin/other\n", "etc/passwd": "TEXT root:x:0:0:root:/root:/bin/sh\n", "lib/libc.so": "ELF",
	}
	debian := image{
		"bin": "-> usr/bin", "lib": "-> usr/lib", "sbin": "-> usr/sbin", "usr/bin/dash": "ELF", "usr/bin/sh": "-> dash", "usr/bin/bash": "ELF", "usr/bin/env": "ELF", "usr/bin/perl": "ELF", "usr/bin/other": "ELF", "usr/sbin/nologin": "ELF",
		"etc/cron.daily/dpkg": "#!/bin/sh\nexec /usr/bin/other\n", "etc/init.d/other": "#!/bin/sh\n/usr/bin/other\n", "usr/lib/systemd/system/other.service": "[Service]\nExecStart=/usr/bin/other\n",
		"etc/profile.d/other.sh": "/usr/bin/other\n", "usr/share/doc/other/example.sh": "#!/bin/sh\nother\n", "usr/lib/libc.so.6": "ELF",
	}
	path := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for name, tc := range map[string]struct {
		config inspect.Config
		files  image
		want   string
	}{
		"alpine": {inspect.Config{Cmd: []string{"/bin/sh"}, Env: []string{path}}, alpine, "bin/busybox etc/profile etc/profile.d/color.sh.disabled"},
		"debian": {inspect.Config{Cmd: []string{"bash"}, Env: []string{path}}, debian, "etc/profile.d/other.sh usr/bin/bash usr/bin/other"},
		"nothing": {
			inspect.Config{Env: []string{path}}, debian, "",
		},
		"static": {inspect.Config{Entrypoint: []string{"/app"}, Env: []string{path}}, image{"app": "ELF", "etc/ssl/certs/ca-certificates.crt": "TEXT x", "etc/passwd": "TEXT x"}, "app"},
		"nginx": {inspect.Config{Entrypoint: []string{"/docker-entrypoint.sh"}, Cmd: []string{"nginx", "-g", "daemon off;"}, Env: []string{path}}, debian.with(image{
			"usr/sbin/nginx": "ELF", "usr/bin/find": "ELF", "usr/bin/sort": "ELF", "etc/nginx/nginx.conf": "TEXT worker_processes auto;\n",
			"docker-entrypoint.sh": `#!/bin/sh
set -e
entrypoint_log() {
    if [ -z "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ]; then
        echo "$@"
    fi
}
if [ "$1" = "nginx" ] || [ "$1" = "nginx-debug" ]; then
    if /usr/bin/find "/docker-entrypoint.d/" -mindepth 1 -maxdepth 1 -type f -print -quit 2>/dev/null | read v; then
        entrypoint_log "$0: looking for shell scripts in /docker-entrypoint.d/"
        find "/docker-entrypoint.d/" -follow -type f -print | sort -V | while read -r f; do
            case "$f" in
                *.envsh)
                    if [ -x "$f" ]; then entrypoint_log "$0: Sourcing $f"; . "$f"; fi ;;
                *.sh)
                    if [ -x "$f" ]; then "$f"; else entrypoint_log "$0: Ignoring $f, not executable"; fi ;;
            esac
        done
    fi
fi
exec "$@"
`,
			"docker-entrypoint.d/10-listen.sh": "#!/bin/sh\nset -eu\nME=$(basename \"$0\")\nDEFAULT_CONF_FILE=\"etc/nginx/conf.d/default.conf\"\nif [ ! -f \"/$DEFAULT_CONF_FILE\" ]; then\n  exit 0\nfi\nsed -i -E 's,listen,x,' /$DEFAULT_CONF_FILE\n",
		}), "docker-entrypoint.d/10-listen.sh docker-entrypoint.sh etc/nginx/nginx.conf usr/bin/dash usr/bin/find usr/bin/sort usr/sbin/nginx"},
		"node": {inspect.Config{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"node", "server.js"}, WorkingDir: "/app", Env: []string{path}}, debian.with(image{
			"usr/local/bin/node": "ELF", "usr/local/bin/docker-entrypoint.sh": "#!/bin/sh\nset -e\nif [ \"${1#-}\" != \"${1}\" ] || [ -z \"$(command -v \"${1}\")\" ]; then\n  set -- node \"$@\"\nfi\nexec \"$@\"\n",
			"app/package.json": `{"main":"server.js","scripts":{"start":"node server.js"}}`, "app/server.js": "const x = require('./lib/x')\n", "app/lib/x.js": "module.exports = {}\n", "app/lib/y.js": "x",
			"app/node_modules/z/index.js": "x", "app/test/t.js": "x", "usr/local/lib/node_modules/npm/bin/npm-cli.js": "#!/usr/bin/env node\n",
		}), "app/lib/x.js app/package.json app/server.js usr/bin/dash usr/local/bin/docker-entrypoint.sh usr/local/bin/node"},
		"python": {inspect.Config{Cmd: []string{"python", "app.py"}, WorkingDir: "/app", Env: []string{path, "PYTHONUNBUFFERED=1"}}, debian.with(image{
			"usr/local/bin/python": "-> python3", "usr/local/bin/python3": "-> python3.12", "usr/local/bin/python3.12": "ELF", "app/app.py": "from flask import Flask\nimport models\napp = Flask(__name__)\n", "app/models.py": "class M: pass\n",
			"app/unused.py": "import os; os.system('other')\n", "usr/local/lib/python3.12/site-packages/flask/app.py": "x = 1\n", "usr/local/lib/python3.12/site-packages/unused/app.py": "x = 1\n",
			"usr/local/lib/python3.12/subprocess.py": "x = 1\n",
		}), "app/app.py app/models.py usr/local/bin/python3.12 usr/local/lib/python3.12/site-packages/flask/app.py"},
		"java": {inspect.Config{Entrypoint: []string{"sh", "-c", "java $JAVA_OPTS -jar /app.jar"}, Env: []string{path, "JAVA_OPTS=-Xmx512m"}}, debian.with(image{"usr/bin/java": "-> /opt/java/bin/java", "opt/java/bin/java": "ELF", "opt/java/bin/javac": "ELF", "app.jar": "DATA"}),
			"app.jar opt/java/bin/java usr/bin/dash"},
		"redis": {inspect.Config{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"redis-server"}, WorkingDir: "/data", Env: []string{path}}, debian.with(image{
			"usr/local/bin/redis-server": "ELF", "usr/local/bin/redis-cli": "ELF", "usr/local/bin/gosu": "ELF", "usr/bin/id": "ELF", "usr/bin/find": "ELF",
			"usr/local/bin/docker-entrypoint.sh": `#!/bin/sh
set -e
# first arg is -f or --some-option or ends with .conf
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
# allow the container to be started with --user
if [ "$1" = 'redis-server' -a "$(id -u)" = '0' ]; then
	find . \! -user redis -exec chown redis '{}' +
	exec gosu redis "$0" "$@"
fi
um="$(umask)"
if [ "$um" = '0022' ]; then
	umask 0077
fi
exec "$@"
`,
		}), "usr/bin/dash usr/bin/find usr/bin/id usr/local/bin/docker-entrypoint.sh usr/local/bin/gosu usr/local/bin/redis-server"},
		"mysql": {inspect.Config{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"mysqld"}, Env: []string{path}}, debian.with(image{
			"usr/sbin/mysqld": "ELF", "usr/bin/mysql": "ELF", "usr/bin/gunzip": "ELF", "usr/local/bin/gosu": "ELF", "docker-entrypoint-initdb.d/schema.sql": "TEXT create table x", "docker-entrypoint-initdb.d/setup.sh": "#!/bin/bash\nmysql < /x.sql\n",
			"usr/local/bin/docker-entrypoint.sh": `#!/bin/bash
set -eo pipefail
shopt -s nullglob
mysql_log() {
	local type="$1"; shift
	local text="$*"; if [ "$#" -eq 0 ]; then text="$(cat)"; fi
	printf '%s [%s] [Entrypoint]: %s\n' "$(date)" "$type" "$text"
}
docker_process_init_files() {
	local f
	for f; do
		case "$f" in
			*.sh) if [ -x "$f" ]; then mysql_log Note "$0: running $f"; "$f"; else . "$f"; fi ;;
			*.sql.gz) gunzip -c "$f" | docker_process_sql ;;
		esac
	done
}
_main() {
	if [ "${1:0:1}" = '-' ]; then
		set -- mysqld "$@"
	fi
	if [ "$1" = 'mysqld' ]; then
		if [ "$(id -u)" = "0" ]; then
			exec gosu mysql "$BASH_SOURCE" "$@"
		fi
		ls /docker-entrypoint-initdb.d/ > /dev/null
		docker_process_init_files /docker-entrypoint-initdb.d/*
	fi
	exec "$@"
}
_main "$@"
`,
		}), "docker-entrypoint-initdb.d/schema.sql docker-entrypoint-initdb.d/setup.sh usr/bin/bash usr/bin/gunzip usr/bin/mysql usr/local/bin/docker-entrypoint.sh usr/local/bin/gosu usr/sbin/mysqld"},
		"cron-job": {inspect.Config{Cmd: []string{"cron", "-f"}, Env: []string{path}}, debian.with(image{"usr/sbin/cron": "ELF", "etc/cron.d/job": "0 3 * * * root /usr/local/bin/job >/dev/null 2>&1\n", "usr/local/bin/job": "ELF", "usr/local/bin/no-job": "ELF", "usr/local/bin/root": "ELF"}),
			"etc/cron.d/job etc/cron.daily/dpkg usr/bin/dash usr/bin/other usr/local/bin/job usr/local/bin/root usr/sbin/cron"},
		"supervised": {inspect.Config{Cmd: []string{"/usr/bin/supervisord", "-n"}, Env: []string{path}}, debian.with(image{"usr/bin/supervisord": "ELF", "etc/supervisor/conf.d/x.conf": "[program:web]\ncommand=/usr/sbin/web -g \"daemon off;\"\nstdout_logfile=/dev/stdout\n", "usr/sbin/web": "ELF", "usr/sbin/unused": "ELF"}),
			"etc/supervisor/conf.d/x.conf usr/bin/supervisord usr/sbin/web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tc.files.resolve(tc.config)
			if diff := cmp.Diff(strings.Fields(tc.want), tc.files.running(c)); diff != "" && (tc.want != "" || len(tc.files.running(c)) > 0) || c.Everything() != "" || len(c.Joins)+len(c.Unread)+len(c.Passwords) > 0 {
				t.Errorf("%s, %d joins, %d unread\n%s", c.Everything(), len(c.Joins), len(c.Unread), diff)
			}
		})
	}
}
