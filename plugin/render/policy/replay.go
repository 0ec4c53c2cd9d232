package policy

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// The changes of an image that is decided again, as JSON has them.
const (
	refused    = "refused"    // it was served, and would not be
	freed      = "freed"      // it was not, and would be
	otherwise  = "other"      // it is served before and after, or neither
	open       = "open"       // the evidence does not tell: after is the mildest that may come of it
	unreadable = "unreadable" // nothing can be said
)

// image is one about which the replayed policy decides otherwise, or cannot decide.
type image struct {
	ID        string       `json:"id"`
	Reference string       `json:"reference"`
	Before    trust.Action `json:"before"`
	After     trust.Action `json:"after"`
	Change    string       `json:"change"`
	Reason    string       `json:"reason"`
	// Open says what the evidence does not tell.
	Open string `json:"open"`
}

// Replayed is "policy replay" as JSON. Each image is counted once: Images is the sum of Refused, Freed, Other, Unchanged, Open
// and Unreadable.
type Replayed struct {
	Schema int       `json:"schema"`
	Since  time.Time `json:"since"`
	// Policy and TrustLists name what was decided by.
	PolicyName string        `json:"policyName"`
	Policy     digest.Digest `json:"policy"`
	Images     int           `json:"images"`
	Refused    int           `json:"refused"`
	// Blocked is how many of Refused would be blocked; the others would be quarantined.
	Blocked    int `json:"blocked"`
	Freed      int `json:"freed"`
	Other      int `json:"other"`
	Unchanged  int `json:"unchanged"`
	Open       int `json:"open"`
	Unreadable int `json:"unreadable"`
	// Outdated is how many of all were inspected by other rules than the newest one: inspected anew, they might show more or
	// less.
	Outdated int `json:"outdated"`
	// Changed are at most so many of each change as were asked for; Unlisted is how many more there are.
	Changed    []image `json:"changed"`
	Unlisted   int     `json:"unlisted"`
	ExitStatus int     `json:"exitStatus"`

	most   int
	listed map[string]int
	newest digest.Digest
}

// NewReplayed is a replay that lists at most so many images of each change.
func NewReplayed(p *policy.Policy, since time.Time, most int) *Replayed {
	return &Replayed{
		Schema: render.Schema, Since: since.UTC(), PolicyName: line.Clean(p.Name()), Policy: p.Digest(), Changed: []image{}, most: most, listed: map[string]int{},
	}
}

// MarshalJSON writes the counts and the images.
func (r *Replayed) MarshalJSON() ([]byte, error) {
	type plain Replayed
	return json.Marshal((*plain)(r)) //nolint:wrapcheck // the encoder adds who it is
}

// AddUnreadable counts a verdict that nobody can read.
func (r *Replayed) AddUnreadable(id string, err error) {
	r.Images++
	r.Unreadable++
	r.list(image{ID: line.Clean(id), Change: unreadable, Reason: line.Clean(err.Error())})
}

// Add decides a verdict again, the newest first, and notes it where the action is another one, or is not certain.
func (r *Replayed) Add(v trust.Verdict, p *policy.Policy, standing trust.Standing) {
	r.Images++
	if r.newest == "" {
		r.newest = v.Ruleset
	}
	if v.Ruleset != r.newest {
		r.Outdated++
	}
	d, untold := p.Again(v, standing)
	one := image{ID: line.Clean(v.ID), Reference: line.Clean(v.Reference.WithDigest("").String()), Before: v.Action, After: d.Action, Open: line.Clean(untold)}
	switch {
	case v.Action.Serves() && !d.Action.Serves(): // certain, since what is not told can only add to it
		one.Change = refused
		if r.Refused++; d.Action == trust.Block {
			r.Blocked++
		}
	case untold != "":
		one.Change = open
		r.Open++
	case d.Action == v.Action:
		r.Unchanged++
		return
	case !v.Action.Serves() && d.Action.Serves():
		one.Change = freed
		r.Freed++
	default:
		one.Change = otherwise
		r.Other++
	}
	if len(d.Reasons) > 0 {
		one.Reason = line.Shorten(d.Reasons[0], line.Reason)
	} else if standing.Decided != nil {
		one.Reason = line.Clean(fmt.Sprintf("trust list allows %s", standing.Decided.Pattern))
	}
	r.list(one)
}

func (r *Replayed) list(one image) {
	if r.listed[one.Change] >= r.most {
		r.Unlisted++
		return
	}
	r.listed[one.Change]++
	r.Changed = append(r.Changed, one)
}

// Status is what a build job can go by: 2 where something would be newly refused, else 3 where something would be freed, else 4
// where something cannot be decided, else 0.
func (r *Replayed) Status() int {
	switch {
	case r.Refused > 0:
		return 2
	case r.Freed > 0:
		return 3
	case r.Open+r.Unreadable > 0:
		return 4
	}
	return 0
}

// Summary is what came of it in one line.
func (r *Replayed) Summary() string {
	s := fmt.Sprintf("%d newly refused, %d freed, %d otherwise, %d as before", r.Refused, r.Freed, r.Other, r.Unchanged)
	if r.Open > 0 {
		s += fmt.Sprintf(", %d not to be decided", r.Open)
	}
	if r.Unreadable > 0 {
		s += fmt.Sprintf(", %d unreadable", r.Unreadable)
	}
	return s
}

// Text prints who would be refused, freed, or treated otherwise, and about whom nothing is certain.
func (r *Replayed) Text(w io.Writer, _ render.Text) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "Decided again: %d images since %s, by policy %s (%s)\n", r.Images, line.Moment(r.Since), r.PolicyName, line.Short(r.Policy))
	counts := map[string]int{refused: r.Refused, freed: r.Freed, otherwise: r.Other, open: r.Open, unreadable: r.Unreadable}
	for _, part := range []struct{ change, title string }{
		{refused, fmt.Sprintf("Newly refused (%d blocked, %d quarantined)", r.Blocked, r.Refused-r.Blocked)}, {freed, "Freed"}, {otherwise, "Otherwise"},
		{open, "Not to be decided by what is remembered: a new inspection tells"}, {unreadable, "Unreadable"},
	} {
		var lines []string
		for _, c := range r.Changed {
			if c.Change == part.change {
				lines = append(lines, c.text())
			}
		}
		if more := counts[part.change] - len(lines); more > 0 && len(lines) > 0 {
			lines = append(lines, fmt.Sprintf("and %d more", more))
		}
		line.Section(out, part.title, lines)
	}
	if r.Outdated > 0 {
		fmt.Fprintf(out, "\nnote: %d of them were inspected by other rules than the newest one: inspected anew, they might show more or less\n", r.Outdated)
	}
	fmt.Fprintf(out, "\n%s\n", r.Summary())
	return line.Flush(out)
}

func (c image) text() string {
	if c.Change == unreadable {
		return fmt.Sprintf("%s: %s", c.ID, line.Elide(c.Reason, line.Reason))
	}
	arrow := "→ "
	if c.Open != "" {
		arrow = "→ at least "
	}
	text := fmt.Sprintf("%s (%s): %s %s%s", line.Elide(c.Reference, line.Name), c.ID, c.Before, arrow, c.After)
	for _, more := range []struct{ before, text string }{{": ", c.Reason}, {"; ", c.Open}} {
		if more.text != "" {
			text += more.before + more.text
		}
	}
	return cmp.Or(strings.TrimSpace(text), c.ID)
}
