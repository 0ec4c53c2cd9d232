package render

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/safepull/safepull/trust"
)

// CampaignList is "campaign ls" as JSON.
type CampaignList struct {
	Schema    int              `json:"schema"`
	Campaigns []campaignShared `json:"campaigns"`
}

// campaignShared is one thing that blocked images have.
type campaignShared struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	// Images are the blocked ones, the newest first.
	Images []trust.Edge `json:"images"`
}

// Campaign is "campaign show" as JSON.
type Campaign struct {
	Schema int          `json:"schema"`
	Kind   string       `json:"kind"`
	Value  string       `json:"value"`
	Images []trust.Edge `json:"images"`
}

// Of gathers edges by what they share, what most images have first.
func (CampaignList) Of(edges []trust.Edge) CampaignList {
	at := map[[2]string]int{}
	list := CampaignList{Schema: Schema, Campaigns: []campaignShared{}}
	for _, e := range edges {
		k := [2]string{e.Kind, e.Value}
		i, ok := at[k]
		if !ok {
			i = len(list.Campaigns)
			at[k] = i
			list.Campaigns = append(list.Campaigns, campaignShared{Kind: e.Kind, Value: e.Value})
		}
		list.Campaigns[i].Images = append(list.Campaigns[i].Images, e)
	}
	slices.SortStableFunc(list.Campaigns, func(a, b campaignShared) int { return cmp.Compare(len(b.Images), len(a.Images)) })
	return list
}

// valueWidth is what of a value is shown in a table.
const valueWidth = 48

// Campaigns prints what blocked images have, as a table.
func (t Text) Campaigns(w io.Writer, list CampaignList) error {
	if len(list.Campaigns) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is known of blocked images yet.")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "SHARED\tVALUE\tBLOCKED\tLAST\tNEWEST IMAGE")
	for _, c := range list.Campaigns {
		newest := c.Images[0]
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s (%s)\n", clean(c.Kind), elide(c.Value, valueWidth), len(c.Images), newest.At.UTC().Format("2006-01-02"), clean(newest.Name), clean(newest.Verdict))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Campaign prints all images that share one thing.
func (t Text) Campaign(w io.Writer, c Campaign) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s %s\n", clean(c.Kind), clean(c.Value))
	for _, e := range c.Images {
		known := ""
		if e.Vouched {
			known = ", known"
		}
		fmt.Fprintf(out, "  %s  %s: %s@%s (%s%s)\n", e.At.UTC().Format("2006-01-02 15:04"), t.paint(string(e.Action), word(string(e.Action))), clean(e.Name), short(e.Manifest), clean(e.Verdict), known)
	}
	return flush(out)
}
