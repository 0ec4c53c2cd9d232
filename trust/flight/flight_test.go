package flight_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/safepull/safepull/trust/flight"
)

var errOwn = errors.New("the caller's own")

func shared(err error) bool { return !errors.Is(err, errOwn) }

// TestDo: one runs, all have its answer.
func TestDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		var runs atomic.Int32
		release := make(chan struct{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				n, err := g.Do(t.Context(), "a", shared, func() (int, error) {
					runs.Add(1)
					<-release
					return 7, nil
				})
				if n != 7 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		if n, err := g.Do(t.Context(), "b", shared, func() (int, error) { return 8, nil }); n != 8 || err != nil {
			t.Errorf("another key: %d, %v", n, err)
		}
		close(release)
		all.Wait()
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

// TestErrors: what is everybody's error is asked once, what is the caller's own, or a panic, lets the next one run.
func TestErrors(t *testing.T) {
	t.Parallel()
	everybodys := errors.New("everybody's")
	for name, tt := range map[string]struct {
		end  func() (int, error)
		want error
		runs int32
	}{
		"everybodys": {func() (int, error) { return 0, everybodys }, everybodys, 1},
		"own":        {func() (int, error) { return 0, errOwn }, nil, 2},
		"panics":     {func() (int, error) { panic("x") }, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g flight.Group[int, int]
				var runs atomic.Int32
				release := make(chan struct{})
				go func() {
					defer func() { _ = recover() }()
					_, _ = g.Do(t.Context(), 1, shared, func() (int, error) {
						runs.Add(1)
						<-release
						return tt.end()
					})
				}()
				synctest.Wait()
				second := make(chan error)
				go func() {
					_, err := g.Do(t.Context(), 1, shared, func() (int, error) {
						runs.Add(1)
						return 1, nil
					})
					second <- err
				}()
				synctest.Wait()
				close(release)
				if err := <-second; !errors.Is(err, tt.want) {
					t.Error(err)
				}
				if n := runs.Load(); n != tt.runs {
					t.Errorf("%d runs", n)
				}
			})
		})
	}
}

// TestGoneAway: who waits and goes away does not wait on.
func TestGoneAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int, int]
		release := make(chan struct{})
		go func() { _, _ = g.Do(t.Context(), 1, shared, func() (int, error) { <-release; return 1, nil }) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Do(ctx, 1, shared, func() (int, error) { return 2, nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		synctest.Wait()
	})
}
