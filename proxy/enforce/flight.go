package enforce

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

// keepUntaken is how long the outcome of a judgement waits for the client that was told to come back. Verdicts are
// remembered by the judge as well; errors and passing verdicts are found here only.
const keepUntaken = 2 * time.Minute

// maxUntaken bounds the outcomes that wait so: whoever asks and leaves again and again is to fill no memory.
const maxUntaken = 512

var errStopped = fmt.Errorf("%w: the proxy is stopping", trust.ErrUnavailable)

// flight is one judgement that any number of requests wait for.
type flight struct {
	done    chan struct{}
	verdict trust.Verdict
	err     error
	// as is whose rights it reads with.
	as reader
	// waiting counts the requests that wait now; guarded by flights.mu.
	waiting int
	forget  *time.Timer
}

// flights runs judgements apart from the requests that want them, each key once, a bounded number at one time.
type flights struct {
	judge    trust.Judge
	observer Observer
	deadline time.Duration
	turns    *turns
	// limit is how many may run and wait, share how many of them for one caller.
	limit, share int

	base context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	running int
	byKey   map[string]*flight
	untaken int
	// mine counts those that run and wait by whose they are.
	mine map[string]int
}

// maxJoined bounds the judgements of others that one request joins in vain.
const maxJoined = 3

// await joins or starts the judgement of key. It returns errHeld when hold fires first and ctx's error when that ends
// first; the judgement goes on in both cases. What another's login could not read is no answer for this one's.
func (fs *flights) await(ctx context.Context, key string, ref trust.Reference, src trust.Source, hold <-chan struct{}) (v trust.Verdict, err error) {
	as := readerOf(ctx, ref)
	for range maxJoined {
		f, err := fs.join(ctx, key, ref, src)
		if err != nil {
			return trust.Verdict{}, err
		}
		ended := false
		if v, ended, err = fs.wait(ctx, f, hold); err == nil && !v.Passing || f.as == as || !ended {
			return v, err
		}
	}
	return trust.Verdict{}, fmt.Errorf("%w: others who asked for the same could not read it", trust.ErrUnavailable)
}

// reader is whose rights an upstream is read with.
type reader struct {
	login caller.Login
	known bool
}

func readerOf(ctx context.Context, ref trust.Reference) reader {
	c := caller.Of(ctx)
	return reader{c.Logins[ref.Registry], c.Identity != ""}
}

// wait waits for a judgement that was joined, and reports whether it ended.
func (fs *flights) wait(ctx context.Context, f *flight, hold <-chan struct{}) (v trust.Verdict, ended bool, err error) {
	defer fs.leave(f)
	select {
	case <-f.done:
		return f.verdict, true, f.err
	default:
	}
	select {
	case <-f.done:
		return f.verdict, true, f.err
	case <-hold:
		return trust.Verdict{}, false, errHeld
	case <-ctx.Done():
		return trust.Verdict{}, false, context.Cause(ctx)
	}
}

var errHeld = errors.New("the judgement takes longer than a client may be held")

func (fs *flights) join(ctx context.Context, key string, ref trust.Reference, src trust.Source) (*flight, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.byKey[key]
	if f != nil && f.forget != nil { // finished and untaken: this request takes it
		f.forget.Stop()
		fs.remove(key)
		if until := f.verdict.Until; !until.IsZero() && !time.Now().Before(until) {
			f = nil
		}
	}
	if f != nil {
		f.waiting++
		return f, nil
	}
	if fs.base.Err() != nil {
		return nil, errStopped
	}
	who := whose(ctx)
	if fs.running >= fs.limit || fs.mine[who] >= fs.share {
		return nil, ErrOverloaded
	}
	f = &flight{done: make(chan struct{}), waiting: 1, as: readerOf(ctx, ref)}
	fs.byKey[key] = f
	fs.running++
	fs.mine[who]++
	fs.work.Add(1)
	go fs.run(context.WithoutCancel(ctx), key, who, f, ref, src)
	return f, nil
}

func (fs *flights) leave(f *flight) {
	fs.mu.Lock()
	f.waiting--
	fs.mu.Unlock()
}

// follow calls then with the outcome of the judgement. The gate's close waits for it.
func (fs *flights) follow(f *flight, then func(trust.Verdict, error)) {
	follow := func() {
		<-f.done
		then(f.verdict, f.err)
	}
	fs.mu.Lock()
	stopped := fs.base.Err() != nil
	if !stopped {
		fs.work.Go(follow)
	}
	fs.mu.Unlock()
	if stopped { // the judgement ends at once
		follow()
	}
}

func (fs *flights) run(ctx context.Context, key, who string, f *flight, ref trust.Reference, src trust.Source) {
	defer fs.work.Done()
	ctx, cancel := context.WithTimeout(ctx, fs.deadline)
	defer cancel()
	defer context.AfterFunc(fs.base, cancel)() //nolint:contextcheck // the stop of the whole gate

	f.verdict, f.err = fs.ask(ctx, who, ref, src)

	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.running--
	if fs.mine[who]--; fs.mine[who] == 0 {
		delete(fs.mine, who)
	}
	if f.waiting > 0 || fs.base.Err() != nil || fs.untaken >= maxUntaken {
		delete(fs.byKey, key)
	} else {
		fs.untaken++
		f.forget = time.AfterFunc(keepUntaken, func() { fs.drop(key, f) })
	}
	close(f.done)
}

func (fs *flights) drop(key string, f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byKey[key] == f {
		fs.remove(key)
	}
}

// remove takes an untaken outcome away. The caller holds mu.
func (fs *flights) remove(key string) {
	delete(fs.byKey, key)
	fs.untaken--
}

// ask waits for its turn and judges. A panic of the judge is an error: no verdict was reached.
func (fs *flights) ask(ctx context.Context, who string, ref trust.Reference, src trust.Source) (v trust.Verdict, err error) {
	if err := fs.turns.take(ctx, who); err != nil {
		return trust.Verdict{}, err
	}
	defer fs.turns.give()
	start := time.Now()
	fs.observer.InFlight(1)
	defer func() {
		if p := recover(); p != nil {
			v, err = trust.Verdict{}, &panicked{value: p, stack: debug.Stack()}
		}
		fs.observer.InFlight(-1)
		fs.observer.Judged(time.Since(start), err)
	}()
	v, err = fs.judge.Judge(ctx, ref, src)
	switch {
	case err != nil:
		return trust.Verdict{}, err
	case v.Manifest != ref.Digest:
		return trust.Verdict{}, fmt.Errorf("the verdict is about %q, not %q", v.Manifest, ref.Digest)
	}
	return v, nil
}

// close refuses new judgements, cancels those that run and waits for their end, at most until ctx ends.
func (fs *flights) close(ctx context.Context) error {
	fs.mu.Lock()
	fs.stop()
	for key, f := range fs.byKey {
		if f.forget != nil {
			f.forget.Stop()
			fs.remove(key)
		}
	}
	fs.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fs.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inspections are still running: %w", ctx.Err())
	}
}

// panicked carries the stack for the log; its text does not show it.
type panicked struct {
	value any
	stack []byte
}

// Error says that the inspection broke.
func (e *panicked) Error() string { return fmt.Sprintf("the inspection broke: %v", e.value) }

// Stack is where it broke.
func (e *panicked) Stack() []byte { return e.stack }
