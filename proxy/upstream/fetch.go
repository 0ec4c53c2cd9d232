package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Fetch implements trust.Source. The reader continues a body that breaks off; it may be closed while it is read.
func (r *Registry) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := r.checkReference(ref); err != nil {
		return nil, err
	}
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%w: digest %q", trust.ErrMalformed, trust.Sanitise(desc.Digest.String(), maxErrorText))
	}
	if desc.Size < 0 {
		return nil, fmt.Errorf("%w: %s is said to have %d bytes", trust.ErrMalformed, desc.Digest, desc.Size)
	}
	q := request{method: http.MethodGet, repository: ref.Repository, path: "blobs/" + desc.Digest.String()}
	if isManifest(desc.MediaType) {
		if desc.Size > MaxManifest {
			return nil, r.fail(trust.ErrLimit, "manifest of %d bytes, at most %d are read", desc.Size, MaxManifest)
		}
		q.path, q.accept = "manifests/"+desc.Digest.String(), acceptManifests
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &content{
		ctx: ctx, cancel: cancel, base: r, request: q, desc: desc, verifier: desc.Digest.Verifier(),
		roads: r.roads(),
	}
	if !c.turn(nil) { // nobody waits for it any more
		err := r.requestError(ctx, context.Cause(ctx))
		cancel()
		return nil, err
	}
	err := c.open()
	for err != nil && c.turn(err) {
		err = c.open()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

// content reads one blob or manifest over as many answers as it takes, and ends with io.EOF only when size and digest
// hold.
type content struct {
	ctx      context.Context
	cancel   context.CancelFunc
	base     *Registry
	registry *Registry // who is asked now
	mirror   *mirror   // registry's mirror; nil when it is the base
	roads    []*mirror // who can be asked after it; the base is last
	used     []*mirror // who sent bytes
	request  request
	desc     ocispec.Descriptor

	mu       sync.Mutex
	verifier digest.Verifier
	offset   int64
	body     io.ReadCloser
	whole    bool // a clean end of body means that the registry has no more
	resumes  int
	err      error // sticky
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		if len(p) == 0 {
			return 0, nil
		}
		if c.offset == c.desc.Size {
			c.err = c.finish()
			break
		}
		if c.body == nil {
			c.err = c.resume()
			continue
		}
		n, err := c.body.Read(p[:min(int64(len(p)), c.desc.Size-c.offset)])
		if n > 0 {
			c.uses()
			_, _ = c.verifier.Write(p[:n]) // a hash never fails
			c.offset += int64(n)
			return n, nil // an error comes again with the next read
		}
		if err != nil {
			c.err = c.broken(err)
		}
	}
	return 0, c.err
}

// Close implements io.Closer. It ends a read in progress.
func (c *content) Close() error {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	if c.err == nil {
		c.err = errors.New("read of closed content")
	}
	return nil
}

// finish looks for bytes too many and verifies the digest. The connection's end is of no interest any more.
func (c *content) finish() error {
	if c.body != nil {
		n, err := io.ReadFull(c.body, make([]byte, 1))
		if n > 0 {
			return c.lie("it has more than its %d bytes", c.desc.Size)
		}
		if !errors.Is(err, io.EOF) && c.ctx.Err() != nil {
			return c.ctxErr()
		}
		c.drop()
	}
	if !c.verifier.Verified() {
		return c.lie("the bytes have another digest")
	}
	c.cancel()
	return io.EOF
}

// broken decides what a body that ended too early means: nil to continue.
func (c *content) broken(err error) error {
	c.drop()
	if c.ctx.Err() != nil {
		return c.ctxErr()
	}
	if errors.Is(err, io.EOF) && c.whole {
		return c.lie("it has only %d of its %d bytes", c.offset, c.desc.Size)
	}
	if (errors.Is(err, errSlow) || c.resumes >= c.registry.resumes) && c.turn(err) {
		return nil
	}
	if errors.Is(err, errSlow) {
		return c.registry.fail(trust.ErrUnavailable, "%s, %d of %d bytes: %v", c.desc.Digest, c.offset, c.desc.Size, err)
	}
	if c.resumes >= c.registry.resumes {
		return c.registry.fail(trust.ErrUnavailable, "%s broke off at %d of %d bytes, %d times: %v",
			c.desc.Digest, c.offset, c.desc.Size, c.resumes+1, err)
	}
	return nil
}

// resume continues after a pause; an answer that does not come counts as one more break.
func (c *content) resume() error {
	wait := min(c.registry.retryWait<<min(c.resumes, 10), maxRetryWait)
	c.resumes++
	select {
	case <-time.After(wait):
	case <-c.ctx.Done():
		return c.ctxErr()
	}
	err := c.open()
	if errors.Is(err, trust.ErrUnavailable) {
		return c.broken(err)
	}
	if err != nil && c.ctx.Err() == nil && c.turn(err) {
		return nil
	}
	return err
}

// open asks for the content from offset on.
func (c *content) open() error {
	c.request.offset = c.offset
	resp, err := c.registry.do(c.ctx, c.request)
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		err = c.accept(resp)
	case resp.StatusCode == http.StatusPartialContent && c.offset > 0:
		err = c.acceptPart(resp)
	default:
		return c.registry.answerError(resp)
	}
	if err != nil {
		_ = resp.Body.Close()
		return err
	}
	c.body = resp.Body
	return nil
}

// accept takes an answer that begins at the first byte, and skips what was delivered already.
func (c *content) accept(resp *http.Response) error {
	if n := resp.ContentLength; n >= 0 && n != c.desc.Size {
		return c.lie("it has %d bytes instead of %d", n, c.desc.Size)
	}
	// Without a length, HTTP/1 says the end by chunks or by closing; the latter looks like a break.
	c.whole = resp.ContentLength >= 0 || resp.ProtoMajor > 1 || len(resp.TransferEncoding) > 0
	if _, err := io.CopyN(io.Discard, resp.Body, c.offset); err != nil {
		return c.registry.requestError(c.ctx, err)
	}
	return nil
}

// acceptPart takes an answer that claims to begin at offset.
func (c *content) acceptPart(resp *http.Response) error {
	header := resp.Header.Get("Content-Range")
	from, total, ok := contentRange(header)
	switch {
	case !ok || from != c.offset:
		return c.registry.fail(trust.ErrUnavailable, "asked for %s from byte %d, it sent %q", c.desc.Digest, c.offset, header)
	case total >= 0 && total != c.desc.Size:
		return c.lie("it has %d bytes instead of %d", total, c.desc.Size)
	}
	c.whole = false // a registry may send less than all of the rest
	return nil
}

func (c *content) drop() {
	if c.body != nil {
		_ = c.body.Close()
		c.body = nil
	}
}

// lie is a contradiction to the descriptor. Where a mirror had a part in it, that says nothing about the registry, and
// the next try is without the mirror.
func (c *content) lie(format string, args ...any) error {
	if c.blame() {
		return c.registry.fail(trust.ErrUnavailable, "%s: %s, from a mirror; it is not asked for a while", c.desc.Digest, fmt.Sprintf(format, args...))
	}
	return c.registry.fail(trust.ErrIntegrity, "%s: %s", c.desc.Digest, fmt.Sprintf(format, args...))
}

func (c *content) ctxErr() error { return c.registry.requestError(c.ctx, c.ctx.Err()) }
