package plugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render/trustlist"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

const longTrustLint = `Check the trust lists in force, or one file by itself, for entries that do nothing or
more than was meant: expired, locked (a lower level forbids what they say), shadowed
(another entry always decides), redundant, over-broad (docker.io/**), unowned.

Exit status: 0 nothing was found, 1 something was, or the file is no trust list.

  docker safepull trust lint
  docker safepull trust lint team.yaml`

const longTrustDiff = `Print what differs: from your own list to FILE, or from the first FILE to the second.
The order of entries makes no difference.

Exit status: 0 nothing differs, 1 something does.

  docker safepull trust diff team.yaml
  docker safepull trust diff old.yaml new.yaml`

const longTrustExport = `Print your own list as it stands in its file, comments included; with --all, all
entries in force as one list.

  docker safepull trust export -o my-list.yaml
  docker safepull trust export --all --format json`

const longTrustHistory = `Print who changed your own list, when and how, newest first; with PATTERN, the changes of
its entries alone.

  docker safepull trust history 'ghcr.io/acme/**'`

func (a *app) reviewCommands() []*cobra.Command {
	lint := a.command("lint [OPTIONS] [FILE]", "Find entries that do nothing, or more than was meant", longTrustLint, 0, nil)
	a.arguments(lint, 0, 1, a.lintTrust)
	a.trustListFlag(lint)
	diff := a.command("diff [OPTIONS] FILE [FILE]", "Print what differs between trust lists", longTrustDiff, 0, nil)
	a.arguments(diff, 1, 2, a.diff)
	history := a.command("history [OPTIONS] [PATTERN]", "Print who changed your own list, when and how", longTrustHistory, 0, nil)
	a.arguments(history, 0, 1, a.history)
	export := a.command("export [OPTIONS]", "Print your own list, or all as one", longTrustExport, 0, a.export)
	export.Flags().BoolVar(&a.opts.trust.all, "all", false, "Print all entries in force")
	export.Flags().StringVarP(&a.opts.output, "output", "o", "", "Write to this `FILE` instead")
	a.trustListFlag(export)
	return []*cobra.Command{lint, diff, history, export}
}

func (a *app) lintTrust(ctx context.Context, args []string) error {
	var problems []namespace.Problem
	if len(args) == 1 {
		list, err := a.open(args[0])
		if err != nil {
			return err
		}
		problems = namespace.Combine(list.At(namespace.User)).Lint(time.Now())
	} else {
		lists, err := a.lists(ctx)
		if err != nil {
			return err
		}
		problems = lists.Lint(time.Now())
	}
	answer := trustlist.NewProblems(problems)
	if err := a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) }); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errors.New(counted(len(problems), "entry is questionable", "entries are questionable"))
	}
	return nil
}

// counted is a number with its words.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func (a *app) diff(ctx context.Context, args []string) error {
	var before []trust.Entry
	if len(args) == 2 {
		list, err := a.open(args[0])
		if err != nil {
			return err
		}
		before = list.Entries()
	} else {
		file, err := a.trustFile(ctx)
		if err != nil {
			return err
		}
		if before, err = current(file); err != nil {
			return err
		}
	}
	after, err := a.open(args[len(args)-1])
	if err != nil {
		return err
	}
	changes := namespace.Diff(before, after.Entries())
	if err := a.changes(changes); err != nil {
		return err
	}
	if len(changes) > 0 {
		return errors.New(counted(len(changes), "entry differs", "entries differ"))
	}
	return nil
}

// current are the entries of the user's own list.
func current(file TrustFile) ([]trust.Entry, error) {
	text, err := file.Text()
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return nil, err
	}
	list, err := namespace.Load(file.Name(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return list.Entries(), nil
}

func (a *app) changes(changes []namespace.Change) error {
	answer := trustlist.NewChanges(changes)
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) })
}

func (a *app) history(ctx context.Context, args []string) error {
	file, err := a.trustFile(ctx)
	if err != nil {
		return err
	}
	pattern := ""
	if len(args) > 0 {
		if pattern, err = namespace.Normalise(args[0]); err != nil {
			return err
		}
	}
	edits, damaged := file.History()
	if damaged != nil && len(edits) == 0 {
		return damaged
	}
	var shown []namespace.Edit
	for _, e := range edits {
		if pattern == "" || e.Pattern() == pattern {
			shown = append(shown, e)
		}
	}
	answer := trustlist.NewEdits(shown)
	return cmp.Or(a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text()) }), damaged)
}

func (a *app) export(ctx context.Context, _ []string) error {
	of := a.ownList
	if a.opts.trust.all {
		of = a.allLists
	}
	text, entries, err := of(ctx)
	if err != nil {
		return err
	}
	if a.opts.output != "" {
		return os.WriteFile(a.opts.output, text, 0o644) //nolint:gosec // a list is no secret
	}
	return a.answer(trustlist.NewEntries(entries...), func() error {
		_, err := a.cli.Out().Write(text)
		return err
	})
}

func (a *app) allLists(ctx context.Context) ([]byte, []trust.Entry, error) {
	lists, err := a.lists(ctx)
	if err != nil {
		return nil, nil, err
	}
	entries := lists.Entries()
	text, err := namespace.Encode(entries)
	return text, entries, err
}

func (a *app) ownList(ctx context.Context) ([]byte, []trust.Entry, error) {
	file, err := a.trustFile(ctx)
	if err != nil {
		return nil, nil, err
	}
	text, err := file.Text()
	if err != nil {
		return nil, nil, err
	}
	if len(text) == 0 {
		return nil, nil, errors.New("you have no trust list of your own: \"docker safepull trust allow\" or \"deny\" makes one")
	}
	entries, err := current(file)
	return text, entries, err
}
