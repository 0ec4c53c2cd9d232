// Package reader reads one registry for many callers, each as who they are there: with their own login, with the
// proxy's, or anonymously. It remembers for moments what each of them may read, so that content which is at hand is
// served to nobody who could not read it upstream.
package reader

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/trust"
)

// maxLogins bounds the logins that are kept with their tokens; one that is pushed out gets new tokens.
const maxLogins = 512

// Options say which registry, and who reads it how.
type Options struct {
	// Host is the registry's name in references.
	Host string
	// Open makes a registry that is read with a login; nil is anonymously.
	Open func(auth.CredentialFunc) (*upstream.Registry, error)
	// PassThrough lets callers read with their own login at this registry.
	PassThrough bool
	// Own is the proxy's login; nil is none. OwnFor says whose reads of a repository are made with it.
	Own    auth.CredentialFunc
	OwnFor func(c caller.Caller, repository string) bool
	// OwnRefused reports whether the registry refused Own when it was shown last; nil is never. OnRefused is told of each
	// read that failed for it; it may be nil, and must be safe for concurrent use.
	OwnRefused func() bool
	OnRefused  func(error)
	// Wrap puts what all readers share around what one reads: a cache, a count of bytes. Nil changes nothing.
	Wrap func(trust.Source) trust.Source
	// Mirrored says that another place may answer in the registry's stead, so that what it gives tells nothing of rights.
	Mirrored bool
	// Shared says that everything which the proxy may have is for whoever reaches it: nobody is asked for rights.
	Shared bool
}

// Upstream is one registry. It is safe for concurrent use.
type Upstream struct {
	options        Options
	key            []byte
	anonymous, own *reader
	// logins are callers' readers by the keyed hash of their login.
	logins *lru.Cache[id, *reader]
	rights *rights
}

// id is a keyed hash: of a login, or of a login and what it may read.
type id [sha256.Size]byte

// New makes an upstream. It asks no network.
func New(o Options) (*Upstream, error) {
	if o.Wrap == nil {
		o.Wrap = func(s trust.Source) trust.Source { return s }
	}
	u := &Upstream{options: o, key: make([]byte, sha256.Size)}
	_, _ = rand.Read(u.key) // never fails
	var err error
	if u.rights, err = newRights(); err != nil {
		return nil, err
	}
	if u.logins, err = lru.NewWithEvict(maxLogins, func(_ id, r *reader) { r.registry.Close() }); err != nil {
		return nil, fmt.Errorf("memory of logins: %w", err)
	}
	if u.anonymous, err = u.open(u.hash("anonymous"), nil); err != nil {
		return nil, err
	}
	if o.Own != nil {
		u.own, err = u.open(u.hash("own"), o.Own)
	}
	return u, err
}

// Close gives up all connections that are idle.
func (u *Upstream) Close() {
	u.logins.Purge()
	u.anonymous.registry.Close()
	if u.own != nil {
		u.own.registry.Close()
	}
}

func (u *Upstream) hash(parts ...string) (sum id) {
	mac := hmac.New(sha256.New, u.key)
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash never fails
	}
	copy(sum[:], mac.Sum(nil))
	return sum
}

func (u *Upstream) open(as id, login auth.CredentialFunc) (*reader, error) {
	registry, err := u.options.Open(login)
	if err != nil {
		return nil, err
	}
	r := &reader{registry: registry, as: as, upstream: u}
	r.source = u.options.Wrap(r)
	return r, nil
}

// of is how the context's caller reads the repository.
func (u *Upstream) of(ctx context.Context, repository string) (*reader, error) {
	c := caller.Of(ctx)
	if login := c.Logins[u.options.Host]; u.options.PassThrough && !login.Empty() {
		return u.with(login)
	}
	if u.own != nil && u.options.OwnFor != nil && u.options.OwnFor(c, repository) {
		return u.own, nil
	}
	return u.anonymous, nil
}

func (u *Upstream) with(login caller.Login) (*reader, error) {
	as := u.hash("login", login.Username, login.Password.Reveal(), login.Token.Reveal())
	if r, ok := u.logins.Get(as); ok {
		return r, nil
	}
	cred := auth.Credential{Username: login.Username, Password: login.Password.Reveal(), AccessToken: login.Token.Reveal()}
	r, err := u.open(as, func(context.Context, string) (auth.Credential, error) { return cred, nil })
	if err != nil {
		return nil, err
	}
	if first, ok, _ := u.logins.PeekOrAdd(as, r); ok {
		return first, nil
	}
	return r, nil
}

// Source is the upstream as the context's caller reads it.
func (u *Upstream) Source(ctx context.Context, ref trust.Reference) (trust.Source, error) {
	r, err := u.of(ctx, ref.Repository)
	if err != nil {
		return nil, err
	}
	return r.source, nil
}

// Tags lists tags as upstream.Registry does, for the context's caller.
func (u *Upstream) Tags(ctx context.Context, ref trust.Reference, n int, last string) ([]string, bool, error) {
	r, err := u.of(ctx, ref.Repository)
	if err != nil {
		return nil, false, err
	}
	names, more, err := r.registry.Tags(ctx, ref, n, last)
	return names, more, r.explain(err)
}

// Referrers lists what refers to ref's digest as upstream.Registry does, for the context's caller.
func (u *Upstream) Referrers(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error) {
	r, err := u.of(ctx, ref.Repository)
	if err != nil {
		return ocispec.Index{}, err
	}
	index, err := r.registry.Referrers(ctx, ref, artifactType)
	return index, r.explain(err)
}

// reader reads the registry as somebody. What it is given tells what they may read.
type reader struct {
	registry *upstream.Registry
	as       id
	upstream *Upstream
	source   trust.Source
}

// explain says of a refusal whose login is why, where that is known.
func (r *reader) explain(err error) error {
	if !errors.Is(err, trust.ErrUnauthorized) {
		return err
	}
	switch o := r.upstream.options; {
	case r == r.upstream.own && o.OwnRefused != nil && o.OwnRefused():
		if o.OnRefused != nil {
			o.OnRefused(err)
		}
		return &caller.LoginError{Own: true, Err: err}
	case r == r.upstream.anonymous && o.PassThrough:
		return &caller.LoginError{Err: err}
	}
	return err
}

// Resolve implements trust.Source.
func (r *reader) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	desc, err := r.registry.Resolve(ctx, ref)
	err = r.explain(err)
	switch {
	case err == nil && !r.upstream.options.Mirrored:
		r.learn(ref.Repository, nil)
	case errors.Is(err, trust.ErrUnauthorized):
		r.learn(ref.Repository, err)
	}
	return desc, err
}

// Fetch implements trust.Source.
func (r *reader) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	content, err := r.registry.Fetch(ctx, ref, desc)
	if err != nil || r.upstream.options.Mirrored {
		return content, r.explain(err)
	}
	return &whole{content, func() {
		r.learn(ref.Repository, nil)
		r.upstream.holds(ref.Repository, desc.Digest)
	}}, nil
}

// whole tells when content came to its end, which is when it was verified: an answer that only begins well is no right.
type whole struct {
	io.ReadCloser
	tell func()
}

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		w.tell()
	}
	return n, err
}
