package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust/ruleset"
)

// Check is one indicator as people ask about it.
type Check struct {
	// Check is the name with the version, as findings have it: "stratum@1".
	Check   string `json:"check"`
	Name    string `json:"name"`
	Version int    `json:"version"`
	// Group is that of the policy in force.
	Group string `json:"group"`
	// Digest is over the meaning of its rule file; empty where it has none.
	Digest digest.Digest `json:"digest"`
	// Data are how many values its rule file has, by key.
	Data  map[string]int `json:"data"`
	About ruleset.About  `json:"about"`
}

// CheckList is "rules ls" as JSON.
type CheckList struct {
	Schema  int           `json:"schema"`
	Ruleset digest.Digest `json:"ruleset"`
	Checks  []Check       `json:"checks"`
}

// CheckInfo is "rules info" and "rules explain" as JSON.
type CheckInfo struct {
	Schema  int           `json:"schema"`
	Ruleset digest.Digest `json:"ruleset"`
	// Limits are those of the inspection, in bytes, pieces, milliseconds or steps, as their names say.
	Limits map[string]int64 `json:"limits"`
	Check
}

// Tested is "rules test" as JSON.
type Tested struct {
	Schema     int               `json:"schema"`
	Path       string            `json:"path"`
	Files      int               `json:"files"`
	Findings   []Finding         `json:"findings"`
	Unanswered map[string]string `json:"unanswered"`
	ExitStatus int               `json:"exitStatus"`
}

// Linted is "rules lint" as JSON.
type Linted struct {
	Schema     int                `json:"schema"`
	Path       string             `json:"path"`
	Files      int                `json:"files"`
	Problems   []*ruleset.Problem `json:"problems"`
	ExitStatus int                `json:"exitStatus"`
}

// textWidth is where explanations are broken, in characters.
const textWidth = 100

// Checks prints the indicators as a table.
func (t Text) Checks(w io.Writer, list CheckList) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "CHECK\tGROUP\tSIGN")
	for _, c := range list.Checks {
		fmt.Fprintf(out, "%s\t%s\t%s\n", line.Clean(c.Check), line.Clean(c.Group), line.OrDash(c.About.Sign))
	}
	return line.Flush(out)
}

// CheckInfo prints what an indicator's rules hold and within what limits it looks.
func (t Text) CheckInfo(w io.Writer, c CheckInfo) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s\n\n", line.Clean(c.Check.Check), line.OrDash(c.About.Sign))
	for _, row := range [][2]string{
		{"Group", line.Clean(c.Group)}, {"Rules", string(line.OrNone(c.Digest))}, {"Ruleset", string(line.OrNone(c.Ruleset))},
	} {
		fmt.Fprintf(out, "%-9s %s\n", row[0]+":", row[1])
	}
	for _, part := range []struct {
		title  string
		counts map[string]int64
	}{{"Values in the rules", wide(c.Data)}, {"Limits of the inspection", c.Limits}} {
		if len(part.counts) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s:\n", part.title)
		for _, k := range sortedKeys(part.counts) {
			fmt.Fprintf(out, "  %-20s %d\n", line.Clean(k), part.counts[k])
		}
	}
	return line.Flush(out)
}

func wide(counts map[string]int) map[string]int64 {
	out := make(map[string]int64, len(counts))
	for k, n := range counts {
		out[k] = int64(n)
	}
	return out
}

// CheckExplained prints what a sign means, why it matters and what looks like it.
func (t Text) CheckExplained(w io.Writer, c CheckInfo) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s\n", line.Clean(c.Check.Check), line.OrDash(c.About.Sign))
	if c.About.Means == "" {
		fmt.Fprint(out, "\nIts rule file does not say more.\n")
		return line.Flush(out)
	}
	for _, part := range []struct{ title, text string }{
		{"What it means", c.About.Means}, {"Why it matters", c.About.Matters},
	} {
		fmt.Fprintf(out, "\n%s:\n%s", part.title, wrapped(part.text, "  ", "  "))
	}
	if len(c.About.LookAlikes) > 0 {
		fmt.Fprint(out, "\nWhat looks like it:\n")
		for _, l := range c.About.LookAlikes {
			fmt.Fprint(out, wrapped(l, "  - ", "    "))
		}
	}
	fmt.Fprintf(out, "\nIt counts in the group %q of the policy.\n", line.Clean(c.Group))
	return line.Flush(out)
}

// wrapped breaks a text into lines.
func wrapped(text, first, rest string) string {
	var b strings.Builder
	next := first
	for _, word := range strings.Fields(line.Clean(text)) {
		if len(next)+len(word) >= textWidth && strings.TrimSpace(next) != "" {
			b.WriteString(strings.TrimRight(next, " ") + "\n")
			next = rest
		}
		next += word + " "
	}
	b.WriteString(strings.TrimRight(next, " ") + "\n")
	return b.String()
}

// Tested prints what was found in local files.
func (t Text) Tested(w io.Writer, d Tested) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %d findings in %d files\n", line.Clean(d.Path), len(d.Findings), d.Files)
	for _, f := range d.Findings {
		fmt.Fprintf(out, "  - %s at %d\n", findingLine(f), f.Offset)
	}
	line.Section(out, "Unanswered", pairs(d.Unanswered))
	return line.Flush(out)
}

// Linted prints what is wrong with rule files, one problem a line, as compilers do.
func (t Text) Linted(w io.Writer, d Linted) error {
	out := bufio.NewWriter(w)
	for _, p := range d.Problems {
		fmt.Fprintln(out, line.Clean(p.Error()))
	}
	if len(d.Problems) == 0 {
		fmt.Fprintf(out, "%s: %d rule files, nothing wrong\n", line.Clean(d.Path), d.Files)
	}
	return line.Flush(out)
}
