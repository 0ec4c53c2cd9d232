package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/plugin/progress"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/staging"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const (
	// maxPending is how long a proxy's judgement is waited for.
	maxPending = time.Hour
	// askAgain is the pause where the proxy does not name one.
	askAgain = 2 * time.Second
)

// judgement is where an image is judged and read: by a proxy that the user named, else here.
func (a *app) judgement(ctx context.Context, ref trust.Reference, area *staging.Area, platform ocispec.Platform, show *progress.Display) (target, render.Document, error) {
	proxy := a.proxy()
	if proxy == "" {
		registry, err := a.registry(ctx, ref)
		if err != nil {
			return target{}, render.Document{}, err
		}
		show.Say("Judging %s for %s", ref, platforms.FormatAll(platform))
		return a.judge(ctx, ref, area.Source(registry), platform, show)
	}
	at, err := a.doorOf(ctx, proxy, &ref)
	if err != nil {
		return target{}, render.Document{}, err
	}
	if at.source == nil {
		return target{}, render.Document{}, errMissing
	}
	// A name that the user's own lists deny stays denied, whatever the proxy thinks; this costs no inspection.
	lists, err := need(ctx, a.deps.Trust)
	if err != nil {
		return target{}, render.Document{}, fmt.Errorf("read the trust lists: %w", err)
	}
	if lists.Match(ref, time.Now()).Denied() {
		return a.judge(ctx, ref, area.Source(at.source), platform, show)
	}
	if a.opts.policy != "" {
		return target{}, render.Document{}, fmt.Errorf("--policy %s: the proxy decides by its own policy: leave it out, or judge on this machine", a.opts.policy)
	}
	a.at = at
	show.Say("Asking the proxy at %s about %s for %s", at.base.Redacted(), ref, platforms.FormatAll(platform))
	t, doc, err := at.judge(ctx, ref, area.Source(at.source), platform, show)
	if err != nil || doc.ExitStatus != 0 || a.agrees(ctx, at, lists.Match(t.judged(), time.Now()), t.judged()) {
		return t, doc, err
	}
	// The user's own lists, or those of their organization, are stricter than what the proxy went by. The judgement here
	// says in what, and is the one that counts.
	a.at = nil
	show.Say("Judging %s here, because a trust list is stricter than the proxy", ref)
	return a.judge(ctx, ref, area.Source(at.source), platform, show)
}

// agrees reports whether what the proxy serves is all that the lists of this machine ask for: a digest that is denied or
// not the pinned one, and a signature that is required, the proxy may know nothing of. What cannot be found out is no
// agreement.
func (a *app) agrees(ctx context.Context, at *door, standing trust.Standing, ref trust.Reference) bool {
	e := standing.Decided
	switch {
	case e == nil:
		return true
	case standing.Denied() || len(standing.Unmet) > 0:
		return false
	case e.RequireSignature == nil:
		return true
	}
	if a.deps.UseSignatures != nil {
		a.deps.UseSignatures(at.base.Redacted(), at.signed)
	}
	wrong, err := at.signed(ctx, ref, *e.RequireSignature)
	return err == nil && wrong == ""
}

// judge is app.judge by the proxy: nothing is inspected here, and nothing passes without a verdict of the proxy's on
// exactly the platform's manifest.
func (d *door) judge(ctx context.Context, ref trust.Reference, src trust.Source, platform ocispec.Platform, show *progress.Display) (target, render.Document, error) {
	show.Phase("Receiving", "Received")
	first, err := d.decided(ctx, ref, show)
	if err != nil || !first.served() {
		return d.refused(ctx, target{ref: ref}, platform, first, err)
	}
	t, err := resolve(ctx, ref, show.Source(src), platform)
	var broken *unlawful
	if errors.As(err, &broken) {
		return t, document(broken.verdict(ref), ref, broken.top), nil
	}
	if err != nil {
		return t, render.Document{}, err
	}
	got := first
	if got.id == "" || got.digest != t.manifest.Digest {
		if got, err = d.decided(ctx, t.judged(), show); err != nil || !got.served() {
			return d.refused(ctx, t, platform, got, err)
		}
	}
	var broke error
	if got.id == "" { // It is delivered while it is judged, but for its ends: who has it whole has the verdict too.
		if broke = receive(ctx, t); ctx.Err() != nil {
			return t, render.Document{}, ctx.Err()
		}
		if got, err = d.settled(ctx, t, show); err != nil || !got.served() {
			return d.refused(ctx, t, platform, got, err)
		}
	}
	return d.passed(ctx, t, platform, got, broke)
}

// passed is the document of a verdict by which the proxy served the manifest.
func (d *door) passed(ctx context.Context, t target, platform ocispec.Platform, got told, broke error) (target, render.Document, error) {
	if got.id == "" {
		err := errors.Join(fmt.Errorf("the proxy at %s names no verdict on it", d.base.Redacted()), broke)
		return t, unanswered(t, platform, err), nil
	}
	v, err := d.verdict(ctx, got.id)
	if cerr := ctx.Err(); cerr != nil {
		return t, render.Document{}, cerr
	}
	if err == nil && (v.Manifest != t.manifest.Digest || v.Reference.Name() != t.ref.Name()) {
		err = fmt.Errorf("the proxy's verdict is about %s (%q), not %s (%q): %w", v.Reference.WithDigest(""), v.Manifest, t.ref.WithDigest(""), t.manifest.Digest, trust.ErrMalformed)
	}
	if err != nil {
		return t, unanswered(t, platform, err), nil
	}
	if err := d.app.wrongPlatform(v, platform); err != nil {
		return t, render.Document{}, err
	}
	return t, document(v, t.ref, t.top.Digest), nil
}

// refused is what an answer without the manifest means: a verdict, or an error.
func (d *door) refused(ctx context.Context, t target, platform ocispec.Platform, got told, err error) (target, render.Document, error) {
	if err != nil {
		return t, render.Document{}, err
	}
	switch action := trust.Action(got.action); action {
	case trust.Block, trust.Quarantine:
		v, err := trust.Verdict{}, trust.ErrNotFound
		if got.id != "" {
			v, err = d.verdict(ctx, got.id)
		}
		if err != nil || v.Reference.Name() != t.ref.Name() || v.Action != action { // the refusal counts all the same
			v = trust.Verdict{ID: got.id, Reference: t.ref, Manifest: t.manifest.Digest, Action: action, Reasons: []string{got.sentence}}
		}
		return t, document(v, t.ref, t.top.Digest), nil
	case "", notConfigured:
		return t, render.Document{}, d.unserved(t.ref, got)
	}
	return t, unanswered(t, platform, errors.New(got.sentence)), nil
}

// unserved is an answer that no judgement decided.
func (d *door) unserved(ref trust.Reference, got told) error {
	class := trust.ErrUnavailable
	switch got.status {
	case http.StatusUnauthorized:
		return d.wantsLogin()
	case http.StatusForbidden:
		if got.action == notConfigured { // which no login changes
			return fmt.Errorf("the proxy at %s answered: %s", d.base.Redacted(), got.sentence)
		}
		class = trust.ErrUnauthorized
	case http.StatusNotFound:
		class = trust.ErrNotFound
	case http.StatusTooManyRequests:
		class = trust.ErrRateLimited
	}
	return unresolved(ref, fmt.Errorf("%w: the proxy at %s answered: %s", class, d.base.Redacted(), got.sentence))
}

func unanswered(t target, platform ocispec.Platform, err error) render.Document {
	return render.NewUnanswered(t.ref, t.top.Digest, t.manifest.Digest, platforms.FormatAll(platform), err)
}

// decided asks until the proxy does not say that it is still judging.
func (d *door) decided(ctx context.Context, ref trust.Reference, show *progress.Display) (told, error) {
	return d.until(ctx, ref, show, func(t told) bool { return t.action != pending })
}

// settled asks until there is a verdict, of an image that the proxy has delivered while it judges.
func (d *door) settled(ctx context.Context, t target, show *progress.Display) (told, error) {
	return d.until(ctx, t.judged(), show, func(t told) bool { return t.action != pending && (t.id != "" || !t.served()) })
}

func (d *door) until(ctx context.Context, ref trust.Reference, show *progress.Display, done func(told) bool) (told, error) {
	end := time.Now().Add(maxPending)
	for said := false; ; said = true {
		got, err := d.ask(ctx, ref)
		if err != nil || done(got) || time.Now().After(end) {
			return got, err
		}
		if !said {
			show.Say("The proxy is inspecting it")
		}
		after := got.after
		if after <= 0 {
			after = askAgain
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return told{}, ctx.Err()
		}
	}
}

// receive reads all of an image to its verified end, through what keeps it for the hand-over.
func receive(ctx context.Context, t target) error {
	ref := t.judged()
	body, err := content(ctx, t.src, ref, t.manifest)
	if err != nil {
		return err
	}
	doc, err := inspect.ParseManifest(body, t.manifest.MediaType)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	seen := map[digest.Digest]bool{}
	for _, desc := range append(doc.Layers, doc.Config) {
		if seen[desc.Digest] {
			continue
		}
		seen[desc.Digest] = true
		r, err := t.src.Fetch(ctx, ref, desc)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// content reads a manifest.
func content(ctx context.Context, src trust.Source, ref trust.Reference, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > inspect.MaxManifest {
		return nil, fmt.Errorf("manifest of %d bytes: %w", desc.Size, trust.ErrLimit)
	}
	r, err := src.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r, inspect.MaxManifest+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return body, nil
}
