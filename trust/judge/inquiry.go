package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// The names of questions, as Evidence has them. A layer's name is "layer N DIGEST".
const (
	askTrustLists = "trust lists"
	askSignature  = "signature"
	askLookAlike  = "look-alike"
	askPublisher  = "publisher"
	askManifest   = "manifest"
	askConfig     = "config"
	askLayers     = "layers"
	askClosure    = "what runs"
)

// inquiry is one judgement while it goes on. It collects evidence; it decides nothing.
type inquiry struct {
	judge    *Judge
	ref      trust.Reference
	src      trust.Source
	evidence trust.Evidence
	manifest inspect.Manifest
	config   inspect.Config
	// listsLayers is true when an artifact's configuration is one that engines could take for an image's.
	listsLayers bool
	// runs is what is known of what the image runs: its configuration, until all layers are in.
	runs *closure.Closure
	// hasConfig is true when there is a configuration that an engine may run.
	hasConfig bool
	trees     trees
	// lists names the trust lists that were asked.
	lists digest.Digest
	// merged is what the layers come to.
	merged *rootfs.View
	// bytes counts what the layers unpack to.
	bytes int64
	signs signs
	blobs []trust.Blob
	// files are those that may be payloads; nil until they are looked for.
	files []campaign.File
	// passing is set when what was found lies in the transport and not in the content.
	passing bool
	// until is when what was told of the publisher has to be asked anew; zero is never.
	until time.Time
}

func newEvidence(ref trust.Reference, standing trust.Standing) trust.Evidence {
	standing.Lists = "" // the verdict has it
	return trust.Evidence{
		Reference: ref, Manifest: ref.Digest, Standing: standing,
		Findings: []trust.Finding{}, Answered: []string{},
		Unanswered: map[string]string{}, NotAsked: map[string]string{},
	}
}

// run asks the questions, cheapest first. Its error means that there is no evidence to decide on.
func (c *inquiry) run(ctx context.Context) error {
	c.answered(askTrustLists)
	if c.evidence.Standing.Denied() {
		for _, q := range []string{askSignature, askLookAlike, askManifest, askConfig, askLayers} {
			c.evidence.NotAsked[q] = "the trust lists deny the image, and nothing could change that"
		}
		if c.judge.Publishers != nil {
			c.evidence.NotAsked[askPublisher] = c.evidence.NotAsked[askLayers]
		}
		return nil
	}
	if err := c.askSignature(ctx); err != nil {
		return err
	}
	c.askLookAlike()
	asked := c.startPublisher(ctx)
	defer asked.stop()
	if err := c.askContent(ctx); err != nil {
		return err
	}
	return c.takePublisher(ctx, asked)
}

// askContent asks what the image holds.
func (c *inquiry) askContent(ctx context.Context) error {
	for _, ask := range []func(context.Context) (bool, error){c.askManifest, c.askConfig, c.askLayers} {
		if goOn, err := ask(ctx); err != nil || !goOn {
			return err
		}
	}
	return c.askClosure(ctx)
}

func (c *inquiry) askManifest(ctx context.Context) (bool, error) {
	desc, err := c.src.Resolve(ctx, c.ref)
	if err != nil {
		return false, fmt.Errorf("resolve %s: %w", c.ref, err)
	}
	if desc.Digest != c.ref.Digest {
		return false, fmt.Errorf("resolve %s: the source answered with %s: %w", c.ref, desc.Digest, trust.ErrIntegrity)
	}
	body, err := c.read(ctx, desc, inspect.MaxManifest)
	if err == nil {
		c.manifest, err = inspect.ParseManifest(body, desc.MediaType)
	}
	if err != nil {
		return false, c.unanswered(askManifest, err)
	}
	if c.manifest.Kind == inspect.Index {
		return false, fmt.Errorf("judge %s: it is an index: its manifests are judged one by one: %w", c.ref, trust.ErrUnsupported)
	}
	c.evidence.Integrity = append(c.evidence.Integrity, c.manifest.Refused...)
	if err := c.snippets(askManifest, c.ref.Digest, c.manifest.AnnotationText()); err != nil {
		return false, err
	}
	c.blobs = append(c.blobs, blob(c.manifest.Config))
	for _, l := range c.manifest.Layers {
		c.evidence.Layers = append(c.evidence.Layers, l.Digest)
		c.blobs = append(c.blobs, blob(l))
	}
	c.answered(askManifest)
	if err := c.tooLarge(); err != nil {
		return false, c.unanswered(askLayers, err)
	}
	return true, nil
}

// snippets inspects texts. One that cannot be inspected leaves the question unanswered; the others still count.
func (c *inquiry) snippets(question string, blob digest.Digest, texts ...inspect.Text) error {
	for _, text := range texts {
		found, err := c.judge.Scanner.Snippet(blob, text.Path, text.Kind, []byte(text.Body))
		c.found(question, found)
		if err != nil {
			if err := c.unanswered(question, fmt.Errorf("%s: %w", text.Path, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

func blob(d ocispec.Descriptor) trust.Blob {
	return trust.Blob{Digest: d.Digest, Size: d.Size, MediaType: d.MediaType}
}

func (c *inquiry) askConfig(ctx context.Context) (bool, error) {
	body, err := c.read(ctx, c.manifest.Config, inspect.MaxConfig)
	if err == nil {
		if err := c.owns(ctx, c.manifest.Config); err != nil {
			return false, err
		}
	}
	if err == nil && c.manifest.Kind == inspect.Artifact {
		c.listsLayers = inspect.ListsLayers(body)
		var found trust.Inspection
		found, err = c.content(ctx, c.manifest.Config)
		c.found(askConfig, found.Findings)
		if err == nil && c.isArtifact() {
			c.answered(askConfig)
			return true, nil
		}
	}
	if err == nil {
		c.config, err = inspect.ParseConfig(body)
	}
	if err != nil {
		return true, c.unanswered(askConfig, err)
	}
	c.evidence.Platform = c.config.Platform()
	c.runs, c.hasConfig = closure.Of(c.config), true
	c.evidence.Steps = firstSteps(c.config)
	if err := c.snippets(askConfig, c.manifest.Config.Digest, c.config.Texts()...); err != nil {
		return false, err
	}
	c.evidence.Integrity = append(c.evidence.Integrity, c.countMismatch()...)
	c.answered(askConfig)
	return true, nil
}

// firstSteps are the programs that the configuration itself names by their full paths.
func firstSteps(config inspect.Config) []trust.Step {
	var steps []trust.Step
	for _, command := range []struct {
		by    string
		words []string
	}{{"config:entrypoint", config.Entrypoint}, {"config:command", config.Cmd}} {
		for _, word := range command.words[:min(len(command.words), 8)] {
			if len(word) < 1024 && path.IsAbs(word) {
				steps = append(steps, trust.Step{By: command.by, Path: strings.TrimPrefix(path.Clean(word), "/")})
			}
		}
	}
	return steps
}

// mayRun: some engines unpack and run what has layers of an image, or a configuration that lists layers, by whatever media
// types they go; one takes every manifest of Docker's type so. Such an artifact is judged as the image that it may be.
func (c *inquiry) mayRun() bool {
	for _, l := range c.manifest.Layers {
		if inspect.IsEngineLayer(l.MediaType) {
			return true
		}
	}
	return c.manifest.MediaType == inspect.DockerManifest || c.listsLayers
}

// countMismatch says when the config names another number of layers than the manifest. Signatures and attestations
// may do as they like: no engine unpacks them.
func (c *inquiry) countMismatch() []string {
	if len(c.config.DiffIDs) == len(c.manifest.Layers) || c.manifest.Kind != inspect.Image {
		return nil // no engine unpacks an artifact whose configuration lists no layers, as those of honest ones do
	}
	for _, l := range c.manifest.Layers {
		if inspect.TreatmentOf(l.MediaType) != inspect.Data {
			return []string{fmt.Sprintf("the manifest has %d layers but the image config lists %d", len(c.manifest.Layers), len(c.config.DiffIDs))}
		}
	}
	return nil
}

// read reads a small document whole.
func (c *inquiry) read(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d: %w", desc.Digest, desc.Size, limit, trust.ErrLimit)
	}
	r, err := c.src.Fetch(ctx, c.ref, desc)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", desc.Digest, err)
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if closeErr := r.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", desc.Digest, err)
	}
	// Sources promise this; the judgement rests on it, so it is not taken on trust.
	if int64(len(body)) != desc.Size || digest.FromBytes(body) != desc.Digest {
		return nil, fmt.Errorf("%s of %d bytes: there are %d or more, of the digest %s: %w",
			desc.Digest, desc.Size, len(body), digest.FromBytes(body), trust.ErrIntegrity)
	}
	return body, nil
}

// answered files a question as answered, unless a part of it was not.
func (c *inquiry) answered(question string) {
	if _, open := c.evidence.Unanswered[question]; !open {
		c.evidence.Answered = append(c.evidence.Answered, question)
	}
}

// unanswered files an error under its question when it says what the content is; any other error is returned, because
// the source broke and asking again may answer.
func (c *inquiry) unanswered(question string, err error) error {
	switch {
	case errors.Is(err, trust.ErrIntegrity):
		c.evidence.Integrity = append(c.evidence.Integrity, trust.Sanitise(fmt.Sprintf("%s: %v", question, err), 400))
		c.passing = true
	case errors.Is(err, trust.ErrLimit), errors.Is(err, trust.ErrMalformed), errors.Is(err, trust.ErrUnsupported):
		c.evidence.Unanswered[question] = trust.Sanitise(err.Error(), 400)
		c.passing = c.passing || errors.Is(err, trust.ErrUnavailable)
	default:
		return fmt.Errorf("judge %s: %s: %w", c.ref, question, err)
	}
	return nil
}
