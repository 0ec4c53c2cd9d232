package enforce

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/proxy/caller"
)

// TestTurns: who came last with one wish is served after one of each other caller, not after all of them.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		if err := turns.take(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var served []string
		for _, who := range []string{"greedy", "greedy", "greedy", "second", "second", "modest"} {
			go func() {
				if err := turns.take(t.Context(), who); err != nil {
					t.Error(err)
				}
				mu.Lock()
				served = append(served, who)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		for range 6 {
			turns.give()
			synctest.Wait()
		}
		turns.give()
		if diff := cmp.Diff([]string{"greedy", "second", "modest", "greedy", "second", "greedy"}, served); diff != "" {
			t.Error(diff)
		}
		if turns.free != 1 || len(turns.order) != 0 || len(turns.queues) != 0 {
			t.Errorf("left behind: %+v", turns)
		}
	})
}

// TestTurnsOfThoseWhoLeave: no place is lost, whenever somebody leaves.
func TestTurnsOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	turns := newTurns(2)
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if n%3 == 0 {
				go cancel()
			}
			defer cancel()
			switch err := turns.take(ctx, fmt.Sprint(n%7)); {
			case err == nil:
				turns.give()
			case !errors.Is(err, context.Canceled):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if turns.free != 2 || len(turns.order) != 0 || len(turns.queues) != 0 {
		t.Errorf("left behind: %+v", turns)
	}
}

func TestWhose(t *testing.T) {
	t.Parallel()
	login := map[string]caller.Login{"docker.io": {Username: "bob", Password: "hush"}}
	for want, c := range map[string]caller.Caller{
		"identity oidc ada": {Identity: "ada", Method: "oidc", Address: "10.0.0.1", Logins: login},
		"address 10.0.0.1":  {Address: "10.0.0.1", Logins: login},
		"address ":          {},
	} {
		if got := whose(caller.With(t.Context(), c)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
