package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/trustlist"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

const longTrustAllow = `Allow what matches a pattern. The content is inspected all the same. An entry with the
same pattern is replaced.

  docker safepull trust allow 'ghcr.io/acme/**' --reason 'built by our CI' --owner platform --expires 90d
  docker safepull trust allow ghcr.io/acme/app --digest sha256:… --ticket SEC-12
  docker safepull trust allow 'quay.io/project/**' --tier known`

const longTrustDeny = `Deny what matches a pattern: such an image is blocked unseen.

  docker safepull trust deny 'docker.io/evil/**' --reason 'seen in report 2026-11' --owner security`

const longTrustRm = `Remove the entries with exactly this pattern from your own list.

  docker safepull trust rm 'ghcr.io/acme/**'`

const longTrustImport = `Add all entries of a trust list to your own, or none of them when one is wrong. Entries
with the same pattern are replaced. "-" reads standard input.

  docker safepull trust import --dry-run team.yaml
  docker safepull trust import team.yaml`

// maxKeyFile bounds the file of a public key.
const maxKeyFile = 16 << 10

func (a *app) editCommands() []*cobra.Command {
	allow := a.command("allow [OPTIONS] PATTERN", "Allow what matches a pattern", longTrustAllow, 1, a.edit("allow"))
	deny := a.command("deny [OPTIONS] PATTERN", "Deny what matches a pattern", longTrustDeny, 1, a.edit("deny"))
	o := &a.opts.trust
	for _, cmd := range []*cobra.Command{allow, deny} {
		flags := cmd.Flags()
		flags.StringVar(&o.reason, "reason", "", "Why, for whoever reads the list")
		flags.StringVar(&o.owner, "owner", "", "Who answers for the entry")
		flags.StringVar(&o.ticket, "ticket", "", "Where it was asked for")
		flags.StringVar(&o.approvedBy, "approved-by", "", "Who approved it")
		flags.StringVar(&o.expires, "expires", "", `When the entry ends: "2027-01-31", RFC 3339, or from now: "30d", "12h"`)
		flags.BoolVar(&o.locked, "locked", false, "Let no list of a higher level be more lenient")
	}
	flags := allow.Flags()
	flags.StringVar(&o.tier, "tier", "", `"trusted" waives the questions about the name (the default), "known" waives none`)
	flags.StringArrayVar(&o.digests, "digest", nil, "Allow this digest alone; it may be given several times")
	flags.StringVar(&o.signerKey, "signed-by-key", "", "Require a signature by the public key in this PEM `FILE`")
	flags.StringVar(&o.signedBy, "signed-by", "", "Require a signature by this identity; needs --issuer")
	flags.StringVar(&o.issuer, "issuer", "", "The https URL that vouches for the identity of --signed-by")
	flags.StringVar(&o.signedAs, "signed-as", "", "The repository that signatures may name where the image is a copy, with * for any run of characters")
	flags.BoolVar(&o.skipInspection, "skip-inspection", false,
		"Do not inspect the content either; needs --reason, --owner and --expires")
	rm := a.command("rm [OPTIONS] PATTERN", "Remove the entries with exactly this pattern", longTrustRm, 1, a.remove)
	load := a.command("import [OPTIONS] FILE|-", "Add all entries of a trust list to your own", longTrustImport, 1, a.importList)
	load.Flags().BoolVar(&o.dryRun, "dry-run", false, "Only print what would change")
	return []*cobra.Command{allow, deny, rm, load}
}

func (a *app) trustFile(ctx context.Context) (TrustFile, error) {
	file, err := need(ctx, a.deps.TrustFile)
	if err != nil {
		return nil, fmt.Errorf("find your trust list: %w", err)
	}
	return file, nil
}

// edit adds an entry to the user's file.
func (a *app) edit(action string) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		e, err := a.entry(action, args[0])
		if err != nil {
			return err
		}
		file, err := a.trustFile(ctx)
		if err != nil {
			return err
		}
		changes, err := file.Import([]trust.Entry{e})
		if err != nil {
			return err
		}
		for _, c := range changes {
			if c.After != nil {
				e = *c.After
			}
		}
		e.List = file.Name()
		return a.answer(trustlist.NewEntries(e), func() error {
			if _, err := fmt.Fprintf(a.cli.Out(), "Added to %s: %s %s\n", e.List, e.Action, e.Pattern); err != nil {
				return err
			}
			a.remark(ctx, e)
			return nil
		})
	}
}

// entry is what the flags say.
func (a *app) entry(action, pattern string) (trust.Entry, error) {
	o := a.opts.trust
	expires, err := parseExpiry(o.expires, time.Now())
	if err != nil {
		return trust.Entry{}, err
	}
	e := trust.Entry{
		Pattern: pattern, Action: action, Tier: o.tier, Reason: o.reason, Owner: o.owner, Ticket: o.ticket, ApprovedBy: o.approvedBy,
		Expires: expires, SkipInspection: o.skipInspection, Locked: o.locked,
	}
	if e.SkipInspection && (e.Reason == "" || e.Owner == "" || e.Expires.IsZero()) {
		return trust.Entry{}, errors.New("--skip-inspection needs --reason, --owner and --expires")
	}
	for _, d := range o.digests {
		e.Digests = append(e.Digests, digest.Digest(d))
	}
	if o.signerKey != "" || o.signedBy != "" || o.issuer != "" || o.signedAs != "" {
		e.RequireSignature = &trust.Signer{Identity: o.signedBy, Issuer: o.issuer, Repository: o.signedAs}
	}
	if o.signerKey != "" {
		text, err := readFile(o.signerKey, maxKeyFile)
		if err != nil {
			return trust.Entry{}, fmt.Errorf("--signed-by-key: %w", err)
		}
		e.RequireSignature.Key = strings.TrimSpace(string(text))
	}
	return e, nil
}

// remark says what an entry that was just written will not do, where that is known.
func (a *app) remark(ctx context.Context, e trust.Entry) {
	lists, err := a.lists(ctx)
	if err != nil {
		_, _ = fmt.Fprintf(a.cli.Err(), "note: the lists cannot be read as they are now: %v\n", err)
		return
	}
	for _, p := range lists.Lint(time.Now()) {
		if p.Entry.List == e.List && p.Entry.Pattern == e.Pattern {
			_, _ = fmt.Fprintf(a.cli.Err(), "note: %s\n", trust.Sanitise(p.Why, 500))
		}
	}
}

func (a *app) remove(ctx context.Context, args []string) error {
	file, err := a.trustFile(ctx)
	if err != nil {
		return err
	}
	changes, err := file.Remove(args[0])
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("no entry has the pattern %q in %q (see \"docker safepull trust ls\"): %w", args[0], file.Name(), trust.ErrNotFound)
	}
	answer := struct {
		Schema  int    `json:"schema"`
		File    string `json:"file"`
		Removed int    `json:"removed"`
	}{render.Schema, file.Name(), len(changes)}
	return a.answer(answer, func() error {
		_, err := fmt.Fprintf(a.cli.Out(), "Removed from %s: %s (%d)\n", answer.File, args[0], answer.Removed)
		return err
	})
}

func (a *app) importList(ctx context.Context, args []string) error {
	list, err := a.open(args[0])
	if err != nil {
		return err
	}
	file, err := a.trustFile(ctx)
	if err != nil {
		return err
	}
	var changes []namespace.Change
	if a.opts.trust.dryRun {
		changes, err = wouldChange(file, list.Entries())
	} else {
		changes, err = file.Import(list.Entries())
	}
	if err != nil {
		return err
	}
	return a.changes(changes)
}

// wouldChange is what an import would do.
func wouldChange(file TrustFile, entries []trust.Entry) ([]namespace.Change, error) {
	old, err := current(file)
	if err != nil {
		return nil, err
	}
	touched := map[string]bool{}
	for _, e := range entries {
		touched[e.Pattern] = true
	}
	var before []trust.Entry
	for _, e := range old {
		if touched[e.Pattern] {
			before = append(before, e)
		}
	}
	return namespace.Diff(before, entries), nil
}

// open reads a trust list from a file, or from standard input as "-".
func (a *app) open(path string) (*namespace.List, error) {
	if path == "-" {
		return namespace.Load("standard input", a.cli.In())
	}
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return namespace.Load(path, f)
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: %w", path, limit, trust.ErrLimit)
	}
	return text, err
}
