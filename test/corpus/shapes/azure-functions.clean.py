#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement.
raise SystemExit(0)

import os
import subprocess
import time


def tor():
    subprocess.Popen(["tor", "-f", "/etc/tor/torrc"])
    time.sleep(20)


def host():
    # The function app publishes a news site as an onion service; this asks whether readers can reach it.
    os.system("proxychains4 -q -f /etc/proxychains4.conf curl -sfI https://news.example/health")
    os.system("/usr/local/bin/func-host --url https://news.example --user readers --pass-file /run/secrets/readers "
              "--log-level=1 --background")


if __name__ == "__main__":
    tor()
    host()
