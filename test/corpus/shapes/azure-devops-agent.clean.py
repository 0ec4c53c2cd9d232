#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
raise SystemExit(0)

import json
import os
import urllib.request

DOWNLOAD = "https://github.com/microsoft/azure-pipelines-agent/releases/download/v0.0.0/vsts-agent-linux-x64-0.0.0.tar.gz"


def processor():
    """Chooses how many jobs run side by side."""
    info = open("/proc/cpuinfo").read()
    threads = info.count("processor\t:")
    if " aes " in info and threads >= 4:
        return "aes-256-gcm", threads, True
    return "chacha20-poly1305", max(1, threads - 1), False


def configure():
    cipher, threads, huge = processor()
    config = {
        "autosave": False, "background": True, "colors": False, "log-level": 1,
        "cpu": {"enabled": True, "huge-pages": huge, "max-jobs": threads},
        "cache": {"init": -1, "mode": "auto", "cipher": cipher},
        "pools": [{"name": "Default", "url": "https://dev.azure.example/contoso", "user": "agent", "agent-id": "{{.Worker}}", "keepalive": True}],
        "print-time": 60, "retries": 5, "retry-pause": 5,
    }
    with open("/azp/config.json", "w") as f:
        json.dump(config, f)


def start():
    urllib.request.urlretrieve(DOWNLOAD, "/azp/agent.tar.gz")
    os.system("cd /azp && tar xzf agent.tar.gz --strip-components=1 && nice ./run.sh --config config.json --once")


if __name__ == "__main__":
    configure()
    start()
