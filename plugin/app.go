package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/safepull/safepull/plugin/progress"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
)

// Exit statuses beside those of render.ExitStatus.
const (
	exitError       = 1
	exitInterrupted = 128 + int(syscall.SIGINT)
)

// errMissing is what a command says that this build gives no means to.
var errMissing = errors.New("this build of safepull cannot do that")

// app is what the commands share: one process runs one command.
type app struct {
	cli  command.Cli
	deps Deps
	opts *options
	env  getenv
	// answered is true once standard output carries the command's result.
	answered bool
	// at is the proxy that judged, if one did.
	at *door
}

func environment(name string) string { return os.Getenv(name) }

// run does one command: flags checked, signals watched, deps closed, the error turned into an exit status.
func (a *app) run(cmd *cobra.Command, do func(context.Context) error) error {
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	err := a.checkFlags(cmd)
	if len(a.opts.trustLists) > 0 && err == nil {
		if a.deps.UseTrustLists == nil {
			err = errMissing
		} else {
			a.deps.UseTrustLists(a.opts.trustLists)
		}
	}
	if err == nil {
		err = do(ctx)
	}
	if a.deps.Close != nil {
		if cerr := a.deps.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close: %w", cerr)
		}
	}
	return a.finish(ctx, err)
}

// checkFlags refuses what would otherwise be ignored: an unknown format, and a parent's flag that the command does
// not know, which cobra parses when it stands before the command's name.
func (a *app) checkFlags(cmd *cobra.Command) error {
	if a.opts.format != "text" && a.opts.format != "json" {
		unknown := a.opts.format
		a.opts.format = "text"
		return fmt.Errorf("unknown format %q: use text or json", unknown)
	}
	var stray error
	for p := cmd.Parent(); p != nil && p.HasParent(); p = p.Parent() {
		p.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Changed && cmd.Flags().Lookup(f.Name) == nil {
				stray = fmt.Errorf("%q takes no --%s", cmd.CommandPath(), f.Name)
			}
		})
	}
	return stray
}

// interruptible is parent, cancelled by the first SIGINT, SIGTERM or, when a terminal goes away and nohup did not say
// otherwise, SIGHUP. The second is ignored, since a terminal and a supervisor often send one each; the third ends the
// process at once, as docker's own third does.
func interruptible(parent context.Context) (context.Context, func()) {
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithCancelCause(parent)
	// Without a receiver of its own, a reader that went away ("| head") would end the process where it stands, and leave
	// what is half handed over. With one, writing fails, which results report and progress survives.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	signals, done, over := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		defer close(done)
		for range 2 {
			select {
			case s := <-signals:
				cancel(interruption{s})
			case <-over:
			}
		}
		signal.Stop(signals)
	}()
	return ctx, func() {
		close(over)
		<-done
		signal.Stop(pipes)
		cancel(nil)
	}
}

// interruption is the cause of a context that a signal cancelled.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return i.signal.String() }

// finish turns an error into what docker's plugin runner exits with, and prints it where nothing was printed yet.
func (a *app) finish(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	status, text := exitError, err.Error()
	var known cli.StatusError
	switch {
	case errors.As(err, &known) && known.StatusCode != 0:
		status = known.StatusCode
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		status, text = exitInterrupted, "interrupted: nothing was handed over"
		var i interruption
		if errors.As(context.Cause(ctx), &i) {
			if s, ok := i.signal.(syscall.Signal); ok {
				status = 128 + int(s)
			}
		}
	}
	if a.opts.format == "json" && !a.answered {
		sentence, _, _ := strings.Cut(text, "\n\n") // What follows is usage, for people.
		if jerr := render.JSON(a.cli.Out(), render.Problem{
			Schema: render.Schema, Error: trust.Sanitise(sentence, 4<<10), ExitStatus: status,
		}); jerr != nil {
			text += "; " + jerr.Error()
		}
	}
	return cli.StatusError{Status: "docker safepull: " + text, Cause: err, StatusCode: status}
}

// answer prints a document to standard output: as JSON, or by the function for people.
func (a *app) answer(document any, text func() error) error {
	a.answered = true
	if a.opts.format == "json" {
		return render.JSON(a.cli.Out(), document)
	}
	return text()
}

// text prints for people on standard output, in colour where that is wanted and possible.
func (a *app) text() render.Text {
	t := render.Text{Colour: a.cli.Out().IsTerminal() && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"}
	if a.at != nil {
		named := *a.at.base
		named.User = nil
		t.Proxy = named.String()
	}
	if a.deps.Organization != nil {
		if o, err := a.deps.Organization(context.Background()); err == nil && o != nil {
			if _, statement, err := o.Status(); err == nil {
				t.Organization = statement.Name
			}
		}
	}
	return t
}

// display shows progress on standard error. With -q there is none.
func (a *app) display() (*progress.Display, error) {
	mode, err := progress.ParseMode(a.opts.progress)
	if err != nil {
		return nil, err
	}
	if a.opts.quiet {
		mode = progress.Quiet
	}
	out := a.cli.Err()
	return progress.New(mode, progress.Output{
		Writer: out, FD: out.FD(), Terminal: out.IsTerminal() && a.env("TERM") != "dumb",
	}), nil
}

// named calls one of the Deps that takes a name, which may be nil.
func named[T any](ctx context.Context, dep func(context.Context, string) (T, error), name string) (T, error) {
	if dep == nil {
		var none T
		return none, errMissing
	}
	return dep(ctx, name)
}

// need calls one of the Deps, which may be nil.
func need[T any](ctx context.Context, dep func(context.Context) (T, error)) (T, error) {
	if dep == nil {
		var none T
		return none, errMissing
	}
	return dep(ctx)
}
