package enforce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const (
	// maxInlineChildren bounds the judgements that one index can cause by carrying its manifests inline.
	maxInlineChildren = 8
	// maxWhole bounds the judgements that one index can cause when it is decided as a whole.
	maxWhole = 16
	// maxDepth bounds indexes in indexes, and maxNested how many of them are read for one.
	maxDepth  = 4
	maxNested = 16
)

// passIndex lets an index through: it must break no law, its name must not be denied, and manifests that it carries
// inline, which a client would use without asking for them, must be allowed now; on Terms.Whole, so must those of the
// gate's platforms.
func (g *Gate) passIndex(ctx context.Context, ref trust.Reference, src trust.Source, doc inspect.Manifest, terms Terms, hold <-chan struct{}) error {
	if err := lawful(ref, doc); err != nil {
		return err
	}
	if err := g.Permit(ref); err != nil {
		g.observer.Decided(trust.Block)
		return err
	}
	inline := 0
	for _, child := range doc.Children {
		if child.Data == nil {
			continue
		}
		if inline++; inline > maxInlineChildren {
			return &Rejected{Reference: ref, Reason: fmt.Sprintf("the index carries more than %d manifests inline", maxInlineChildren)}
		}
		inner, err := inspect.ParseManifest(child.Data, child.MediaType)
		if err != nil || inner.Kind == inspect.Index || len(inner.Refused) > 0 {
			return &Rejected{Reference: ref, Reason: fmt.Sprintf("the index carries %s inline, which is no image manifest", child.Digest)}
		}
		if _, err := g.decide(ctx, below(ref, child), src, hold); err != nil {
			return err
		}
	}
	if terms.Whole {
		w := whole{gate: g, src: src, hold: hold}
		if err := w.pass(ctx, ref, doc); err != nil {
			return err
		}
	}
	g.leadChildren(ref, doc.Children)
	return nil
}

// whole decides about an index by its manifests.
type whole struct {
	gate *Gate
	src  trust.Source
	hold <-chan struct{}
	// judged are the manifests that decide; outside the platforms of the others, by digest.
	judged  []trust.Reference
	outside map[string]string
	// nested counts the indexes in the index.
	nested int
}

func (w *whole) pass(ctx context.Context, index trust.Reference, doc inspect.Manifest) error {
	w.outside = map[string]string{}
	if err := w.collect(ctx, index, doc, 1); err != nil {
		return err
	}
	for _, ref := range w.judged { // a manifest may stand in the index twice
		delete(w.outside, ref.Name()+"@"+ref.Digest.String())
	}
	for key, platform := range w.outside {
		w.gate.outside.Add(key, platform)
	}
	switch {
	case len(w.judged) == 0 && len(w.outside) > 0:
		return &Rejected{Reference: index, Reason: "it has no image for " + w.gate.platforms() + ", the platforms that this proxy judges for mirrors"}
	case len(w.judged) > maxWhole:
		return &Rejected{Reference: index, Reason: fmt.Sprintf("it lists %d images for the platforms that this proxy judges for mirrors, more than %d", len(w.judged), maxWhole)}
	}
	return w.decide(ctx)
}

// collect sorts an index's manifests, and those of the indexes in it.
func (w *whole) collect(ctx context.Context, index trust.Reference, doc inspect.Manifest, depth int) error {
	for _, child := range doc.Children {
		ref := below(index, child)
		switch {
		case inspect.IsIndex(child.MediaType):
			if err := w.open(ctx, ref, depth+1); err != nil {
				return err
			}
		case isAside(child): // judged when it is asked for: no engine runs it
		case w.gate.wants(child.Platform):
			if !slices.ContainsFunc(w.judged, func(r trust.Reference) bool { return r.Digest == ref.Digest }) {
				w.judged = append(w.judged, ref)
			}
		default:
			w.outside[ref.Name()+"@"+ref.Digest.String()] = platformName(*child.Platform)
		}
	}
	return nil
}

// open reads an index in an index. All of them together take no longer than the client waits, which would go elsewhere then.
func (w *whole) open(ctx context.Context, ref trust.Reference, depth int) error {
	if depth > maxDepth {
		return &Rejected{Reference: ref, Reason: fmt.Sprintf("indexes are nested more than %d deep", maxDepth)}
	}
	if w.nested++; w.nested > maxNested {
		return &Rejected{Reference: ref, Reason: fmt.Sprintf("there are more than %d indexes in the index", maxNested)}
	}
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-w.hold:
			cancel(errHeld)
		case <-held.Done():
		}
	}()
	_, desc, body, leave, err := w.gate.read(held, ref, w.src, maxWholeHold)
	if err != nil && errors.Is(context.Cause(held), errHeld) {
		return w.gate.pending(ref)
	}
	if err != nil {
		return err
	}
	defer leave()
	doc, err := inspect.ParseManifest(body, desc.MediaType)
	switch {
	case err != nil:
		return &Rejected{Reference: ref, Reason: err.Error()}
	case doc.Kind != inspect.Index:
		return &Rejected{Reference: ref, Reason: "it was listed as an index and is none"}
	}
	if err := lawful(ref, doc); err != nil {
		return err
	}
	return w.collect(ctx, ref, doc, depth)
}

// decide judges side by side. The first refusal decides; what else went wrong decides when all are through.
func (w *whole) decide(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	type outcome struct {
		i   int
		err error
	}
	outcomes := make(chan outcome, len(w.judged))
	for i, ref := range w.judged {
		running.Go(func() {
			_, err := w.gate.decide(ctx, ref, w.src, w.hold)
			outcomes <- outcome{i, err}
		})
	}
	failed := make([]error, len(w.judged))
	for range w.judged {
		o := <-outcomes
		if _, ok := o.err.(*Refusal); ok { //nolint:errorlint // decide returns it as it is
			return o.err
		}
		failed[o.i] = o.err
	}
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// within refuses a manifest that is known to be for a platform outside the gate's, unless it is allowed already.
func (g *Gate) within(ctx context.Context, ref trust.Reference) error {
	platform, ok := g.outside.Get(ref.Name() + "@" + ref.Digest.String())
	if !ok {
		return nil
	}
	if v, ok, err := g.remembered(ctx, ref); err == nil && ok && serves(ref, v) {
		return nil
	}
	return &Rejected{Reference: ref, Reason: fmt.Sprintf("it is for %s, and this proxy judges only images for %s for mirrors", platform, g.platforms())}
}

// wants reports whether a client may choose a manifest of the platform. Nobody knows who takes one without a platform.
func (g *Gate) wants(p *ocispec.Platform) bool {
	if p == nil || p.OS == "" || p.Architecture == "" {
		return true
	}
	return slices.ContainsFunc(g.wanted, func(w ocispec.Platform) bool {
		return w.OS == p.OS && w.Architecture == p.Architecture && (w.Variant == "" || w.Variant == p.Variant)
	})
}

// isAside reports whether a listed manifest is about the others and none to run, as builders list attestations.
func isAside(d ocispec.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

func (g *Gate) platforms() string {
	names := make([]string, len(g.wanted))
	for i, p := range g.wanted {
		names[i] = platformName(p)
	}
	return strings.Join(names, ", ")
}

func platformName(p ocispec.Platform) string {
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return trust.Sanitise(name, 60)
}
