// Package ask asks registries who publishes an image, all questions side by side and within a time that no pull notices,
// and remembers what they told. What it means, trust/publisher says.
//
// A registry that does not answer leaves the question unanswered: never a block and never a pass. No credentials are sent:
// there are none here.
package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/time/rate"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Memory keeps what was told, beyond the end of the process. trust/store/sqlite implements it.
type Memory interface {
	Note(ctx context.Context, key string) ([]byte, bool, error)
	KeepNote(ctx context.Context, key string, body []byte) error
	// Notes are at most limit of those whose key comes after a key, in order of keys.
	Notes(ctx context.Context, after string, limit int) ([]Note, error)
}

// Note is one thing that is remembered.
type Note = struct {
	Key  string
	Body []byte
}

// Source is a registry that may be asked.
type Source struct {
	publisher.Registry
	// URL is where its API is; nil means Endpoint.
	URL *url.URL
	// Transport carries the requests. It must send nothing but what it is given, and go nowhere but to URL.
	Transport http.RoundTripper
	// Silent is why the registry is not asked: only what is remembered counts then. Empty means that it is asked.
	Silent string
}

// Options are how to ask. The zero value of each has a default.
type Options struct {
	// Budget is how long all questions about one image may take together; zero means 2 s.
	Budget time.Duration
	// Fresh is how long an answer holds; zero means 24 h.
	Fresh time.Duration
	// Stale is how old an answer may be that counts because the registry does not answer; zero means 7 days.
	Stale time.Duration
	// PerSecond and Burst bound the requests to one registry; zero means 2 a second and 30 at once.
	PerSecond float64
	Burst     int
	// Brand says of a repository's name whether others are known for it.
	Brand func(string) bool
	// UserAgent is sent with every request; empty means "safepull".
	UserAgent string
	// Recent is how many records are kept in process memory in front of Memory; zero means 4096.
	Recent int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Asker may be used by any number of goroutines.
type Asker struct {
	o       Options
	memory  Memory
	sources map[string]*source
	recent  *lru.Cache[string, publisher.Record]
	flight  flight
	// tags serialises what is remembered of tags.
	tags sync.Mutex
}

// source is a registry with its state.
type source struct {
	Source
	client *http.Client
	limit  *rate.Limiter
}

// New makes an Asker.
func New(sources []Source, memory Memory, o Options) (*Asker, error) {
	o.Budget = cmp.Or(o.Budget, 2*time.Second)
	o.Fresh = cmp.Or(o.Fresh, 24*time.Hour)
	o.Stale = cmp.Or(o.Stale, 7*24*time.Hour)
	o.PerSecond = cmp.Or(o.PerSecond, 2)
	o.Burst = cmp.Or(o.Burst, 30)
	o.UserAgent = cmp.Or(o.UserAgent, "safepull")
	if o.Now == nil {
		o.Now = time.Now
	}
	recent, err := lru.New[string, publisher.Record](cmp.Or(o.Recent, 4096))
	if err != nil {
		return nil, fmt.Errorf("reputation: %w", err)
	}
	a := &Asker{o: o, memory: memory, recent: recent, sources: map[string]*source{}}
	for _, s := range sources {
		if s.URL == nil {
			if s.URL, err = url.Parse(s.Endpoint()); err != nil {
				return nil, fmt.Errorf("reputation: %s: %w", s.Host(), err)
			}
		}
		a.sources[s.Host()] = &source{Source: s, client: newClient(s), limit: rate.NewLimiter(rate.Limit(o.PerSecond), o.Burst)}
	}
	return a, nil
}

// Key changes whenever the same memory could give another answer.
func (a *Asker) Key() digest.Digest {
	parts := []string{publisher.Check, a.o.Fresh.String(), a.o.Stale.String(), fmt.Sprint(a.o.Brand != nil)}
	for host, s := range a.sources {
		parts = append(parts, fmt.Sprintf("%s %s %q", host, s.URL, s.Silent))
	}
	slices.Sort(parts)
	return digest.FromString(strings.Join(parts, "\n"))
}

// Ask is what is known of who publishes an image, and what speaks against it. It takes as long as the budget at most. An
// error that wraps trust.ErrUnavailable, ErrRateLimited, ErrLimit or ErrMalformed means that a registry did not answer,
// and comes with the findings in what is known all the same; any other error is the memory's or the context's.
func (a *Asker) Ask(ctx context.Context, ref trust.Reference) (publisher.Answer, error) {
	s := a.sources[ref.Registry]
	if s == nil {
		return publisher.Answer{}, nil // a registry that tells nothing
	}
	answer := publisher.Answer{Known: publisher.Known{Title: s.Title()}}
	questions := s.Questions(ref)
	type told struct {
		record publisher.Record
		err    error
	}
	all := make([]told, len(questions))
	timed, cancel := context.WithTimeout(ctx, a.o.Budget)
	defer cancel()
	var running sync.WaitGroup
	for i, q := range questions {
		running.Go(func() {
			defer func() {
				if p := recover(); p != nil { // what a registry tells must not end a process that serves others
					all[i].err = fmt.Errorf("%w: reading what %s tells failed: %v", trust.ErrMalformed, s.Title(), p)
				}
			}()
			all[i].record, all[i].err = a.one(ctx, timed, s, q)
		})
	}
	running.Wait()
	now := a.o.Now()
	var failed error
	for _, t := range all {
		if t.err != nil && !unanswered(t.err) {
			return publisher.Answer{}, t.err
		}
		if t.err != nil && failed == nil {
			failed = t.err
		}
		if t.record.Key != "" {
			answer.Known.Add(t.record)
			answer.Until = earliest(answer.Until, later(t.record.Asked.Add(a.o.Fresh), now.Add(a.retry(s))))
		}
	}
	answer.Findings, answer.Vouched = answer.Known.Signs(now, a.o.Brand), answer.Known.Vouched(now)
	switch {
	case failed == nil:
	case errors.Is(failed, errSilent):
		answer.NotAsked, failed = trust.Sanitise(failed.Error(), 300), nil
		answer.Until = earliest(answer.Until, now.Add(a.o.Fresh))
	default:
		answer.Until = earliest(answer.Until, now.Add(pauseFor))
	}
	return answer, failed
}

// retry is how long an answer that is no longer fresh holds at least.
func (a *Asker) retry(s *source) time.Duration {
	if s.Silent != "" {
		return a.o.Fresh
	}
	return pauseFor
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// errSilent: the registry is not asked, and nothing is remembered.
var errSilent = errors.New("not asked")

// unanswered reports whether an error says that a registry gave no answer.
func unanswered(err error) bool {
	return errors.Is(err, trust.ErrUnavailable) || errors.Is(err, trust.ErrRateLimited) || errors.Is(err, trust.ErrLimit) ||
		errors.Is(err, trust.ErrMalformed) || errors.Is(err, errSilent)
}

// one is the record of one question: remembered, asked anew, or remembered although it is old.
func (a *Asker) one(ctx, timed context.Context, s *source, q publisher.Question) (publisher.Record, error) {
	return a.flight.do(timed, q.Key(), func() (publisher.Record, error) {
		known, err := a.record(ctx, q.Key())
		age := a.o.Now().Sub(known.Asked)
		switch {
		case err != nil:
			return publisher.Record{}, err
		case known.Key != "" && age < a.o.Fresh:
			return known, nil
		case s.Silent != "" && known.Key != "":
			return known, nil
		case s.Silent != "":
			return publisher.Record{}, failure{errSilent, s.Silent}
		}
		fresh, err := a.fetch(ctx, timed, s, q, known)
		switch {
		case err == nil:
			return fresh, a.keep(ctx, fresh)
		case unanswered(err) && known.Key != "" && age < a.o.Stale:
			return known, nil
		}
		return publisher.Record{}, err
	})
}

// record is what is remembered; without a key where nothing is.
func (a *Asker) record(ctx context.Context, key string) (publisher.Record, error) {
	if r, ok := a.recent.Get(key); ok {
		return r, nil
	}
	body, ok, err := a.memory.Note(ctx, key)
	if err != nil || !ok {
		return publisher.Record{}, err
	}
	r, err := publisher.ParseRecord(body)
	if err != nil || r.Key != key {
		return publisher.Record{}, fmt.Errorf("the record of %q in the store is damaged: %w", key, cmp.Or(err, trust.ErrMalformed))
	}
	a.recent.Add(key, r)
	return r, nil
}
