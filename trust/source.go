package trust

import (
	"context"
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What callers branch on. Sources, layers and judges wrap these; their own text says what happened.
var (
	// ErrNotFound: the registry does not know the repository, tag or digest.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the registry wants other credentials, or none would do.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrRateLimited: the registry asks to come back later.
	ErrRateLimited = errors.New("rate limited")
	// ErrUnavailable: the registry could not be reached, answered with a server error, or broke off in the middle.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrIntegrity: content contradicts its digest, its size or itself. Blocks whatever the policy.
	ErrIntegrity = errors.New("integrity violation")
	// ErrLimit: a limit was met before the question was answered.
	ErrLimit = errors.New("limit exceeded")
	// ErrUnsupported: content of a type that cannot be read here.
	ErrUnsupported = errors.New("unsupported content")
	// ErrMalformed: content that does not follow its own format.
	ErrMalformed = errors.New("malformed content")
)

// Source reads images from where they are: a registry, a layout, an archive, an engine.
type Source interface {
	// Resolve finds what the reference points at. The descriptor's digest is the one that Fetch will verify.
	Resolve(context.Context, Reference) (ocispec.Descriptor, error)
	// Fetch opens the content of a descriptor: a manifest when its media type is one, else a blob. The reader fails
	// with ErrIntegrity in place of io.EOF when size or digest is not the descriptor's, and with ErrUnavailable when
	// the content breaks off. The caller closes it.
	Fetch(context.Context, Reference, ocispec.Descriptor) (io.ReadCloser, error)
}

// Judge decides about one manifest. The reference must carry the digest of a manifest that is not an index.
// An error means that no verdict was reached: nothing may be served.
type Judge interface {
	Judge(context.Context, Reference, Source) (Verdict, error)
}
