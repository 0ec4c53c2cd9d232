package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
)

const longRules = `Show the signs that safepull looks for, and try and check their rules.

A check is one sign, with the version under which it was asked: "stratum@1". Its
data stand in a rule file of YAML.`

const longRulesTest = `Ask all checks about a local file, or about the files of a folder, and print what
they find. Nothing is weighed: what an image runs and what its policy makes of
that, only "docker safepull check" knows.

Exit status: 0 whatever was found, 1 error, 4 when a part could not be read.`

const longRulesLint = `Check a rule file, or the rule files of a folder, and print what is wrong, each as
file:line:column: what. A file of YAML is named after its check ("stratum.yaml");
files that end in .yar or .yara are YARA rules.

Exit status: 0 nothing is wrong, 1 something is.`

func (a *app) rulesCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "rules COMMAND", Short: "Show, try and check the signs that are looked for", Long: longRules,
		Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(context.Context) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q: use ls, info, explain, test or lint", args[0])
				}
				return cmd.Help()
			})
		},
	}
	group.AddCommand(
		a.command("ls [OPTIONS]", "List the checks", "", 0, a.checks),
		a.command("info [OPTIONS] CHECK", "Print what data a check has, and its limits", "", 1, a.about(render.Text.CheckInfo)),
		a.command("explain [OPTIONS] CHECK", "Print what a sign means, why it matters and what looks like it", "", 1, a.about(render.Text.CheckExplained)),
		a.command("test [OPTIONS] FILE|DIR", "Ask all checks about local files", longRulesTest, 1, a.testRules),
		a.command("lint [OPTIONS] FILE|DIR", "Check rule files", longRulesLint, 1, a.lint),
	)
	return group
}

func (a *app) rules(ctx context.Context) (Rules, error) {
	rules, err := need(ctx, a.deps.Rules)
	if err != nil {
		return nil, fmt.Errorf("load the rules: %w", err)
	}
	return rules, nil
}

func (a *app) checks(ctx context.Context, _ []string) error {
	rules, err := a.rules(ctx)
	if err != nil {
		return err
	}
	list := render.CheckList{Schema: render.Schema, Ruleset: rules.Ruleset(), Checks: rules.Checks()}
	return a.answer(list, func() error { return a.text().Checks(a.cli.Out(), list) })
}

// about answers about one check, named with or without its version.
func (a *app) about(text func(render.Text, io.Writer, render.CheckInfo) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		rules, err := a.rules(ctx)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(args[0], "@")
		var names []string
		for _, c := range rules.Checks() {
			if c.Name == name {
				info := render.CheckInfo{Schema: render.Schema, Ruleset: rules.Ruleset(), Limits: rules.Limits(), Check: c}
				return a.answer(info, func() error { return text(a.text(), a.cli.Out(), info) })
			}
			names = append(names, c.Name)
		}
		return fmt.Errorf("there is no check %q: use one of %s", args[0], strings.Join(names, ", "))
	}
}

func (a *app) testRules(ctx context.Context, args []string) error {
	rules, err := a.rules(ctx)
	if err != nil {
		return err
	}
	tested, err := rules.Test(ctx, args[0])
	if err != nil {
		return err
	}
	tested.Schema, tested.Path = render.Schema, args[0]
	if len(tested.Unanswered) > 0 {
		tested.ExitStatus = render.ExitStatus("")
	}
	if err := a.answer(tested, func() error { return a.text().Tested(a.cli.Out(), tested) }); err != nil {
		return err
	}
	if tested.ExitStatus != 0 {
		return cli.StatusError{Status: "a part could not be read", StatusCode: tested.ExitStatus}
	}
	return nil
}

func (a *app) lint(ctx context.Context, args []string) error {
	if a.deps.Lint == nil {
		return errMissing
	}
	linted, err := a.deps.Lint(ctx, args[0])
	if err != nil {
		return err
	}
	linted.Schema, linted.Path = render.Schema, args[0]
	if len(linted.Problems) > 0 {
		linted.ExitStatus = exitError
	}
	if err := a.answer(linted, func() error { return a.text().Linted(a.cli.Out(), linted) }); err != nil {
		return err
	}
	if linted.ExitStatus != 0 {
		return errors.New("the rules are wrong")
	}
	return nil
}
