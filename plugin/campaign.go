package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	printed "github.com/safepull/safepull/plugin/render/campaign"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

const longCampaign = `Show what blocked images have in common: wallets, files, mining pools of their own,
publishers. A new image that shares a wallet or a file with a blocked one is found by
that ("docker safepull check" says so), however new its account is.

--state FILE reads the memory of a proxy ("state.db" in its stateDir), also while the
proxy runs, instead of the user's.

  docker safepull campaign ls --kind wallet --since 30d
  docker safepull campaign show 44AFFq5k`

const longCampaignShow = `Show all images that have a wallet, a file, a pool or a publisher, blocked or not. The
beginning of the value is enough where it names one.

  docker safepull campaign show 44AFFq5k`

// campaignOptions are the flags of the campaign commands.
type campaignOptions struct {
	kind, image, since string
	limit              int
}

func (a *app) campaignCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "campaign COMMAND", Short: "Show what blocked images have in common", Long: longCampaign,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(context.Context) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q: use ls or show", args[0])
				}
				return cmd.Help()
			})
		},
	}
	o := &a.opts.campaign
	ls := a.command("ls [OPTIONS]", "List what blocked images have", longCampaign, 0, a.campaigns)
	ls.Flags().StringVar(&o.image, "image", "", "Show what images have whose names have this `TEXT` in them")
	ls.Flags().StringVar(&o.since, "since", "", `Show what images have that were blocked since: "30d", "12h", a day (2027-01-31) or an RFC 3339 time`)
	ls.Flags().IntVar(&o.limit, "limit", 100, "List at most so many values; 0 lists all")
	show := a.command("show [OPTIONS] VALUE", "Show all images that have a wallet, a file, a pool or a publisher", longCampaignShow, 1, a.campaign)
	for _, cmd := range []*cobra.Command{ls, show} {
		cmd.Flags().StringVar(&o.kind, "kind", "", `Show this kind alone: "wallet", "payload", "pool" or "publisher"`)
		cmd.Flags().StringVar(&a.opts.state, "state", "", "The memory `FILE` to read (default: this user's)")
		group.AddCommand(cmd)
	}
	return group
}

// blockedEdges are what blocked images have, as far as the flags want it.
func (a *app) blockedEdges(ctx context.Context) (Campaigns, []campaign.Edge, error) {
	o := a.opts.campaign
	var since time.Time
	if kinds := []string{campaign.Wallet, campaign.Payload, campaign.Pool, campaign.Publisher}; o.kind != "" && !slices.Contains(kinds, o.kind) {
		return nil, nil, fmt.Errorf("--kind %q: use %s", o.kind, strings.Join(kinds, ", "))
	}
	if o.since != "" {
		var err error
		if since, err = parseSince(o.since, time.Now()); err != nil {
			return nil, nil, err
		}
	}
	memory, err := named(ctx, a.deps.Campaigns, a.opts.state)
	if err != nil {
		return nil, nil, fmt.Errorf("open the memory: %w", err)
	}
	edges, err := memory.Campaigns(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the memory: %w", err)
	}
	return memory, slices.DeleteFunc(edges, func(e campaign.Edge) bool {
		return o.kind != "" && e.Kind != o.kind || !strings.Contains(e.Name, o.image) || e.At.Before(since)
	}), nil
}

func (a *app) campaigns(ctx context.Context, _ []string) error {
	o := a.opts.campaign
	if o.limit < 0 {
		return fmt.Errorf("--limit %d: use a number of values, or 0 for all", o.limit)
	}
	_, edges, err := a.blockedEdges(ctx)
	if err != nil {
		return err
	}
	answer := printed.NewList(edges, o.limit, o.kind+o.image+o.since != "")
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}

func (a *app) campaign(ctx context.Context, args []string) error {
	memory, edges, err := a.blockedEdges(ctx)
	if err != nil {
		return err
	}
	var wanted []campaign.Edge
	for _, e := range edges {
		one := campaign.Edge{Kind: e.Kind, Value: e.Value}
		if e.Value == args[0] && len(wanted) > 0 && wanted[0].Value != args[0] {
			wanted = nil // the whole value goes before what merely begins so
		}
		if (e.Value == args[0] || strings.HasPrefix(e.Value, args[0]) && (len(wanted) == 0 || wanted[0].Value != args[0])) && !slices.Contains(wanted, one) {
			wanted = append(wanted, one)
		}
	}
	switch {
	case len(wanted) == 0:
		return fmt.Errorf("no blocked image has %q (see \"docker safepull campaign ls\"): %w", args[0], trust.ErrNotFound)
	case len(wanted) > 1:
		return fmt.Errorf("%q begins %d values, such as the %s %q and the %s %q: write more of it, or name its --kind", args[0], len(wanted),
			wanted[0].Kind, trust.Sanitise(wanted[0].Value, 100), wanted[1].Kind, trust.Sanitise(wanted[1].Value, 100))
	}
	if edges, err = memory.Shared(ctx, wanted); err != nil {
		return fmt.Errorf("read the memory: %w", err)
	}
	answer := printed.Shared{Schema: render.Schema, Kind: wanted[0].Kind, Value: wanted[0].Value, Images: edges}
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}
