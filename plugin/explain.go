package plugin

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

const longExplain = `Print everything that is known about a verdict: every finding with its place and
excerpt and what it weighed, the rules and trust entries that decided and those
that lost, what could not be answered and what was not asked, what would change the
verdict (found out by deciding again), and whom to ask.

The verdict is looked for on this machine, and then at the proxy that --proxy,
SAFEPULL_PROXY or plugins.safepull.proxy in docker's config.json names. For an
image it is the newest one.`

// maxRemembered is how many verdicts of a repository are searched for a tag.
const maxRemembered = 200

// verdictID is how verdicts are named. No image can be, since a repository is lower case; what people typed for an ID may be
// one.
var (
	verdictID = regexp.MustCompile(`^SP-[0-9A-Za-z]{10}$`)
	typedID   = regexp.MustCompile(`^(?i)SP-[0-9A-Z]{10}$`)
)

// asTyped is an ID as people mean it: its letters are capitals, and no letter looks like a digit.
func asTyped(id string) string {
	return strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(id))
}

func (a *app) explainCommand() *cobra.Command {
	cmd := a.command("explain [OPTIONS] ID|IMAGE", "Print all the evidence behind a verdict", longExplain, 1, a.explain)
	a.proxyFlag(cmd, "URL of the safepull-proxy to ask for what this machine does not know")
	return cmd
}

func (a *app) explain(ctx context.Context, args []string) error {
	v, err := a.find(ctx, args[0])
	if err != nil {
		return err
	}
	return a.answer(render.NewExplanation(v), func() error { return a.text().Explain(a.cli.Out(), v) })
}

// find is the verdict with an ID, or else the newest on an image.
func (a *app) find(ctx context.Context, what string) (trust.Verdict, error) {
	switch {
	case strings.HasPrefix(what, "SP-"):
		return a.byID(ctx, asTyped(what))
	case typedID.MatchString(what):
		if v, err := a.byID(ctx, asTyped(what)); !errors.Is(err, trust.ErrNotFound) {
			return v, err
		}
	}
	return a.byName(ctx, what)
}

// byID asks this machine, then the proxy. A local memory that fails does not keep the proxy from being asked.
func (a *app) byID(ctx context.Context, id string) (trust.Verdict, error) {
	if !verdictID.MatchString(id) {
		return trust.Verdict{}, fmt.Errorf("%q is no verdict's ID: that is SP- and 10 letters and digits, as the refusal has it", id)
	}
	v, ok, err := a.remembered(ctx, id)
	if ok && err == nil {
		return v, nil
	}
	proxy := a.proxy()
	if proxy == "" {
		if err != nil {
			return trust.Verdict{}, err
		}
		return trust.Verdict{}, fmt.Errorf("verdict %s: %w on this machine; where a proxy gave it, name that with --proxy URL, as the refusal does; else it is forgotten, "+
			"and \"docker safepull check IMAGE\" makes a new one", id, trust.ErrNotFound)
	}
	door, err2 := a.doorOf(ctx, proxy, nil)
	if err2 != nil {
		return trust.Verdict{}, errors.Join(err2, err)
	}
	a.at = door
	v, perr := door.verdict(ctx, id)
	if errors.Is(perr, trust.ErrNotFound) {
		perr = fmt.Errorf("%w, nor on this machine: another proxy gave it, or it is forgotten; \"docker safepull check IMAGE\" makes a new one", perr)
	}
	if perr != nil {
		return trust.Verdict{}, errors.Join(perr, err)
	}
	return v, nil
}

func (a *app) remembered(ctx context.Context, id string) (trust.Verdict, bool, error) {
	memory, err := need(ctx, a.deps.Verdicts)
	if err != nil {
		return trust.Verdict{}, false, fmt.Errorf("open the memory: %w", err)
	}
	v, ok, err := memory.VerdictByID(ctx, id)
	if err != nil {
		return v, false, fmt.Errorf("read the memory: %w", err)
	}
	return v, ok, nil
}

// byName finds the newest verdict on an image, by the digest or tag that was named: on this machine, else at the proxy.
func (a *app) byName(ctx context.Context, image string) (trust.Verdict, error) {
	ref, err := reference.Parse(image)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("%q is no verdict's ID (SP- and 10 characters), and as an image: %w", image, err)
	}
	memory, err := need(ctx, a.deps.Verdicts)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("open the memory: %w", err)
	}
	verdicts, err := memory.Verdicts(ctx, ref.Name(), maxRemembered)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("read the memory: %w", err)
	}
	if v, ok := newest(verdicts, ref); ok {
		return v, nil
	}
	proxy := a.proxy()
	if proxy == "" {
		return trust.Verdict{}, fmt.Errorf("verdict on %q: %w on this machine; \"docker safepull check %s\" makes one",
			ref, trust.ErrNotFound, reference.Familiar(ref))
	}
	door, err := a.doorOf(ctx, proxy, &ref)
	if err != nil {
		return trust.Verdict{}, err
	}
	a.at = door
	if verdicts, err = door.verdicts(ctx, ref); err != nil {
		return trust.Verdict{}, err
	}
	if v, ok := newest(verdicts, ref); ok {
		return v, nil
	}
	return trust.Verdict{}, fmt.Errorf("verdict on %q: %w, neither on this machine nor at the proxy, which tells of a private image only those who may read it (\"docker login %s\")",
		ref, trust.ErrNotFound, door.base.Host)
}

// newest is the first verdict on a reference: by its digest, which may be an index's, else by its tag.
func newest(verdicts []trust.Verdict, ref trust.Reference) (trust.Verdict, bool) {
	for _, v := range verdicts {
		if v.Reference.Name() != ref.Name() {
			continue
		}
		if ref.Digest == "" && v.Reference.Tag == ref.Tag ||
			ref.Digest != "" && (v.Manifest == ref.Digest || v.Reference.Digest == ref.Digest || v.Reference.Index == ref.Digest) {
			return v, true
		}
	}
	return trust.Verdict{}, false
}
