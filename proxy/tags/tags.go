// Package tags remembers what tags point at. It spares the question upstream for a while where the operator wants
// that, and answers for a registry that is down. What it gives to one caller another has read before: it holds only
// what everyone may read.
package tags

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxTags bounds the memory: some 5 MB.
	maxTags = 10_000
	// patience is how long a registry may take before it counts as down, when there is another answer: clients wait 20
	// to 30 s for theirs, and its content is still to be found then.
	patience = 5 * time.Second
	// downFor is how long a registry that was down is not asked again, when there is another answer.
	downFor = 10 * time.Second
	// saveEvery is how often what changed is written: what is learned within it is lost when the process is killed.
	saveEvery = 30 * time.Second
)

// Observer is told what happens. It must be safe for concurrent use.
type Observer interface {
	// Stale is called for each answer that was given because upstream is down: what, how old it is, and why.
	Stale(ref trust.Reference, age time.Duration, err error)
}

// Options of a Memory.
type Options struct {
	// TTL is how long a tag is not asked for again. Zero means that it is asked for each time.
	TTL time.Duration
	// StaleIfDown is how old an answer may be that is given while the registry is down. Zero means that none is given.
	StaleIfDown time.Duration
	// Everyone reports whether everyone may read the reference's repository, as far as is known. It is required.
	Everyone func(trust.Reference) bool
	// File keeps the memory over restarts; empty means that nothing does.
	File string
	// Observer may be nil.
	Observer Observer
}

// Memory is safe for concurrent use.
type Memory struct {
	options Options
	now     func() time.Time
	wait    time.Duration // patience, but in tests
	stop    func()
	saver   sync.WaitGroup

	mu    sync.Mutex
	known *simplelru.LRU[string, answer]
	down  map[string]time.Time // registries, until when; only configured ones are ever asked
	dirty bool
}

// answer is what a tag pointed at.
type answer struct {
	Descriptor ocispec.Descriptor
	At         time.Time
}

// New makes a memory of what the file holds. One that cannot be read is an error that the caller may log: the memory
// begins empty then, and works.
func New(o Options) (*Memory, error) {
	known, err := simplelru.NewLRU[string, answer](maxTags, nil)
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	if o.Everyone == nil {
		return nil, errors.New("tags: it is required to know what everyone may read")
	}
	m := &Memory{options: o, now: time.Now, wait: patience, known: known, down: map[string]time.Time{}}
	if o.File == "" || o.TTL <= 0 && o.StaleIfDown <= 0 {
		m.options.File = ""
		return m, nil
	}
	err = m.load()
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.saver.Go(func() { m.keepSaving(ctx) })
	return m, err
}

// Close writes the memory.
func (m *Memory) Close() error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	m.saver.Wait()
	return m.save()
}

// Source is upstream with the memory in front of Resolve, for references that have a tag and no digest.
func (m *Memory) Source(upstream trust.Source) trust.Source {
	if m.options.TTL <= 0 && m.options.StaleIfDown <= 0 {
		return upstream
	}
	return source{upstream, m}
}

type source struct {
	trust.Source
	memory *Memory
}

// Resolve implements trust.Source.
func (s source) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Tag == "" || ref.Digest != "" {
		return s.Source.Resolve(ctx, ref)
	}
	m, key := s.memory, ref.Name()+":"+ref.Tag
	last, known, down := m.last(ref.Registry, key)
	age := m.now().Sub(last.At)
	known = known && m.options.Everyone(ref)
	if known && age < m.options.TTL {
		return last.Descriptor, nil
	}
	stale := known && age < m.options.StaleIfDown
	if stale && down {
		m.tell(ref, age, errDown)
		return last.Descriptor, nil
	}
	desc, err := s.ask(ctx, ref, stale)
	switch {
	case err == nil:
		if m.options.Everyone(ref) {
			m.remember(ref.Registry, key, desc)
		}
	case ctx.Err() != nil:
	case isDown(err):
		if stale {
			m.sawDown(ref.Registry)
			m.tell(ref, age, err)
			return last.Descriptor, nil
		}
	case errors.Is(err, trust.ErrNotFound), errors.Is(err, trust.ErrUnauthorized):
		m.forget(key)
	}
	return desc, err
}

// errDown is the reason while a registry is not asked again.
var errDown = fmt.Errorf("%w: it was down a moment ago", trust.ErrUnavailable)

// ask gives upstream less time when there is another answer.
func (s source) ask(ctx context.Context, ref trust.Reference, other bool) (ocispec.Descriptor, error) {
	if !other {
		return s.Source.Resolve(ctx, ref)
	}
	limited, cancel := context.WithTimeout(ctx, s.memory.wait)
	defer cancel()
	desc, err := s.Source.Resolve(limited, ref)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: no answer within %s", trust.ErrUnavailable, s.memory.wait)
	}
	return desc, err
}

// isDown reports whether a registry could not answer, as opposed to having said no.
func isDown(err error) bool {
	return errors.Is(err, trust.ErrUnavailable) || errors.Is(err, trust.ErrRateLimited)
}

func (m *Memory) last(registry, key string) (last answer, known, down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known = m.known.Get(key)
	return last, known, m.now().Before(m.down[registry])
}

func (m *Memory) remember(registry, key string, desc ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// What else a descriptor can carry is not ours to keep.
	m.known.Add(key, answer{ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}, m.now()})
	m.dirty = true
	delete(m.down, registry)
}

func (m *Memory) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty = m.known.Remove(key) || m.dirty
}

func (m *Memory) sawDown(registry string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[registry] = m.now().Add(downFor)
}

func (m *Memory) tell(ref trust.Reference, age time.Duration, err error) {
	if m.options.Observer != nil {
		m.options.Observer.Stale(ref, age, err)
	}
}
