package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	printed "github.com/safepull/safepull/plugin/render/campaign"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

const longCampaign = `Show what blocked images have in common: wallets, files, mining pools of their own,
publishers. A new image that shares a wallet or a file with a blocked one is found by
that ("docker safepull check" says so), however new its account is.

--state FILE reads the memory of a proxy ("state.db" in its stateDir) instead of the
user's.`

const longCampaignShow = `Show all images that have a wallet, a file, a pool or a publisher, blocked or not. The
beginning of the value is enough where it names one.`

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
	ls := a.command("ls [OPTIONS]", "List what blocked images have", longCampaign, 0, a.campaigns)
	show := a.command("show [OPTIONS] VALUE", "Show all images that have a wallet, a file, a pool or a publisher", longCampaignShow, 1, a.campaign)
	for _, cmd := range []*cobra.Command{ls, show} {
		cmd.Flags().StringVar(&a.opts.state, "state", "", "The memory `FILE` to read (default: this user's)")
		group.AddCommand(cmd)
	}
	return group
}

// blockedEdges are what blocked images have.
func (a *app) blockedEdges(ctx context.Context) (Campaigns, []campaign.Edge, error) {
	memory, err := named(ctx, a.deps.Campaigns, a.opts.state)
	if err != nil {
		return nil, nil, fmt.Errorf("open the memory: %w", err)
	}
	edges, err := memory.Campaigns(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the memory: %w", err)
	}
	return memory, edges, nil
}

func (a *app) campaigns(ctx context.Context, _ []string) error {
	_, edges, err := a.blockedEdges(ctx)
	if err != nil {
		return err
	}
	answer := printed.NewList(edges)
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}

func (a *app) campaign(ctx context.Context, args []string) error {
	memory, edges, err := a.blockedEdges(ctx)
	if err != nil {
		return err
	}
	var wanted []campaign.Edge
	for _, e := range edges {
		if strings.HasPrefix(e.Value, args[0]) {
			wanted = append(wanted, campaign.Edge{Kind: e.Kind, Value: e.Value})
		}
	}
	if len(wanted) == 0 {
		return fmt.Errorf("no blocked image has %q (see \"docker safepull campaign ls\"): %w", args[0], trust.ErrNotFound)
	}
	for _, w := range wanted {
		if w != wanted[0] {
			return fmt.Errorf("%q begins more than one value: write more of it", args[0])
		}
	}
	if edges, err = memory.Shared(ctx, wanted[:1]); err != nil {
		return fmt.Errorf("read the memory: %w", err)
	}
	answer := printed.Shared{Schema: render.Schema, Kind: wanted[0].Kind, Value: wanted[0].Value, Images: edges}
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}
