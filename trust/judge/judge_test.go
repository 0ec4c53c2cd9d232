package judge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a registry in memory. Blobs in broken fail with that error after half of their bytes.
type source struct {
	mu      sync.Mutex
	blobs   map[digest.Digest][]byte
	types   map[digest.Digest]string
	broken  map[digest.Digest]error
	fetched map[digest.Digest]int
	gate    chan struct{} // when set, layer reads wait for it
}

func newSource() *source {
	return &source{blobs: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, broken: map[digest.Digest]error{}, fetched: map[digest.Digest]int{}}
}

func (s *source) put(mediaType string, body []byte) ocispec.Descriptor {
	d := digest.FromBytes(body)
	s.blobs[d], s.types[d] = body, mediaType
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

func (s *source) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	body, ok := s.blobs[ref.Digest]
	if !ok {
		return ocispec.Descriptor{}, trust.ErrNotFound
	}
	return ocispec.Descriptor{MediaType: s.types[ref.Digest], Digest: ref.Digest, Size: int64(len(body))}, nil
}

func (s *source) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	s.fetched[desc.Digest]++
	body, ok := s.blobs[desc.Digest]
	err := s.broken[desc.Digest]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, trust.ErrNotFound)
	}
	r := io.Reader(bytes.NewReader(body))
	if desc.Size != int64(len(body)) {
		err = fmt.Errorf("%d bytes, not %d: %w", len(body), desc.Size, trust.ErrIntegrity)
	}
	if err != nil {
		r = io.MultiReader(bytes.NewReader(body[:len(body)/2]), failing{err})
	}
	if s.gate != nil && strings.Contains(desc.MediaType, "layer") {
		r = waiting{ctx, s.gate, r}
	}
	return io.NopCloser(r), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type waiting struct {
	ctx  context.Context
	gate chan struct{}
	r    io.Reader
}

func (w waiting) Read(p []byte) (int, error) {
	select {
	case <-w.gate:
		return w.r.Read(p)
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}

// scanner finds the word MINER (proof), HINT (strong) and the errors that content asks for.
type scanner struct {
	key   string
	scans atomic.Int64
}

func (s *scanner) Key() digest.Digest { return digest.FromString("scanner " + s.key) }

func (s *scanner) Layer(_ context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	s.scans.Add(1)
	body, err := io.ReadAll(r)
	if err != nil {
		return trust.Inspection{}, err
	}
	found := trust.Inspection{Findings: s.text(desc.Digest, "opt/file", trust.KindText, body), DiffID: diffID(body), Files: 1, Bytes: int64(len(body))}
	switch {
	case bytes.Contains(body, []byte("PANIC")):
		panic("a bug")
	case bytes.Contains(body, []byte("BOMB")):
		return found, fmt.Errorf("too large: %w", trust.ErrLimit)
	case bytes.Contains(body, []byte("GARBAGE")):
		return found, fmt.Errorf("trailing bytes: %w", trust.ErrMalformed)
	}
	return found, nil
}

func (s *scanner) Data(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	return s.Layer(ctx, r, desc)
}

func (s *scanner) Snippet(blob digest.Digest, path string, kind trust.Kind, body []byte) ([]trust.Finding, error) {
	found := s.text(blob, path, kind, body)
	if bytes.Contains(body, []byte("UNREADABLE")) {
		return found, fmt.Errorf("an indicator failed: %w", trust.ErrUnsupported)
	}
	return found, nil
}

func (s *scanner) text(blob digest.Digest, path string, kind trust.Kind, body []byte) []trust.Finding {
	var found []trust.Finding
	for word, f := range map[string]trust.Finding{
		"MINER": {Check: "miner@1", Strength: trust.Proof, Why: "a miner"},
		"HINT":  {Check: "hint@1", Strength: trust.Strong, Why: "a hint"},
		"NAMED": {Check: "named@1", Strength: trust.Weak, IfRun: trust.Proof, Why: "a text that would mine if run"},
	} {
		if i := bytes.Index(body, []byte(word)); i >= 0 {
			f.Layer, f.Path, f.Kind, f.Offset = blob, path, kind, int64(i)
			found = append(found, f)
		}
	}
	return found
}

func diffID(body []byte) digest.Digest { return digest.FromBytes(append([]byte("diff "), body...)) }

type lists struct {
	standing func(trust.Reference) trust.Standing
	version  string
}

func (l lists) Match(ref trust.Reference, _ time.Time) trust.Standing {
	if l.standing == nil {
		return trust.Standing{}
	}
	return l.standing(ref)
}

func (l lists) Digest() digest.Digest { return digest.FromString("lists " + l.version) }

// memory is a store that can fail.
type memory struct {
	mu          sync.Mutex
	inspections map[string]trust.Inspection
	verdicts    map[digest.Digest]trust.Verdict
	byID        map[string]trust.Verdict
	fail        error
}

func newMemory() *memory {
	return &memory{inspections: map[string]trust.Inspection{}, verdicts: map[digest.Digest]trust.Verdict{}, byID: map[string]trust.Verdict{}}
}

func (m *memory) Inspection(_ context.Context, blob, key digest.Digest) (trust.Inspection, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.inspections[blob.String()+key.String()]
	return found, ok, m.fail
}

func (m *memory) KeepInspection(_ context.Context, blob, key digest.Digest, found trust.Inspection) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inspections[blob.String()+key.String()] = found
	return m.fail
}

func (m *memory) Verdict(_ context.Context, key digest.Digest) (trust.Verdict, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.verdicts[key]
	return v, ok, m.fail
}

func (m *memory) KeepVerdict(_ context.Context, key digest.Digest, v trust.Verdict) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[v.ID] = v
	if key != "" {
		m.verdicts[key] = v
	}
	return m.fail
}

// image puts an image of these layers into the source and returns its reference.
func (s *source) image(t testing.TB, change func(*ocispec.Manifest, map[string]any), layers ...string) trust.Reference {
	t.Helper()
	var diffIDs []digest.Digest
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		m.Layers = append(m.Layers, s.put(ocispec.MediaTypeImageLayerGzip, []byte(l)))
		diffIDs = append(diffIDs, diffID([]byte(l)))
	}
	config := map[string]any{
		"os": "linux", "architecture": "amd64",
		"config": map[string]any{"Entrypoint": []string{"/bin/sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	}
	if change != nil {
		change(&m, config)
	}
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.Digest == "" {
		m.Config = s.put(ocispec.MediaTypeImageConfig, body)
	}
	if body, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1", Digest: s.put(m.MediaType, body).Digest}
}

func newJudge(t *testing.T, change func(*judge.Options)) (*judge.Judge, *scanner, *memory) {
	t.Helper()
	p, err := policy.Load("default", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	// These tests are about content; TestJudge_unknownName is about names that nobody knows.
	if p, err = p.Override("content", strings.NewReader("version: 1\nunknownName: allow\n")); err != nil {
		t.Fatal(err)
	}
	s, m := &scanner{}, newMemory()
	o := judge.Options{Scanner: s, Policy: p, Lists: lists{}, Memory: m}
	if change != nil {
		change(&o)
	}
	j, err := judge.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return j, s, m
}

func TestJudge_actions(t *testing.T) {
	t.Parallel()
	entrypoint := func(argv ...string) func(*ocispec.Manifest, map[string]any) {
		return func(_ *ocispec.Manifest, c map[string]any) { c["config"] = map[string]any{"Entrypoint": argv} }
	}
	layerType := func(mediaType string) func(*ocispec.Manifest, map[string]any) {
		return func(m *ocispec.Manifest, _ map[string]any) { m.Layers[0].MediaType = mediaType }
	}
	tests := map[string]struct {
		change     func(*ocispec.Manifest, map[string]any)
		layers     []string
		want       trust.Action
		unanswered bool
		reason     string
	}{
		"clean":                       {layers: []string{"one", "two"}, want: trust.Allow},
		"no-layers":                   {want: trust.Allow},
		"miner-in-a-layer":            {layers: []string{"one", "a MINER here"}, want: trust.Quarantine, reason: "a miner (opt/file in layer 2 sha256:"},
		"one-strong-sign-warns":       {layers: []string{"a HINT"}, want: trust.Warn},
		"miner-in-the-command":        {change: entrypoint("/bin/sh", "-c", "MINER"), want: trust.Block, reason: "config:command"},
		"miner-that-the-command-runs": {change: entrypoint("/opt/file"), layers: []string{"one", "a MINER here"}, want: trust.Block, reason: "a miner (opt/file in layer 2 sha256:"},
		"text-that-nobody-runs":       {layers: []string{"NAMED"}, want: trust.Allow},
		"text-that-the-command-runs":  {change: entrypoint("python3", "/opt/file"), layers: []string{"NAMED"}, want: trust.Block},
		"limit-met":                   {layers: []string{"BOMB"}, want: trust.Quarantine, unanswered: true, reason: "too large"},
		"limit-met-and-miner":         {layers: []string{"BOMB MINER"}, want: trust.Quarantine, unanswered: true},
		"malformed":                   {layers: []string{"GARBAGE"}, want: trust.Quarantine, unanswered: true},
		"unknown-layer-type":          {change: layerType("application/x-unheard-of"), layers: []string{"one"}, want: trust.Quarantine, unanswered: true},
		"encrypted":                   {change: layerType("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), layers: []string{"one"}, want: trust.Quarantine, unanswered: true},
		"attestation-beside-no-layer": {change: layerType("application/vnd.in-toto+json"), layers: []string{"{}"}, want: trust.Allow},
		"miner-in-an-attestation":     {change: layerType("application/vnd.in-toto+json"), layers: []string{"MINER"}, want: trust.Quarantine},
		"unknown-artifact": {change: func(m *ocispec.Manifest, _ map[string]any) {
			m.Config = ocispec.DescriptorEmptyJSON
			m.Config.MediaType = "application/x-what"
		}, want: trust.Allow},
		"urls":             {change: func(m *ocispec.Manifest, _ map[string]any) { m.Layers[0].URLs = []string{"https://evil.example/l"} }, layers: []string{"one"}, want: trust.Block, reason: "URLs"},
		"inline-data-lies": {change: func(m *ocispec.Manifest, _ map[string]any) { m.Layers[0].Data = []byte("two") }, layers: []string{"one"}, want: trust.Block, reason: "inline data"},
		"no-such-table": {change: func(m *ocispec.Manifest, _ map[string]any) {
			m.Layers[0].Annotations = map[string]string{"containerd.io/snapshot/stargz/toc.digest": digest.FromString("x").String()}
		}, layers: []string{"one"}, want: trust.Block, reason: "table of contents"},
		"too-few-diff-ids": {change: func(_ *ocispec.Manifest, c map[string]any) { c["rootfs"] = map[string]any{"type": "layers"} }, layers: []string{"one"}, want: trust.Block, reason: "lists 0"},
		"wrong-diff-id": {change: func(_ *ocispec.Manifest, c map[string]any) {
			c["rootfs"] = map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromString("x")}}
		}, layers: []string{"one"}, want: trust.Block, reason: "unpacks to"},
		"config-text-fails": {change: entrypoint("UNREADABLE"), layers: []string{"one"}, want: trust.Quarantine, unanswered: true, reason: "an indicator failed"},
		"scanner-panics":    {layers: []string{"PANIC"}, want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, m := newJudge(t, nil)
			s := newSource()
			s.put(ocispec.MediaTypeEmptyJSON, []byte("{}"))
			ref := s.image(t, tt.change, tt.layers...)
			v, err := j.Judge(t.Context(), ref, s)
			if (err != nil) != (tt.want == "") {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if v.Action != tt.want || (len(v.Evidence.Unanswered) > 0) != tt.unanswered {
				t.Errorf("got %s with unanswered %v, want %s with unanswered %v\nreasons: %q", v.Action, v.Evidence.Unanswered, tt.want, tt.unanswered, v.Reasons)
			}
			if all := strings.Join(v.Reasons, "\n"); !strings.Contains(all, tt.reason) {
				t.Errorf("reasons %q do not say %q", all, tt.reason)
			}
			if kept, ok := m.byID[v.ID]; !ok || kept.Action != v.Action {
				t.Errorf("verdict %s was not kept", v.ID)
			}
		})
	}
}

func TestJudge_noVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(*source, *memory, *trust.Reference)
		want  error
	}{
		"layer-breaks-off":   {func(s *source, _ *memory, _ *trust.Reference) { s.breakLayers(trust.ErrUnavailable) }, trust.ErrUnavailable},
		"layer-is-missing":   {func(s *source, _ *memory, _ *trust.Reference) { delete(s.blobs, digest.FromString("one")) }, trust.ErrNotFound},
		"manifest-missing":   {func(_ *source, _ *memory, r *trust.Reference) { r.Digest = digest.FromString("other") }, trust.ErrNotFound},
		"memory-fails":       {func(_ *source, m *memory, _ *trust.Reference) { m.fail = errBroken }, errBroken},
		"unknown-error-kind": {func(s *source, _ *memory, _ *trust.Reference) { s.breakLayers(errBroken) }, errBroken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, m := newJudge(t, nil)
			s := newSource()
			ref := s.image(t, nil, "one")
			tt.spoil(s, m, &ref)
			v, err := j.Judge(t.Context(), ref, s)
			if !errors.Is(err, tt.want) || v.Action.Serves() {
				t.Errorf("got %q, %v; want %v and nothing that serves", v.Action, err, tt.want)
			}
			m.fail = nil
			if _, ok, err := j.Remembered(t.Context(), ref); ok || err != nil {
				t.Errorf("remembered %v, %v: a judgement without a verdict must leave nothing", ok, err)
			}
		})
	}
}

var errBroken = errors.New("broken")

func (s *source) breakLayers(err error) {
	for d, body := range s.blobs {
		if string(body) == "one" {
			s.broken[d] = err
		}
	}
}

func TestJudge_lyingSourceBlocksAndIsForgotten(t *testing.T) {
	t.Parallel()
	j, _, m := newJudge(t, nil)
	s := newSource()
	ref := s.image(t, nil, "one")
	s.breakLayers(fmt.Errorf("digest differs: %w", trust.ErrIntegrity))
	v, err := j.Judge(t.Context(), ref, s)
	if err != nil || v.Action != trust.Block || !v.Passing {
		t.Fatalf("got %s, passing %v, %v; want a passing block", v.Action, v.Passing, err)
	}
	if m.byID[v.ID].ID != v.ID {
		t.Error("the verdict cannot be explained")
	}
	clear(s.broken)
	if v, err = j.Judge(t.Context(), ref, s); err != nil || v.Action != trust.Allow {
		t.Errorf("got %s, %v after the source mended, want allow", v.Action, err)
	}
}

func TestJudge_remembers(t *testing.T) {
	t.Parallel()
	s, m := newSource(), newMemory()
	ref := s.image(t, nil, "base", "own MINER")
	other := ref
	other.Repository = "evil/app"
	for i, step := range []struct {
		ref   trust.Reference
		lists string
		scan  string
		scans int64 // of the judge of this step
	}{
		{ref: ref, scans: 2},
		{ref: ref, scans: 0},                      // a new process, same memory
		{ref: other, scans: 0},                    // another name: another verdict from the same inspections
		{ref: ref, lists: "2", scans: 0},          // new lists decide again without reading a layer
		{ref: ref, scan: "new ruleset", scans: 2}, // new rules read the layers again
	} {
		j, sc, _ := newJudge(t, func(o *judge.Options) {
			o.Memory, o.Lists = m, lists{version: step.lists}
			o.Scanner.(*scanner).key = step.scan
		})
		before := len(m.byID)
		v, err := j.Judge(t.Context(), step.ref, s)
		if err != nil || v.Action != trust.Quarantine || v.Reference != step.ref {
			t.Fatalf("step %d: got %s for %s, %v", i, v.Action, v.Reference, err)
		}
		if got := sc.scans.Load(); got != step.scans {
			t.Errorf("step %d: scanned %d layers, want %d", i, got, step.scans)
		}
		if kept := len(m.byID) - before; (i == 1) == (kept > 0) {
			t.Errorf("step %d: %d new verdicts", i, kept)
		}
	}
}

func TestJudge_sizeThatLiesIsNotRemembered(t *testing.T) {
	t.Parallel()
	j, _, _ := newJudge(t, nil)
	s := newSource()
	if _, err := j.Judge(t.Context(), s.image(t, nil, "base"), s); err != nil {
		t.Fatal(err)
	}
	lying := s.image(t, func(m *ocispec.Manifest, _ map[string]any) { m.Layers[0].Size++ }, "base")
	v, err := j.Judge(t.Context(), lying, s)
	if err != nil || v.Action != trust.Block {
		t.Errorf("got %s, %v for a layer that is known, with another size; want a block", v.Action, err)
	}
}

func TestJudge_expires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	until := now.Add(time.Hour)
	j, _, m := newJudge(t, func(o *judge.Options) {
		o.Now = func() time.Time { return now }
		o.Lists = lists{standing: func(trust.Reference) trust.Standing { return trust.Standing{Until: until} }}
	})
	s := newSource()
	ref := s.image(t, nil, "one")
	for i, step := range []struct {
		after time.Duration
		kept  int
	}{{0, 1}, {time.Hour - 1, 1}, {1, 2}} {
		now = now.Add(step.after)
		if _, err := j.Judge(t.Context(), ref, s); err != nil {
			t.Fatal(err)
		}
		if len(m.byID) != step.kept {
			t.Errorf("step %d: %d verdicts, want %d", i, len(m.byID), step.kept)
		}
	}
}

func TestJudge_tagMatters(t *testing.T) {
	t.Parallel()
	deny := func(ref trust.Reference) trust.Standing {
		st := trust.Standing{TagMatters: true}
		if ref.Tag == "bad" {
			st.Decided = &trust.Entry{Pattern: "docker.io/acme/app:bad", Action: "deny", Reason: "known"}
		}
		return st
	}
	j, _, _ := newJudge(t, func(o *judge.Options) { o.Lists = lists{standing: deny} })
	s := newSource()
	ref := s.image(t, nil, "one")
	for _, step := range []struct {
		tag  string
		want trust.Action
	}{{"good", trust.Allow}, {"bad", trust.Block}, {"good", trust.Allow}} {
		ref.Tag = step.tag
		v, err := j.Judge(t.Context(), ref, s)
		if err != nil || v.Action != step.want {
			t.Errorf("tag %s: got %s, %v, want %s", step.tag, v.Action, err, step.want)
		}
		if step.want == trust.Block && (len(v.Evidence.NotAsked) == 0 || len(v.Blobs) > 0) {
			t.Errorf("a denied image must not be asked about: %+v", v.Evidence)
		}
	}
}

func TestJudge_waiver(t *testing.T) {
	t.Parallel()
	s := newSource()
	ref := s.image(t, nil, "own MINER")
	pattern := trust.Entry{Pattern: "docker.io/acme/**", Action: "allow", SkipInspection: true}
	exact := trust.Entry{Pattern: "docker.io/acme/app@" + ref.Digest.String(), Action: "allow", SkipInspection: true}
	tests := map[string]struct {
		entry trust.Entry
		known bool
		want  trust.Action
	}{
		"pattern-of-unknown":   {pattern, false, trust.Allow},
		"pattern-of-known-bad": {pattern, true, trust.Quarantine},
		"digest-of-known-bad":  {exact, true, trust.Allow},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			if tt.known {
				j, _, _ := newJudge(t, func(o *judge.Options) { o.Memory = m })
				if _, err := j.Judge(t.Context(), ref, s); err != nil {
					t.Fatal(err)
				}
			}
			j, sc, _ := newJudge(t, func(o *judge.Options) {
				o.Memory = m
				o.Lists = lists{version: "2", standing: func(trust.Reference) trust.Standing { return trust.Standing{Decided: &tt.entry} }}
			})
			v, err := j.Judge(t.Context(), ref, s)
			if err != nil || v.Action != tt.want || sc.scans.Load() != 0 || len(v.Evidence.NotAsked) != 1 {
				t.Errorf("got %s, %v after %d scans, not asked %v; want %s", v.Action, err, sc.scans.Load(), v.Evidence.NotAsked, tt.want)
			}
		})
	}
}

// TestJudge_waiverThenKnownBad: what was allowed unseen is allowed no more when somebody sees it.
func TestJudge_waiverThenKnownBad(t *testing.T) {
	t.Parallel()
	s := newSource()
	ref := s.image(t, nil, "own MINER")
	entry := trust.Entry{Pattern: "docker.io/acme/**", Action: "allow", SkipInspection: true}
	m := newMemory()
	waiving := func() *judge.Judge {
		j, _, _ := newJudge(t, func(o *judge.Options) {
			o.Memory = m
			o.Lists = lists{version: "2", standing: func(trust.Reference) trust.Standing { return trust.Standing{Decided: &entry} }}
		})
		return j
	}
	long := waiving()
	for _, again := range []bool{false, true} {
		if v, err := long.Judge(t.Context(), ref, s); err != nil || v.Action != trust.Allow {
			t.Fatalf("again %v: %s, %v", again, v.Action, err)
		}
	}
	if _, ok, err := long.Remembered(t.Context(), ref); err != nil || !ok {
		t.Fatal("it is not remembered", err)
	}
	inspecting, _, _ := newJudge(t, func(o *judge.Options) { o.Memory = m })
	if v, err := inspecting.Judge(t.Context(), ref, s); err != nil || v.Action != trust.Quarantine {
		t.Fatalf("%s, %v", v.Action, err)
	}
	for name, j := range map[string]*judge.Judge{"another": waiving(), "the-same": long} {
		if v, ok, err := j.Remembered(t.Context(), ref); err != nil || ok {
			t.Errorf("%s: the old verdict counts: %s, %v", name, v.Action, err)
		}
		for range 2 {
			if v, err := j.Judge(t.Context(), ref, s); err != nil || v.Action != trust.Quarantine {
				t.Errorf("%s: %s, %v", name, v.Action, err)
			}
		}
		if _, ok, err := j.Remembered(t.Context(), ref); err != nil || !ok {
			t.Errorf("%s: the new verdict is not remembered, %v", name, err)
		}
	}
}

func TestJudge_sameWhateverTheParallelism(t *testing.T) {
	t.Parallel()
	layers := []string{strings.Repeat("c", 300), "HINT" + strings.Repeat("a", 100), "MINER" + strings.Repeat("b", 200), strings.Repeat("d", 400), strings.Repeat("e", 500)}
	var first trust.Evidence
	for n := 1; n <= 6; n++ {
		s := newSource()
		ref := s.image(t, nil, layers...)
		j, _, _ := newJudge(t, func(o *judge.Options) { o.LayersInWork = n })
		v, err := j.Judge(t.Context(), ref, s)
		if err != nil || v.Action != trust.Block || len(v.Evidence.NotAsked) != 3 {
			t.Fatalf("got %s, %v, not asked %v; want a block after two layers", v.Action, err, v.Evidence.NotAsked)
		}
		if n == 1 {
			first = v.Evidence
		} else if diff := cmp.Diff(first, v.Evidence); diff != "" {
			t.Errorf("evidence differs with %d layers in work:\n%s", n, diff)
		}
	}
}

func TestJudge_concurrentPullsShareOneInspection(t *testing.T) {
	t.Parallel()
	j, sc, _ := newJudge(t, nil)
	s := newSource()
	s.gate = make(chan struct{})
	ref := s.image(t, nil, "shared", "also shared")
	cancelled, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx, r := t.Context(), ref
			r.Repository = fmt.Sprintf("acme/app%d", i)
			if i == 0 {
				ctx = cancelled
			}
			v, err := j.Judge(ctx, r, s)
			switch {
			case i == 0 && !errors.Is(err, context.Canceled):
				t.Errorf("cancelled caller got %s, %v", v.Action, err)
			case i != 0 && (err != nil || v.Action != trust.Allow):
				t.Errorf("caller %d got %s, %v", i, v.Action, err)
			}
		}()
	}
	time.Sleep(20 * time.Millisecond) // lets callers meet; the test holds whether or not they do
	cancel()
	time.Sleep(20 * time.Millisecond)
	close(s.gate)
	wg.Wait()
	if got := sc.scans.Load(); got < 2 || got > 4 {
		t.Errorf("two layers were scanned %d times, want once each (twice where the first caller was cancelled)", got)
	}
}

func TestJudge_refusesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	j, _, _ := newJudge(t, nil)
	s := newSource()
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{}})
	if err != nil {
		t.Fatal(err)
	}
	ref := s.image(t, nil)
	for name, d := range map[string]digest.Digest{"no-digest": "", "index": s.put(ocispec.MediaTypeImageIndex, index).Digest} {
		ref.Digest = d
		if v, err := j.Judge(t.Context(), ref, s); err == nil {
			t.Errorf("%s: got %s, want an error", name, v.Action)
		}
	}
	if _, err := judge.New(judge.Options{}); err == nil {
		t.Error("a judge without a policy was made")
	}
}
