package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// testJudged: every verdict since a time, the newest first, over several pages.
func testJudged(t *testing.T, s Store) {
	const all = 40
	for i := 1; i <= all; i++ {
		keepVerdict(t, s, sum("judged", i), NewVerdict(fmt.Sprintf("h%d", i%3), i))
	}
	stop := errors.New("enough")
	for since, want := range map[int]int{1: all, 30: all - 29, all + 1: 0} {
		var seen []string
		last := start.Add(time.Hour)
		err := s.Judged(t.Context(), start.Add(time.Duration(since)*time.Second), func(v trust.Verdict, unreadable error) error {
			if unreadable != nil {
				t.Errorf("%s: %v", v.ID, unreadable)
			}
			if v.At.After(last) {
				t.Errorf("%s comes after %s", v.At, last)
			}
			last, seen = v.At, append(seen, v.ID)
			return nil
		})
		if err != nil || len(seen) != want {
			t.Errorf("since %d: %d verdicts, %v, want %d: %s", since, len(seen), err, want, strings.Join(seen, " "))
		}
	}
	n := 0
	if err := s.Judged(t.Context(), time.Time{}, func(trust.Verdict, error) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// testEdges: what images share is found by its value, and a later verdict on an image replaces the earlier.
func testEdges(t *testing.T, s Store) {
	edge := func(kind, value, name string, second int, action trust.Action) campaign.Edge {
		return campaign.Edge{Kind: kind, Value: value, Name: name, Manifest: sum(name), Verdict: fmt.Sprintf("SP-%d", second), Action: action, At: start.Truncate(time.Second).Add(time.Duration(second) * time.Second)}
	}
	blocked, other := edge("wallet", "4x' OR 1=1", "docker.io/a/b", 1, trust.Block), edge("payload", "4x' OR 1=1", "docker.io/a/b", 1, trust.Block)
	served := edge("wallet", "4x' OR 1=1", "docker.io/c/d", 2, trust.Allow)
	served.Vouched = true
	for _, edges := range [][]campaign.Edge{nil, {blocked, other}, {served}, {blocked}} {
		if err := s.KeepEdges(t.Context(), edges); err != nil {
			t.Fatal(err)
		}
	}
	wanted := []campaign.Edge{{Kind: "wallet", Value: "4x' OR 1=1"}}
	for i := range 250 { // more than fit one statement
		wanted = append(wanted, campaign.Edge{Kind: "pool", Value: fmt.Sprint(i)})
	}
	got, err := s.Shared(t.Context(), wanted)
	if diff := cmp.Diff([]campaign.Edge{served, blocked}, got); diff != "" || err != nil {
		t.Errorf("shared: %v\n%s", err, diff)
	}
	if got, err = s.Campaigns(t.Context()); len(got) != 2 || err != nil {
		t.Errorf("campaigns: %v, %v", got, err)
	}
	freed := blocked
	freed.Action, freed.At = trust.Warn, start.Truncate(time.Second).Add(time.Minute)
	if err := s.KeepEdges(t.Context(), []campaign.Edge{freed}); err != nil {
		t.Fatal(err)
	}
	got, err = s.Campaigns(t.Context())
	if diff := cmp.Diff([]campaign.Edge{other}, got); diff != "" || err != nil {
		t.Errorf("after it was freed: %v\n%s", err, diff)
	}
	if got, err = s.Shared(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("nothing is shared by nothing: %v, %v", got, err)
	}
}
