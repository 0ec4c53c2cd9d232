// Package ask asks registries who publishes an image, all questions side by side and within a time that no pull notices,
// and remembers what they told. What it means, trust/publisher says.
//
// A registry that does not answer leaves the question unanswered: never a block and never a pass. No credentials are sent:
// there are none here.
package ask

import (
	"cmp"
	"context"
	"encoding/json"
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
	"github.com/safepull/safepull/trust/flight"
	"github.com/safepull/safepull/trust/publisher"
)

// Memory keeps what was told, beyond the end of the process. trust/store/sqlite implements it.
type Memory interface {
	Note(ctx context.Context, key string) ([]byte, bool, error)
	KeepNote(ctx context.Context, key string, body []byte) error
	// ChangeNote puts what change makes of a note in its place, as one step for all processes that share the memory. Nil is
	// given where there is none, and returned to leave it as it is.
	ChangeNote(ctx context.Context, key string, change func(body []byte) ([]byte, error)) error
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
	// PerSecond and Burst bound the requests to one registry; zero means 2 a second and 60 at once, which
	// are twenty images of as many publishers; Docker Hub answers 180 a minute.
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
	recent  *lru.Cache[string, remembered]
	flight  flight.Group[string, publisher.Record]
}

// remembered is a record that was read from the memory at a time.
type remembered struct {
	publisher.Record
	read time.Time
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
	o.Burst = cmp.Or(o.Burst, 60)
	o.UserAgent = cmp.Or(o.UserAgent, "safepull")
	if o.Now == nil {
		o.Now = time.Now
	}
	recent, err := lru.New[string, remembered](cmp.Or(o.Recent, 4096))
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
	s := a.sources[strings.TrimSuffix(ref.Registry, ":443")] // the same registry, whoever writes it
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
			answer.Until = earliest(answer.Until, later(t.record.Asked.Add(a.holds(t.record)), now.Add(a.retry(s))))
		}
	}
	answer.Findings, answer.Vouched = answer.Known.Signs(now, a.o.Brand), answer.Known.Vouched(now)
	switch {
	case failed == nil:
	case errors.Is(failed, errSilent):
		answer.NotAsked, failed = trust.Sanitise(failed.Error(), 300), nil
		answer.Until = earliest(answer.Until, now.Add(a.o.Fresh))
	default:
		again := pauseFor
		if f, ok := errors.AsType[failure](failed); ok && f.again > 0 {
			again = f.again
		}
		answer.Until = earliest(answer.Until, now.Add(again))
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

// errSilent: the registry is not asked, and nothing that still counts is remembered.
var errSilent = errors.New("not asked")

// unanswered reports whether an error says that a registry gave no answer.
func unanswered(err error) bool {
	return errors.Is(err, trust.ErrUnavailable) || errors.Is(err, trust.ErrRateLimited) || errors.Is(err, trust.ErrLimit) ||
		errors.Is(err, trust.ErrMalformed) || errors.Is(err, errSilent)
}

// skew is how far apart the clocks of processes that share a memory may be.
const skew = 5 * time.Minute

// absentFor is how long it holds at most that a registry knows no such thing: it may be made any minute.
const absentFor = 10 * time.Minute

// holds is how long an answer holds.
func (a *Asker) holds(r publisher.Record) time.Duration {
	if r.Now.Missing {
		return min(absentFor, a.o.Fresh)
	}
	return a.o.Fresh
}

// one is the record of one question: remembered, asked anew, or remembered although it is old.
func (a *Asker) one(ctx, timed context.Context, s *source, q publisher.Question) (publisher.Record, error) {
	ran := false
	r, err := a.flight.Do(timed, q.Key(), everybodys, func() (publisher.Record, error) {
		ran = true
		known, err := a.record(ctx, q.Key())
		damaged := errors.Is(err, errDamaged)
		age := a.o.Now().Sub(known.Asked)
		switch {
		case err != nil && (!damaged || s.Silent != ""):
			return publisher.Record{}, err
		case known.Key != "" && age > -skew && age < a.holds(known):
			return known, nil
		case s.Silent != "":
			return a.silent(s, q, known, age)
		}
		change, err := a.fetch(ctx, timed, s, q, known)
		switch {
		case err == nil && damaged: // said once, and healed
			_, err = a.keep(ctx, q.Key(), change)
			return publisher.Record{}, errors.Join(failure{class: trust.ErrMalformed, text: fmt.Sprintf("what was remembered of %s was damaged; it begins anew", q.Name)}, err)
		case err == nil:
			return a.keep(ctx, q.Key(), change)
		case unanswered(err) && known.Key != "" && age.Abs() < a.o.Stale:
			return known, nil
		}
		return publisher.Record{}, err
	})
	if err != nil && !ran && timed.Err() != nil && ctx.Err() == nil { // it waited for another one's answer
		err = failure{class: trust.ErrUnavailable, text: fmt.Sprintf("%s did not answer within %s", s.Title(), a.o.Budget)}
	}
	return r, err
}

// silent is the record where nobody is asked, however old it is; what is too old to vouch for anybody is said to be.
func (a *Asker) silent(s *source, q publisher.Question, known publisher.Record, age time.Duration) (publisher.Record, error) {
	switch {
	case known.Key == "":
		return known, failure{class: errSilent, text: fmt.Sprintf("nothing is remembered of %s, and %s", q.Name, s.Silent)}
	case age.Abs() > publisher.VouchedFor:
		return known, failure{class: errSilent, text: fmt.Sprintf("what is remembered of %s is of %s, too old to speak for anybody (import a newer snapshot), and %s", q.Name, known.Asked.Format(time.DateOnly), s.Silent)}
	}
	return known, nil
}

// everybodys reports whether an error is that of all who asked the same: not when who asked went away.
func everybodys(err error) bool {
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// errDamaged: what is remembered cannot be read.
var errDamaged = fmt.Errorf("what is remembered is damaged: %w", trust.ErrMalformed)

// rereadAfter is how long a record in process memory hides what another process made of it.
const rereadAfter = time.Minute

// record is what is remembered; without a key where nothing is.
func (a *Asker) record(ctx context.Context, key string) (publisher.Record, error) {
	now := a.o.Now()
	if r, ok := a.recent.Get(key); ok && now.Sub(r.read).Abs() < rereadAfter {
		return r.Record, nil
	}
	body, ok, err := a.memory.Note(ctx, key)
	if err != nil || !ok {
		return publisher.Record{}, err
	}
	r, err := parse(key, body)
	if err != nil {
		return publisher.Record{}, err
	}
	a.recent.Add(key, remembered{r, now})
	return r, nil
}

// parse reads a record that is remembered under a key. Its error wraps errDamaged.
func parse(key string, body []byte) (publisher.Record, error) {
	r, err := publisher.ParseRecord(body)
	if err != nil || r.Key != key {
		return publisher.Record{}, fmt.Errorf("the record of %q in the store: %w", key, errors.Join(errDamaged, err))
	}
	return r, nil
}

// keep remembers what change makes of a record, and returns that. Other processes may have changed it meanwhile; a damaged
// one begins anew.
func (a *Asker) keep(ctx context.Context, key string, change func(publisher.Record) publisher.Record) (publisher.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, keepFor)
	defer cancel()
	var kept publisher.Record
	err := a.memory.ChangeNote(ctx, key, func(body []byte) ([]byte, error) {
		var known publisher.Record
		if body != nil {
			known, _ = parse(key, body) // begins anew
		}
		kept = change(known)
		return json.Marshal(kept)
	})
	if err != nil {
		return publisher.Record{}, fmt.Errorf("keep the record of %q: %w", key, err)
	}
	a.recent.Add(key, remembered{kept, a.o.Now()})
	return kept, nil
}
