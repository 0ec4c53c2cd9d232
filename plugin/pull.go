package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/docker/cli/cli"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/plugin/layout"
	"github.com/safepull/safepull/plugin/progress"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/staging"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// pull judges a registry's image and hands it to the engine or writes it to a file.
func (a *app) pull(ctx context.Context, args []string) (err error) {
	ref, err := reference.Parse(args[0])
	if err != nil {
		return err
	}
	to, err := a.destination(ctx)
	if err != nil {
		return err
	}
	show, err := a.display()
	if err != nil {
		return err
	}
	defer show.Close()
	area, err := staging.New("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, area.Close()) }()

	platform, err := a.platform(ctx, to.engine)
	if err != nil {
		return err
	}
	t, doc, err := a.judgement(ctx, ref, area, platform, show)
	if err != nil {
		return err
	}
	if doc.ExitStatus != 0 {
		show.Close()
		return a.refuse(doc)
	}
	status, err := to.deliver(ctx, t, show)
	if err != nil {
		return err
	}
	show.Close()
	return a.delivered(t, doc, status)
}

// registry is the source of a reference.
func (a *app) registry(ctx context.Context, ref trust.Reference) (trust.Source, error) {
	if a.deps.Source == nil {
		return nil, errMissing
	}
	src, err := a.deps.Source(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("registry of %q: %w", ref, err)
	}
	return src, nil
}

// judge resolves and judges. A judgement that ended with an error is a document too, with exit status 4; an error
// here means that there was nothing to judge, or that the user interrupted.
func (a *app) judge(ctx context.Context, ref trust.Reference, src trust.Source, platform ocispec.Platform, show *progress.Display) (target, render.Document, error) {
	judge, err := named(ctx, a.deps.Judge, a.opts.policy)
	if err != nil {
		return target{}, render.Document{}, fmt.Errorf("prepare the judgement: %w", err)
	}
	show.Phase("Inspecting", "Inspected")
	t, err := resolve(ctx, ref, show.Source(src), platform)
	var broken *unlawful
	if errors.As(err, &broken) {
		return t, document(broken.verdict(ref), ref, broken.top), nil
	}
	if err != nil {
		return t, render.Document{}, err
	}
	v, err := judge.Judge(ctx, t.judged(), t.src)
	if cerr := ctx.Err(); err != nil && cerr != nil {
		return t, render.Document{}, cerr
	}
	if err == nil && v.Manifest != t.manifest.Digest {
		err = fmt.Errorf("the verdict is about %q, not %q", v.Manifest, t.manifest.Digest)
	}
	if err == nil {
		err = a.wrongPlatform(v, platform)
		if err != nil {
			return t, render.Document{}, err
		}
	}
	if err != nil {
		return t, render.NewUnanswered(ref, t.top.Digest, t.manifest.Digest, platforms.FormatAll(platform), err), nil
	}
	return t, document(v, ref, t.top.Digest), nil
}

// document describes a verdict under the name that the user asked for.
func document(v trust.Verdict, ref trust.Reference, top digest.Digest) render.Document {
	doc := render.NewDocument(v, top)
	doc.Reference = trust.Sanitise(ref.String(), 1<<10)
	return doc
}

// wrongPlatform refuses an image without an index that is for another platform than the one the user asked for.
func (a *app) wrongPlatform(v trust.Verdict, want ocispec.Platform) error {
	if a.opts.platform == "" || v.Evidence.Platform == "" {
		return nil
	}
	is, err := platforms.Parse(v.Evidence.Platform)
	if err != nil {
		return fmt.Errorf("the image says that it is for %q, which is no platform: %w", trust.Sanitise(v.Evidence.Platform, 100), trust.ErrMalformed)
	}
	if platforms.Only(want).Match(is) {
		return nil
	}
	return fmt.Errorf("the image is for %s, not for %s: %w", platforms.FormatAll(is), platforms.FormatAll(want), trust.ErrNotFound)
}

// refuse prints why nothing was handed over. With -q standard output stays empty, as a script expects.
func (a *app) refuse(doc render.Document) error {
	err := a.answer(doc, func() error {
		if a.opts.quiet {
			return a.text().Verdict(a.cli.Err(), doc)
		}
		return a.text().Verdict(a.cli.Out(), doc)
	})
	if err != nil {
		return err
	}
	return cli.StatusError{Status: render.Summary(doc) + ", nothing was handed over", StatusCode: doc.ExitStatus}
}

// delivered prints what docker pull prints at its end.
func (a *app) delivered(t target, doc render.Document, status string) error {
	return a.answer(doc, func() error {
		out := a.cli.Out()
		if !a.opts.quiet {
			if err := a.text().Verdict(out, doc); err != nil {
				return err
			}
			fmt.Fprintf(out, "Digest: %s\nStatus: %s\n", t.top.Digest, status)
		}
		_, err := fmt.Fprintln(out, t.ref)
		return err
	})
}

// destination is where the image goes: the engine, or a file.
type destination struct {
	engine Engine
	file   layout.Location
}

// destination is chosen before anything is fetched, so that a bad one costs nothing.
func (a *app) destination(ctx context.Context) (destination, error) {
	if a.opts.output != "" {
		file, err := layout.ParseDestination(a.opts.output)
		return destination{file: file}, err
	}
	engine, err := need(ctx, a.deps.Engine)
	if err != nil {
		return destination{}, fmt.Errorf("reach the engine: %w", err)
	}
	return destination{engine: engine}, nil
}

// short is a reference as docker pull's status line has it: a digest stands without the tag beside it.
func short(ref trust.Reference) string {
	if ref.Digest != "" {
		ref.Tag = ""
	}
	return reference.Familiar(ref)
}

// deliver puts the judged image where it goes, and says so in docker pull's words.
func (d destination) deliver(ctx context.Context, t target, show *progress.Display) (string, error) {
	if d.engine == nil {
		show.Phase("Writing", "Written")
		if err := layout.Write(ctx, d.file, t.ref, t.manifest, t.src); err != nil {
			return "", fmt.Errorf("write %s: %w", d.file, err)
		}
		return fmt.Sprintf("Wrote %s to %s", reference.Familiar(t.ref), d.file), nil
	}
	has, err := d.engine.Has(ctx, t.ref, t.top, t.manifest, t.src)
	if err != nil {
		return "", fmt.Errorf("ask the engine for %q: %w", t.ref, err)
	}
	if has {
		return "Image is up to date for " + short(t.ref), nil
	}
	show.Phase("Handing over", "Handed over")
	if err := d.engine.Handover(ctx, t.ref, t.top, t.manifest, t.src); err != nil {
		return "", fmt.Errorf("hand %q to the engine: %w", t.ref, err)
	}
	return "Downloaded newer image for " + short(t.ref), nil
}
