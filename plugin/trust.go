package plugin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/reference"
)

const longTrust = `Show and edit the trust lists. Edits go to your own file; its comments and order stay.

A pattern is registry/namespace/repository with * and ** as wildcards, optionally
with :tag or @digest. The most specific pattern decides; when two are equally
specific, deny beats allow. An allowed image is inspected all the same, unless
--skip-inspection says otherwise; a denied one is blocked.`

func (a *app) trustCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "trust COMMAND", Short: "Show and edit the trust lists", Long: longTrust,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(context.Context) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q: use ls, allow, deny, rm or test", args[0])
				}
				return cmd.Help()
			})
		},
	}
	allow := a.command("allow [OPTIONS] PATTERN", "Allow what matches a pattern", "", 1, a.edit("allow"))
	deny := a.command("deny [OPTIONS] PATTERN", "Deny what matches a pattern", "", 1, a.edit("deny"))
	for _, cmd := range []*cobra.Command{allow, deny} {
		cmd.Flags().StringVar(&a.opts.reason, "reason", "", "Why, for whoever reads the list")
		cmd.Flags().StringVar(&a.opts.owner, "owner", "", "Who answers for the entry")
		cmd.Flags().StringVar(&a.opts.expires, "expires", "", `When the entry ends: "2027-01-31", RFC 3339, or from now: "30d", "12h"`)
	}
	allow.Flags().BoolVar(&a.opts.skipInspection, "skip-inspection", false,
		"Do not inspect the content either; needs --reason, --owner and --expires")
	group.AddCommand(
		a.command("ls [OPTIONS]", "List the entries of all trust lists", "", 0, a.entries),
		allow, deny,
		a.command("rm [OPTIONS] PATTERN", "Remove the entries with exactly this pattern", "", 1, a.remove),
		a.command("test [OPTIONS] IMAGE", "Print which entry decides about an image, which lost, and whom its name resembles", "", 1, a.test),
	)
	return group
}

func (a *app) lists(ctx context.Context) (TrustLists, error) {
	lists, err := need(ctx, a.deps.Trust)
	if err != nil {
		return nil, fmt.Errorf("read the trust lists: %w", err)
	}
	return lists, nil
}

func (a *app) entries(ctx context.Context, _ []string) error {
	lists, err := a.lists(ctx)
	if err != nil {
		return err
	}
	entries := lists.Entries()
	return a.answer(listOf(entries...), func() error { return a.text().Entries(a.cli.Out(), entries) })
}

// edit adds an entry to the user's file.
func (a *app) edit(action string) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		expires, err := parseExpiry(a.opts.expires, time.Now())
		if err != nil {
			return err
		}
		e := trust.Entry{
			Pattern: args[0], Action: action, Reason: a.opts.reason, Owner: a.opts.owner,
			Expires: expires, SkipInspection: a.opts.skipInspection,
		}
		if e.SkipInspection && (e.Reason == "" || e.Owner == "" || e.Expires.IsZero()) {
			return errors.New("--skip-inspection needs --reason, --owner and --expires")
		}
		lists, err := a.lists(ctx)
		if err != nil {
			return err
		}
		if err := lists.Add(e); err != nil {
			return fmt.Errorf("add to %q: %w", lists.File(), err)
		}
		e.List = lists.File()
		return a.answer(listOf(e), func() error {
			_, err := fmt.Fprintf(a.cli.Out(), "Added to %s: %s %s\n", e.List, e.Action, e.Pattern)
			return err
		})
	}
}

func (a *app) remove(ctx context.Context, args []string) error {
	lists, err := a.lists(ctx)
	if err != nil {
		return err
	}
	n, err := lists.Remove(args[0])
	if err != nil {
		return fmt.Errorf("remove from %q: %w", lists.File(), err)
	}
	if n == 0 {
		return fmt.Errorf("no entry has the pattern %q in %q (see \"docker safepull trust ls\"): %w", args[0], lists.File(), trust.ErrNotFound)
	}
	answer := struct {
		Schema  int    `json:"schema"`
		File    string `json:"file"`
		Removed int    `json:"removed"`
	}{render.Schema, lists.File(), n}
	return a.answer(answer, func() error {
		_, err := fmt.Fprintf(a.cli.Out(), "Removed from %s: %s (%d)\n", answer.File, args[0], n)
		return err
	})
}

func (a *app) test(ctx context.Context, args []string) error {
	ref, err := reference.Parse(args[0])
	if err != nil {
		return err
	}
	lists, err := a.lists(ctx)
	if err != nil {
		return err
	}
	names, err := need(ctx, a.deps.Names)
	if err != nil {
		return fmt.Errorf("load the known names: %w", err)
	}
	answer := render.Standing{
		Schema: render.Schema, Reference: ref.String(), Standing: lists.Match(ref, time.Now()),
		Resembles: append([]lookalike.Resemblance{}, names.Resembles(ref)...),
	}
	return a.answer(answer, func() error { return a.text().Standing(a.cli.Out(), ref, answer) })
}

func listOf(entries ...trust.Entry) render.EntryList {
	return render.EntryList{Schema: render.Schema, Entries: append([]trust.Entry{}, entries...)}
}

// parseExpiry reads a day (which ends the entry at its end, UTC), an RFC 3339 time, or a time from now.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if day, derr := time.Parse(time.DateOnly, s); derr == nil {
		at, err = day.AddDate(0, 0, 1), nil
	} else if days, ok := strings.CutSuffix(s, "d"); ok && err != nil {
		if n, nerr := strconv.ParseUint(days, 10, 16); nerr == nil {
			at, err = now.AddDate(0, 0, int(n)), nil
		}
	} else if d, perr := time.ParseDuration(s); perr == nil {
		at, err = now.Add(d), nil
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("expiry %q: use a day (2027-01-31), an RFC 3339 time, or a time from now (30d, 12h)", s)
	case !at.After(now):
		return time.Time{}, fmt.Errorf("expiry %q is in the past", s)
	}
	return at.UTC().Truncate(time.Second), nil
}
