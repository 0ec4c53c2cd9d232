package judge

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/layer/toc"
)

type answer struct {
	found trust.Inspection
	err   error
}

// askLayers inspects the layers, smallest first and several at a time. Their answers are taken in that order, and the
// work ends as soon as the policy blocks: what came in out of order does not count, so that the verdict is the same
// however many layers are in work.
func (c *inquiry) askLayers(ctx context.Context) (bool, error) {
	order := c.layerOrder()
	if waived, err := c.waive(ctx, order); waived || err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	answers, wait := c.start(ctx, order)
	defer wait()
	defer cancel()
	for n, i := range order {
		if action, _ := c.judge.Policy.Decide(c.evidence); action == trust.Block {
			for _, rest := range order[n:] {
				c.evidence.NotAsked[c.layerName(rest)] = "the image is blocked already, and nothing could change that"
			}
			return false, nil
		}
		a := <-answers[n]
		if err := c.takeLayer(i, a); err != nil {
			return false, err
		}
		if c.bytes > c.judge.ImageBytes {
			for _, late := range order[n:] {
				c.evidence.Unanswered[c.layerName(late)] = fmt.Sprintf("%v: the image unpacks to more than %d bytes", trust.ErrLimit, c.judge.ImageBytes)
			}
			return false, nil
		}
	}
	return true, nil
}

// layerOrder is smallest first: scripts and configurations come in small layers, and what is found there spares the
// rest.
func (c *inquiry) layerOrder() []int {
	order := make([]int, len(c.manifest.Layers))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool {
		return c.manifest.Layers[order[a]].Size < c.manifest.Layers[order[b]].Size
	})
	return order
}

// start sets the layers to work; the returned function waits until none is.
func (c *inquiry) start(ctx context.Context, order []int) ([]chan answer, func()) {
	answers := make([]chan answer, len(order))
	for n := range answers {
		answers[n] = make(chan answer, 1)
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, c.judge.LayersInWork)
	running.Add(1)
	go func() {
		defer running.Done()
		for n, i := range order {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				answers[n] <- answer{err: ctx.Err()}
				continue
			}
			running.Add(1)
			go func() {
				defer running.Done()
				defer func() { <-slots }()
				answers[n] <- c.guarded(ctx, c.manifest.Layers[i])
			}()
		}
	}()
	return answers, running.Wait
}

// guarded turns a panic into an error, because one layer must not end a process that serves others.
func (c *inquiry) guarded(ctx context.Context, layer ocispec.Descriptor) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a = answer{err: fmt.Errorf("inspection of %s failed: %v", layer.Digest, r)}
		}
	}()
	a.found, a.err = c.content(ctx, layer)
	return a
}

func (c *inquiry) takeLayer(i int, a answer) error {
	name, layer := c.layerName(i), c.manifest.Layers[i]
	c.found(name, a.found.Findings)
	c.trees.keep(i, a.found)
	if c.bytes += a.found.Bytes; c.bytes > c.judge.ImageBytes {
		return nil
	}
	if a.err != nil {
		return c.unanswered(name, a.err)
	}
	// What was found is about the blob, whoever describes it; this descriptor may tell lazy pullers something else.
	if err := toc.CheckAnnotations(layer.Annotations, a.found.TOC); err != nil {
		c.evidence.Integrity = append(c.evidence.Integrity, fmt.Sprintf("%s: %v", name, err))
	}
	unpacks := inspect.TreatmentOf(layer.MediaType) == inspect.Layer || a.found.DiffID != ""
	if c.manifest.Kind == inspect.Image && i < len(c.config.DiffIDs) && unpacks && a.found.DiffID != c.config.DiffIDs[i] {
		c.evidence.Integrity = append(c.evidence.Integrity,
			fmt.Sprintf("%s unpacks to %s, but the image config says %s", name, a.found.DiffID, trust.Sanitise(c.config.DiffIDs[i].String(), 80)))
	}
	c.answered(name)
	return nil
}

func (c *inquiry) layerName(i int) string {
	return fmt.Sprintf("layer %d %s", i+1, c.manifest.Layers[i].Digest)
}

// waive leaves the layers out where a trust entry waives inspection. Signs that are known from other pulls count all
// the same, unless the entry names this very digest: known bad is not allowed by a pattern.
func (c *inquiry) waive(ctx context.Context, order []int) (waived bool, err error) {
	entry := c.evidence.Standing.Decided
	if entry == nil || !c.evidence.Standing.Waived() {
		return false, nil
	}
	defer func() {
		if waived && err == nil {
			c.runs.Follow(c.trees.links(), c.trees.cut)
			c.weigh(c.runs)
		}
	}()
	for _, i := range order {
		c.evidence.NotAsked[c.layerName(i)] = fmt.Sprintf("inspection is waived by the trust entry %s", entry.Pattern)
		if names(entry, c.ref.Digest) {
			continue
		}
		layer := c.manifest.Layers[i]
		known, ok, err := c.judge.recall(ctx, layer.Digest, c.judge.inspectionKey(c.treatment(layer.MediaType)))
		if err != nil {
			return false, err
		}
		if ok {
			if err := c.owns(ctx, layer); err != nil {
				return false, err
			}
			c.found(c.layerName(i), known.Findings)
			c.trees.keep(i, known)
		}
	}
	return true, nil
}

func after(s string, sep byte) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == sep {
			return s[i+1:]
		}
	}
	return ""
}

// boundToContent reports whether an error would be the same for everybody who asks about the same digest: when the caller
// that ran was cancelled, or its own source broke or lied, the next one runs.
func boundToContent(err error) bool {
	return !errors.Is(err, trust.ErrIntegrity) &&
		(errors.Is(err, trust.ErrLimit) || errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrUnsupported))
}

// content inspects one blob in the way that its media type asks for, once for everybody.
func (c *inquiry) content(ctx context.Context, desc ocispec.Descriptor) (trust.Inspection, error) {
	treatment := c.treatment(desc.MediaType)
	switch treatment {
	case inspect.Encrypted:
		return trust.Inspection{}, fmt.Errorf("%s is encrypted: %w", desc.Digest, trust.ErrUnsupported)
	case inspect.Unknown:
		return trust.Inspection{}, fmt.Errorf("%s has the media type %q, which is not known here: %w",
			desc.Digest, trust.Sanitise(desc.MediaType, 120), trust.ErrUnsupported)
	case inspect.Layer, inspect.Data:
	}
	j := c.judge
	key := j.inspectionKey(treatment)
	flown := digest.FromString(fmt.Sprintf("%s %s %d", key, desc.Digest, desc.Size))
	found, err := j.flight.Do(ctx, flown, boundToContent, func() (trust.Inspection, error) {
		found, ok, err := j.recall(ctx, desc.Digest, key)
		if err != nil {
			return trust.Inspection{}, err
		}
		if ok && found.Size == desc.Size {
			return found, nil
		}
		if found, err = c.scan(ctx, desc, treatment); err != nil {
			return found, err
		}
		found.Size, found.Tree = desc.Size, found.Tree.Sealed()
		if err := j.Memory.KeepInspection(ctx, desc.Digest, key, found); err != nil {
			return trust.Inspection{}, fmt.Errorf("keep inspection: %w", err)
		}
		j.remember(desc.Digest, key, found)
		return found, nil
	})
	if err != nil && !boundToContent(err) {
		return found, err
	}
	if err := c.owns(ctx, desc); err != nil {
		return trust.Inspection{}, err
	}
	return found, err
}

// holder is a source whose content others may have brought. What they brought tells its reader nothing of what it does not
// have: whoever knows the digest of somebody's layer can name it in a manifest of their own.
type holder interface {
	// Has returns nil when the reference's repository has the blob, for the context's caller. What was just read from there
	// costs no question.
	Has(context.Context, trust.Reference, ocispec.Descriptor) error
}

// owns fails when a blob that was answered for is none of the image's repository, as far as its source can tell.
func (c *inquiry) owns(ctx context.Context, desc ocispec.Descriptor) error {
	h, ok := c.src.(holder)
	if !ok {
		return nil
	}
	if err := h.Has(ctx, c.ref, desc); err != nil {
		return fmt.Errorf("does %s have %s: %w", c.ref.Name(), desc.Digest, err)
	}
	return nil
}

func (c *inquiry) scan(ctx context.Context, desc ocispec.Descriptor, treatment inspect.Treatment) (trust.Inspection, error) {
	j := c.judge
	if err := j.layers.Acquire(ctx, 1); err != nil {
		return trust.Inspection{}, err
	}
	defer j.layers.Release(1)
	r, err := c.src.Fetch(ctx, c.ref, desc)
	if err != nil {
		return trust.Inspection{}, fmt.Errorf("fetch %s: %w", desc.Digest, err)
	}
	ask := j.Scanner.Layer
	if treatment == inspect.Data {
		ask = j.Scanner.Data
	}
	found, err := ask(ctx, r, desc)
	if closeErr := r.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close %s: %w", desc.Digest, closeErr)
	}
	return found, err
}

// inspectionKey is the question about a blob: the checks, their rules and limits, and the way of reading it.
func (j *Judge) inspectionKey(t inspect.Treatment) digest.Digest {
	return digest.FromString(fmt.Sprintf("inspection 2\n%s\n%d", j.Scanner.Key(), t))
}
