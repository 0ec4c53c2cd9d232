package upstream

import (
	"context"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// MayRead returns nil when the registry itself, and no mirror, would give its reader the manifest that the reference
// names, else an error as Resolve would.
func (r *Registry) MayRead(ctx context.Context, ref trust.Reference) error {
	_, err := r.resolve(ctx, ref)
	return err
}

// Ping returns nil when the registry takes its reader's login, whatever that may read.
func (r *Registry) Ping(ctx context.Context) error {
	resp, err := r.do(ctx, request{method: http.MethodGet, path: "/"})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return r.answerError(resp)
	}
	_ = resp.Body.Close()
	return nil
}

// HasBlob returns nil when the registry itself would give its reader the blob in the reference's repository, else an error as
// Fetch would. Only an answer that tells the blob's size is a yes: a page that asks for a login tells another one.
func (r *Registry) HasBlob(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) error {
	ref.Digest = desc.Digest
	if err := r.checkReference(ref); err != nil {
		return err
	}
	q := request{method: http.MethodHead, repository: ref.Repository, path: "blobs/" + desc.Digest.String()}
	resp, err := r.do(ctx, q)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength == desc.Size {
		_ = resp.Body.Close()
		return nil
	}
	if resp.Request == nil || resp.Request.URL.Host == r.base.Host {
		if resp.StatusCode != http.StatusOK {
			return r.answerError(resp)
		}
		_ = resp.Body.Close()
		return r.otherSize(desc)
	}
	// Where blobs are, a signed URL is often good for GET alone.
	_ = resp.Body.Close()
	return r.hasByGet(ctx, q, desc)
}

// hasByGet asks for the content and takes none of it.
func (r *Registry) hasByGet(ctx context.Context, q request, desc ocispec.Descriptor) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the connection is given up, with what is under way on it
	q.method = http.MethodGet
	resp, err := r.do(ctx, q)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return r.answerError(resp)
	}
	cancel()
	_ = resp.Body.Close()
	if resp.ContentLength != desc.Size {
		return r.otherSize(desc)
	}
	return nil
}

func (r *Registry) otherSize(desc ocispec.Descriptor) error {
	return fmt.Errorf("registry %s: %w: it does not tell that it has the %d bytes of %s", r.name, trust.ErrUnavailable, desc.Size, desc.Digest)
}
