//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is what happened to one question.
type result struct {
	lane  lane
	how   how
	state state
	goal  goal
	took  time.Duration
	// failed: the client said so by its exit status, and said is what it told the user.
	failed bool
	said   string
	// layers of the image that lie on the host afterwards.
	layers []int
	// unread is why the host could not be searched for them.
	unread error
	// broken: an allowed image does not arrive in this way, so that a refusal shows nothing.
	broken bool
	// asked is how often the stand-in for docker.io was asked for it, given how often it answered with content.
	asked, given int
}

// outcome is the result in a word or two.
func (r result) outcome() string {
	switch {
	case r.unread != nil:
		return fmt.Sprintf("not measured, the client's store cannot be read: %v", r.unread)
	case !r.failed && r.given > 0:
		return "went around"
	case !r.failed && len(r.layers) == 0:
		return "arrived, but is not found"
	case !r.failed:
		return "arrived"
	case len(r.layers) > 0:
		return fmt.Sprintf("refused, but layers %v stay", r.layers)
	case r.asked > 0:
		return "refused, asked docker.io in vain"
	}
	return "refused"
}

// ok says whether the goal is met.
func (r result) ok() bool {
	if r.broken || r.unread != nil {
		return false
	}
	arrived := !r.failed && r.given == 0 && len(r.layers) > 0
	nothing := r.failed && len(r.layers) == 0
	switch r.goal {
	case arrives:
		return arrived
	case either:
		return arrived || nothing
	case refused:
		return nothing
	case open:
		return true
	}
	return false
}

// row is the line of standard output.
func (r result) row() string {
	verdict := "short"
	if r.ok() {
		verdict = "ok"
	}
	measured := r.outcome()
	if r.broken {
		measured = "not measured, an allowed image does not arrive: " + measured
	}
	if r.failed {
		measured += ": " + cut(r.said, 400)
	}
	measured += fmt.Sprintf(" (%.1f s)", r.took.Seconds())
	return strings.Join([]string{r.lane.name(r.how, r.state), measured, string(r.goal), verdict}, "\t")
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// markdown is the table for people: a row for each client on each road, with what it saw when a tag was blocked.
func markdown(results []result) string {
	var b strings.Builder
	b.WriteString("| client, road | asked for | blocked | quarantined | undecided | allowed | what the user sees of a blocked tag |\n|---|---|---|---|---|---|---|\n")
	var names []string
	by := map[string][]result{}
	for _, r := range results {
		name := r.lane.client + ", " + string(r.lane.road)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		by[name] = append(by[name], r)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "| %s | %s ", name, asked(by[name]))
		for _, s := range []state{blocked, quarantined, undecided, allowed} {
			fmt.Fprintf(&b, "| %s ", cell(by[name], s))
		}
		fmt.Fprintf(&b, "| %s |\n", sight(by[name]))
	}
	return b.String()
}

const (
	// begin and end stand around the table in a file for people.
	begin = "<!-- printed by make e2e-clients -->\n"
	end   = "<!-- end -->\n"
)

// within replaces the table in a text.
func within(text, table string) (string, error) {
	head, rest, ok := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the file has no place for the table: %q and %q", begin, end)
	}
	return head + begin + "\n" + table + "\n" + end + tail, nil
}

// asked lists the ways in which the client asked.
func asked(results []result) string {
	var ways []string
	for _, r := range results {
		if !slices.Contains(ways, string(r.how)) {
			ways = append(ways, string(r.how))
		}
	}
	return strings.Join(ways, ", ")
}

// cell joins the outcomes of a state: one word where tag, digest and layer fare alike.
func cell(results []result, s state) string {
	var order []string
	ways := map[string][]string{}
	for _, r := range results {
		if r.state != s {
			continue
		}
		o := r.outcome()
		if !slices.Contains(order, o) {
			order = append(order, o)
		}
		ways[o] = append(ways[o], string(r.how))
	}
	if len(order) == 1 {
		return order[0]
	}
	var parts []string
	for _, o := range order {
		parts = append(parts, strings.Join(ways[o], ", ")+" "+o)
	}
	return strings.Join(parts, "; ")
}

func sight(results []result) string {
	for _, r := range results {
		if r.state == blocked && r.how == byTag && r.failed {
			return "`" + strings.NewReplacer("|", "¦", "`", "'").Replace(cut(r.said, 200)) + "`"
		}
	}
	return ""
}
