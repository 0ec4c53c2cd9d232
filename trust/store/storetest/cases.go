package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func testNotFound(t *testing.T, s Store) {
	if got, found, err := s.Inspection(t.Context(), sum("a"), sum("b")); found || err != nil || !cmp.Equal(got, trust.Inspection{}) {
		t.Errorf("Inspection = %v, %v, %v", got, found, err)
	}
	wantNoAnswer(t, s, sum("a"))
	wantNoAnswer(t, s, "")
	if got, found, err := s.VerdictByID(t.Context(), "SP-NOSUCHONE0"); found || err != nil || got.Action != "" {
		t.Errorf("VerdictByID = %v, %v, %v", got, found, err)
	}
	if got, err := s.Verdicts(t.Context(), "ghcr.io/a", 10); len(got) != 0 || err != nil {
		t.Errorf("Verdicts = %v, %v", got, err)
	}
	wantManifests(t, s, "ghcr.io/a", sum("a"))
}

func testInspection(t *testing.T, s Store) {
	for _, n := range []int{1, 2} { // the second replaces the first
		want := newInspection(n)
		if err := s.KeepInspection(t.Context(), sum("blob"), sum("key"), want); err != nil {
			t.Fatal(err)
		}
		got, found, err := s.Inspection(t.Context(), sum("blob"), sum("key"))
		if !found || err != nil {
			t.Fatalf("found %v, %v", found, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for _, other := range [][2]string{{"blob", "other"}, {"other", "key"}, {"key", "blob"}} {
		if _, found, err := s.Inspection(t.Context(), sum(other[0]), sum(other[1])); found || err != nil {
			t.Errorf("%v: found %v, %v", other, found, err)
		}
	}
	if s.KeepInspection(t.Context(), "", sum("key"), newInspection(1)) == nil || s.KeepInspection(t.Context(), sum("blob"), "", newInspection(1)) == nil {
		t.Error("an inspection without blob or key was kept")
	}
}

// testInspectionIsBare: no findings is an answer and must not look like no answer.
func testInspectionIsBare(t *testing.T, s Store) {
	for i, bare := range []trust.Inspection{{}, {Findings: []trust.Finding{}}} {
		if err := s.KeepInspection(t.Context(), sum(i), sum("key"), bare); err != nil {
			t.Fatal(err)
		}
		got, found, err := s.Inspection(t.Context(), sum(i), sum("key"))
		if !found || err != nil || len(got.Findings) != 0 {
			t.Errorf("%v, %v, %v", got, found, err)
		}
	}
}

func testVerdict(t *testing.T, s Store) {
	a, b := NewVerdict("a", 1), NewVerdict("b", 1)
	keepVerdict(t, s, sum("a"), a)
	keepVerdict(t, s, sum("b"), b)
	wantVerdict(t, s, sum("a"), a)
	wantVerdict(t, s, sum("b"), b)
	keepVerdict(t, s, sum("a"), a)
	wantVerdict(t, s, sum("a"), a)
	bare := trust.Verdict{ID: "SP-BARE", Manifest: sum("m"), Reference: trust.Reference{Repository: "x"}, Action: trust.Allow, At: start}
	keepVerdict(t, s, sum("bare"), bare)
	wantVerdict(t, s, sum("bare"), bare)
}

// testVerdictReplaced: a new verdict takes over the answer, the old one can still be explained.
func testVerdictReplaced(t *testing.T, s Store) {
	old, next := NewVerdict("a", 1), NewVerdict("a", 1)
	next.ID, next.Action, next.At = "SP-NEXT", trust.Block, start.Add(time.Hour)
	keepVerdict(t, s, sum("key"), old)
	keepVerdict(t, s, sum("key"), next)
	wantVerdict(t, s, sum("key"), next)
	if got, found, err := s.VerdictByID(t.Context(), old.ID); !found || err != nil || got.Action != old.Action {
		t.Errorf("the old verdict: %q, %v, %v", got.Action, found, err)
	}
	// The same ID again, with another outcome.
	next.Action = trust.Warn
	keepVerdict(t, s, sum("key"), next)
	wantVerdict(t, s, sum("key"), next)
}

// testVerdictPassing: what may change by itself is explained and never an answer.
func testVerdictPassing(t *testing.T, s Store) {
	lasting, passing := NewVerdict("a", 1), NewVerdict("a", 2)
	keepVerdict(t, s, sum("key"), lasting)
	passing.Passing = true
	keepVerdict(t, s, "", passing)
	wantNoAnswer(t, s, "")
	wantVerdict(t, s, sum("key"), lasting)
	keepVerdict(t, s, sum("key"), passing)
	wantVerdict(t, s, sum("key"), lasting)
	if got, found, err := s.VerdictByID(t.Context(), passing.ID); !found || err != nil || !got.Passing {
		t.Errorf("%v, %v, %v", got, found, err)
	}
	wantManifests(t, s, "ghcr.io/a", passing.Blobs[0].Digest, passing.Manifest)
	lasting.Passing = true
	keepVerdict(t, s, "", lasting)
	wantNoAnswer(t, s, sum("key"))
	keyless := NewVerdict("b", 1)
	keepVerdict(t, s, "", keyless)
	wantNoAnswer(t, s, "")
}

func testVerdictRefused(t *testing.T, s Store) {
	for name, damage := range map[string]func(*trust.Verdict){
		"no ID":         func(v *trust.Verdict) { v.ID = "" },
		"no action":     func(v *trust.Verdict) { v.Action = "" },
		"wrong action":  func(v *trust.Verdict) { v.Action = "let it pass" },
		"no manifest":   func(v *trust.Verdict) { v.Manifest = "" },
		"no repository": func(v *trust.Verdict) { v.Reference = trust.Reference{} },
	} {
		v := NewVerdict("a", 1)
		damage(&v)
		if err := s.KeepVerdict(t.Context(), sum("key"), v); err == nil {
			t.Errorf("%s: kept", name)
		}
		wantNoAnswer(t, s, sum("key"))
	}
}

// testIDTaken: one ID for two images must not turn the answer for one into that for the other.
func testIDTaken(t *testing.T, s Store) {
	first := NewVerdict("a", 1)
	first.Action = trust.Block
	keepVerdict(t, s, sum("first"), first)
	for i, second := range []trust.Verdict{NewVerdict("b", 1), NewVerdict("a", 2)} {
		second.ID, second.Action = first.ID, trust.Allow
		if err := s.KeepVerdict(t.Context(), sum("second"), second); err == nil {
			t.Errorf("%d: two images share an ID", i)
		}
		wantNoAnswer(t, s, sum("second"))
		wantManifests(t, s, second.Reference.Name(), second.Blobs[0].Digest)
	}
	wantVerdict(t, s, sum("first"), first)
}

func testVerdicts(t *testing.T, s Store) {
	for _, n := range []int{2, 5, 1, 4, 3} {
		keepVerdict(t, s, sum(n), NewVerdict("a", n))
		keepVerdict(t, s, sum("b", n), NewVerdict("a/b", n))
	}
	for limit, want := range map[int]string{-1: "", 0: "", 1: "5", 3: "543", 5: "54321", 100: "54321"} {
		verdicts, err := s.Verdicts(t.Context(), "ghcr.io/a", limit)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, v := range verdicts {
			fmt.Fprint(&got, v.At.Sub(start).Seconds())
			if v.Reference.Name() != "ghcr.io/a" {
				t.Errorf("a verdict on %s", v.Reference)
			}
		}
		if got.String() != want {
			t.Errorf("limit %d: %q, want %q", limit, got.String(), want)
		}
	}
}

func testManifests(t *testing.T, s Store) {
	a1, a2, b := NewVerdict("a", 1), NewVerdict("a", 2), NewVerdict("b", 1)
	for i := range 250 { // more than fit one statement
		a1.Blobs = append(a1.Blobs, trust.Blob{Digest: sum("many", i)})
	}
	a1.Blobs = append(a1.Blobs, a1.Blobs[0]) // an image may name a layer twice
	for _, v := range []trust.Verdict{a1, a2, b, a1} {
		keepVerdict(t, s, sum(v.ID), v)
	}
	wantManifests(t, s, "ghcr.io/a", sum("shared layer"), a1.Manifest, a2.Manifest)
	wantManifests(t, s, "ghcr.io/b", sum("shared layer"), b.Manifest)
	wantManifests(t, s, "ghcr.io/a", a1.Blobs[0].Digest, a1.Manifest)
	wantManifests(t, s, "ghcr.io/a", sum("many", 249), a1.Manifest)
	wantManifests(t, s, "ghcr.io/a", b.Blobs[0].Digest)
	wantManifests(t, s, "ghcr.io/c", sum("shared layer"))
}

func testNothingShared(t *testing.T, s Store) {
	v := NewVerdict("a", 1)
	keepVerdict(t, s, sum("key"), v)
	v.Reasons[0], v.Evidence.Findings[0].Path, v.Evidence.Unanswered["x"] = "changed", "changed", "changed"
	got, _, err := s.Verdict(t.Context(), sum("key"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(NewVerdict("a", 1), got); diff != "" {
		t.Fatalf("what was kept changed afterwards:\n%s", diff)
	}
	got.Reasons[0], got.Evidence.Standing.Decided.Action = "changed", "changed"
	wantVerdict(t, s, sum("key"), NewVerdict("a", 1))
}

func testCancelled(t *testing.T, s Store) {
	keepVerdict(t, s, sum("key"), NewVerdict("a", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func() (bool, error){
		"Inspection":     func() (bool, error) { _, found, err := s.Inspection(ctx, sum("a"), sum("b")); return found, err },
		"KeepInspection": func() (bool, error) { return false, s.KeepInspection(ctx, sum("a"), sum("b"), newInspection(1)) },
		"Verdict":        func() (bool, error) { _, found, err := s.Verdict(ctx, sum("key")); return found, err },
		"KeepVerdict":    func() (bool, error) { return false, s.KeepVerdict(ctx, sum("other"), NewVerdict("b", 1)) },
		"VerdictByID":    func() (bool, error) { _, found, err := s.VerdictByID(ctx, NewVerdict("a", 1).ID); return found, err },
		"Verdicts":       func() (bool, error) { got, err := s.Verdicts(ctx, "ghcr.io/a", 10); return len(got) > 0, err },
		"Manifests":      func() (bool, error) { _, err := s.Manifests(ctx, "ghcr.io/a", sum("shared layer")); return false, err },
	} {
		if found, err := ask(); found || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: found %v, %v; want the context's error", name, found, err)
		}
	}
	wantNoAnswer(t, s, sum("other"))
	wantVerdict(t, s, sum("key"), NewVerdict("a", 1))
}

func testConcurrent(t *testing.T, s Store) {
	const workers, each = 8, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				if err := writeOne(t.Context(), s, w, n); err != nil {
					t.Error(err)
				}
				if _, _, err := s.Verdict(t.Context(), sum("worker", (w+1)%workers, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantWork(t, s, workers, each)
}

// writeOne is one piece of work of one writer: parts of it are the same for all writers.
func writeOne(ctx context.Context, s Store, worker, n int) error {
	if err := s.KeepVerdict(ctx, sum("worker", worker, n), NewVerdict(fmt.Sprint("w", worker), n)); err != nil {
		return err
	}
	if err := s.KeepInspection(ctx, sum("shared layer"), sum("key", n), newInspection(n)); err != nil {
		return err
	}
	return s.ChangeNote(ctx, "count of all", func(body []byte) ([]byte, error) { return append(body, '.'), nil })
}

// wantWork checks that all that workers wrote is there.
func wantWork(t *testing.T, s Store, workers, each int) {
	t.Helper()
	for w := range workers {
		for n := range each {
			wantVerdict(t, s, sum("worker", w, n), NewVerdict(fmt.Sprint("w", w), n))
			got, found, err := s.Inspection(t.Context(), sum("shared layer"), sum("key", n))
			if !found || err != nil || got.Files != n {
				t.Errorf("inspection %d: %v, %v, %v", n, got.Files, found, err)
			}
		}
	}
	if count, _, err := s.Note(t.Context(), "count of all"); err != nil || len(count) < workers*each {
		t.Errorf("a note that all changed was changed %d times, want %d: %v", len(count), workers*each, err)
	}
}

func testLargeAndHostile(t *testing.T, s Store) {
	v := NewVerdict("a", 1)
	v.Reference.Repository, v.Evidence.Reference.Repository = "a'; DROP TABLE verdicts; --", "$1"
	v.Reasons = []string{"' OR 1=1", "\u2028\x7f\x00 <&>", strings.Repeat("long ", 1<<16)}
	for i := range 2000 {
		v.Evidence.Findings = append(v.Evidence.Findings, newFinding(i))
	}
	keepVerdict(t, s, sum("key"), v)
	wantVerdict(t, s, sum("key"), v)
}
