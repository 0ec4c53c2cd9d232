package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// edge is a value of an image of a publisher.
func edge(kind, value, publisher string, image int, action trust.Action) campaign.Edge {
	name := fmt.Sprintf("docker.io/%s/app%d", publisher, image)
	return campaign.Edge{
		Kind: kind, Value: value, Name: name, Manifest: digest.FromString(name), Verdict: "SP-0123456789", Action: action, Publisher: "docker.io/" + publisher,
		At: time.Unix(int64(1_700_000_000+image), 0).UTC(),
	}
}

func keepAll(t *testing.T, s *Store, edges ...campaign.Edge) {
	t.Helper()
	for _, e := range edges {
		if err := s.KeepEdges(t.Context(), []campaign.Edge{e}); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, s *Store, where string) int {
	t.Helper()
	n := 0
	if err := s.read.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM edges WHERE `+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEdges_floodOfOne: who has thousands of blocked images pushes out their own edges alone.
func TestEdges_floodOfOne(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	keepAll(t, s, edge("wallet", "4Old", "azurenql", 0, trust.Block), edge("publisher", "docker.io/flood", "flood", 0, trust.Block), edge("wallet", "4First", "flood", 0, trust.Block))
	for i := range 150 {
		var edges []campaign.Edge
		for j := range 20 {
			edges = append(edges, edge("payload", fmt.Sprintf("program:%d:%d", i, j), "flood", i+1, trust.Block))
		}
		if err := s.KeepEdges(t.Context(), edges); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s, `publisher = 'docker.io/flood'`); n != edgesOfPublisher {
		t.Errorf("%d edges of the publisher, want %d", n, edgesOfPublisher)
	}
	for _, value := range []string{"4Old", "4First", "docker.io/flood", "program:149:0"} {
		if count(t, s, `value = '`+value+`'`) != 1 {
			t.Errorf("%s was pushed out", value)
		}
	}
}

// TestEdges_floodOfMany: many publishers with many edges each lose theirs first; those that have few keep them, and of each
// publisher the most important stay.
func TestEdges_floodOfMany(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	for p := range 10 {
		keepAll(t, s, edge("wallet", fmt.Sprint("4Old", p), fmt.Sprint("few", p), 0, trust.Block), edge("pool", "own.example", fmt.Sprint("few", p), 0, trust.Block))
	}
	for p := range 40 {
		for i := range 25 {
			e := edge("pool", fmt.Sprintf("p%d-%d.example", p, i), fmt.Sprint("many", p), 100+i, trust.Block)
			if i == 3 {
				e.Kind = "wallet"
			}
			keepAll(t, s, e)
		}
	}
	tx, err := s.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := boundAll(t.Context(), tx, 300, 400); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if all, few, wallets := count(t, s, `TRUE`), count(t, s, `publisher LIKE 'docker.io/few%'`), count(t, s, `publisher LIKE 'docker.io/many%' AND kind = 'wallet'`); all != 300 || few != 20 || wallets != 40 {
		t.Errorf("%d edges, %d of those that have few, %d wallets of the others; want 300, 20, 40", all, few, wallets)
	}
}

// TestEdges_ofOneValue: thousands of blocked images with a file that everybody has do not hide that somebody known has it, nor
// what else an image shares.
func TestEdges_ofOneValue(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	known := edge("payload", "sha256:popular", "library", 0, trust.Allow)
	known.Vouched = true
	keepAll(t, s, known, edge("wallet", "4Old", "azurenql", 0, trust.Block))
	for i := range 300 {
		keepAll(t, s, edge("payload", "sha256:popular", fmt.Sprint("flood", i), i+1, trust.Block), edge("payload", "sha256:popular", fmt.Sprint("stranger", i), i+1, trust.Warn))
	}
	got, err := s.Shared(t.Context(), []campaign.Edge{{Kind: "payload", Value: "sha256:popular"}, {Kind: "wallet", Value: "4Old"}})
	if err != nil || len(got) != 2*edgesOfValue+1 {
		t.Errorf("%d edges, %v", len(got), err)
	}
	for _, wanted := range []string{known.Name, "docker.io/azurenql/app0", "docker.io/flood299/app300"} {
		if !slices.ContainsFunc(got, func(e campaign.Edge) bool { return e.Name == wanted }) {
			t.Errorf("%s is not found", wanted)
		}
	}
}

// TestEdges_age: what blocked images have is remembered for two years after it last mattered; the rest goes with what is not
// used.
func TestEdges_age(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	keepAll(t, s, edge("wallet", "4Old", "evil", 0, trust.Block), edge("wallet", "4Met", "evil", 1, trust.Block), edge("payload", "sha256:aa", "acme", 0, trust.Allow))
	for _, tt := range []struct {
		days int
		want []string
	}{
		{100, []string{"4Met", "4Old"}}, {600, []string{"4Met", "4Old"}}, {731, []string{"4Met"}}, {1400, nil},
	} {
		now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, tt.days)
		if _, err := s.Prune(t.Context(), 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		edges, err := s.Campaigns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var values []string
		for _, e := range edges {
			values = append(values, e.Value)
		}
		slices.Sort(values)
		if !slices.Equal(values, tt.want) || tt.days == 100 && count(t, s, `action = 'allow'`) > 0 {
			t.Errorf("after %d days: %q, want %q", tt.days, values, tt.want)
		}
		if tt.days == 600 { // a new image is held by it
			keepAll(t, s, edge("wallet", "4Met", "new", 9, trust.Quarantine))
		}
	}
}

// TestOpenReadOnly: a memory is read beside its owner, or without one, and nothing is written.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "memory.db")
	owner, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	keepAll(t, owner, edge("wallet", "4A", "evil", 0, trust.Block))
	read := func() int {
		s, err := OpenReadOnly(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.KeepEdges(t.Context(), []campaign.Edge{edge("wallet", "4B", "evil", 1, trust.Block)}); err == nil {
			t.Error("it was written to")
		}
		edges, err := s.Campaigns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(edges)
	}
	if n := read(); n != 1 {
		t.Errorf("beside its owner: %d", n)
	}
	keepAll(t, owner, edge("wallet", "4C", "evil", 2, trust.Block))
	if n := read(); n != 2 {
		t.Errorf("after another edge: %d", n)
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob(path + "*")
	if n := read(); n != 2 {
		t.Errorf("without its owner: %d", n)
	}
	if after, _ := filepath.Glob(path + "*"); !slices.Equal(before, after) {
		t.Errorf("%q became %q", before, after)
	}
	for name, spoil := range map[string]string{
		"older": `DELETE FROM goose_db_version WHERE version_id = 4`,
		"newer": `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, TRUE)`,
	} {
		other := filepath.Join(t.TempDir(), "memory.db")
		s, err := Open(other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.ExecContext(context.Background(), spoil); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err := OpenReadOnly(other); err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := OpenReadOnly(filepath.Join(t.TempDir(), "none.db")); err == nil {
		t.Error("a file that does not exist was opened")
	}
	if _, err := OpenReadOnly(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
}

// TestEdges_ofAnOlderStore: what was remembered before edges had a publisher and an age is kept, with both.
func TestEdges_ofAnOlderStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "memory.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`DROP INDEX edges_touched`, `DROP INDEX edges_publisher`, `ALTER TABLE edges DROP COLUMN touched`, `ALTER TABLE edges DROP COLUMN publisher`,
		`DELETE FROM goose_db_version WHERE version_id = 4`,
		`INSERT INTO edges (kind, value, name, manifest, verdict, action, vouched, judged) VALUES
			('wallet', '4A', 'docker.io/evil/app', 'sha256:aa', 'SP-0', 'block', 0, 1700000000000000), ('wallet', '4A', 'file.tar', 'sha256:bb', 'SP-1', 'block', 0, 1700000000000000)`,
	} {
		if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	edges, err := s.Campaigns(t.Context())
	if err != nil || len(edges) != 2 || edges[0].Publisher != "docker.io/evil" {
		t.Errorf("%+v, %v", edges, err)
	}
	if n := count(t, s, `touched = judged`); n != 2 {
		t.Errorf("%d have an age", n)
	}
	keepAll(t, s, edge("wallet", "4A", "evil", 1, trust.Block))
}
