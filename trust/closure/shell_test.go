package closure_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
)

// toolbox is a file system of programs that scripts call, and of programs to be found: /p/a to /p/j.
func toolbox() image {
	files := image{"bin": "-> usr/bin", "usr/bin/sh": "-> dash", "usr/bin/dash": "ELF", "usr/bin/python3": "-> python3.12", "usr/bin/python3.12": "ELF", "usr/sbin/gosu": "ELF"}
	for tool := range strings.FieldsSeq("bash env nohup nice ionice timeout setsid stdbuf sudo su xargs tini dumb-init su-exec setpriv proxychains4 torsocks taskset chroot unshare busybox watch flock script start-stop-daemon " +
		"cat cp mv ln dd chmod find tee base64 node perl ruby php make cron supervisord") {
		files["usr/bin/"+tool] = "ELF"
	}
	for name := range strings.SplitSeq("abcdefghij", "") {
		files["p/"+name] = "ELF"
	}
	return files
}

// reached are the files of an image that run, without those of usr and, for short, without the p/ of p/a and its like.
func (i image) reached(c *closure.Closure) string {
	var got []string
	for _, p := range i.running(c) {
		if !strings.HasPrefix(p, "usr/") && p != "e.sh" {
			got = append(got, strings.TrimPrefix(p, "p/"))
		}
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

// leads is a script /e.sh in an image and what it leads to.
type leads struct {
	script string
	want   string
	more   image
}

func check(t *testing.T, cases map[string]leads) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := toolbox().with(image{"e.sh": "#!/bin/sh\n" + tc.script}).with(tc.more)
			c := files.resolve(inspect.Config{Entrypoint: []string{"/e.sh"}, Cmd: []string{"first", "second"}, Env: []string{"DIR=/p", "NAME=a"}})
			if diff := cmp.Diff(tc.want, files.reached(c)); diff != "" || c.Everything() != "" {
				t.Errorf("%s\n%s", c.Everything(), diff)
			}
		})
	}
}

// Quotes, escapes and comments are those of a shell.
func TestShell_quoting(t *testing.T) {
	t.Parallel()
	check(t, map[string]leads{
		"single":              {"'/p/a' -x\n", "a", nil},
		"double":              {"\"/p/a\" -x\n", "a", nil},
		"in-pieces":           {"/'p'/\"a\"\n", "a", nil},
		"empty-pieces":        {"''/p\"\"/a''\n", "a", nil},
		"escaped-letters":     {"\\/\\p\\/\\a\n", "a", nil},
		"escaped-line-end":    {"/p\\\n/a\n", "a", nil},
		"line-end-in-double":  {"\"/p\\\n/a\"\n", "a", nil},
		"octal":               {"$'/p/\\141'\n", "a", nil},
		"hexadecimal":         {"$'/\\x70/\\x61'\n", "a", nil},
		"code-point":          {"$'/p/\\u0061'\n", "a", nil},
		"long-code-point":     {"$'/p/\\U00000061'\n", "a", nil},
		"translated":          {"$\"/p/a\"\n", "a", nil},
		"single-is-literal":   {"'$DIR/a'\n", "", nil},
		"double-is-not":       {"\"$DIR/a\"\n", "a", nil},
		"escaped-dollar":      {"\"\\$DIR/a\"\n", "", nil},
		"blank-in-a-name":     {"\"/p/a b\"\n", "a b", image{"p/a b": "ELF", "p/b": "DATA", "p/a": "DATA"}},
		"escaped-blank":       {"/p/a\\ b\n", "a b", image{"p/a b": "ELF"}},
		"comment":             {"# /p/a\n/p/b # /p/c\n", "b", nil},
		"hash-in-a-word":      {"/p/x#y /p/a\n", "a x#y", image{"p/x#y": "ELF"}},
		"hash-in-quotes":      {"'/p/#x'\n", "#x", image{"p/#x": "ELF"}},
		"behind-semicolon":    {"true;/p/a;true\n", "a", nil},
		"behind-ampersand":    {"true&/p/a&/p/b\n", "a b", nil},
		"and-or":              {"/p/a&&/p/b||/p/c\n", "a b c", nil},
		"negated":             {"! /p/a\n", "a", nil},
		"timed":               {"time /p/a\n", "a", nil},
		"windows-line-ends":   {"/p/a -x\r\n", "a", nil},
		"no-line-end":         {"/p/a", "a", nil},
		"tabs":                {"\t\t/p/a\t-x\n", "a", nil},
		"redirected-before":   {">/dev/null 2>&1 /p/a\n", "a", nil},
		"redirected-twice":    {"/p/a >/tmp/log 2>/tmp/err </dev/null &\n", "a", nil},
		"assignment-before":   {"X=1 Y=2 /p/a\n", "a", nil},
		"escaped-builtin":     {"\\exec /p/a\n", "a", nil},
		"zero-byte":           {"/p/a\x00 /p/b\n", "a b", nil},
		"marks-of-the-reader": {"/p/\x01a\n/p/\x02b\n", "a b", nil},
		"byte-order-mark":     {"\ufeff\n/p/a\n", "a", nil},
	})
}

// Everything that a shell may run is run, whichever way it may go.
func TestShell_control(t *testing.T) {
	t.Parallel()
	check(t, map[string]leads{
		"if":                  {"if /p/a; then /p/b; elif /p/c; then /p/d; else /p/e; fi\n", "a b c d e", nil},
		"while":               {"while /p/a; do /p/b; done\n", "a b", nil},
		"until":               {"until /p/a; do /p/b; sleep 1; done\n", "a b", nil},
		"for":                 {"for x in a b; do /p/$x; done\n", "a b", nil},
		"for-of-arguments":    {"set -- a b\nfor x; do /p/$x; done\n", "a b", nil},
		"for-in-arguments":    {"set -- a b\nfor x in \"$@\"; do /p/$x; done\n", "a b", nil},
		"for-of-a-list":       {"L='a b'\nfor x in $L; do /p/$x; done\n", "a b", nil},
		"for-of-five":         {"for x in a b c d e; do /p/$x; done\n", "a b c d e", nil},
		"for-of-ten":          {"for x in a b c d e f g h i j; do /p/$x; done\n", "a b c d e f g h i j", nil},
		"for-in-for":          {"for d in /p /q; do for x in a b; do $d/$x; done; done\n", "a b q/a q/b", image{"q/a": "ELF", "q/b": "ELF", "q/c": "ELF"}},
		"arithmetic-for":      {"for ((i=0;i<3;i++)); do /p/a; done\n", "a", nil},
		"select":              {"select x in a; do /p/$x; done\n", "a", nil},
		"case":                {"case $1 in x) /p/a;; y|z) /p/b;& *) /p/c;; esac\n", "a b c", nil},
		"case-on-its-word":    {"case $(/p/a) in *) /p/b;; esac\n", "a b", nil},
		"function":            {"f() { /p/a; }\nf\n", "a", nil},
		"function-never-used": {"f() { /p/a; }\n", "a", nil},
		"function-keyword":    {"function f { /p/a; }\nf\n", "a", nil},
		"function-arguments":  {"f() { \"$@\"; }\nf /p/a -x\n", "a", nil},
		"function-argument":   {"f() { exec \"$1\" -x; }\nf /p/a\n", "a", nil},
		"function-shifts":     {"f() { shift; \"$@\"; }\nf x /p/a -x\n", "a", nil},
		"function-in-a-file":  {". /lib\nstart /p/a\n", "a lib", image{"lib": "start() { \"$1\"; }\n"}},
		"function-of-a-name":  {"f() { /p/$1; }\nf a\n", "a", nil},
		"function-redirected": {"f() { /p/a; } >/dev/null\nf\n", "a", nil},
		"subshell":            {"(cd /p; ./a)\n", "a", nil},
		"braces":              {"{ /p/a; /p/b; } &\n", "a b", nil},
		"nested":              {"( { if true; then ( /p/a ); fi; } )\n", "a", nil},
		"test-command":        {"[ -x /p/a ] && /p/b\n", "b", nil},
		"double-brackets":     {"[[ -x /p/a ]] && /p/b\n", "b", nil},
		"in-a-substitution":   {"X=$(/p/a -x)\necho `/p/b`\n", "a b", nil},
		"in-arithmetic":       {"X=$(( $(/p/a) + 1 ))\n", "a", nil},
		"in-a-process":        {"cat <(/p/a) > >(/p/b)\n", "a b", nil},
		"in-a-default":        {"X=${Y:-$(/p/a)}\n", "a", nil},
		"in-a-here-document":  {"cat <<EOF\n$(/p/a)\nEOF\n", "a", nil},
		"in-a-here-string":    {"cat <<< \"$(/p/a)\"\n", "a", nil},
		"coprocess":           {"coproc /p/a\n", "a", nil},
		"pipeline":            {"/p/a | /p/b |& /p/c\n", "a b c", nil},
		"after-exit":          {"exit 0\n/p/a\n", "a", nil},
		"after-exec":          {"exec /p/a\n/p/b\n", "a b", nil},
		"trap":                {"trap '/p/a' EXIT\ntrap \"/p/b; true\" INT TERM\n", "a b", nil},
		"trap-with-dashes":    {"trap -- '/p/a' EXIT\n", "a", nil},
		"alias":               {"alias x='/p/a'\nx\n", "a", nil},
		"prompt-command":      {"PROMPT_COMMAND=/p/a\n", "a", nil},
		"export-and-use":      {"export X=/p/a\nsh -c '$X'\n", "a", nil},
		"export-to-a-script":  {"export X=/p/a\n/s\n", "a s", image{"s": "#!/bin/sh\n$X\n"}},
		"assign-to-a-script":  {"X=/p/a /s\n", "a s", image{"s": "#!/bin/sh\n$X\n"}},
	})
}
