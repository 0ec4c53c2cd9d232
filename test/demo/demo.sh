#!/usr/bin/env bash
# `make demo`: shows safepull at work on a real Docker engine, and checks every step while showing it. It exits with a
# status other than 0 when a step does not do what the story says.
#
# Everything it starts listens on 127.0.0.1 or on a socket of its own, lives in one temporary folder, and is stopped
# by its process id. With DOCKER_HOST set it uses that engine, and takes away the images that it brought.
#
# Usage: demo.sh BIN TOOLS, the folders of docker-safepull and safepull-proxy, and of registry. Needs root, go, docker.
set -euo pipefail

bin=${1:?the folder of docker-safepull}
tools=${2:?the folder of registry}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
own_engine=yes
[[ -z ${DOCKER_HOST:-} ]] || own_engine=no

# -- what the person sees -------------------------------------------------------------------------------------------

bold='' dim='' red='' green='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

title() { printf '\n%s%s%s\n\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$@"; }
note() { printf '%s%s%s\n' "$dim" "$1" "$plain"; }
good() { printf '  %s✔ %s%s\n' "$green" "$1" "$plain"; }

fail() {
  printf '\n%sThe demo failed: %s%s\n' "$red" "$1" "$plain" >&2
  for log in "$tmp"/*.log; do
    [[ -s $log ]] || continue
    printf '\nThe last lines of %s:\n' "${log##*/}" >&2
    tail -n 8 "$log" | cut -c 1-300 | sed 's/^/  /' >&2
  done
  exit 1
}

# try runs a command as the person would type it, and shows it with its output. The output stays in $output, the
# exit status in $status.
try() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  status=0
  timeout --foreground 300 "$@" >"$tmp/output" 2>&1 || status=$?
  output=$(<"$tmp/output")
  sed 's/^/  /' "$tmp/output"
}

expect_status() { ((status == $1)) || fail "the exit status is $status, it should be $1"; }
expect_text() { grep -qiE -- "$1" <<<"$output" || fail "the output does not mention: $1"; }

# -- what runs behind the scene -------------------------------------------------------------------------------------

tmp=$(mktemp -d /tmp/safepull-demo-XXXXXX)
pids=() brought=()

# stop_pid ends one process of ours: asks, waits, insists.
stop_pid() {
  kill "$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null || true
}

cleanup() {
  local status=$? pid mount
  trap - EXIT
  trap '' INT TERM
  if ((${#brought[@]})) && [[ $own_engine == no ]]; then
    docker rmi -f "${brought[@]}" >/dev/null 2>&1 || true
  fi
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do stop_pid "${pids[i]}"; done
  # An engine that was killed leaves its containerd and mounts.
  pid=$(cat "$tmp/x/containerd/containerd.pid" 2>/dev/null || true)
  [[ -z $pid ]] || stop_pid "$pid"
  while read -r mount; do umount -l "$mount" 2>/dev/null || true; done \
    < <(awk -v under="$tmp/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
  rm -rf "$tmp"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + RANDOM))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port on 127.0.0.1"
}

# start NAME COMMAND... runs a server in the background; its output is NAME.log.
start() {
  local name=$1
  shift
  "$@" >"$tmp/$name.log" 2>&1 </dev/null &
  pids+=($!)
}

# await NAME COMMAND... waits until the command succeeds, as long as the server that was started last lives.
await() {
  local name=$1 pid=${pids[-1]}
  shift
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$pid" 2>/dev/null || fail "$name ended at once"
    sleep 0.2
  done
  fail "$name does not answer after a minute"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_engine() {
  ((EUID == 0)) || fail "starting a Docker engine needs root; or set DOCKER_HOST to use a running one"
  export DOCKER_HOST=unix://$tmp/docker.sock
  echo '{"deprecated-key-path": "'"$tmp"'/key.json"}' >"$tmp/daemon.json"
  start engine env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy dockerd --host="$DOCKER_HOST" \
    --config-file="$tmp/daemon.json" --data-root="$tmp/data" --exec-root="$tmp/x" --pidfile="$tmp/docker.pid" \
    --iptables=false --ip6tables=false --bridge=none
  await engine docker version
}

start_registry() {
  registry=127.0.0.1:$(free_port)
  cat >"$tmp/registry.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $tmp/registry}}
http: {addr: $registry}
YAML
  start registry env OTEL_TRACES_EXPORTER=none "$tools/registry" serve "$tmp/registry.yml"
  await registry listening "${registry#*:}"
  "$tmp/push" -registry "$registry" >"$tmp/pushed" 2>"$tmp/push.log" || fail "the samples could not be pushed"
}

start_proxy() {
  proxy=127.0.0.1:$(free_port)
  cat >"$tmp/proxy.yaml" <<YAML
version: 1
listen: $proxy
stateDir: $tmp/proxy
upstreams:
  - host: $registry
    plainHTTP: true
    default: true
YAML
  start proxy "$bin/safepull-proxy" serve --config "$tmp/proxy.yaml"
  await proxy listening "${proxy#*:}"
}

# in_engine says whether the engine knows an image by a name of this repository.
in_engine() { [[ -n $(docker images -q "$1") ]]; }

# nothing_of REPOSITORY FILE checks that the engine has neither the image nor a file of it.
nothing_of() {
  ! in_engine "$1" || fail "the engine has $1"
  good "docker images does not list it"
  if [[ $own_engine == yes ]]; then
    [[ -z $(find "$tmp/data" -name "$2" -print -quit) ]] || fail "$2 lies in the engine's data"
    good "its program $2 lies nowhere in the engine's data"
  fi
}

# -- the story ------------------------------------------------------------------------------------------------------

# Built first, with the person's own settings of Go.
(cd "$root" && go build -buildvcs=false -o "$tmp/push" ./test/corpus/push) || fail "the program that makes the samples does not build"

# Nothing of this run touches the person's own settings, logins or memory of verdicts.
export HOME=$tmp/home XDG_DATA_HOME=$tmp/home/data XDG_CONFIG_HOME=$tmp/home/config XDG_CACHE_HOME=$tmp/home/cache
export DOCKER_CONFIG=$tmp/docker DOCKER_CLI_HINTS=false
mkdir -p "$HOME" "$DOCKER_CONFIG/cli-plugins"
cp "$bin/docker-safepull" "$DOCKER_CONFIG/cli-plugins/"

title "safepull: container images that mine cryptocurrency stop at the door"
say "In 2020 images with names like Microsoft Azure's own were pulled two million times from a public registry." \
  "They worked, and they also used the computers that ran them to earn cryptocurrency for a stranger." \
  "Docker asks nobody before it takes an image. safepull looks into it first."
echo
note "Preparing: a Docker engine, a registry on this machine, and harmless images made for this demo, some of which look"
note "like those attacks. Nothing in them works; nothing leaves this machine."
[[ $own_engine == no ]] || start_engine
start_registry
note "The engine is $(docker version --format '{{.Server.Version}}'); the registry at $registry has $(wc -l <"$tmp/pushed") images."

bad=$registry/azurenqx/azure-cli:2.61
clean=$registry/contoso/azure-cli:2.61

title "1. Somebody asks for an image that mines"
say "Its name says Azure. Its program dao.py would download a miner and run it, hidden behind the Tor network." \
  "With the word safepull in the command, Docker shows the image to safepull before it takes it:"
echo
try docker safepull "$bad"
echo
expect_status 2
expect_text 'block'
expect_text 'dao\.py'
good "refused (exit status 2: blocked), with the reasons"
nothing_of "${bad%:*}" dao.py
id=$(grep -oE 'SP-[A-Z0-9]{10}' <<<"$output" | head -n 1) || fail "the refusal names no verdict id (SP-…)"

title "2. Why? Every verdict has a number and explains itself"
try docker safepull explain "$id"
echo
expect_status 0
expect_text 'dao\.py'
expect_text 'stratum|wallet|pool|xmrig'
good "the evidence names the layer, the file and what stands there"

title "3. The same kind of image without the mining"
say "It has the same files in the same places, and also downloads a program when it starts: a real tool." \
  "A scanner that cries wolf here would be switched off within a week."
echo
try docker safepull "$clean"
echo
expect_status 0
brought+=("$clean")
try docker images --digests "${clean%:*}"
echo
expect_text '2\.61'
digest=$(awk -v name="$clean" '$1 == name { print $2 }' "$tmp/pushed")
good "accepted (exit status 0), and the engine has it under its name and tag"
expect_text "$digest|<none>"
if grep -q "$digest" <<<"$output"; then good "with the digest that was judged"; fi

title "4. Nobody has to remember the word safepull"
say "An organization puts safepull-proxy in front of its registries. Everybody goes on typing docker pull."
echo
start_proxy
note "safepull-proxy listens on $proxy and reads the registry at $registry."
echo
try docker pull "$proxy/azurenqx/azure-functions:4"
echo
((status != 0)) || fail "docker pull took the image"
expect_text 'safepull|blocked|SP-'
good "refused, and docker itself prints the reason"
nothing_of "$proxy/azurenqx/azure-functions" host.py
echo
try docker pull "$proxy/contoso/azure-functions:4"
echo
expect_status 0
brought+=("$proxy/contoso/azure-functions:4")
in_engine "$proxy/contoso/azure-functions" || fail "the engine does not have $proxy/contoso/azure-functions"
good "its clean twin, which uses Tor for a good reason, arrives"

title "5. All samples, one after the other"
while read -r name _ kind; do
  case $name in *azure-arc*) continue ;; esac # its platforms differ; the tests look at it
  status=0
  timeout --foreground 300 docker safepull check --progress quiet "$name" >"$tmp/output" 2>&1 || status=$?
  output=$(<"$tmp/output")
  case $kind:$status in
    mining:2) good "blocked   ${name#*/}" ;;
    mining:3) good "held      ${name#*/} (quarantine)" ;;
    clean:0) good "allowed   ${name#*/}" ;;
    *) sed 's/^/  /' "$tmp/output" >&2 && fail "$name is $kind and docker safepull check ended with status $status" ;;
  esac
done <"$tmp/pushed"

title "That is all"
say "docker safepull asked, trust judged, and the engine never saw what was refused." \
  "Read README.md next; make test runs everything that was shown here, and much more, as tests."
