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
}

// shared is one thing that blocked images have.
type shared struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
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

// NewList gathers edges by what they share, what most images have first.
func NewList(edges []campaign.Edge) List {
	at := map[[2]string]int{}
	list := List{Schema: render.Schema, Campaigns: []shared{}}
	for _, e := range edges {
		k := [2]string{e.Kind, e.Value}
		i, ok := at[k]
		if !ok {
			i = len(list.Campaigns)
			at[k] = i
			list.Campaigns = append(list.Campaigns, shared{Kind: e.Kind, Value: e.Value})
		}
		list.Campaigns[i].Images = append(list.Campaigns[i].Images, e)
	}
	slices.SortStableFunc(list.Campaigns, func(a, b shared) int { return cmp.Compare(len(b.Images), len(a.Images)) })
	return list
}

// valueWidth is what of a value is shown in a table.
const valueWidth = 48

// Text prints it as a table.
func (list List) Text(w io.Writer, _ render.Text) error {
	if len(list.Campaigns) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is known of blocked images yet.")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "SHARED\tVALUE\tBLOCKED\tLAST\tNEWEST IMAGE")
	for _, c := range list.Campaigns {
		newest := c.Images[0]
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s (%s)\n", line.Clean(c.Kind), line.Elide(c.Value, valueWidth), len(c.Images), newest.At.UTC().Format("2006-01-02"), line.Clean(newest.Name), line.Clean(newest.Verdict))
	}
	return line.Flush(out)
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
