package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/trust"
)

var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// maxRepository is the length of the longest name that registries take.
const maxRepository = 255

// checkReference refuses what is not this registry's or would not be a plain path below it.
func (r *Registry) checkReference(ref trust.Reference) error {
	switch {
	case ref.Registry != r.name:
		return fmt.Errorf("%w: %q is not a reference of registry %s", trust.ErrMalformed, ref, r.name)
	case len(ref.Repository) > maxRepository || !repositoryPattern.MatchString(ref.Repository):
		return fmt.Errorf("%w: repository name %q", trust.ErrMalformed, trust.Sanitise(ref.Repository, maxErrorText))
	case ref.Tag != "" && !tagPattern.MatchString(ref.Tag):
		return fmt.Errorf("%w: tag %q", trust.ErrMalformed, trust.Sanitise(ref.Tag, maxErrorText))
	case ref.Digest != "" && ref.Digest.Validate() != nil:
		return fmt.Errorf("%w: digest %q", trust.ErrMalformed, trust.Sanitise(ref.Digest.String(), maxErrorText))
	}
	return nil
}

// request is one question to the registry.
type request struct {
	method     string
	repository string
	// path is below /v2/<repository>/.
	path  string
	query string
	// accept is the Accept header, if any.
	accept string
	// offset asks for the rest of the content from there when positive.
	offset int64
}

// do asks, with login and retries. An answer of any status is no error. The caller closes the answer's body, which
// breaks off when it stalls; all of it ends with ctx.
func (r *Registry) do(parent context.Context, q request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(parent)
	ctx = auth.WithScopesForHost(ctx, r.base.Host, auth.ScopeRepository(path.Join(r.under, q.repository), auth.ActionPull))
	u := r.base.JoinPath("v2", r.under, q.repository, q.path)
	u.RawQuery = q.query
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, r.fail(trust.ErrUnavailable, "%v", err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	if q.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", q.offset))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, r.requestError(parent, err)
	}
	resp.Body = newBody(ctx, cancel, resp.Body, r.timeouts, r.limits)
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" && resp.StatusCode < 300 {
		_ = resp.Body.Close()
		return nil, r.fail(trust.ErrUnavailable, "it sent content encoded as %q, which was not asked for", e)
	}
	return resp, nil
}

// body is an answer's body that breaks off with errStalled when a read brings nothing for too long, and with errSlow
// when reads bring too little.
type body struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	watch    *time.Timer
	timeouts Timeouts
	limits   *Limits
	// waited and came are what the current window of the rate took and brought.
	waited time.Duration
	came   int64
	slow   bool
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, rc io.ReadCloser, t Timeouts, l *Limits) *body {
	b := &body{ReadCloser: rc, ctx: ctx, cancel: cancel, timeouts: t, limits: l}
	b.watch = time.AfterFunc(t.Stall, func() { cancel(errStalled) })
	b.watch.Stop() // it runs while somebody waits for bytes, so that a slow reader is no stall
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.slow {
		return 0, errSlow
	}
	start := time.Now()
	b.watch.Reset(b.timeouts.Stall)
	n, err := b.ReadCloser.Read(b.limits.cut(p))
	b.watch.Stop()
	switch {
	case err == nil:
		b.slow = b.tooSlow(time.Since(start), n)
	case !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errStalled):
		err = errStalled
	}
	// The wait for the upstream's limit is ours: it makes nobody slow.
	if wait := b.limits.passed(b.ctx, n); wait != nil && err == nil {
		err = wait
	}
	return n, err
}

// tooSlow counts what one read took and brought, and reports whether that ends a window that brought too little.
func (b *body) tooSlow(took time.Duration, n int) bool {
	b.waited += took
	b.came += int64(n)
	if b.waited < b.timeouts.RateWindow {
		return false
	}
	slow := float64(b.came) < float64(b.timeouts.MinRate)*b.waited.Seconds()
	b.waited, b.came = 0, 0
	return slow
}

// Close implements io.Closer. It reads a short rest, so that the connection can be used again.
func (b *body) Close() error {
	if b.ctx.Err() == nil {
		b.watch.Reset(min(b.timeouts.Stall, time.Second))
		_, _ = io.CopyN(io.Discard, b.ReadCloser, maxDrain)
		b.watch.Stop()
	}
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
