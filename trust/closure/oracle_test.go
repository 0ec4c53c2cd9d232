package closure_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust"
)

// writer makes up scripts that run programs of /p under names that are put together in all the ways that shells have.
type writer struct {
	*rand.Rand
	out   strings.Builder // statements that come before what is being written
	names int
}

func (w *writer) fresh(prefix string) string {
	w.names++
	return fmt.Sprint(prefix, w.names)
}

func (w *writer) say(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

// quoted is a word that is the text, with nothing to fill in.
func (w *writer) quoted(text string) string {
	switch w.IntN(4) {
	case 0:
		return "'" + text + "'"
	case 1:
		return "\"" + text + "\""
	case 2:
		var b strings.Builder
		for _, c := range []byte(text) {
			fmt.Fprintf(&b, "\\x%02x", c)
		}
		return "$'" + b.String() + "'"
	}
	return text
}

// word is a word that a shell makes the text of; it may need statements before it.
func (w *writer) word(text string, depth int) string {
	if depth == 0 || len(text) < 2 {
		return w.quoted(text)
	}
	inner := func(s string) string { return w.word(s, depth-1) }
	v := w.fresh("V")
	switch w.IntN(22) {
	case 0:
		cut := 1 + w.IntN(len(text)-1)
		return inner(text[:cut]) + inner(text[cut:])
	case 1:
		w.say("%s=%s", v, inner(text))
		return "$" + v
	case 2:
		cut := 1 + w.IntN(len(text)-1)
		w.say("%s=%s", v, inner(text[:cut]))
		w.say("%s+=%s", v, inner(text[cut:]))
		return "\"${" + v + "}\""
	case 3:
		return "${" + v + ":-" + inner(text) + "}"
	case 4:
		w.say(": ${%s:=%s}", v, inner(text))
		return "$" + v
	case 5:
		return "$(echo " + inner(text) + ")"
	case 6:
		cut := 1 + w.IntN(len(text)-1)
		return "$(printf '%s%s' " + inner(text[:cut]) + " " + inner(text[cut:]) + ")"
	case 7:
		w.say("%s=%s", v, inner(text+".old"))
		return "${" + v + "%.old}"
	case 8:
		w.say("%s=%s", v, inner("z:"+text))
		return "${" + v + "#*:}"
	case 9:
		w.say("%s=%s", v, inner("zz"+text))
		return "${" + v + ":2}"
	case 10:
		w.say("%s=%s", v, inner(strings.Replace(text, text[1:2], "@", 1)))
		return "${" + v + "/@/" + text[1:2] + "}"
	case 11:
		w.say("set -- x %s y", inner(text))
		w.say("%s=$2", v)
		return "$" + v
	case 12:
		w.say("set -- x %s", inner(text))
		w.say("shift")
		w.say("%s=$1", v)
		return "\"$" + v + "\""
	case 13:
		w.say("%s=(x %s y)", v, inner(text))
		return "${" + v + "[1]}"
	case 14:
		return "$(echo " + base64.StdEncoding.EncodeToString([]byte(text)) + " | base64 -d)"
	case 15:
		w.say("read %s <<< %s", v, inner(text))
		return "$" + v
	case 16:
		w.say("if true; then %s=%s; else %s=/none; fi", v, inner(text), v)
		return "$" + v
	case 17:
		w.say("for %s in /none %s; do :; done", v, inner(text))
		return "$" + v
	case 18:
		w.say("eval %s=%s", v, inner(text))
		return "$" + v
	case 19:
		w.say("%s() { echo %s; }", v, inner(text))
		return "$(" + v + ")"
	case 20:
		w.say("%s=%s", v, inner(text))
		w.say("%sn=%s", v, v)
		return "${!" + v + "n}"
	}
	w.say("read x %s y <<EOF\na %s b\nEOF", v, text)
	return "$" + v
}

// command runs a program once.
func (w *writer) command(program string, depth int) {
	word := w.word(program, depth)
	f := w.fresh("f")
	switch w.IntN(14) {
	case 0:
		w.say("%s --go", word)
	case 1:
		w.say("exec %s --go", word)
	case 2:
		w.say("if true; then %s; fi", word)
	case 3:
		w.say("case x in y) ;; *) %s ;; esac", word)
	case 4:
		w.say("%s() { %s \"$@\"; }\n%s x", f, word, f)
	case 5:
		w.say("%s() { \"$@\"; }\n%s %s x", f, f, word)
	case 6:
		w.say("%s() { shift; $1 x; }\n%s x %s", f, f, word)
	case 7:
		w.say("for x in a %s; do [ $x = a ] || $x; done", word)
	case 8:
		w.say("eval %s --go", word)
	case 9:
		w.say("sh -c %s", word)
	case 10:
		w.say("echo %s | sh", word)
	case 11:
		w.say("sh <<EOF\n%s --go\nEOF", word)
	case 12:
		w.say("set -- %s --go\n\"$@\"", word)
	case 13:
		w.say("echo %s --go | while read a b; do $a $b; done", word)
	}
}

// shellOf runs a script with an interpreter whose world is an image, and returns the programs of the image that it ran.
func shellOf(ctx context.Context, files image, script string) []string {
	var ran []string
	var run func(ctx context.Context, in io.Reader, out io.Writer, env expand.Environ, script string, args []string)
	exec := func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			h := interp.HandlerCtx(ctx)
			name := strings.TrimPrefix(args[0], "/")
			switch {
			case files[name] != "":
				ran = append(ran, name)
			case args[0] == "sh" && len(args) > 2 && args[1] == "-c":
				run(ctx, h.Stdin, h.Stdout, h.Env, args[2], args[min(4, len(args)):])
			case args[0] == "sh":
				body, _ := io.ReadAll(h.Stdin)
				run(ctx, strings.NewReader(""), h.Stdout, h.Env, string(body), nil)
			case args[0] == "base64":
				body, _ := io.ReadAll(base64.NewDecoder(base64.StdEncoding, h.Stdin))
				_, _ = h.Stdout.Write(body)
			}
			return nil
		}
	}
	run = func(ctx context.Context, in io.Reader, out io.Writer, env expand.Environ, script string, args []string) {
		parsed, err := syntax.NewParser().Parse(strings.NewReader(script), "")
		if err != nil {
			return
		}
		runner, err := interp.New(interp.Env(env), interp.Dir("/"), interp.Params(append([]string{"--"}, args...)...), interp.StdIO(in, out, io.Discard), interp.ExecHandlers(exec),
			interp.OpenHandler(func(context.Context, string, int, os.FileMode) (io.ReadWriteCloser, error) {
				return nil, fs.ErrNotExist
			}),
			interp.ReadDirHandler2(func(context.Context, string) ([]fs.DirEntry, error) { return nil, fs.ErrNotExist }))
		if err == nil {
			_ = runner.Run(ctx, parsed)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	run(ctx, strings.NewReader(""), io.Discard, expand.ListEnviron("PATH=/bin"), script, []string{"first"})
	slices.Sort(ran)
	return slices.Compact(ran)
}

// agree checks that whatever the interpreter runs counts as running, and returns how much that was.
func agree(t *testing.T, seed uint64) int {
	t.Helper()
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // it must be the same every time
	for range 1 + w.IntN(3) {
		w.command("/p/"+string(rune('a'+w.IntN(10))), 1+w.IntN(3))
	}
	files := toolbox()
	ran := shellOf(t.Context(), files, w.out.String())
	c := files.with(image{"e.sh": "#!/bin/bash\n" + w.out.String()}).resolve(entry("/e.sh", "first"))
	for _, p := range ran {
		if c.Reach(trust.Finding{Layer: lower, Path: p}) != trust.ReachRuns {
			t.Errorf("seed %d: %s runs, which was not found in\n%s", seed, p, w.out.String())
		}
	}
	return len(ran)
}

// TestOracle compares with an interpreter of shells: what it runs must have been found.
func TestOracle(t *testing.T) {
	t.Parallel()
	ran := 0
	for seed := range uint64(500) {
		ran += agree(t, seed)
	}
	if ran < 400 {
		t.Errorf("the scripts ran only %d programs", ran)
	}
}

func FuzzOracle(f *testing.F) {
	f.Add(uint64(1 << 20))
	f.Fuzz(func(t *testing.T, seed uint64) { agree(t, seed) })
}
