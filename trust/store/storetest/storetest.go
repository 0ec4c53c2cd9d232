// Package storetest is the acceptance suite of stores: what trust/judge and the commands rely on, whatever keeps it.
//
// Every store runs Run. One that lasts beyond its process and may be opened by several runs RunShared too, and gives
// its TestMain to Main, since the suite starts the test's own binary as a second process.
package storetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// Memory is what trust/judge asks of a store.
type Memory interface {
	Inspection(ctx context.Context, blob, key digest.Digest) (trust.Inspection, bool, error)
	KeepInspection(ctx context.Context, blob, key digest.Digest, found trust.Inspection) error
	Verdict(ctx context.Context, key digest.Digest) (trust.Verdict, bool, error)
	KeepVerdict(ctx context.Context, key digest.Digest, v trust.Verdict) error
}

// History is what explains verdicts and serves blobs by them.
type History interface {
	VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error)
	Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error)
	Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error)
	Judged(ctx context.Context, since time.Time, do func(v trust.Verdict, unreadable error) error) error
}

// Notes is what trust/publisher/ask asks of a store.
type Notes interface {
	Note(ctx context.Context, key string) ([]byte, bool, error)
	KeepNote(ctx context.Context, key string, body []byte) error
	ChangeNote(ctx context.Context, key string, change func(body []byte) ([]byte, error)) error
	Notes(ctx context.Context, after string, limit int) ([]struct {
		Key  string
		Body []byte
	}, error)
}

// Campaigns is what trust/campaign asks of a store.
type Campaigns interface {
	KeepEdges(ctx context.Context, edges []campaign.Edge) error
	Shared(ctx context.Context, wanted []campaign.Edge) ([]campaign.Edge, error)
	Campaigns(ctx context.Context) ([]campaign.Edge, error)
}

// Store is all that the suite needs.
type Store interface {
	Memory
	History
	Notes
	Campaigns
	io.Closer
}

// Run proves one store by itself. New makes an empty one for each test; the suite closes it.
func Run(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"NotFound":         testNotFound,
		"Inspection":       testInspection,
		"Verdict":          testVerdict,
		"VerdictReplaced":  testVerdictReplaced,
		"VerdictPassing":   testVerdictPassing,
		"VerdictRefused":   testVerdictRefused,
		"IDTaken":          testIDTaken,
		"Verdicts":         testVerdicts,
		"Manifests":        testManifests,
		"Judged":           testJudged,
		"Edges":            testEdges,
		"NothingShared":    testNothingShared,
		"Cancelled":        testCancelled,
		"Concurrent":       testConcurrent,
		"LargeAndHostile":  testLargeAndHostile,
		"InspectionIsBare": testInspectionIsBare,
		"Notes":            testNotes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, s)
		})
	}
}

// NewVerdict is a full verdict on a repository; n makes it another one, later by n seconds.
func NewVerdict(repository string, n int) trust.Verdict {
	manifest := sum("manifest", repository, n)
	ref := trust.Reference{Registry: "ghcr.io", Repository: repository, Tag: "v1", Digest: manifest}
	entry := trust.Entry{Pattern: "ghcr.io/**", Action: "allow", Reason: "ours", Expires: start.Add(time.Hour), List: "x", Line: 3}
	return trust.Verdict{
		ID: fmt.Sprintf("SP-%s%04d", repository, n), Reference: ref, Manifest: manifest,
		Ruleset: sum("ruleset"), Policy: sum("policy"), TrustLists: sum("lists"),
		Action: trust.Quarantine, Reasons: []string{"one reason"},
		Evidence: trust.Evidence{
			Reference: ref, Manifest: manifest, Platform: "linux/amd64",
			Standing: trust.Standing{Decided: &entry, Lost: []trust.Entry{entry}, TagMatters: true, Until: entry.Expires},
			Findings: []trust.Finding{newFinding(n)}, Answered: []string{"config"},
			Unanswered: map[string]string{"layer 1": "limit"}, NotAsked: map[string]string{"publisher": "waived"},
		},
		At: start.Add(time.Duration(n) * time.Second), Until: entry.Expires, Duration: time.Second,
		Blobs: []trust.Blob{
			{Digest: sum("config", repository, n), Size: 10, MediaType: "application/vnd.oci.image.config.v1+json"},
			{Digest: sum("shared layer"), Size: 1 << 40},
		},
	}
}

var start = time.Date(2026, 6, 1, 12, 0, 0, 123456789, time.UTC)

func newFinding(n int) trust.Finding {
	return trust.Finding{
		Check: "stratum@1", Strength: trust.Strong, IfRun: trust.Proof, Kind: trust.KindScript, Class: trust.ClassNode, Reach: trust.ReachHidden, Layer: sum("shared layer"),
		Path: "usr/bin/ü\x00\"", Offset: int64(n), Excerpt: "stratum+tcp://", Why: "because",
	}
}

func newInspection(n int) trust.Inspection {
	var tree trust.Tree
	tree.Add(trust.TreeEntry{Path: "usr/bin/\xff", Type: trust.TypeFile, Mode: 0o755, Size: int64(n), Kind: trust.KindScript, Body: "#!\xfe"})
	tree.Add(trust.TreeEntry{Path: "usr/bin/x", Type: trust.TypeSymlink, Target: "../y"})
	return trust.Inspection{Tree: tree, TreeCut: n%2 == 0, Findings: []trust.Finding{newFinding(n)}, DiffID: sum("diff", n), Files: n, Bytes: 1 << 50}
}

func sum(parts ...any) digest.Digest { return digest.FromString(fmt.Sprint(parts...)) }

func keepVerdict(t testing.TB, s Memory, key digest.Digest, v trust.Verdict) {
	t.Helper()
	if err := s.KeepVerdict(t.Context(), key, v); err != nil {
		t.Fatal(err)
	}
}

func wantVerdict(t testing.TB, s Store, key digest.Digest, want trust.Verdict) {
	t.Helper()
	for by, ask := range map[string]func() (trust.Verdict, bool, error){
		"key": func() (trust.Verdict, bool, error) { return s.Verdict(t.Context(), key) },
		"ID":  func() (trust.Verdict, bool, error) { return s.VerdictByID(t.Context(), want.ID) },
	} {
		got, found, err := ask()
		if err != nil || !found {
			t.Errorf("by %s: found %v, %v", by, found, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", by, diff)
		}
	}
}

func wantNoAnswer(t testing.TB, s Memory, key digest.Digest) {
	t.Helper()
	if got, found, err := s.Verdict(t.Context(), key); found || err != nil || got.Action != "" {
		t.Errorf("key %q: %q, found %v, %v; want nothing", key, got.Action, found, err)
	}
}

func wantManifests(t testing.TB, s History, name string, blob digest.Digest, want ...digest.Digest) {
	t.Helper()
	got, err := s.Manifests(t.Context(), name, blob)
	if err != nil {
		t.Fatal(err)
	}
	less := cmp.Transformer("Sort", func(in []digest.Digest) string {
		seen := map[string]int{}
		for _, d := range in {
			seen[string(d)]++
		}
		return strings.ReplaceAll(fmt.Sprint(seen), " ", "\n")
	})
	if diff := cmp.Diff(want, got, less); diff != "" {
		t.Errorf("manifests of %s (-want +got):\n%s", name, diff)
	}
}
