package enforce

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/safepull/safepull/proxy/caller"
)

// turns gives out a bounded number of places. Callers who wait take turns, each with what they have waited for longest, so
// that who wants very much keeps nobody waiting who wants one thing.
type turns struct {
	mu   sync.Mutex
	free int
	// order are the callers who wait, the next one first; queues is what each of them waits for.
	order  []string
	queues map[string][]chan struct{}
}

func newTurns(places int) *turns { return &turns{free: places, queues: map[string][]chan struct{}{}} }

// take waits for a place, which give gives back. It fails when ctx ends first.
func (t *turns) take(ctx context.Context, who string) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	if len(t.queues[who]) == 0 {
		t.order = append(t.order, who)
	}
	t.queues[who] = append(t.queues[who], mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	if !t.leave(who, mine) {
		t.give() // it came at the last moment
	}
	return fmt.Errorf("wait for other inspections: %w", ctx.Err())
}

// leave takes a wait out of the queue, and reports whether it was there.
func (t *turns) leave(who string, mine chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.queues[who], mine)
	if at < 0 {
		return false
	}
	t.queues[who] = slices.Delete(t.queues[who], at, at+1)
	if len(t.queues[who]) == 0 {
		delete(t.queues, who)
		t.order = slices.DeleteFunc(t.order, func(other string) bool { return other == who })
	}
	return true
}

// give passes the place on to the next caller, or keeps it free.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.free++
		return
	}
	who := t.order[0]
	t.order = t.order[1:]
	close(t.queues[who][0])
	if t.queues[who] = t.queues[who][1:]; len(t.queues[who]) == 0 {
		delete(t.queues, who)
		return
	}
	t.order = append(t.order, who)
}

// whose is on whose account a judgement waits: the one who proved to be somebody, else whoever is at the address. Logins
// for registries do not count, since anybody can bring many.
func whose(ctx context.Context) string {
	c := caller.Of(ctx)
	if c.Identity != "" {
		return "identity " + c.Method + " " + c.Identity
	}
	return "address " + c.Address
}
