package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// recordTimeout bounds the request by which a graph driver records the registry digest of an image that it has: a
// registry that the engine cannot reach must not hold up a pull that is complete.
const recordTimeout = 15 * time.Second

// errUnasked: the engine did not get through to the loopback registry.
var errUnasked = errors.New("the engine did not reach the loopback registry")

// Handover gives the engine exactly the judged manifest and its blobs, read from src and verified, and names it as ref
// says: by its digest when ref has one, else by its tag. On an error the engine's names are as they were before.
func (e *Engine) Handover(ctx context.Context, ref trust.Reference, top, manifest ocispec.Descriptor, src trust.Source) error {
	f, err := e.ask(ctx)
	if err != nil {
		return err
	}
	img, err := open(ctx, ref, top, manifest, src)
	if err != nil {
		return err
	}
	if f.contentStore {
		return e.load(ctx, img)
	}
	if local(e.api.DaemonHost()) {
		err := e.lend(ctx, img)
		if !errors.Is(err, errUnasked) || ctx.Err() != nil {
			return err
		}
		e.options.Note("the engine cannot reach this machine's loopback interface: the image is loaded as an archive")
	}
	return e.unpack(ctx, img)
}

// load is the route into containerd's content store: an OCI layout that has the index but, of its children, only the
// judged one. An engine that wants all children gets the manifest alone.
func (e *Engine) load(ctx context.Context, img *image) error {
	err := e.loadAs(ctx, img, img.top)
	var own *engineError
	if errors.As(err, &own) && ctx.Err() == nil && img.indexed() && img.ref.Digest == "" {
		e.options.Note(fmt.Sprintf("the engine does not take the image with its index and knows it by the platform's manifest digest: %v", err))
		return e.loadAs(ctx, img, img.manifest)
	}
	return err
}

func (e *Engine) loadAs(ctx context.Context, img *image, top document) error {
	name := under(img.ref)
	before, err := e.id(ctx, name)
	if err != nil {
		return err
	}
	err = e.stream(ctx, func(ctx context.Context, w io.Writer) error { return writeLayout(ctx, w, img, top) })
	if err == nil {
		err = e.expect(ctx, name, top.desc.Digest)
	}
	if err != nil {
		// The engine names an image before it unpacks the layers.
		e.restore(ctx, name, before, top.desc.Digest.String())
	}
	return err
}

// lend is the route into a graph driver on this machine: a pull by digest from a registry of our own.
func (e *Engine) lend(ctx context.Context, img *image) error {
	registry, err := newLoopback(ctx, img)
	if err != nil {
		return err
	}
	defer registry.Close()

	top := img.top
	name, err := e.borrow(ctx, registry, top)
	if err != nil && ctx.Err() == nil && img.indexed() && registry.failure() == nil && registry.served() {
		// It chose another child of the index, which it cannot get.
		top = img.manifest
		name, err = e.borrow(ctx, registry, top)
	}
	switch {
	case registry.failure() != nil && err != nil:
		return registry.failure()
	case err != nil && !registry.served():
		return fmt.Errorf("%w: %w", errUnasked, err)
	case err != nil:
		return err
	}
	registry.Close()
	defer e.forget(ctx, name, true, false)
	if err := e.expect(ctx, name, img.config.Digest); err != nil {
		return err
	}
	return e.name(ctx, img, top.desc)
}

// borrow pulls a document from the loopback registry and returns the engine's temporary name for it, which is gone
// again if there is an error.
func (e *Engine) borrow(ctx context.Context, registry *loopback, top document) (string, error) {
	name := registry.name() + "@" + top.desc.Digest.String()
	// The engine would ask again and again for what is not to be had.
	pull, cancel := registry.untilFailure(ctx)
	defer cancel()
	err := e.pull(pull, e.api, name, "", platforms(registry.img, top.desc.Digest), e.options.Message)
	if err != nil && pull.Err() != nil {
		registry.Close()
		e.forget(ctx, name, true, true)
	}
	return name, err
}

// unpack is the route into a graph driver elsewhere: an archive without a name, which is named once it has arrived.
func (e *Engine) unpack(ctx context.Context, img *image) error {
	id := img.config.Digest.String()
	before, err := e.id(ctx, id)
	if err != nil {
		return err
	}
	if before == "" {
		err = e.stream(ctx, func(ctx context.Context, w io.Writer) error { return writeArchive(ctx, w, img) })
	}
	if err == nil {
		err = e.expect(ctx, id, img.config.Digest)
	}
	if err == nil {
		// The engine has not shown which child of the index it would choose: only the judged manifest is recorded.
		err = e.name(ctx, img, img.manifest.desc)
	}
	if err != nil && before == "" {
		e.forget(ctx, id, false, ctx.Err() != nil)
	}
	return err
}

// name makes a graph driver know the image, which it has, as the reference says, and record its registry digest. The
// registry is asked by digest, and top is something from which the engine would take this image's manifest and no other,
// so that no content can arrive that was not judged.
func (e *Engine) name(ctx context.Context, img *image, top ocispec.Descriptor) error {
	name := under(img.ref)
	if img.ref.Digest != "" {
		if top.Digest != img.ref.Digest {
			return fmt.Errorf("which platform the engine would choose from %s is not certain: ask for a tag, or for @%s", name, img.manifest.desc.Digest)
		}
		if err := e.record(ctx, img, top); err != nil {
			return fmt.Errorf("this engine must itself ask the registry to know an image by its digest (ask for a tag instead): %w", err)
		}
		return e.expect(ctx, name, img.config.Digest)
	}
	if _, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: img.config.Digest.String(), Target: name}); err != nil {
		return fmt.Errorf("tag %s in the engine: %w", name, err)
	}
	short, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if err := e.record(short, img, top); err != nil {
		e.options.Note(fmt.Sprintf("the engine has %s, but could not record its registry digest: %v", name, err))
	}
	return nil // also when ctx has just ended: the image is there, whole and under its name
}

// record pulls, by digest, an image that a graph driver already has: the engine asks the registry for at most the
// manifest and then knows the image's name@digest, as after "docker pull".
func (e *Engine) record(ctx context.Context, img *image, top ocispec.Descriptor) error {
	auth := ""
	if e.options.Auth != nil {
		var err error
		if auth, err = e.options.Auth(ctx, img.ref); err != nil {
			return fmt.Errorf("find the login: %w", err)
		}
	}
	api := e.api
	if e.options.Recorder != nil {
		own, err := e.options.Recorder(ctx, img.ref)
		if err != nil {
			return fmt.Errorf("prepare the request: %w", err)
		}
		if own != nil {
			defer func() { _ = own.Close() }()
			api = own
		}
	}
	return e.pull(ctx, api, img.ref.Name()+"@"+top.Digest.String(), auth, platforms(img, top.Digest), func(jsonstream.Message) {})
}

// platforms is what the engine is told to choose from an index: the judged child's platform as the index states it.
func platforms(img *image, top digest.Digest) []ocispec.Platform {
	if top == img.manifest.desc.Digest || img.manifest.desc.Platform == nil {
		return nil
	}
	return []ocispec.Platform{*img.manifest.desc.Platform}
}

// local reports whether an engine's address lets one expect that it shares our loopback interface.
func local(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "unix", "npipe":
		return true
	case "tcp", "http", "https":
		ip := net.ParseIP(u.Hostname())
		return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	}
	return false
}
