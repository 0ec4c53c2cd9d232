package engine

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const (
	here  = "tcp://127.0.0.1:1"
	there = "tcp://engine.example:2375"
)

var ref = trust.Reference{Registry: "registry.example", Repository: "acme/app", Tag: "1"}

// handover runs one and returns its notes and error.
func handover(t *testing.T, f *fake, host string, s *sample, options Options) ([]string, error) {
	t.Helper()
	var notes []string
	options.Note = func(n string) { notes = append(notes, n) }
	err := New(f.start(t, host), options).Handover(t.Context(), ref, s.index, s.children["amd64"], s)
	return notes, err
}

// TestRoutes hands over to each kind of engine and checks what arrived and under which names.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := newSample(t, "routes")
	config, manifest := s.parts["amd64"].Config.Digest.String(), s.children["amd64"].Digest
	var blobs []string
	for _, d := range []digest.Digest{s.parts["amd64"].Config.Digest, s.parts["amd64"].Layers[0].Digest, s.parts["amd64"].Layers[1].Digest} {
		blobs = append(blobs, blobPath(d))
	}
	unreachable := func(name string) error {
		if strings.Contains(name, "safepull/") {
			return errors.New("connection refused")
		}
		return nil
	}
	image := "registry.example/acme/app"
	for _, c := range []struct {
		name, host string
		fake       *fake
		id         string
		entries    []string // of the loaded archive
		log        []string // requests that change something, temporary names shortened
		notes      int
	}{
		{"containerd store", there, &fake{behaviour: behaviour{contentStore: true}}, s.index.Digest.String(),
			append([]string{"oci-layout", "index.json", blobPath(s.index.Digest), blobPath(manifest)}, blobs...), []string{"load"}, 0},
		{"containerd store that wants all children", there, &fake{behaviour: behaviour{contentStore: true, load: func(e map[string][]byte) error {
			if e[blobPath(s.index.Digest)] != nil {
				return errors.New("content not found")
			}
			return nil
		}}}, manifest.String(),
			append([]string{"oci-layout", "index.json", blobPath(manifest)}, blobs...), []string{"load", "load"}, 1},
		{"graph driver here", here, &fake{}, config, nil, []string{
			"pull TEMPORARY@" + s.index.Digest.String(), "tag " + image + ":1", "pull " + image + "@" + s.index.Digest.String(), "remove TEMPORARY",
		}, 0},
		{"graph driver here that chooses another platform", here, &fake{behaviour: behaviour{pull: func(name string) error {
			if strings.HasSuffix(name, s.index.Digest.String()) && strings.Contains(name, "safepull/") {
				host, rest, _ := strings.Cut(strings.TrimSuffix(name, "@"+s.index.Digest.String()), "/")
				_, err := get(context.Background(), "http://"+host+"/v2/"+rest+"/manifests/"+s.children["arm64"].Digest.String())
				return err
			}
			return nil
		}}}, config, nil, []string{
			"pull TEMPORARY@" + s.index.Digest.String(), "pull TEMPORARY@" + manifest.String(), "tag " + image + ":1",
			"pull " + image + "@" + manifest.String(), "remove TEMPORARY",
		}, 0},
		{"graph driver that does not reach us", here, &fake{behaviour: behaviour{pull: unreachable}}, config, append([]string{"manifest.json"}, blobs...), []string{
			"pull TEMPORARY@" + s.index.Digest.String(), "load", "tag " + image + ":1", "pull " + image + "@" + manifest.String(),
		}, 1},
		{"graph driver elsewhere", there, &fake{}, config, append([]string{"manifest.json"}, blobs...),
			[]string{"load", "tag " + image + ":1", "pull " + image + "@" + manifest.String()}, 0},
		{"graph driver elsewhere that has the image", there, &fake{names: map[string]string{config: config}}, config, nil,
			[]string{"tag " + image + ":1", "pull " + image + "@" + manifest.String()}, 0},
		{"the registry is down", here, &fake{behaviour: behaviour{pull: func(name string) error {
			if !strings.Contains(name, "safepull/") {
				return errors.New("no route to host")
			}
			return nil
		}}}, config, nil, []string{
			"pull TEMPORARY@" + s.index.Digest.String(), "tag " + image + ":1", "pull " + image + "@" + s.index.Digest.String(), "remove TEMPORARY",
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			notes, err := handover(t, c.fake, c.host, s, Options{})
			if err != nil || len(notes) != c.notes {
				t.Fatalf("error %v, notes %q", err, notes)
			}
			if got := c.fake.names[image+":1"]; got != c.id {
				t.Errorf("the tag is %s, not %s", got, c.id)
			}
			slices.Sort(c.entries)
			if diff := cmp.Diff(c.entries, slices.Sorted(maps.Keys(c.fake.entries))); diff != "" {
				t.Errorf("archive:\n%s", diff)
			}
			if diff := cmp.Diff(c.log, c.fake.changes()); diff != "" {
				t.Errorf("requests:\n%s", diff)
			}
		})
	}
}

// changes is the log with the loopback registry's names made equal.
func (f *fake) changes() []string {
	var list []string
	for _, line := range f.log {
		if verb, name, ok := strings.Cut(line, " "); ok && strings.Contains(name, "/safepull/") {
			_, d, _ := strings.Cut(name, "@")
			if line = verb + " TEMPORARY@" + d; verb == "remove" {
				line = "remove TEMPORARY"
			}
		}
		list = append(list, line)
	}
	return list
}

// TestFailures: whatever fails, the engine's names are as before.
func TestFailures(t *testing.T) {
	t.Parallel()
	const earlier = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	boom := errors.New("boom")
	for _, c := range []struct {
		name, host string
		fake       behaviour
		wrong      bool
		want       error
		text       string
	}{
		{"wrong bytes, loopback", here, behaviour{}, true, trust.ErrIntegrity, ""},
		{"wrong bytes, archive", there, behaviour{}, true, trust.ErrIntegrity, ""},
		{"wrong bytes, layout", there, behaviour{contentStore: true}, true, trust.ErrIntegrity, ""},
		{"no tag, loopback", here, behaviour{tag: func(string) error { return boom }}, false, nil, "boom"},
		{"no tag, archive", there, behaviour{tag: func(string) error { return boom }}, false, nil, "boom"},
		{"refused, archive", there, behaviour{load: func(map[string][]byte) error { return boom }}, false, nil, "boom"},
		{"refused, layout", there, behaviour{contentStore: true, load: func(map[string][]byte) error { return boom }}, false, nil, "boom"},
		{"another image appears, loopback", here, behaviour{swap: earlier}, false, trust.ErrIntegrity, ""},
		{"another image appears, archive", there, behaviour{swap: earlier}, false, trust.ErrIntegrity, ""},
	} {
		for _, exists := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := newSample(t, c.name)
				if c.wrong {
					s.fault[s.parts["amd64"].Layers[0].Digest] = wrong
				}
				before := map[string]string{}
				if exists || c.fake.swap != "" {
					before = map[string]string{"registry.example/acme/app:1": earlier, earlier: earlier}
				}
				f := fake{behaviour: c.fake, names: maps.Clone(before)}
				_, err := handover(t, &f, c.host, s, Options{})
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %v", err)
				}
				if diff := cmp.Diff(before, f.names); diff != "" {
					t.Errorf("names before (-) and after (+):\n%s", diff)
				}
			})
		}
	}
}

// TestNamedBeforeInterrupt: containerd's store names an image before it is unpacked. When that is interrupted the name
// goes back to what it was.
func TestNamedBeforeInterrupt(t *testing.T) {
	t.Parallel()
	const name, earlier = "registry.example/acme/app:1", "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for _, before := range []map[string]string{{}, {name: earlier, earlier: earlier}} {
		s := newSample(t, "interrupt")
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{behaviour: behaviour{contentStore: true}, names: maps.Clone(before)}
		release := make(chan struct{})
		f.load = func(map[string][]byte) error {
			f.set(name, s.index.Digest.String())
			cancel()
			<-release
			return context.Canceled
		}
		err := New(f.start(t, there), Options{}).Handover(ctx, ref, s.index, s.children["amd64"], s)
		close(release)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		f.mu.Lock()
		delete(f.names, s.index.Digest.String()) // untagged content is the engine's to collect
		if diff := cmp.Diff(before, f.names); diff != "" {
			t.Errorf("names before (-) and after (+):\n%s", diff)
		}
		f.mu.Unlock()
	}
}

// TestInterrupt breaks off in the middle of a layer, on every route.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host string
		fake *fake
	}{{here, &fake{}}, {there, &fake{}}, {there, &fake{behaviour: behaviour{contentStore: true}}}} {
		s := newSample(t, "interrupt")
		ctx, cancel := context.WithCancel(t.Context())
		hangs := make(chan struct{})
		s.fault[s.parts["amd64"].Layers[0].Digest] = hang(hangs)
		go func() {
			<-hangs
			cancel()
		}()
		err := New(c.fake.start(t, c.host), Options{}).Handover(ctx, ref, s.index, s.children["amd64"], s)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", c.host, err)
		}
		if len(c.fake.names) > 0 {
			t.Errorf("%s: names %v", c.host, c.fake.names)
		}
	}
}

// TestEngineGone: an engine that closes the connection in the middle is the error, not our own broken pipe.
func TestEngineGone(t *testing.T) {
	t.Parallel()
	s := newSample(t, "gone")
	f := &fake{behaviour: behaviour{contentStore: true}}
	api := f.start(t, there)
	e := New(api, Options{})
	if _, err := e.Platform(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.fault[s.parts["amd64"].Layers[1].Digest] = func(context.Context, []byte) (io.ReadCloser, error) {
		return nil, trust.ErrUnavailable
	}
	if err := e.Handover(t.Context(), ref, s.index, s.children["amd64"], s); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("source broke: %v", err)
	}
}

// TestRecorder: only the request that asks the image's own registry is made with the other client; none is as if there
// were no such function, and one that cannot be made costs the record alone.
func TestRecorder(t *testing.T) {
	t.Parallel()
	s := newSample(t, "recorder")
	other := &fake{}
	for name, c := range map[string]struct {
		recorder client.APIClient
		fail     error
	}{"other": {recorder: other.start(t, here)}, "none": {}, "broken": {fail: errors.New("no endpoint")}} {
		f := &fake{}
		notes, err := handover(t, f, here, s, Options{
			Recorder: func(context.Context, trust.Reference) (client.APIClient, error) { return c.recorder, c.fail },
		})
		if err != nil || (len(notes) > 0) != (c.fail != nil) {
			t.Error(name, err, notes)
		}
		record := "pull " + ref.Name() + "@" + s.index.Digest.String()
		if own := slices.Contains(f.log, record); own != (name == "none") {
			t.Errorf("%s: the engine was asked %q", name, f.log)
		}
	}
	if len(other.log) != 1 || !strings.HasPrefix(other.log[0], "pull "+ref.Name()+"@") {
		t.Errorf("the other client asked %q", other.log)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := newSample(t, "options")
	f := &fake{}
	messages := 0
	notes, err := handover(t, f, here, s, Options{
		Auth:    func(_ context.Context, r trust.Reference) (string, error) { return "login of " + r.Registry, nil },
		Message: func(jsonstream.Message) { messages++ },
	})
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	if f.auth != "login of registry.example" || messages != 1 {
		t.Errorf("auth %q, %d messages", f.auth, messages)
	}
	f = &fake{}
	notes, err = handover(t, f, here, s, Options{
		Auth: func(context.Context, trust.Reference) (string, error) { return "", errors.New("no helper") },
	})
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "no helper") {
		t.Error(err, notes)
	}
}
