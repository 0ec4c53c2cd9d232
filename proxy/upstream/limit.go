package upstream

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxQueue is how long a request may wait for its turn; one that would wait longer is refused at once, so that its
	// client can be told when to come back.
	maxQueue = 10 * time.Second
	// minBurst and maxBurst bound the bytes that pass at once; a read is never longer.
	minBurst = 4 << 10
	maxBurst = 256 << 10
)

// Limits bound what all pulls of one upstream together ask of it. They may be shared by any number of registries; nil
// is no limit.
type Limits struct {
	requests *rate.Limiter
	bytes    *rate.Limiter
}

// NewLimits is for so many requests and bytes a second; zero is no limit.
func NewLimits(requests float64, bytes int64) *Limits {
	l := &Limits{}
	if requests > 0 {
		l.requests = rate.NewLimiter(rate.Limit(requests), max(1, int(requests)))
	}
	if bytes > 0 {
		l.bytes = rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes/8, minBurst), maxBurst)))
	}
	return l
}

// busyError says that too many requests wait already.
type busyError struct{ after time.Duration }

// Error implements error.
func (e busyError) Error() string {
	return fmt.Sprintf("safepull's own limit of requests to this upstream is reached for %s", e.after.Round(time.Millisecond))
}

// request waits for a request's turn.
func (l *Limits) request(ctx context.Context) error {
	if l == nil || l.requests == nil {
		return nil
	}
	turn := l.requests.Reserve()
	wait := turn.Delay()
	if wait > maxQueue {
		turn.Cancel()
		return busyError{wait}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.Cancel()
		return ctx.Err()
	}
}

// cut bounds a read, so that its bytes fit the limit.
func (l *Limits) cut(p []byte) []byte {
	if l == nil || l.bytes == nil {
		return p
	}
	return p[:min(len(p), l.bytes.Burst())]
}

// passed waits until n bytes may have come. Their reader is slower then, and with it the sender.
func (l *Limits) passed(ctx context.Context, n int) error {
	if l == nil || l.bytes == nil || n == 0 {
		return nil
	}
	turn := l.bytes.ReserveN(time.Now(), n)
	timer := time.NewTimer(turn.Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outgoing looks at every request before it leaves: those that begin anew go to the registry or to a token endpoint of
// its, and wait for their turn.
type outgoing struct {
	next   http.RoundTripper
	reach  *reach
	limits *Limits
}

// RoundTrip implements http.RoundTripper.
func (o outgoing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Response == nil { // no redirect, which redirectPolicy sees
		if err := o.reach.realm(req.URL); err != nil {
			return nil, err
		}
		if err := o.limits.request(req.Context()); err != nil {
			return nil, err
		}
	}
	return o.next.RoundTrip(req.WithContext(withReach(req.Context(), o.reach)))
}
