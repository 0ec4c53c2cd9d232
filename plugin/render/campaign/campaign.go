// Package campaign prints what blocked images have in common.
package campaign

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust/campaign"
)

// List is "campaign ls" as JSON.
type List struct {
	Schema    int      `json:"schema"`
	Campaigns []shared `json:"campaigns"`
	// Unlisted is how many more there are.
	Unlisted int `json:"unlisted"`

	filtered bool
}

// shared is one thing that blocked images have.
type shared struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	// Publishers is how many publishers the images have.
	Publishers int `json:"publishers"`
	// Images are the blocked ones, the newest first.
	Images []campaign.Edge `json:"images"`
}

// Shared is "campaign show" as JSON.
type Shared struct {
	Schema int             `json:"schema"`
	Kind   string          `json:"kind"`
	Value  string          `json:"value"`
	Images []campaign.Edge `json:"images"`
}

// NewList gathers edges, the newest first, by what they share: what most publishers have comes first, then what most images
// have. At most so many are listed, where limit is not 0.
func NewList(edges []campaign.Edge, limit int, filtered bool) List {
	at := map[[2]string]int{}
	list := List{Schema: render.Schema, Campaigns: []shared{}, filtered: filtered}
	publishers := map[[3]string]bool{}
	for _, e := range edges {
		k := [2]string{e.Kind, e.Value}
		i, ok := at[k]
		if !ok {
			i = len(list.Campaigns)
			at[k] = i
			list.Campaigns = append(list.Campaigns, shared{Kind: e.Kind, Value: e.Value})
		}
		list.Campaigns[i].Images = append(list.Campaigns[i].Images, e)
		if by := [3]string{e.Kind, e.Value, e.Publisher}; !publishers[by] {
			publishers[by] = true
			list.Campaigns[i].Publishers++
		}
	}
	slices.SortStableFunc(list.Campaigns, func(a, b shared) int {
		return cmp.Or(cmp.Compare(b.Publishers, a.Publishers), cmp.Compare(len(b.Images), len(a.Images)))
	})
	if limit > 0 && len(list.Campaigns) > limit {
		list.Unlisted, list.Campaigns = len(list.Campaigns)-limit, list.Campaigns[:limit]
	}
	return list
}

// valueWidth is what of a value is shown in a table.
const valueWidth = 48

// Text prints it as a table.
func (list List) Text(w io.Writer, _ render.Text) error {
	if len(list.Campaigns) == 0 {
		says := "Nothing is known of blocked images yet."
		if list.filtered {
			says = "No blocked image has anything that fits."
		}
		_, err := fmt.Fprintln(w, says)
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "SHARED\tVALUE\tBLOCKED\tPUBLISHERS\tLAST\tNEWEST IMAGE")
	for _, c := range list.Campaigns {
		newest := c.Images[0]
		fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%s\t%s (%s)\n", line.Clean(c.Kind), line.Elide(c.Value, valueWidth), len(c.Images), c.Publishers,
			newest.At.UTC().Format("2006-01-02"), line.Elide(newest.Name, line.Name), line.Clean(newest.Verdict))
	}
	if err := line.Flush(out); err != nil {
		return err
	}
	if list.Unlisted > 0 {
		_, err := fmt.Fprintf(w, "and %d more (--limit 0 lists all)\n", list.Unlisted)
		return err
	}
	return nil
}

// Text prints all images that share it.
func (c Shared) Text(w io.Writer, t render.Text) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s %s\n", line.Clean(c.Kind), line.Clean(c.Value))
	for _, e := range c.Images {
		known := ""
		if e.Vouched {
			known = ", known"
		}
		fmt.Fprintf(out, "  %s  %s: %s@%s (%s%s)\n", e.At.UTC().Format("2006-01-02 15:04"), t.Action(string(e.Action)), line.Clean(e.Name), line.Short(e.Manifest), line.Clean(e.Verdict), known)
	}
	return line.Flush(out)
}
