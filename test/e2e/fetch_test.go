package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func cmdCapture(_ *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for _, stream := range []string{"stdout", "stderr"} {
		if m := re.FindStringSubmatch(ts.ReadFile(stream)); len(m) > 1 {
			ts.Setenv(args[0], m[1])
			return
		}
	}
	ts.Fatalf("%s is neither in stdout nor in stderr", args[1])
}

func cmdGet(_ *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: get STATUS[,STATUS...] URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[1], http.NoBody)
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	ts.Check(err)
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
	if !slices.Contains(strings.Split(args[0], ","), strconv.Itoa(resp.StatusCode)) {
		ts.Fatalf("GET %s: %s\n%s", args[1], resp.Status, body)
	}
}

func cmdSays(_ *story, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] says REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	text := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if re.MatchString(text) == neg {
		ts.Fatalf("%q in what was said is wrong here:\n%s", args[0], text)
	}
}

func cmdLines(_ *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: lines N")
	}
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if n := strings.Count(text, "\n") + 1; text != "" && args[0] != "" && n > atoi(ts, args[0]) {
		ts.Fatalf("%d lines, want %s at most:\n%s", n, args[0], text)
	}
}

func atoi(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}
