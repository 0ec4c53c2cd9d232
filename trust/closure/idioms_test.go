package closure_test

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// idioms are ways to start up, as they stand in images. Each is an archive of files; the lines before it say how the image
// is configured ("entrypoint", "cmd", "env", "workdir"), which files run and which do not, and command lines that are
// formed. A file "ELF NAME" is a program, "TEXT NAME" a text that is no script.
func idioms() map[string]string {
	return map[string]string{
		"arguments-from-the-environment": `
entrypoint: /usr/local/bin/entrypoint.sh
env: POOL=pool.example:3333 EXTRA=--verbose
runs: usr/local/bin/worker
not: usr/local/bin/other
command: exec worker -o pool.example:3333 -u account -p x --verbose
-- usr/local/bin/entrypoint.sh --
#!/bin/sh
set -eu
: "${ACCOUNT:=account}"
ARGS="-o $POOL -u ${ACCOUNT:-account}"
ARGS="$ARGS -p ${PASS:-x}"
exec worker $ARGS ${EXTRA}
-- ELF usr/local/bin/worker --
-- ELF usr/local/bin/other --
`,
		"options-in-an-array": `
entrypoint: /entrypoint.sh
runs: opt/worker etc/worker/settings.json
command: /opt/worker --config /etc/worker/settings.json --threads 4
-- entrypoint.sh --
#!/usr/bin/env bash
threads=4
opts=(--config /etc/worker/settings.json)
opts+=" --threads $threads"
/opt/worker "${opts[@]}"
-- ELF opt/worker --
-- TEXT etc/worker/settings.json --
{}
`,
		"moved-into-place-and-renamed": `
entrypoint: sh /start.sh
runs: usr/share/fonts/x.ttf
not: usr/share/fonts/y.ttf
-- start.sh --
mkdir -p /var/tmp/.cache
cp /usr/share/fonts/x.ttf /var/tmp/.cache/kworker
chmod 755 /var/tmp/.cache/kworker
cd /var/tmp/.cache
nohup ./kworker > /dev/null 2>&1 &
wait
-- ELF usr/share/fonts/x.ttf --
-- ELF usr/share/fonts/y.ttf --
`,
		"a-link-that-is-made": `
entrypoint: sh /start.sh
runs: opt/data.bin
-- start.sh --
ln -sf /opt/data.bin /usr/local/bin/service-agent
service-agent --quiet
-- ELF opt/data.bin --
`,
		"installed": `
entrypoint: sh /start.sh
runs: pkg/tool
not: pkg/unused
-- start.sh --
install -m 0755 -o root /pkg/tool /pkg/unused /usr/local/sbin/
tool
-- ELF pkg/tool --
-- ELF pkg/unused --
`,
		"functions": `
entrypoint: /run.sh serve
runs: opt/server
-- run.sh --
#!/bin/bash
log() { echo "[$(date)] $*"; }
serve() {
  log starting
  local bin=/opt/server
  "$bin" --listen :80
}
main() {
  case "$1" in
    serve) serve ;;
    *) log "unknown command"; exit 1 ;;
  esac
}
main "$@"
-- ELF opt/server --
`,
		"a-watchdog": `
entrypoint: /watch.sh
runs: opt/agent
-- watch.sh --
#!/bin/sh
while true; do
  if ! pgrep -x agent >/dev/null; then
    (cd /opt && exec ./agent --background) &
  fi
  sleep 60
done
-- ELF opt/agent --
`,
		"a-script-that-is-written": `
entrypoint: /start.sh
runs: opt/job
-- start.sh --
#!/bin/sh
cat > /usr/local/bin/job <<'END'
#!/bin/sh
/opt/job --once
END
chmod +x /usr/local/bin/job
-- ELF opt/job --
`,
		"under-a-multiplexer": `
entrypoint: /start.sh
runs: opt/job
-- start.sh --
#!/bin/sh
screen -dmS work /opt/job --daemon
tail -f /dev/null
-- ELF usr/bin/screen --
-- ELF opt/job --
`,
		"a-command-in-a-string": `
entrypoint: /start.sh
runs: opt/job
-- start.sh --
#!/bin/sh
CMD="/opt/job --daemon"
timeout 3600 sh -c "$CMD"
-- ELF usr/bin/timeout --
-- ELF bin/sh --
-- ELF opt/job --
`,
		"another-user": `
entrypoint: /start.sh
runs: opt/job usr/bin/gosu
not: srv/other
command: exec gosu app /opt/job --daemon
-- start.sh --
#!/bin/sh
USER_NAME=app
chown -R "$USER_NAME" /srv
exec gosu "$USER_NAME" /opt/job --daemon
-- ELF usr/bin/gosu --
-- ELF opt/job --
-- ELF srv/other --
`,
		"an-anonymiser-in-front": `
entrypoint: /start.sh
runs: opt/job usr/bin/proxychains4 etc/proxychains4.conf usr/bin/tor
-- start.sh --
#!/bin/sh
tor &
sleep 10
exec proxychains4 -q -f /etc/proxychains4.conf /opt/job
-- ELF usr/bin/tor --
-- ELF usr/bin/proxychains4 --
-- TEXT etc/proxychains4.conf --
socks5 127.0.0.1 9050
-- ELF opt/job --
`,
		"settings-beside-a-program": `
entrypoint: /opt/app/job
runs: opt/app/job opt/app/config.json
not: opt/app/README opt/other/config.json
-- ELF opt/app/job --
-- TEXT opt/app/config.json --
{}
-- TEXT opt/app/README --
about
-- TEXT opt/other/config.json --
{}
`,
		"python-that-starts-another": `
entrypoint: python3 /app/main.py
runs: app/main.py app/lib/worker.py opt/job
not: app/lib/unused.py
-- ELF usr/bin/python3 --
-- app/main.py --
import sys
from lib import worker

if __name__ == "__main__":
    sys.exit(worker.run(sys.argv[1:]))
-- app/lib/__init__.py --
# nothing
-- app/lib/worker.py --
import subprocess

def run(args):
    return subprocess.call(["/opt/job", "--name", "x"] + args)
-- app/lib/unused.py --
import subprocess
-- ELF opt/job --
`,
		"a-server-of-node": `
entrypoint: node server.js
workdir: /srv/app
runs: srv/app/server.js srv/app/routes/index.js opt/job
not: srv/app/test/all.js
-- ELF usr/bin/node --
-- srv/app/server.js --
const express = require('express')
const routes = require('./routes')
const { execFile } = require('child_process')
execFile('/opt/job', ['--quiet'])
-- srv/app/routes/index.js --
module.exports = {}
-- srv/app/test/all.js --
require('../server')
-- ELF opt/job --
`,
		"a-script-of-perl": `
entrypoint: perl /start.pl
runs: opt/job lib/Worker.pm
-- ELF usr/bin/perl --
-- start.pl --
use strict;
require '/lib/Worker.pm';
exec('/opt/job', '--quiet') or die;
-- lib/Worker.pm --
package Worker;
1;
-- ELF opt/job --
`,
		"programs-under-a-supervisor": `
entrypoint: /usr/bin/supervisord -n
runs: etc/supervisor/conf.d/app.conf opt/web opt/job
-- ELF usr/bin/supervisord --
-- TEXT etc/supervisor/conf.d/app.conf --
[program:web]
command=/opt/web --port 80
autorestart=true

[program:job]
directory=/opt
command=/bin/sh -c "sleep 5; exec /opt/job"
-- ELF bin/sh --
-- ELF opt/web --
-- ELF opt/job --
`,
		"a-unit-that-is-enabled": `
entrypoint: /lib/systemd/systemd
runs: etc/systemd/system/job.service opt/job etc/job.env
not: lib/systemd/system/idle.service opt/idle
command: /opt/job --pool pool.example:3333
-- ELF lib/systemd/systemd --
-- TEXT etc/systemd/system/job.service --
[Unit]
Description=Job

[Service]
EnvironmentFile=/etc/job.env
ExecStartPre=-/bin/true
ExecStart=/opt/job --pool ${POOL}
Restart=always

[Install]
WantedBy=multi-user.target
-- etc/job.env --
POOL=pool.example:3333
-- TEXT lib/systemd/system/idle.service --
[Service]
ExecStart=/opt/idle
-- ELF opt/job --
-- ELF opt/idle --
`,
		"services-of-s6": `
entrypoint: /init
runs: etc/s6-overlay/s6-rc.d/job/run opt/job etc/cont-init.d/10-prepare
-- init --
#!/bin/sh -e
exec /package/admin/s6-overlay/libexec/preinit
-- etc/s6-overlay/s6-rc.d/job/run --
#!/command/with-contenv sh
exec s6-setuidgid app /opt/job
-- etc/cont-init.d/10-prepare --
#!/command/with-contenv sh
mkdir -p /data
-- ELF opt/job --
`,
		"a-database": `
entrypoint: docker-entrypoint.sh
cmd: mysqld
runs: usr/local/bin/docker-entrypoint.sh usr/sbin/mysqld docker-entrypoint-initdb.d/10-users.sh
not: usr/share/mysql/notes etc/cron.daily/mysql
-- usr/local/bin/docker-entrypoint.sh --
#!/bin/bash
set -eo pipefail
shopt -s nullglob
if [ "${1:0:1}" = '-' ]; then
	set -- mysqld "$@"
fi
for f in /docker-entrypoint-initdb.d/*; do
	case "$f" in
		*.sh)     echo "$0: running $f"; . "$f" ;;
		*.sql)    echo "$0: running $f"; "${mysql[@]}" < "$f" ;;
	esac
done
exec "$@"
-- ELF usr/sbin/mysqld --
-- docker-entrypoint-initdb.d/10-users.sh --
echo users
-- TEXT usr/share/mysql/notes --
notes
-- etc/cron.daily/mysql --
#!/bin/sh
true
`,
		"a-scanner-with-its-signatures": `
entrypoint: /usr/local/bin/docker-entrypoint.sh
runs: usr/bin/ids etc/ids/ids.yaml
not: var/lib/ids/rules/all.rules usr/share/ids/rules/pools.txt
-- usr/local/bin/docker-entrypoint.sh --
#!/bin/bash
for src in /etc/ids.dist/*; do
  filename=$(basename "${src}")
  dst="/etc/ids/${filename}"
  if ! test -e "${dst}"; then
    cp -a "${src}" "${dst}"
  fi
done
chown -R ids /var/lib/ids/rules
rm -f /usr/share/ids/rules/pools.txt.old
ls -l /usr/share/ids/rules/pools.txt
exec /usr/bin/ids -c /etc/ids/ids.yaml "$@"
-- ELF usr/bin/ids --
-- TEXT etc/ids/ids.yaml --
default-rule-path: /var/lib/ids/rules
-- TEXT var/lib/ids/rules/all.rules --
alert tcp any any
-- TEXT usr/share/ids/rules/pools.txt --
pool.example
`,
		"a-base-image": `
cmd: bash
runs: usr/bin/bash root/.bashrc etc/profile.d/colours.sh
not: etc/cron.daily/dpkg etc/init.d/hwclock.sh usr/share/doc/bash/README lib/systemd/system/dbus.service usr/sbin/policy-rc.d
-- ELF usr/bin/bash --
-- root/.bashrc --
export LS_OPTIONS='--color=auto'
-- etc/profile.d/colours.sh --
alias ls='ls --color'
-- etc/cron.daily/dpkg --
#!/bin/sh
test -x /usr/libexec/dpkg/dpkg-db-backup && /usr/libexec/dpkg/dpkg-db-backup
-- etc/init.d/hwclock.sh --
#!/bin/sh
hwclock --systohc
-- TEXT usr/share/doc/bash/README --
about
-- TEXT lib/systemd/system/dbus.service --
[Service]
ExecStart=/usr/bin/dbus-daemon
-- usr/sbin/policy-rc.d --
#!/bin/sh
exit 101
`,
	}
}

// idiom is one of idioms, read.
type idiom struct {
	config              inspect.Config
	files               image
	runs, not, commands []string
}

func parse(text string) idiom {
	read := idiom{files: image{}}
	name := ""
	for line := range strings.Lines(text) {
		header, ok := strings.CutSuffix(strings.TrimPrefix(strings.TrimSpace(line), "-- "), " --")
		if ok {
			kind, rest, is := strings.Cut(header, " ")
			switch name = header; {
			case !is:
				read.files[name] = ""
			case kind == "ELF":
				name = rest
				read.files[name] = "ELF"
			default:
				name = rest
				read.files[name] = "TEXT "
			}
			continue
		}
		if name != "" {
			read.files[name] += line
			continue
		}
		read.set(strings.TrimSpace(line))
	}
	return read
}

// set reads a line before the files.
func (i *idiom) set(line string) {
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "entrypoint":
		i.config.Entrypoint = strings.Fields(value)
	case "cmd":
		i.config.Cmd = strings.Fields(value)
	case "env":
		i.config.Env = strings.Fields(value)
	case "workdir":
		i.config.WorkingDir = value
	case "runs":
		i.runs = strings.Fields(value)
	case "not":
		i.not = strings.Fields(value)
	case "command":
		i.commands = append(i.commands, value)
	}
}

func TestResolve_idioms(t *testing.T) {
	t.Parallel()
	for name, text := range idioms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := parse(text)
			c := i.files.resolve(i.config)
			if c.Everything() != "" {
				t.Fatalf("everything runs: %s", c.Everything())
			}
			reach := func(p string) trust.Reach {
				kind := trust.KindScript
				if strings.HasPrefix(i.files[p], "TEXT ") {
					kind = trust.KindText
				}
				return c.Reach(trust.Finding{Layer: lower, Path: p, Kind: kind})
			}
			for _, p := range i.runs {
				if reach(p) != trust.ReachRuns {
					t.Errorf("%s is %q, but runs", p, reach(p))
				}
			}
			for _, p := range i.not {
				if i.files[p] == "" || reach(p) != trust.ReachPresent {
					t.Errorf("%s is %q, but does not run", p, reach(p))
				}
			}
			var all strings.Builder
			for _, command := range c.Commands {
				all.WriteString(command.Text)
			}
			for _, want := range i.commands {
				if !strings.Contains(all.String(), want+"\n") {
					t.Errorf("%q is missing in %q", want, all.String())
				}
			}
		})
	}
}
