package closure_test

import (
	"strings"
	"testing"
)

// Variables have every value that they may have where they are used.
func TestShell_variables(t *testing.T) {
	t.Parallel()
	check(t, map[string]leads{
		"plain":               {"X=/p/a\n$X\n", "a", nil},
		"braces":              {"X=/p\n${X}/a\n", "a", nil},
		"of-variables":        {"X=/p\nY=a\nZ=$X/$Y\n$Z\n", "a", nil},
		"of-the-environment":  {"$DIR/$NAME\n", "a", nil},
		"overwritten":         {"X=/p/a\nX=/p/b\n$X\n", "a b", nil}, // whichever way the script goes
		"overwritten-env":     {"DIR=/q\n$DIR/a\n", "a q/a", image{"q/a": "ELF"}},
		"before-assignment":   {"$X\nX=/p/a\n", "", image{"b": "ELF"}},
		"appended":            {"X=/p\nX+=/a\n$X\n", "a", nil},
		"exported":            {"export X=/p/a\n$X\n", "a", nil},
		"local":               {"f() { local X=/p/a; $X; }\n", "a", nil},
		"declared":            {"declare -r X=/p/a Y=/p/b\n$X; $Y\n", "a b", nil},
		"readonly":            {"readonly X=/p/a\n$X\n", "a", nil},
		"typeset":             {"typeset X=/p/a\n$X\n", "a", nil},
		"default":             {"${X:-/p/a}\n", "a", nil},
		"default-no-colon":    {"${X-/p/a}\n", "a", nil},
		"default-in-default":  {"${X:-${Y:-/p/a}}\n", "a", nil},
		"default-of-set":      {"X=/p/b\n${X:-/p/a}\n", "a b", nil},
		"assigned-default":    {"${X:=/p/a}\n$X -x\n", "a", nil},
		"default-by-colon":    {": ${X:=/p/a}\n$X -x\n", "a", nil},
		"default-in-quotes":   {": \"${X:=/p/a}\"\n\"$X\" -x\n", "a", nil},
		"alternative":         {"X=1\n${X:+/p/a}\n", "a", nil},
		"error":               {"${X:?/p/a is missing}\n", "", nil},
		"cut-suffix":          {"X=/p/a.bak\n${X%.bak}\n", "a", nil},
		"cut-name":            {"X=/p/z\n${X%/*}/a\n", "a", nil},
		"cut-names":           {"X=/p/z/y\n${X%%/z*}/a\n", "a", nil},
		"cut-folder":          {"X=/q/a\n/p/${X##*/}\n", "a", nil},
		"cut-prefix":          {"X=file:/p/a\n${X#file:}\n", "a", nil},
		"cut-prefix-pattern":  {"X=file:/p/a\n${X#*:}\n", "a", nil},
		"replaced":            {"X=/p/@\n${X/@/a}\n", "a", nil},
		"replaced-pattern":    {"X=/p/@\n/p/${X/?/a}\n", "a b c d e f g h i j", nil}, // not known, so all that /p/* fits
		"substring":           {"X=///p/a\n${X:2}\n", "a", nil},
		"upper-case":          {"X=/P/A\n${X,,}\n", "a", nil},
		"indirect":            {"X=/p/a\nY=X\n${!Y}\n", "a", nil},
		"array-element":       {"X=(/p/a /p/b)\n${X[1]}\n", "a b", nil},
		"array-all":           {"X=(/p/a -o x)\n\"${X[@]}\"\n", "a", nil},
		"array-star":          {"X=(/p/a -o x)\n${X[*]}\n", "a", nil},
		"array-by-index":      {"X[0]=/p/a\n${X[0]}\n", "a", nil},
		"array-appended":      {"X=(nice)\nX+=(/p/a)\n\"${X[@]}\"\n", "a", nil},
		"array-in-a-loop":     {"X=(a b)\nfor i in \"${X[@]}\"; do /p/$i; done\n", "a b", nil},
		"associative":         {"declare -A X=([k]=/p/a)\n${X[k]}\n", "a", nil},
		"words-in-one":        {"X='nice -n 5 /p/a'\n$X\n", "a", nil},
		"wrapper-in-one":      {"W='nohup nice'\n$W /p/a\n", "a", nil},
		"empty-prefix":        {"W=\n$W /p/a\n", "a", nil},
		"unset-prefix":        {"$UNSET /p/a\n", "a", nil},
		"quoted-empty-prefix": {"${UNSET:+sudo} /p/a\n", "a", nil},
		"own-name":            {"${0%/*}/p/a\n", "a", nil},
		"own-folder":          {"$(dirname \"$0\")/p/a\n", "a", nil},
		"own-folder-read":     {"$(dirname \"$(readlink -f \"$0\")\")/p/a\n", "a", nil},
		"source-folder":       {"D=\"$( cd \"$( dirname \"${BASH_SOURCE[0]}\" )\" && pwd )\"\n\"$D\"/p/a\n", "a", nil},
		"home":                {"$HOME/x\n~/y\n", "root/x root/y", image{"root/x": "ELF", "root/y": "ELF"}},
		"working-folder":      {"cd /p\n$PWD/a\n", "a", nil},
		"echoed":              {"X=$(echo /p/a)\n$X\n", "a", nil},
		"printed":             {"X=$(printf /p/a)\n$X\n", "a", nil},
		"printed-format":      {"X=$(printf '%s/%s' /p a)\n$X\n", "a", nil},
		"command-v":           {"X=$(command -v tini)\n$X /p/a\n", "a", nil},
		"which-or":            {"X=$(which nothing || echo /p/a)\n$X\n", "a", nil},
		"back-quotes":         {"X=`echo /p/a`\n$X\n", "a", nil},
		"read-from-a-string":  {"read X <<< /p/a\n$X\n", "a", nil},
		"read-from-a-file":    {"read X < /conf\n$X\n", "a conf", image{"conf": "TEXT /p/a\n"}},
		"cat-of-a-file":       {"X=$(cat /conf)\n$X\n", "a conf", image{"conf": "TEXT /p/a\n"}},
		"short-cat":           {"X=$(< /conf)\n$X\n", "a conf", image{"conf": "TEXT /p/a\n"}},
		"printf-v":            {"printf -v X /p/a\n$X\n", "a", nil},
		"brace-expansion":     {"/p/{a,b}\n", "a b", nil},
		"pattern":             {"/p/[ab]\n", "a b", nil},
		"pattern-with-mark":   {"/p/?\n", "a b c d e f g h i j", nil},
		"pattern-negated":     {"/p/[!a-h]\n", "i j", nil},
		"not-known-name":      {"/p/$(date)\n", "a b c d e f g h i j", nil},
		"not-known-end":       {"/p/a$(date)\n", "a ab", image{"p/ab": "ELF"}},
		"encoded-command":     {"X=$(echo L3AvYQo= | base64 -d)\n$X\n", "a", nil},
		"reversed-command":    {"X=$(echo a/p/ | rev)\n$X\n", "a", nil},
		"positional":          {"set -- x /p/a\n$2\n", "a", nil},
		"positional-braces":   {"set -- 1 2 3 4 5 6 7 8 9 /p/a\n${10}\n", "a", nil},
		"positional-shifted":  {"set -- x /p/a\nshift\n$1\n", "a", nil},
		"positional-loop":     {"set -- x /p/a\nwhile [ $# -gt 0 ]; do case $1 in x) Y=$1 ;; *) X=$1 ;; esac; shift; done\n$X\n", "a", nil},
		"shifted-by-two":      {"set -- x y /p/a /p/b\nshift 2\n$1\n", "a", nil},
		"all-but-first":       {"set -- x /p/a\n\"${@:2}\"\n", "a", nil},
		"all-in-front":        {"set -- nice \"$@\" /p/a\nexec \"$@\"\n", "a", nil},
		"getopts":             {"set -- -c /p/a\nwhile getopts c: o; do $OPTARG; done\n", "a", nil},
	})
}

// Words may be anything: the last command or its arguments.
func TestShell_prefixes(t *testing.T) {
	t.Parallel()
	cases := map[string]leads{}
	for _, prefix := range []string{
		"sudo", "sudo -E -u nobody", "env", "env -i X=1", "env -u Y X=1", "nohup", "nice", "nice -n 19", "nice -19", "ionice -c 3", "timeout 5", "timeout -s KILL 5m", "timeout --signal=KILL 5",
		"setsid", "setsid -f", "stdbuf -oL", "exec", "exec -a name", "command", "command -p", "builtin exec", "tini --", "tini -s -g --", "dumb-init", "dumb-init -r 15:3 --", "gosu nobody", "gosu 1000:1000",
		"su-exec nobody:nobody", "setpriv --reuid=1000 --clear-groups", "proxychains4 -q -f /etc/x", "torsocks", "taskset -c 0-3", "taskset 0x3", "chroot /", "chroot --userspec=1:1 /", "unshare -m", "busybox nohup", "busybox nice -n 3",
		"sudo nice -n 5 env X=1 nohup", "xargs", "xargs -n 1 -P 4", "flock /tmp/l", "flock -n /tmp/lock", "watch -n 5", "start-stop-daemon --start --background --exec", "echo x | xargs",
	} {
		cases[prefix] = leads{prefix + " /p/a --go\n", "a", nil}
	}
	for name, script := range map[string]string{
		"su-command":            "su nobody -c '/p/a --go'\n",
		"su-command-first":      "su -c '/p/a --go' nobody\n",
		"su-shell":              "su -s /bin/sh nobody -c \"exec /p/a\"\n",
		"sudo-shell":            "sudo sh -c '/p/a'\n",
		"env-split":             "env -S '/p/a --go'\n",
		"timeout-shell":         "timeout 5 sh -c '/p/a'\n",
		"watch-string":          "watch -n 5 '/p/a --go'\n",
		"flock-command":         "flock /tmp/l -c '/p/a'\n",
		"script-command":        "script -qc '/p/a' /dev/null\n",
		"bash-options":          "bash -e -u -o pipefail -c '/p/a'\n",
		"bash-joined":           "bash -euxc '/p/a'\n",
		"sh-argument":           "sh -c '\"$0\" \"$@\"' /p/a -x\n",
		"sh-arguments":          "sh -c '\"$@\"' x /p/a -x\n",
		"sh-of-the-inherited":   "bash -c \"$DIR/a\"\n",
		"sh-in-sh":              "sh -c \"sh -c '/p/a'\"\n",
		"sh-of-a-file":          "sh -x /p/s\n",
		"sh-of-standard-input":  "sh < /p/s\n",
		"sh-of-a-here-document": "sh -s -- x <<-'EOF'\n\t/p/a\n\tEOF\n",
		"sh-of-a-here-string":   "sh <<< '/p/a'\n",
		"eval-of-words":         "eval /p/\"a\"\n",
		"eval-of-a-variable":    "X='/p/a -x'\neval \"$X\"\n",
		"eval-of-a-file":        "eval \"$(cat /p/s)\"\n",
		"source":                ". /p/s\n",
		"source-by-variable":    "X=/p\nsource \"$X/s\"\n",
		"source-in-path":        "PATH=/p:$PATH\n. s\n",
		"source-in-a-process":   ". <(cat /p/s)\n",
		"path-changed":          "PATH=$PATH:/p\na -x\n",
		"path-exported":         "export PATH=/p:$PATH\na -x\n",
		"path-for-one":          "PATH=/p a -x\n",
		"cd":                    "cd /p && ./a\n",
		"cd-by-variable":        "cd $DIR\n./a\n",
		"cd-with-dashes":        "cd -- /p\n./a\n",
		"cd-up":                 "cd /p/x\n../a\n",
		"pushd":                 "pushd /p\n./a\npopd\n",
		"cd-in-a-substitution":  "X=$(cd /p && pwd)\n$X/a\n",
		"chroot-into":           "chroot /r /a\n",
		"absolute-by-dots":      "/usr/../p/./a\n",
		"double-slashes":        "//p//a\n",
		"find-exec":             "find /x -name y -exec /p/a {} +\n",
		"find-xargs":            "find /tmp -type f | xargs /p/a\n",
		"trap-and-kill":         "trap '/p/a' USR1; kill -USR1 $$\n",
		"loader":                "/lib64/ld-linux-x86-64.so.2 /p/a\n",
		"loader-musl":           "/lib/ld-musl-x86_64.so.1 --library-path /lib /p/a\n",
		"preloaded":             "LD_PRELOAD=/p/a true\n",
		"preloaded-exported":    "export LD_PRELOAD=/p/a\ntrue\n",
		"input-of-python":       "python3 - < /p/x.py\n",
		"python-command":        "python3 -c \"import os; os.system('/p/a')\"\n",
		"python-here-document":  "python3 <<EOF\nimport os\nos.execv('/p/a', ['a'])\nEOF\n",
		"perl-command":          "perl -e 'exec \"/p/a\"'\n",
		"node-command":          "node -e \"require('child_process').spawn('/p/a')\"\n",
		"ruby-command":          "ruby -e 'system(\"/p/a\")'\n",
		"php-command":           "php -r 'exec(\"/p/a\");'\n",
		"make":                  "make -f /p/rules\n",
		"make-in-a-folder":      "make -C /p\n",
	} {
		more := image{"r/a": "ELF", "p/s": "#!/bin/sh\n/p/a\n", "p/x.py": "import os\nos.system('/p/a')\n", "p/rules": "all:\n\t@/p/a\n", "p/Makefile": "all:\n\t-/p/a\n"}
		want := "a"
		switch name {
		case "chroot-into":
			want = "r/a"
		case "input-of-python":
			want = "a x.py"
		case "make":
			want = "a rules"
		case "make-in-a-folder":
			want = "Makefile a"
		default:
			if len(script) > 0 && strings.Contains(script, "/s") && !strings.Contains(script, "/sh") || strings.Contains(script, ". s") {
				want = "a s"
			}
		}
		cases[name] = leads{script, want, more}
	}
	check(t, cases)
}
