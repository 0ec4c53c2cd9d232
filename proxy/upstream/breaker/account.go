package breaker

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxWrong bounds the wrong secrets that a host is shown for one of its accounts within window: registries count them,
	// whoever guesses. Secrets that the host took go on to count.
	maxWrong = 10
	window   = 15 * time.Minute
)

// account is one name at one host.
type account struct {
	mu sync.Mutex
	// trying are secrets that are being shown now, wrong when others were refused.
	trying int
	wrong  []time.Time
}

// begin lets one more secret be tried, or says how long none may be.
func (a *account) begin(now time.Time) (left time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong = slices.DeleteFunc(a.wrong, func(at time.Time) bool { return now.Sub(at) >= window })
	if len(a.wrong)+a.trying < maxWrong {
		a.trying++
		return 0, true
	}
	if len(a.wrong) == 0 {
		return time.Second, false
	}
	return window - now.Sub(a.wrong[0]), false
}

// end follows begin.
func (a *account) end(wrong bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trying--
	if wrong {
		a.wrong = append(a.wrong, now)
	}
}
