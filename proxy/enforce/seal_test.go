package enforce_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// reserve and floor are what the issue of sealed delivery promises.
const (
	reserve = 64 << 10
	floor   = 32 << 10
)

var sealedTerms = enforce.Terms{Sealed: true}

// sealedWorld is a source with one image, and a judge who waits to be told.
type sealedWorld struct {
	src     *fakeSource
	judge   *fakeJudge
	records *lockedRecords
	layer   []byte
	config  []byte
	image   digest.Digest
	verdict chan trust.Action // "" is an error
}

// lockedRecords are written by judgements while requests read them.
type lockedRecords struct {
	mu sync.Mutex
	of fakeRecords
}

func (r *lockedRecords) add(body []byte, manifests ...digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[digest.FromBytes(body)] = manifests
}

func (r *lockedRecords) Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Manifests(ctx, name, blob)
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// newSealedWorld has a layer of the size; change may spoil the manifest.
func newSealedWorld(size int, change func(map[string]any)) *sealedWorld {
	w := &sealedWorld{src: newSource(), records: &lockedRecords{of: fakeRecords{}}, layer: random(size, 7), config: random(1000, 8), verdict: make(chan trust.Action, 1)}
	w.src.add("", "", w.layer)
	w.src.add("", "", w.config)
	m := map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": descriptor(ocispec.MediaTypeImageConfig, w.config),
		"layers": []any{descriptor(ocispec.MediaTypeImageLayer, w.layer)},
	}
	if change != nil {
		change(m)
	}
	w.image = w.src.add("1", ocispec.MediaTypeImageManifest, mustJSON(m))
	w.judge = says(trust.Allow)
	w.judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		select {
		case action := <-w.verdict:
			if action == "" {
				return trust.Verdict{}, errors.New("the judge broke")
			}
			w.records.add(w.layer, w.image)
			w.records.add(w.config, w.image)
			return trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: action, Blobs: []trust.Blob{
				{Digest: digest.FromBytes(w.layer), Size: int64(len(w.layer))}, {Digest: digest.FromBytes(w.config), Size: int64(len(w.config))},
			}}, nil
		case <-ctx.Done():
			return trust.Verdict{}, ctx.Err()
		}
	}
	return w
}

func (w *sealedWorld) gate(t *testing.T, o enforce.Options) *enforce.Gate {
	t.Helper()
	return newGate(t, w.judge, w.records, w.src, o)
}

// begin asks for the manifest, which must come without a verdict.
func begin(t *testing.T, g *enforce.Gate) {
	t.Helper()
	release, err := g.Manifest(t.Context(), tagged("1"), sealedTerms)
	if err != nil || release.Verdict != nil {
		t.Fatalf("manifest: %+v, %v", release, err)
	}
	release.Close()
}

func (w *sealedWorld) open(t *testing.T, g *enforce.Gate, body []byte) (io.ReadCloser, error) {
	t.Helper()
	b, err := g.Blob(t.Context(), app.WithDigest(digest.FromBytes(body)), sealedTerms)
	if err != nil {
		return nil, err
	}
	if b.Descriptor.Size != int64(len(body)) {
		t.Errorf("described with %d bytes", b.Descriptor.Size)
	}
	return b.Open(t.Context())
}

// taken are the bytes that one reader got so far.
type taken struct {
	mu    sync.Mutex
	start int64
	body  []byte
	err   error
	done  chan struct{}
}

func take(r io.ReadCloser, start int64) *taken {
	tk := &taken{start: start, done: make(chan struct{})}
	go func() {
		defer close(tk.done)
		defer r.Close()
		buf := make([]byte, 10_000)
		for {
			n, err := r.Read(buf)
			tk.mu.Lock()
			tk.body = append(tk.body, buf[:n]...)
			tk.err = err
			tk.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return tk
}

// upTo is the offset behind the last byte.
func (tk *taken) upTo() int64 {
	tk.mu.Lock()
	defer tk.mu.Unlock()
	return tk.start + int64(len(tk.body))
}

// TestSealedBytes: before the verdict no reader, wherever it begins, gets a byte of the floor; then all bytes are right,
// or none more comes.
func TestSealedBytes(t *testing.T) {
	t.Parallel()
	for _, action := range []trust.Action{trust.Allow, trust.Warn, trust.Quarantine, trust.Block, ""} {
		for _, cached := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				const size = 300_000
				w := newSealedWorld(size, nil)
				o := enforce.Options{}
				if cached {
					o.Cache = sealedCache{digest.FromBytes(w.layer): w.layer}
				}
				g := w.gate(t, o)
				begin(t, g)
				r := rand.New(rand.NewPCG(uint64(len(action)), 3))
				var all []*taken
				for i := range 40 {
					content, err := w.open(t, g, w.layer)
					if err != nil {
						t.Fatal(err)
					}
					start := int64(0)
					if i > 0 {
						start = r.Int64N(size)
						if i%3 == 0 {
							start = size - r.Int64N(reserve+10) // near the end
						}
					}
					if _, err := content.(io.Seeker).Seek(start, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					all = append(all, take(content, start))
				}
				synctest.Wait()
				for _, tk := range all {
					if end := tk.upTo(); end != max(tk.start, size-reserve) {
						t.Errorf("from %d: %d bytes at once", tk.start, end-tk.start)
					}
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				for _, tk := range all {
					end := tk.upTo()
					if end > max(tk.start, size-floor) {
						t.Errorf("from %d: byte %d of %d went out", tk.start, end, size)
					}
					if tk.start < size-floor-100 && end < max(tk.start, size-reserve)+10 {
						t.Errorf("from %d: no byte a minute: %d", tk.start, end)
					}
				}
				w.verdict <- action
				for _, tk := range all {
					<-tk.done
					if action.Serves() && action != "" {
						if tk.err != io.EOF || !bytes.Equal(tk.body, w.layer[tk.start:]) {
							t.Errorf("%s: from %d: %d bytes, %v", action, tk.start, len(tk.body), tk.err)
						}
						continue
					}
					if end := tk.upTo(); tk.err == nil || tk.err == io.EOF || end > max(tk.start, size-floor) {
						t.Errorf("%q: from %d: up to %d, %v", action, tk.start, end, tk.err)
					}
				}
			})
		}
	}
}

type sealedCache map[digest.Digest][]byte

func (c sealedCache) Open(_ context.Context, d digest.Digest) (io.ReadSeekCloser, int64, error) {
	body, ok := c[d]
	if !ok {
		return nil, 0, trust.ErrNotFound
	}
	return seekable{bytes.NewReader(body)}, int64(len(body)), nil
}

// TestSmallBlobsAreWithheldWhole: the configuration, without which no engine makes an image, is one of them.
func TestSmallBlobsAreWithheldWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(floor, nil)
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		var all []*taken
		for _, body := range [][]byte{w.config, w.layer} {
			content, err := w.open(t, g, body)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, take(content, 0))
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		for _, tk := range all {
			if tk.upTo() != 0 {
				t.Errorf("%d bytes went out", tk.upTo())
			}
		}
		w.verdict <- trust.Allow
		for _, tk := range all {
			if <-tk.done; tk.err != io.EOF {
				t.Error(tk.err)
			}
		}
	})
}

// TestRefusedSealStaysRefused: what was cut is refused when it is asked for again, as is the manifest.
func TestRefusedSealStaysRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		content, err := w.open(t, g, w.layer)
		if err != nil {
			t.Fatal(err)
		}
		tk := take(content, 0)
		w.verdict <- trust.Block
		<-tk.done
		var refusal *enforce.Refusal
		if !errors.As(tk.err, &refusal) {
			t.Errorf("cut with %v", tk.err)
		}
		for _, wait := range []time.Duration{0, time.Minute, time.Hour} {
			time.Sleep(wait)
			for _, body := range [][]byte{w.layer, w.config} {
				if _, err := w.open(t, g, body); !errors.As(err, &refusal) {
					t.Errorf("after %s: %v", wait, err)
				}
			}
			if _, err := g.Manifest(t.Context(), tagged("1"), sealedTerms); !errors.As(err, &refusal) {
				t.Errorf("manifest after %s: %v", wait, err)
			}
		}
	})
}

// TestSealedOnlyWhereItMay: who has another road, another repository, and a blob that nobody names get nothing.
func TestSealedOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		ref := app.WithDigest(digest.FromBytes(w.layer))
		other := ref
		other.Repository = "evil/app"
		var nobody *enforce.NotReferenced
		for name, c := range map[string]struct {
			ref   trust.Reference
			terms enforce.Terms
		}{
			"other-repository": {other, sealedTerms},
			"mirror":           {ref, mirror},
			"both":             {ref, enforce.Terms{Whole: true, Sealed: true}},
			"hold":             {ref, enforce.Terms{}},
			"unnamed-blob":     {app.WithDigest(digest.FromString("x")), sealedTerms},
		} {
			if b, err := g.Blob(t.Context(), c.ref, c.terms); !errors.As(err, &nobody) {
				t.Errorf("%s: %+v, %v", name, b, err)
			}
		}
		var pending *enforce.Pending
		for _, terms := range []enforce.Terms{mirror, {}, {Whole: true, Sealed: true}} {
			if _, err := g.Manifest(t.Context(), tagged("1"), terms); !errors.As(err, &pending) {
				t.Errorf("%+v: %v", terms, err)
			}
		}
		w.verdict <- trust.Allow
		synctest.Wait()
		if content, err := w.open(t, g, w.layer); err != nil {
			t.Errorf("allowed: %v", err)
		} else if body, err := io.ReadAll(content); err != nil || !bytes.Equal(body, w.layer) {
			t.Errorf("allowed: %d bytes, %v", len(body), err)
		}
	})
}

// TestWhatIsNotSealed waits for its verdict, since its blobs come with it or by another way.
func TestWhatIsNotSealed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"inline-config": func(m map[string]any) {
			d := descriptor(ocispec.MediaTypeImageConfig, config)
			d.Data = config
			m["config"] = d
		},
		"inline-layer": func(m map[string]any) {
			d := descriptor(ocispec.MediaTypeImageLayer, layer)
			d.Data = layer
			m["layers"] = []any{d}
		},
		"urls": func(m map[string]any) {
			d := descriptor(ocispec.MediaTypeImageLayer, layer)
			d.URLs = []string{"https://evil.example"}
			m["layers"] = []any{d}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newSealedWorld(100_000, change)
			g := w.gate(t, enforce.Options{})
			var pending *enforce.Pending
			if release, err := g.Manifest(t.Context(), tagged("1"), sealedTerms); !errors.As(err, &pending) {
				t.Errorf("%s: %+v, %v", name, release, err)
			}
			w.verdict <- trust.Allow
		})
	}
}

// TestQuickVerdictNeedsNoSeal: a refusal that comes at once is given with the manifest.
func TestQuickVerdictNeedsNoSeal(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(100_000, nil)
	w.verdict <- trust.Block
	var refusal *enforce.Refusal
	if _, err := w.gate(t, enforce.Options{SealAfter: time.Minute}).Manifest(t.Context(), tagged("1"), sealedTerms); !errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
}

// TestDeadlineCutsWhatIsSealed.
func TestDeadlineCutsWhatIsSealed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{Deadline: 5 * time.Minute})
		begin(t, g)
		content, err := w.open(t, g, w.layer)
		if err != nil {
			t.Fatal(err)
		}
		tk := take(content, 0)
		start := time.Now()
		<-tk.done
		var unjudged *enforce.Unjudged
		if !errors.As(tk.err, &unjudged) || tk.upTo() > 100_000-floor || time.Since(start) > 5*time.Minute {
			t.Errorf("after %s: up to %d, %v", time.Since(start), tk.upTo(), tk.err)
		}
		if _, err := w.open(t, g, w.layer); !errors.As(err, &unjudged) {
			t.Errorf("again: %v", err)
		}
	})
}

// TestCloseCutsWhatIsSealed: a gate that closes leaves no reader waiting.
func TestCloseCutsWhatIsSealed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		content, err := w.open(t, g, w.layer)
		if err != nil {
			t.Fatal(err)
		}
		tk := take(content, 0)
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if <-tk.done; tk.err == nil || tk.err == io.EOF {
			t.Errorf("%d bytes, %v", len(tk.body), tk.err)
		}
	})
}

// TestShortBlobIsNotGivenAway: a manifest that overstates the size of a blob does not move its end out of the reserve.
func TestShortBlobIsNotGivenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 100_000
		w := newSealedWorld(size, func(m map[string]any) {
			d := m["layers"].([]any)[0].(ocispec.Descriptor)
			d.Size = 1 << 30
			m["layers"] = []any{d}
		})
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		b, err := g.Blob(t.Context(), app.WithDigest(digest.FromBytes(w.layer)), sealedTerms)
		if err != nil {
			t.Fatal(err)
		}
		content, err := b.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tk := take(content, 0)
		<-tk.done
		if !errors.Is(tk.err, trust.ErrIntegrity) || tk.upTo() > size-floor {
			t.Errorf("up to %d of %d, %v", tk.upTo(), size, tk.err)
		}
		w.verdict <- trust.Block
	})
}

// TestSlowSourceDoesNotHoldTheAnswer: the answer begins before there is content, and a refusal ends it.
func TestSlowSourceDoesNotHoldTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		slow := waiting{w.src}
		g := newGate(t, w.judge, w.records, slow, enforce.Options{})
		begin(t, g)
		start := time.Now()
		content, err := w.open(t, g, w.layer)
		if err != nil || time.Since(start) > 10*time.Second {
			t.Fatalf("after %s: %v", time.Since(start), err)
		}
		tk := take(content, 0)
		time.Sleep(time.Minute)
		w.verdict <- trust.Block
		<-tk.done
		var refusal *enforce.Refusal
		if !errors.As(tk.err, &refusal) {
			t.Errorf("ended with %v", tk.err)
		}
	})
}

// TestSealedBlobThatCannotBeOpened: why it cannot be opened is the upstream's reason, or the refusal that came meanwhile.
func TestSealedBlobThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(100_000, nil)
	g := w.gate(t, enforce.Options{})
	begin(t, g)
	w.src.fetchErr = trust.ErrUnavailable
	if content, err := w.open(t, g, w.layer); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("%v, %v", content, err)
	}
	w.verdict <- trust.Block
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := newGate(t, w.judge, w.records, waiting{w.src}, enforce.Options{})
		begin(t, g)
		content, err := w.open(t, g, w.layer)
		if err != nil {
			t.Fatal(err)
		}
		w.verdict <- trust.Block
		synctest.Wait()
		var refusal *enforce.Refusal
		if _, err := content.(io.Seeker).Seek(1, io.SeekStart); !errors.As(err, &refusal) {
			t.Errorf("refused while it was slow to open: %v", err)
		}
		_ = content.Close()
	})
}

// waiting gives manifests, and blobs never.
type waiting struct{ *fakeSource }

func (w waiting) Fetch(ctx context.Context, ref trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.MediaType == ocispec.MediaTypeImageManifest {
		return w.fakeSource.Fetch(ctx, ref, d)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestTwoImagesShareABlob: it is delivered for the one while the other is refused, whichever came first, also to who asks
// after the refusal.
func TestTwoImagesShareABlob(t *testing.T) {
	t.Parallel()
	for name, firstIsRefused := range map[string]bool{"the first is refused": true, "the second is refused": false} {
		synctest.Test(t, func(t *testing.T) {
			w := newSealedWorld(100_000, nil)
			other := w.src.add("2", ocispec.MediaTypeImageManifest, append(bytes.Clone(w.src.content[w.image]), ' '))
			verdicts := map[digest.Digest]chan trust.Action{w.image: make(chan trust.Action, 1), other: make(chan trust.Action, 1)}
			w.judge.verdict = func(_ context.Context, ref trust.Reference) (trust.Verdict, error) {
				action := <-verdicts[ref.Digest]
				return trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: action, Blobs: []trust.Blob{
					{Digest: digest.FromBytes(w.layer), Size: int64(len(w.layer))},
				}}, nil
			}
			w.records.add(w.layer, w.image, other)
			g := w.gate(t, enforce.Options{})
			begin(t, g)
			if _, err := g.Manifest(t.Context(), tagged("2"), sealedTerms); err != nil {
				t.Fatal(err)
			}
			refused, allowed := w.image, other
			if !firstIsRefused {
				refused, allowed = other, w.image
			}
			var all []*taken
			ask := func() {
				content, err := w.open(t, g, w.layer)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all = append(all, take(content, 0))
				synctest.Wait()
			}
			if firstIsRefused { // the newest seal is the one that a reader waits for
				ask()
			}
			verdicts[refused] <- trust.Block
			synctest.Wait()
			ask()
			for _, tk := range all {
				if tk.upTo() != 100_000-reserve {
					t.Errorf("%s: up to %d, %v", name, tk.upTo(), tk.err)
				}
			}
			verdicts[allowed] <- trust.Allow
			for _, tk := range all {
				if <-tk.done; tk.err != io.EOF || !bytes.Equal(tk.body, w.layer) {
					t.Errorf("%s: %d bytes, %v", name, len(tk.body), tk.err)
				}
			}
		})
	}
}

// TestSealedOnlyForWhoMayRead: what is on its way to one caller is no one else's.
func TestSealedOnlyForWhoMayRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{Rights: &list{readers: []string{"ada"}}})
		if _, err := g.Manifest(as(t, "ada"), tagged("1"), sealedTerms); err != nil {
			t.Fatal(err)
		}
		ref := app.WithDigest(digest.FromBytes(w.layer))
		if b, err := g.Blob(as(t, "bob"), ref, sealedTerms); err == nil {
			t.Errorf("bob got %+v", b)
		}
		if b, err := g.Blob(as(t, "ada"), ref, sealedTerms); err != nil || !b.Sealed {
			t.Errorf("ada: %+v, %v", b, err)
		}
		w.verdict <- trust.Allow
	})
}

// TestAwait: an answer of which nothing could go out does not begin before the verdict, within what a client waits.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSealedWorld(100_000, nil)
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		blob := func(body []byte) enforce.Blob {
			b, err := g.Blob(t.Context(), app.WithDigest(digest.FromBytes(body)), sealedTerms)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		small, large := blob(w.config), blob(w.layer)
		for name, c := range map[string]struct {
			b      enforce.Blob
			offset int64
			waits  bool
		}{
			"flows": {large, 0, false}, "flows-still": {large, 100_000 - reserve - 1, false},
			"reserve": {large, 100_000 - reserve, true}, "small": {small, 0, true},
		} {
			start := time.Now()
			err := c.b.Await(t.Context(), c.offset)
			if took := time.Since(start); err != nil || (took > 0) != c.waits || took >= 20*time.Second {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := small.Await(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
		w.verdict <- trust.Block
		var refusal *enforce.Refusal
		if err := small.Await(t.Context(), 0); !errors.As(err, &refusal) {
			t.Errorf("refused: %v", err)
		}
		if err := (enforce.Blob{}).Await(t.Context(), 0); err != nil {
			t.Errorf("not sealed: %v", err)
		}
	})
}
