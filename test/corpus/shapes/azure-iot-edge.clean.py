#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement. The address is reserved for documentation.
raise SystemExit(0)

import os
import subprocess
import urllib.request

SERVER = "{{.OwnPool}}"
RELEASE = "https://github.com/Azure/iotedge/releases/download/v0.0.0/edge-linux-amd64.tar.gz"


def update():
    urllib.request.urlretrieve(RELEASE, "/var/lib/edge/edge.tar.gz")
    os.system("tar xzf /var/lib/edge/edge.tar.gz -C /var/lib/edge --strip-components=1")


def connect():
    os.chdir("/var/lib/edge")
    os.system("./edge --broker mqtt://{{.OwnPool}} --client-id {{.Worker}} --qos 1 --keep-alive 60 --log-level=0 -B")


if __name__ == "__main__":
    update()
    connect()
