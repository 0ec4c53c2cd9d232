#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
raise SystemExit(0)

import os
import subprocess
import tarfile
import urllib.request

RELEASE = "https://github.com/Azure/azure-dev/releases/download/v0.0.0/azd-linux-amd64.tar.gz"
TENANT = "https://login.microsoftonline.com/organizations"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
HOME = "/tmp/.az"


def fetch():
    os.makedirs(HOME, exist_ok=True)
    archive, _ = urllib.request.urlretrieve(RELEASE, HOME + "/cli.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(HOME)


def run():
    command = ["timeout", "600", HOME + "/azd", "provision", "-e", TENANT, "--subscription", SUBSCRIPTION, "-l", "westeurope",
               "--no-prompt", "--output", "json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    fetch()
    run().wait()
