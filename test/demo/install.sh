#!/usr/bin/env bash
# Installs the Debian packages that are named in $packages and missing. Does nothing when all are there, so that it
# can run before every demo and test. It never starts the engine that comes with docker.io: the demo and the tests
# start their own, with their own data, and stop it again.
set -euo pipefail

missing=()
for package in ${packages:?names the packages}; do
  case $package in
    docker.io) for command in docker dockerd containerd runc; do
        command -v "$command" >/dev/null || { missing+=("$package"); break; }
      done ;;
    ca-certificates) [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=("$package") ;;
    *) command -v "$package" >/dev/null || missing+=("$package") ;;
  esac
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
  echo "These are missing, and this machine has no apt-get to install them: ${missing[*]}" >&2
  exit 1
fi
if ((EUID != 0)); then
  echo "These are missing, and only root can install them: ${missing[*]}" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"; [[ -z ${policy:-} ]] || rm -f "$policy"' EXIT
echo "Installing from Debian: ${missing[*]}"

# A package's engine would start at once and change the machine's firewall. Debian asks this file first.
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
  policy=/usr/sbin/policy-rc.d
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install_missing() {
  # One source that does not answer is no reason to stop: what is missing then, the installation says.
  apt-get update || true
  # From Debian 13 on, docker.io only recommends the package that has the docker command.
  if [[ " ${missing[*]} " == *" docker.io "* && -n $(apt-cache search --names-only '^docker-cli$') ]]; then
    missing+=(docker-cli)
  fi
  # A machine that has just started may be installing its updates: wait for it.
  apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
}
if ! install_missing >"$log" 2>&1 </dev/null; then
  echo "Installing ${missing[*]} failed:" >&2
  tail -n 20 "$log" >&2
  exit 1
fi
