package plugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	printed "github.com/safepull/safepull/plugin/render/policy"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

const longPolicy = `Show, check, try and replay policies: what evidence is weighed by.

A policy is "default", "strict" or "monitor", which are shipped, or a file.`

const longPolicyShow = `Print the policy in force on this machine, or the one that is named: where it comes
from, its digest, and all of it. Sections that a file leaves out are shown as
shipped; comments say which file each section is of. What is printed is a policy
file with the same digest.

  docker safepull policy show
  docker safepull policy show strict > mine.yaml`

const longPolicyLint = `Check a policy: print all that is wrong with a file, each with its line and column,
also within conditions.

Exit status: 0 it is right, 1 it is not.

  docker safepull policy lint mine.yaml`

const longPolicyTest = `Decide cases that a file describes, and compare with what they want.

  version: 1
  cases:
    - name: a miner that starts with the image
      image: docker.io/acme/app:1
      findings:
        - {check: minerbinary, strength: proof, reach: runs}
      verdict: block
      rule: miner-runs

A case may have findings (check, strength, reach, class), unanswered, integrity,
allowed, denied, vouched and platform; it wants a verdict, and perhaps a rule that
applies or an action that a mode made milder (called).

Exit status: 0 all cases are as wanted, 1 error or some are not.`

const longPolicyReplay = `Decide again what was judged, with another policy or other trust lists, and say who
would be newly refused or freed. No image is read: what the remembered evidence does
not tell is said, and counted apart.

--state FILE reads the memory of a proxy ("state.db" in its stateDir), also while the
proxy runs, instead of this user's. The trust lists are those of this machine and of
--trust-list: name the proxy's own lists there.

Exit status: 0 whatever comes of it, 1 error. With --exit-code: 2 something would be
newly refused, else 3 something would be freed, else 4 something cannot be decided.

  docker safepull policy replay --since 30d --policy mine.yaml
  docker safepull policy replay --trust-list org.yaml --exit-code --format json`

// Limits of one replay: images, each of which takes some bytes of memory, and those of each change that are listed.
const (
	maxReplayed = 1_000_000
	maxListed   = 10_000
)

func (a *app) policyCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "policy COMMAND", Short: "Show, check, try and replay policies", Long: longPolicy,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(context.Context) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q: use show, lint, test or replay", args[0])
				}
				return cmd.Help()
			})
		},
	}
	test := a.command("test [OPTIONS] FILE", "Decide the cases of a file", longPolicyTest, 1, a.policyTest)
	replay := a.command("replay [OPTIONS]", "Decide again what was judged, with another policy or list", longPolicyReplay, 0, a.policyReplay)
	replay.Flags().StringVar(&a.opts.since, "since", "30d", `How far back: "30d", "12h", a day (2027-01-31) or an RFC 3339 time`)
	replay.Flags().StringVar(&a.opts.state, "state", "", "The memory `FILE` to read (default: this user's)")
	replay.Flags().BoolVar(&a.opts.exitCode, "exit-code", false, "End with 2, 3 or 4 where something would change")
	replay.Flags().IntVar(&a.opts.limit, "limit", 1000, "List at most so many images of each change; all are counted")
	a.trustListFlag(replay)
	a.policyFlag(test)
	a.policyFlag(replay)
	show := a.command("show [OPTIONS] [POLICY]", "Print the policy in force, and where it comes from", longPolicyShow, 0, nil)
	a.arguments(show, 0, 1, a.policyShow)
	a.policyFlag(show)
	group.AddCommand(show, a.command("lint [OPTIONS] POLICY", "Check a policy", longPolicyLint, 1, a.policyLint), test, replay)
	return group
}

// policyShow prints a policy whole.
func (a *app) policyShow(ctx context.Context, args []string) error {
	var why string
	switch {
	case len(args) == 1:
		a.opts.policy, why = args[0], "as named"
	case a.opts.policy != "":
		why = "--policy"
	case a.env("SAFEPULL_POLICY") != "":
		why = "SAFEPULL_POLICY"
	default:
		why = "nothing else is chosen"
	}
	p, err := named(ctx, a.deps.Policy, a.opts.policy)
	if err != nil {
		return err
	}
	answer, err := printed.NewShown(p, why)
	if err != nil {
		return err
	}
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}

// policyLint says that a policy is right, or all that is wrong with it.
func (a *app) policyLint(ctx context.Context, args []string) error {
	p, err := named(ctx, a.deps.Policy, args[0])
	var wrong *policy.Invalid
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	answer := printed.NewLinted(args[0], p, wrong)
	if err := a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) }); err != nil {
		return err
	}
	if n := len(answer.Problems); n > 0 {
		what := "problems"
		if n == 1 {
			what = "problem"
		}
		return cli.StatusError{Status: fmt.Sprintf("%s: %d %s", args[0], n, what), StatusCode: exitError}
	}
	return nil
}

// policyTest decides cases.
func (a *app) policyTest(ctx context.Context, args []string) error {
	p, err := named(ctx, a.deps.Policy, a.opts.policy)
	if err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("cases: %w", err)
	}
	cases, err := policy.LoadCases(args[0], f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	answer := printed.Tested{Schema: render.Schema, Policy: p.Digest()}
	for _, c := range cases {
		answer.Add(c, p)
	}
	if err := a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text(), args[0]) }); err != nil {
		return err
	}
	if answer.Failed > 0 {
		return cli.StatusError{Status: fmt.Sprintf("%d of %d cases are not as wanted", answer.Failed, answer.Cases), StatusCode: exitError}
	}
	return nil
}

// policyReplay decides again the newest verdict on each image.
func (a *app) policyReplay(ctx context.Context, _ []string) error {
	since, err := parseSince(a.opts.since, time.Now())
	if err != nil {
		return err
	}
	p, err := named(ctx, a.deps.Policy, a.opts.policy)
	if err != nil {
		return err
	}
	lists, err := a.lists(ctx)
	if err != nil {
		return err
	}
	history, err := named(ctx, a.deps.History, a.opts.state)
	if err != nil {
		return fmt.Errorf("open the memory: %w", err)
	}
	if a.opts.limit < 0 || a.opts.limit > maxListed {
		return fmt.Errorf("--limit %d: use a number from 0 to %d", a.opts.limit, maxListed)
	}
	answer := printed.NewReplayed(p, since, a.opts.limit)
	// What is known of an image is its newest verdict. A part of the digest is enough to tell some millions apart.
	seen := map[[16]byte]bool{}
	now := time.Now()
	err = history.Judged(ctx, since, func(v trust.Verdict, unreadable error) error {
		if unreadable != nil {
			answer.AddUnreadable(v.ID, unreadable)
			return ctx.Err()
		}
		sum := sha256.Sum256([]byte(v.Reference.Name() + " " + v.Reference.Tag + " " + v.Manifest.String()))
		if key := [16]byte(sum[:16]); seen[key] {
			return nil // an older verdict on the same
		} else if seen[key] = true; len(seen) > maxReplayed {
			return fmt.Errorf("more than %d images: use a shorter --since: %w", maxReplayed, trust.ErrLimit)
		}
		answer.Add(v, p, lists.Match(v.Reference, now))
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if a.opts.exitCode {
		answer.ExitStatus = answer.Status()
	}
	if err := a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) }); err != nil {
		return err
	}
	if answer.ExitStatus != 0 {
		return cli.StatusError{Status: answer.Summary(), StatusCode: answer.ExitStatus}
	}
	return nil
}

// parseSince reads a time in the past: a day, an RFC 3339 time, or one before now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf(`--since %q: use "30d", "12h", a day (2027-01-31) or an RFC 3339 time`, cmp.Or(s, " "))
}
