package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// list are rights by identity; what is not there may be read by nobody.
type list struct {
	mu      sync.Mutex
	readers []string
	asked   []string
	// absent are blobs that the repository does not have.
	absent []digest.Digest
}

func (l *list) ask(ctx context.Context, what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	who := caller.Of(ctx).Identity
	l.asked = append(l.asked, who+" "+what)
	if !slices.Contains(l.readers, who) {
		return fmt.Errorf("%w: %s", trust.ErrUnauthorized, who)
	}
	return nil
}

func (l *list) Manifest(ctx context.Context, _ trust.Reference) error { return l.ask(ctx, "manifest") }

func (l *list) Blob(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) error {
	if slices.Contains(l.absent, desc.Digest) {
		return fmt.Errorf("%w: %s", trust.ErrNotFound, desc.Digest)
	}
	return l.ask(ctx, "blob")
}

func as(t *testing.T, identity string) context.Context {
	t.Helper()
	return caller.With(t.Context(), caller.Caller{
		Identity: identity, Logins: map[string]caller.Login{"docker.io": {Username: identity, Password: "secret"}},
	})
}

func TestRightsComeBeforeEverything(t *testing.T) {
	t.Parallel()
	for action, served := range map[trust.Action]bool{trust.Allow: true, trust.Warn: true, trust.Quarantine: false, trust.Block: false} {
		src := newSource()
		blob := src.add("", ocispec.MediaTypeImageLayer, layer)
		d := src.add("1", ocispec.MediaTypeImageManifest, image)
		rights := &list{readers: []string{"ada"}}
		judge := says(action, trust.Blob{Digest: blob, Size: int64(len(layer))})
		g := newGate(t, judge, fakeRecords{blob: {d}}, src, enforce.Options{Rights: rights})
		tag := tagged("1")
		for _, when := range []string{"cold", "warm"} {
			for _, ref := range []trust.Reference{tag, tag.WithDigest(d), app.WithDigest(d)} {
				if _, err := g.Manifest(as(t, "bob"), ref, enforce.Terms{}); !errors.Is(err, trust.ErrUnauthorized) {
					t.Errorf("%s, %s, %s by bob: %v", action, when, ref, err)
				}
			}
			if _, err := g.Blob(as(t, "bob"), tag.WithDigest(blob), enforce.Terms{}); !errors.Is(err, trust.ErrUnauthorized) {
				t.Errorf("%s, %s, blob by bob: %v", action, when, err)
			}
			release, err := g.Manifest(as(t, "ada"), tag, enforce.Terms{})
			if (err == nil) != served || errors.Is(err, trust.ErrUnauthorized) {
				t.Errorf("%s, %s, by ada: %v", action, when, err)
			}
			release.Close()
			if _, err = g.Blob(as(t, "ada"), tag.WithDigest(blob), enforce.Terms{}); (err == nil) != served || errors.Is(err, trust.ErrUnauthorized) {
				t.Errorf("%s, %s, blob by ada: %v", action, when, err)
			}
		}
		if n := judge.asked.Load(); n != 1 {
			t.Errorf("%s: judged %d times", action, n)
		}
		rights.absent = []digest.Digest{blob}
		if _, err := g.Blob(as(t, "ada"), tag.WithDigest(blob), enforce.Terms{}); err == nil || served && !errors.Is(err, trust.ErrNotFound) {
			t.Errorf("%s: a blob that the repository does not have: %v", action, err)
		}
	}
}

// TestOthersErrorsAreNoAnswer: who joins a judgement that another's login could not finish gets one of their own.
func TestOthersErrorsAreNoAnswer(t *testing.T) {
	t.Parallel()
	for _, fails := range []string{"error", "passing verdict"} {
		t.Run(fails, func(t *testing.T) {
			t.Parallel()
			src := newSource()
			src.add("1", ocispec.MediaTypeImageManifest, image)
			started, goOn := make(chan struct{}), make(chan struct{})
			judge := &fakeJudge{remembered: map[string]trust.Verdict{}}
			judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
				v := trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: trust.Allow}
				if caller.Of(ctx).Identity != "ada" {
					return v, nil
				}
				close(started)
				<-goOn
				if fails == "error" {
					return trust.Verdict{}, fmt.Errorf("%w: ada's login", trust.ErrUnauthorized)
				}
				v.Action, v.Passing = trust.Quarantine, true
				return v, nil
			}
			g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Rights: &list{readers: []string{"ada", "bob"}}})
			ref := tagged("1")
			answers := make(chan error, 2)
			read := func(who string) {
				release, err := g.Manifest(as(t, who), ref, enforce.Terms{})
				release.Close()
				answers <- err
			}
			go read("ada")
			<-started
			go read("bob")
			time.Sleep(50 * time.Millisecond) // for bob to join
			close(goOn)
			var failed []error
			for range 2 {
				if err := <-answers; err != nil {
					failed = append(failed, err)
				}
			}
			if len(failed) != 1 || judge.asked.Load() != 2 {
				t.Errorf("%v, judged %d times", failed, judge.asked.Load())
			}
		})
	}
}
