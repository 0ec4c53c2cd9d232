package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// row is one check with what came of it: Pass, FAIL, Error, Skip or Disabled.
type row struct{ name, status string }

// run returns the checks of a run without pushes. The suite's files are not read: it breaks while it writes them when it pushed
// nothing, and what it prints says as much.
func (w *world) run(ctx context.Context, s seeds) ([]row, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.tools, "conformance"))
	cmd.Dir = w.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "OCI_TLS=disabled", "OCI_RESULTS_DIR=" + filepath.Join(w.dir, "results"),
		"OCI_REGISTRY=" + w.proxy, "OCI_REPO1=" + repository, "OCI_API_PUSH=false",
		"OCI_API_TAGS_DELETE=false", "OCI_API_MANIFESTS_DELETE=false", "OCI_API_BLOBS_DELETE=false",
	}, s.environment()...)
	said, err := cmd.CombinedOutput() // fails when a check does, which the rows tell
	if e := os.WriteFile(filepath.Join(w.dir, "suite.log"), said, 0o600); e != nil {
		return nil, e
	}
	rows := parse(string(said))
	if len(rows) == 0 {
		return nil, fmt.Errorf("the suite tells of no check: %w\n%s", err, said)
	}
	return rows, nil
}

var line = regexp.MustCompile(`^ *OCI Conformance Test/(.+): (Pass|FAIL|Error|Skip|Disabled)$`)

// parse reads the checks, without those that only sum up others. Those of one name are numbered.
func parse(said string) []row {
	var rows []row
	times := map[string]int{}
	for l := range strings.SplitSeq(said, "\n") {
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		name := strings.ReplaceAll(m[1], " ", "_")
		if n := len(rows); n > 0 && strings.HasPrefix(name, rows[n-1].name+"/") {
			rows = rows[:n-1]
		}
		if times[name]++; times[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, times[name])
		}
		rows = append(rows, row{name, m[2]})
	}
	return rows
}
