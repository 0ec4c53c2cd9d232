package reader

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

const (
	// yesFor and noFor are how long an answer about a caller's rights counts.
	yesFor = time.Minute
	noFor  = 5 * time.Second
	// publicFor is how long it is known that anonymous callers could read a repository.
	publicFor = 24 * time.Hour
	// askTime bounds one question. It goes on when who asked first goes away: others wait for the answer.
	askTime = 15 * time.Second
	// maxAnswers bounds the answers, by login and repository, maxHeld the blobs that are known to be in a repository,
	// maxPublic the repositories. All of it is some 8 MB. Answers that count no more make room for new ones.
	maxAnswers = 16384
	maxHeld    = 16384
	maxPublic  = 8192
)

// rights are what was found out about who may read what.
type rights struct {
	answers *lru.Cache[id, answer]
	// held are hashes of a repository and a blob that it gave. It is no right: see Blob.
	held    *lru.Cache[id, struct{}]
	public  *lru.Cache[string, answer]
	flights singleflight.Group
}

type answer struct {
	err   error // nil is a yes
	until time.Time
}

func newRights() (*rights, error) {
	answers, err1 := lru.New[id, answer](maxAnswers)
	held, err2 := lru.New[id, struct{}](maxHeld)
	public, err3 := lru.New[string, answer](maxPublic)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("memory of rights: %w", err)
	}
	return &rights{answers: answers, held: held, public: public}, nil
}

// known is an answer that still counts.
func (r *rights) known(of id) (error, bool) { //nolint:revive // the error is the answer
	a, ok := r.answers.Get(of)
	if !ok || !time.Now().Before(a.until) {
		return nil, false
	}
	return a.err, true
}

// keep keeps an answer, and drops those of the oldest that count no more, two at most: a stream of questions that nobody
// asks twice holds what is asked in a minute, and not all that has room.
func (r *rights) keep(of id, a answer) {
	r.answers.Add(of, a)
	for range 2 {
		if _, old, ok := r.answers.GetOldest(); !ok || time.Now().Before(old.until) {
			return
		}
		r.answers.RemoveOldest()
	}
}

func (u *Upstream) holds(repository string, d digest.Digest) {
	u.rights.held.Add(u.hash("held", repository, d.String()), struct{}{})
}

// learn takes an answer about a repository: nil, or an error that wraps trust.ErrUnauthorized.
func (r *reader) learn(repository string, err error) {
	u := r.upstream
	a := answer{err, time.Now().Add(yesFor)}
	if err != nil {
		a.until = time.Now().Add(noFor)
	}
	u.rights.keep(r.repository(repository), a)
	if r == u.anonymous {
		u.rights.public.Add(repository, answer{err, time.Now().Add(publicFor)})
	}
}

func (r *reader) repository(name string) id { return r.upstream.hash("may", string(r.as[:]), name) }

func (r *reader) object(kind, name string, d digest.Digest) id {
	return r.upstream.hash("has", string(r.as[:]), kind, name, d.String())
}

// Manifest returns nil when the context's caller may read the manifest that ref's digest names, else the registry's
// error. A caller who may read a repository is not asked about again for a minute.
func (u *Upstream) Manifest(ctx context.Context, ref trust.Reference) error {
	if u.options.Shared {
		return nil
	}
	r, err := u.of(ctx, ref.Repository)
	if err != nil {
		return err
	}
	if err, ok := u.rights.known(r.repository(ref.Repository)); ok {
		return err
	}
	ref.Tag = ""
	err = r.ask(ctx, "manifest", ref, func(ctx context.Context) error { return r.registry.MayRead(ctx, ref) })
	if isDown(err) && u.AnonymousMayRead(ref) {
		return nil
	}
	return err
}

// Blob returns nil when the context's caller may read the blob in ref's repository. Beside the right to read the
// repository, it wants to know that the repository has the blob: a cache knows blobs by digest alone, and whoever
// knows a digest can name it in a manifest of their own.
func (u *Upstream) Blob(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) error {
	if u.options.Shared {
		return nil
	}
	r, err := u.of(ctx, ref.Repository)
	if err != nil {
		return err
	}
	held := u.rights.held.Contains(u.hash("held", ref.Repository, desc.Digest.String()))
	if err, ok := u.rights.known(r.repository(ref.Repository)); ok && (err != nil || held) {
		return err
	}
	ref.Tag, ref.Digest = "", desc.Digest
	err = r.ask(ctx, "blob", ref, func(ctx context.Context) error {
		err := r.registry.HasBlob(ctx, ref, desc)
		if err == nil {
			u.holds(ref.Repository, desc.Digest)
		}
		return err
	})
	if isDown(err) && held && u.AnonymousMayRead(ref) {
		return nil
	}
	return err
}

// CheckLogin returns an error that wraps trust.ErrUnauthorized when the context's caller brings a login that the registry
// does not take. Somebody without a login is not asked for.
func (u *Upstream) CheckLogin(ctx context.Context) error {
	login := caller.Of(ctx).Logins[u.options.Host]
	if !u.options.PassThrough || login.Empty() {
		return nil
	}
	r, err := u.with(login)
	if err != nil {
		return err
	}
	if err, ok := u.rights.known(r.repository("")); ok {
		return err
	}
	return r.ask(ctx, "base", trust.Reference{}, r.registry.Ping)
}

// isDown reports whether a registry could not answer, as opposed to having said no.
func isDown(err error) bool {
	return errors.Is(err, trust.ErrUnavailable) || errors.Is(err, trust.ErrRateLimited)
}

// ask asks the registry as the reader, once for all who want the same answer at one time.
func (r *reader) ask(ctx context.Context, kind string, ref trust.Reference, question func(context.Context) error) error {
	one := r.object(kind, ref.Repository, ref.Digest)
	if err, ok := r.upstream.rights.known(one); ok {
		return err
	}
	asked := r.upstream.rights.flights.DoChan(string(one[:]), func() (any, error) {
		if err, ok := r.upstream.rights.known(one); ok { // answered between the look and the flight
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), askTime, errNoAnswer)
		defer cancel()
		err := r.explain(question(ctx))
		switch {
		case err == nil, errors.Is(err, trust.ErrUnauthorized):
			r.learn(ref.Repository, err)
		case errors.Is(err, trust.ErrNotFound):
			r.upstream.rights.keep(one, answer{err, time.Now().Add(noFor)})
		case ctx.Err() != nil:
			err = errNoAnswer
		}
		return nil, err
	})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case got := <-asked:
		return got.Err
	}
}

var errNoAnswer = fmt.Errorf("%w: it did not tell within %s who may read", trust.ErrUnavailable, askTime)

// AnonymousMayRead reports whether anonymous callers could read the reference's repository when they last tried, within
// a day. What it says no to is not thereby private: nobody may have tried.
func (u *Upstream) AnonymousMayRead(ref trust.Reference) bool {
	if u.options.Shared {
		return true
	}
	a, ok := u.rights.public.Get(ref.Repository)
	return ok && a.err == nil && time.Now().Before(a.until)
}
