package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/cli/cli/streams"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/facts"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/reference"
)

// Reputation asks registries who publishes an image, and remembers what they told.
type Reputation interface {
	// Ask is what is known of a reference's publisher. An error that comes with Answer.Known says that a registry did not
	// answer.
	Ask(context.Context, trust.Reference) (publisher.Answer, error)
	// Export writes all that is remembered as a snapshot, and Import adds one, as a whole or not at all.
	Export(context.Context, io.Writer) (publisher.Snapshot, error)
	Import(context.Context, io.ReadSeeker) (publisher.Snapshot, error)
	// Hosts are the registries that tell something, with the reason for which one is not asked.
	Hosts() map[string]string
}

const longReputation = `Show what registries tell of the publisher of an image, and carry it to machines
that cannot ask.

Docker Hub, Quay, GitHub (for ghcr.io) and ECR Public are asked what they tell
anybody; no login is sent. What changed since the first time, or cannot be
honest, is a sign beside what the image holds; popularity and age buy nothing.
A registry that does not answer within two seconds leaves a warning.

Environment: SAFEPULL_REPUTATION_ASK=off asks nobody and counts what is
remembered or was imported; SAFEPULL_REPUTATION_DOCKER_HUB_URL, _GITHUB_URL,
_QUAY_URL and _ECR_PUBLIC_URL name mirrors of the APIs, _TIMEOUT another time.

"show" and "export" read the memory of a proxy, which may be running, with --state
FILE ("state.db" in its stateDir). What a proxy is to know, its key
reputation.snapshot names.`

func (a *app) reputationCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "reputation COMMAND", Short: "Show what registries tell of publishers", Long: longReputation,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(context.Context) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q: use show, export or import", args[0])
				}
				return cmd.Help()
			})
		},
	}
	reads := []*cobra.Command{
		a.command("show [OPTIONS] IMAGE", "Print what is known of the publisher of an image, and what speaks against it", "", 1, a.showReputation),
		a.command("export [OPTIONS] FILE", `Write all that is remembered to a file, "-" for standard output`, "", 1, a.exportReputation),
	}
	for _, cmd := range reads {
		cmd.Flags().StringVar(&a.opts.state, "state", "", "The memory `FILE` to read (default: this user's)")
		group.AddCommand(cmd)
	}
	group.AddCommand(a.command("import [OPTIONS] FILE", `Add what another machine exported; "-" is standard input`, "", 1, a.importReputation))
	return group
}

func (a *app) reputation(ctx context.Context) (Reputation, error) {
	r, err := named(ctx, a.deps.Reputation, a.opts.state)
	if err != nil {
		return nil, fmt.Errorf("reputation: %w", err)
	}
	return r, nil
}

func (a *app) showReputation(ctx context.Context, args []string) error {
	ref, err := reference.Parse(args[0])
	if err != nil {
		return err
	}
	r, err := a.reputation(ctx)
	if err != nil {
		return err
	}
	answer, err := r.Ask(ctx, ref)
	if err != nil && answer.Known.Title == "" {
		return err
	}
	document := facts.New(render.Schema, ref, answer, err)
	if _, told := r.Hosts()[ref.Registry]; !told {
		document.NotAsked = ref.Registry + " tells nothing that is known here"
	}
	return a.answer(document, func() error { return document.Text(a.cli.Out()) })
}

func (a *app) exportReputation(ctx context.Context, args []string) (err error) {
	r, err := a.reputation(ctx)
	if err != nil {
		return err
	}
	if args[0] == "-" {
		a.answered = true
		_, err := r.Export(ctx, a.cli.Out())
		return err
	}
	// A hidden sibling is filled and gets the name at the end: an export that fails leaves an earlier one as it was.
	f, err := os.CreateTemp(filepath.Dir(args[0]), "."+filepath.Base(args[0])+".safepull-")
	if err != nil {
		return err
	}
	made, err := r.Export(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), args[0])
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return a.carried("Exported", "to", args[0], made)
}

func (a *app) importReputation(ctx context.Context, args []string) error {
	r, err := a.reputation(ctx)
	if err != nil {
		return err
	}
	from, end, err := snapshotAt(args[0], a.cli)
	if err != nil {
		return fmt.Errorf("import %q: %w", args[0], err)
	}
	made, err := r.Import(ctx, from)
	if err = errors.Join(err, end()); err != nil {
		return fmt.Errorf("import %q: %w", args[0], err)
	}
	return a.carried("Imported", "from", args[0], made)
}

// carried tells how many records went where, and of when they are.
func (a *app) carried(done, way, file string, s publisher.Snapshot) error {
	answer := struct {
		Schema  int       `json:"schema"`
		File    string    `json:"file"`
		Records int       `json:"records"`
		Made    time.Time `json:"made,omitzero"`
	}{render.Schema, file, s.Records, s.Made}
	return a.answer(answer, func() error {
		_, err := fmt.Fprintf(a.cli.Out(), "%s %d records %s %s\n", done, s.Records, way, file)
		if age := time.Since(s.Made); err == nil && !s.Made.IsZero() && age > publisher.VouchedFor {
			_, err = fmt.Fprintf(a.cli.Out(), "They are of %s: after %d days a registry's word for somebody counts no more. Export them anew where registries can be asked.\n",
				s.Made.Format(time.DateOnly), publisher.VouchedFor/(24*time.Hour))
		}
		return err
	})
}

// snapshotAt opens a file to be read twice, "-" for standard input. What can be read only once is copied to a temporary file
// first, which end removes.
func snapshotAt(name string, standard interface{ In() *streams.In }) (from *os.File, end func() error, err error) {
	var once io.Reader
	if name == "-" {
		once = standard.In()
	} else {
		f, err := os.Open(name) //nolint:gosec // the user names it
		if err != nil {
			return nil, nil, err
		}
		if info, err := f.Stat(); err != nil || info.Mode().IsRegular() || info.IsDir() {
			return f, f.Close, err
		}
		defer f.Close() //nolint:errcheck // only read
		once = f
	}
	f, err := os.CreateTemp("", "safepull-snapshot-")
	if err != nil {
		return nil, nil, err
	}
	end = func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
	if _, err = io.Copy(f, io.LimitReader(once, publisher.MaxSnapshot+1)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return f, end, nil
}
