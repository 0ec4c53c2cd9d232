// Package plugin is the face that safepull shows in the docker command line: the command tree of "docker safepull".
// It asks for a judgement, prints it, and hands over what may pass; the judging itself is package trust's, and the
// engine, the registry and the memory are given to it as Deps.
//
// UI rules: results go to standard output, progress and one line for each failure to standard error; with --format
// json everything on standard output is one JSON object, errors too; exit statuses are API and end every help text.
//
// Read next: plugin/render for what is printed, plugin/layout for images in files, plugin/engine for the hand-over.
package plugin

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/progress"
)

// exitStatuses ends the help of every command.
const exitStatuses = `Exit status: 0 allowed or warned (or the command did its work), 1 error,
2 blocked, 3 quarantined, 4 could not be judged; 130 when interrupted.`

const longPull = `docker safepull IMAGE

Judge an image for cryptocurrency mining before it reaches this host, and hand
it to the engine only if it may pass: exactly the digest that was judged.

Where --proxy, SAFEPULL_PROXY or plugins.safepull.proxy in docker's config.json
names the organization's safepull-proxy, that proxy judges and serves the image
in the registry's place. It is asked with docker's login at the proxy ("docker
login PROXY"). The right to a private image is handed over to it, and to no
other host, as a token of short life for pulls from that repository; docker's
login at a registry that gives out no tokens is handed over only by https or on
this machine.

An image that is named like a command below is reached by "docker safepull image NAME".`

// options are the flags of all commands. One set is shared by parent and children, so that a flag means the same on
// either side of a command's name.
type options struct {
	platform string
	quiet    bool
	progress string
	format   string
	output   string
	proxy    string
	policy   string
	since    string
	state    string
	exitCode bool
	limit    int

	campaign campaignOptions

	trust trustOptions
	// trustLists are files of the command line.
	trustLists []string
}

// Getenv reads the environment; tests replace it.
type getenv func(string) string

// NewCommand is the tree of "docker safepull". It touches neither network nor disk: deps are used when a command runs.
func NewCommand(dockerCli command.Cli, deps Deps) *cobra.Command {
	return newCommand(&app{cli: dockerCli, deps: deps, opts: &options{}, env: environment})
}

func newCommand(a *app) *cobra.Command {
	root := a.command(Name+" [pull|image] [OPTIONS] IMAGE", "Pull an image only after it was judged safe", longPull, 1, a.pull)
	a.pullFlags(root)

	pull := a.command("pull [OPTIONS] IMAGE", "Judge an image and hand it to the engine", longPull, 1, a.pull)
	a.pullFlags(pull)
	image := a.command("image [OPTIONS] IMAGE", "The same as pull, whatever the image is called", longPull, 1, a.pull)
	a.pullFlags(image)

	root.AddCommand(pull, image, a.checkCommand(), a.explainCommand(), a.trustCommand(), a.policyCommand(), a.campaignCommand(), a.reputationCommand(), a.rulesCommand(), a.versionCommand(), helpCommand(root))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return a.finish(context.Background(), fmt.Errorf("%w%s", err, usage(cmd)))
	})
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		docker := &cobra.Command{}
		if root.HasParent() {
			docker = root.Parent()
		}
		docker.HelpFunc()(cmd, args)
		fmt.Fprintln(cmd.OutOrStdout(), "\n"+exitStatuses)
	})
	return root
}

// helpCommand is "docker safepull help", as "docker help safepull" but one word shorter.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Print the help of a command", Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("unknown help topic %q", args)
			}
			return cmd.Help()
		},
	}
}

// usage is what follows an error about arguments.
func usage(cmd *cobra.Command) string {
	return fmt.Sprintf("\n\nUsage:  %s\n\nRun '%s --help' for more information", cmd.UseLine(), cmd.CommandPath())
}

// count are the numbers of arguments that commands take.
var count = [...]string{"no argument", "exactly one argument", "two arguments"}

// command makes one command that wants exactly n arguments. The count is checked when it runs, so that its error
// follows --format like every other.
func (a *app) command(use, short, long string, n int, run func(context.Context, []string) error) *cobra.Command {
	if long == "" {
		long = short + "."
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
	}
	a.arguments(cmd, n, n, run)
	cmd.Flags().StringVar(&a.opts.format, "format", "text", `Print "text" or "json"`)
	return cmd
}

// arguments makes a command take from least to most of them.
func (a *app) arguments(cmd *cobra.Command, least, most int, run func(context.Context, []string) error) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.run(cmd, func(ctx context.Context) error {
			if len(args) < least || len(args) > most {
				takes := "from " + count[least] + " to " + count[most]
				if least == most {
					takes = count[most]
				}
				return fmt.Errorf("%q takes %s and got %d%s", cmd.CommandPath(), takes, len(args), usage(cmd))
			}
			return run(ctx, args)
		})
	}
}

// trustListFlag names further trust lists.
func (a *app) trustListFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&a.opts.trustLists, "trust-list", nil, "A further trust list `FILE` for this run; it may be given several times")
}

func (a *app) pullFlags(cmd *cobra.Command) {
	a.judgeFlags(cmd)
	cmd.Flags().BoolVarP(&a.opts.quiet, "quiet", "q", false, "Print only the reference")
	a.proxyFlag(cmd, "URL of the safepull-proxy that judges and serves the image")
	cmd.Flags().StringVarP(&a.opts.output, "output", "o", "",
		`Write the image to "oci-dir:PATH" or "docker-archive:FILE"; needs no engine`)
}

func (a *app) judgeFlags(cmd *cobra.Command) {
	a.trustListFlag(cmd)
	cmd.Flags().StringVar(&a.opts.platform, "platform", a.env("DOCKER_DEFAULT_PLATFORM"),
		`Platform to choose from a multi-platform image, such as "linux/arm64" (default: the engine's)`)
	a.policyFlag(cmd)
	cmd.Flags().StringVar(&a.opts.progress, "progress", string(progress.Auto), `Show progress as "auto", "plain" or "quiet"`)
}

func (a *app) policyFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.opts.policy, "policy", "",
		`Policy to decide with: "default", "strict", "monitor" or a file (default: SAFEPULL_POLICY, else your policy.yaml, else the shipped one)`)
}
