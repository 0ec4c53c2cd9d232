package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// restDown and restLying are how long a mirror is left alone that did not answer, or sent wrong bytes.
	restDown  = time.Minute
	restLying = 10 * time.Minute
	// mirrorResumes is how often a mirror's body that broke off is continued there before the next road is taken.
	mirrorResumes = 1
)

// Mirror is another place with a registry's content. It is asked without a login, and its bytes are verified like all
// others. Whoever may pull from the registry through us gets what it has.
type Mirror struct {
	// URL is its base URL.
	URL string
	// Resolve trusts it to say where tags point. Others say so only while the registry itself is down.
	Resolve bool
	// rest is shared by all who read the upstream, when NewMirror made it.
	rest *atomic.Int64
}

// NewMirror is a mirror that rests for all registries that share it, when it failed one of them.
func NewMirror(url string, resolve bool) Mirror {
	return Mirror{URL: url, Resolve: resolve, rest: new(atomic.Int64)}
}

type mirror struct {
	*Registry
	resolves bool
	// restUntil is when it may be asked again, in Unix nanoseconds.
	restUntil *atomic.Int64
}

func newMirrors(o Options, transport http.RoundTripper) ([]*mirror, error) {
	var all []*mirror
	for _, m := range o.Mirrors {
		own := o
		own.URL, own.Mirrors, own.Credential, own.Transport = m.URL, nil, nil, transport
		own.Retries, own.Resumes = -1, mirrorResumes
		r, err := New(own)
		if err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		if m.rest == nil {
			m.rest = new(atomic.Int64)
		}
		all = append(all, &mirror{Registry: r, resolves: m.Resolve, restUntil: m.rest})
	}
	return all, nil
}

// up reports whether the mirror may be asked.
func (m *mirror) up() bool { return time.Now().UnixNano() >= m.restUntil.Load() }

// rest never shortens a rest.
func (m *mirror) rest(d time.Duration) {
	until := time.Now().Add(d).UnixNano()
	for {
		old := m.restUntil.Load()
		if old >= until || m.restUntil.CompareAndSwap(old, until) {
			return
		}
	}
}

// note remembers that a mirror did not answer. What it merely does not have is no reason not to ask again.
func (m *mirror) note(err error) {
	switch {
	case errors.Is(err, trust.ErrIntegrity):
		m.rest(restLying)
	case !errors.Is(err, trust.ErrNotFound):
		m.rest(restDown)
	}
}

// Resolve implements trust.Source. The registry itself is asked, unless a mirror may answer in its place or it is down.
func (r *Registry) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if desc, ok := r.resolveAt(ctx, ref, true); ok {
		return desc, nil
	}
	desc, err := r.resolve(ctx, ref)
	if errors.Is(err, trust.ErrUnavailable) {
		if desc, ok := r.resolveAt(ctx, ref, false); ok {
			return desc, nil
		}
	}
	return desc, err
}

func (r *Registry) resolveAt(ctx context.Context, ref trust.Reference, resolves bool) (ocispec.Descriptor, bool) {
	for _, m := range r.mirrors {
		if m.resolves != resolves || !m.up() || ctx.Err() != nil {
			continue
		}
		desc, err := m.resolve(ctx, ref)
		if err == nil {
			return desc, true
		}
		if ctx.Err() == nil {
			m.note(err)
		}
	}
	return ocispec.Descriptor{}, false
}

// roads are where content may come from, best first; nil stands for the registry itself.
func (r *Registry) roads() []*mirror {
	var all []*mirror
	for _, m := range r.mirrors {
		if m.up() {
			all = append(all, m)
		}
	}
	return append(all, nil)
}

// turn takes the next road after err, and reports false when there is none.
func (c *content) turn(err error) bool {
	if len(c.roads) == 0 || c.ctx.Err() != nil {
		return false
	}
	if c.mirror != nil && err != nil {
		c.mirror.note(err)
	}
	if c.mirror = c.roads[0]; c.mirror != nil {
		c.registry = c.mirror.Registry
	} else {
		c.registry = c.base
	}
	c.roads = c.roads[1:]
	c.resumes = 0
	return true
}

func (c *content) uses() {
	if c.mirror != nil && !slices.Contains(c.used, c.mirror) {
		c.used = append(c.used, c.mirror)
	}
}

// blame sets those mirrors aside that had a part in wrong content.
func (c *content) blame() bool {
	c.uses()
	for _, m := range c.used {
		m.rest(restLying)
	}
	return len(c.used) > 0
}
