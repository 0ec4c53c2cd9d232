package plugin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/trustlist"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/reference"
)

const longTrust = `Show and edit the trust lists. Edits go to your own file; its comments and order stay.

A pattern is registry/namespace/repository with * and ** as wildcards, optionally
with :tag or @digest. The most specific pattern decides; when two are equally
specific, deny beats allow. An allowed image is inspected all the same, unless
--skip-inspection says otherwise; a denied one is blocked.

Lists have levels: shipped, organization, user, command line (--trust-list). What a
lower level locks, a higher one may tighten but not loosen.

  docker safepull trust allow 'ghcr.io/acme/**' --reason 'built by our CI' --expires 90d
  docker safepull trust test ghcr.io/acme/app:1.2`

// trustOptions are the flags of the trust commands.
type trustOptions struct {
	reason, owner, ticket, approvedBy, expires, tier string
	digests                                          []string
	signedBy, signerKey, issuer, signedAs            string
	skipInspection, locked                           bool
	filters                                          []string
	expiring                                         string
	all, dryRun                                      bool
	key, name, maxAge                                string
	sequence                                         uint64
}

func (a *app) trustCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "trust COMMAND", Short: "Show and edit the trust lists", Long: longTrust,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
	}
	group.RunE = func(cmd *cobra.Command, args []string) error {
		return a.run(cmd, func(context.Context) error {
			if len(args) > 0 {
				var names []string
				for _, c := range group.Commands() {
					names = append(names, c.Name())
				}
				return fmt.Errorf("unknown command %q: use %s", args[0], strings.Join(names, ", "))
			}
			return cmd.Help()
		})
	}
	ls := a.command("ls [OPTIONS]", "List the entries of all trust lists", longTrustLs, 0, a.entries)
	ls.Flags().StringArrayVarP(&a.opts.trust.filters, "filter", "f", nil, `Show what fits "KEY=TEXT": action, tier, level, owner, ticket, pattern; pattern and owner fit by a part of them`)
	ls.Flags().StringVar(&a.opts.trust.expiring, "expiring", "", `Show what ended or ends within a time from now: "30d", "12h"`)
	a.trustListFlag(ls)
	test := a.command("test [OPTIONS] IMAGE", "Print which entry decides about an image, which lost and why, and whom its name resembles", longTrustTest, 1, a.test)
	a.trustListFlag(test)
	group.AddCommand(ls, test)
	group.AddCommand(a.editCommands()...)
	group.AddCommand(a.reviewCommands()...)
	group.AddCommand(a.organizationCommands()...)
	return group
}

const longTrustLs = `List the entries of all trust lists in force.

  docker safepull trust ls --filter action=deny --filter pattern=docker.io
  docker safepull trust ls --filter level=user --expiring 30d`

const longTrustTest = `Print which entry decides about an image, which entries lost and why, and whom the
name resembles. Nothing is pulled and no registry is asked.

  docker safepull trust test docker.io/azurenql/tool`

func (a *app) lists(ctx context.Context) (TrustLists, error) {
	lists, err := need(ctx, a.deps.Trust)
	if err != nil {
		return nil, fmt.Errorf("read the trust lists: %w", err)
	}
	return lists, nil
}

func (a *app) entries(ctx context.Context, _ []string) error {
	fits, err := a.filter(time.Now())
	if err != nil {
		return err
	}
	lists, err := a.lists(ctx)
	if err != nil {
		return err
	}
	answer := trustlist.NewEntries(slices.DeleteFunc(slices.Clone(lists.Entries()), func(e trust.Entry) bool { return !fits(e) })...)
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}

// filter is what the flags of "trust ls" leave.
func (a *app) filter(now time.Time) (func(trust.Entry) bool, error) {
	var tests []func(trust.Entry) bool
	if a.opts.trust.expiring != "" {
		until, err := parseExpiry(a.opts.trust.expiring, now)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(e trust.Entry) bool { return !e.Expires.IsZero() && !e.Expires.After(until) })
	}
	for _, f := range a.opts.trust.filters {
		key, want, _ := strings.Cut(f, "=")
		of, known := map[string]func(trust.Entry) bool{
			"action": func(e trust.Entry) bool { return e.Action == want },
			"level":  func(e trust.Entry) bool { return e.Level == want },
			"ticket": func(e trust.Entry) bool { return e.Ticket == want },
			"tier": func(e trust.Entry) bool {
				return e.Action == "allow" && (e.Tier == want || e.Tier == "" && want == "trusted")
			},
			"owner":   func(e trust.Entry) bool { return strings.Contains(e.Owner, want) },
			"pattern": func(e trust.Entry) bool { return strings.Contains(e.Pattern, want) },
		}[key]
		if !known || want == "" {
			return nil, fmt.Errorf("filter %q: use KEY=TEXT with action, tier, level, owner, ticket or pattern", f)
		}
		tests = append(tests, of)
	}
	return func(e trust.Entry) bool {
		return !slices.ContainsFunc(tests, func(t func(trust.Entry) bool) bool { return !t(e) })
	}, nil
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
	answer := trustlist.Standing{
		Schema: render.Schema, Reference: ref.String(), Standing: lists.Match(ref, time.Now()),
		Resembles: append([]lookalike.Resemblance{}, names.Resembles(ref)...),
	}
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
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
