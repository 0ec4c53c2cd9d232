package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// TestRealEngine runs against the engines whose addresses are in SAFEPULL_TEST_ENGINES, separated by spaces. Everything
// in them is removed. The suite in test/e2e/engines starts private ones and runs this test with them.
func TestRealEngine(t *testing.T) {
	hosts := strings.Fields(os.Getenv("SAFEPULL_TEST_ENGINES"))
	if len(hosts) == 0 {
		t.Skip("SAFEPULL_TEST_ENGINES is not set; test/e2e/engines sets it")
	}
	for _, host := range hosts {
		api, err := client.New(client.WithHost(host))
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		r := &real{api: api}
		r.engine = New(api, Options{Note: func(s string) { r.notes = append(r.notes, s) }})
		f, err := r.engine.ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.graph = !f.contentStore
		t.Run(f.info.ServerVersion+"-"+f.info.Driver, r.run)
	}
}

// real is one engine under test.
type real struct {
	api    *client.Client
	engine *Engine
	graph  bool
	notes  []string
	count  int
}

func (r *real) run(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *sample)
	}{
		{"as after docker pull", r.likePull},
		{"by digest", r.byDigest},
		{"another platform", r.otherPlatform},
		{"the engine cannot reach the registry", r.registryDown},
		{"as an archive", r.archive},
		{"wrong bytes", r.wrongBytes},
		{"cancelled", r.cancelled},
		{"save", r.save},
		{"many at once", r.many},
	} {
		r.clear(t)
		r.notes = nil
		r.count++
		t.Run(c.name, func(t *testing.T) { c.test(t, newSample(t, fmt.Sprint(c.name, r.count))) })
	}
	r.clear(t)
}

// state is what the engine says of an image.
type state struct {
	ID, Arch             string
	RepoTags, RepoDigest []string
}

func (r *real) state(t *testing.T, name string) state {
	t.Helper()
	found, err := r.api.ImageInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return state{found.ID, found.Architecture, found.RepoTags, found.RepoDigests}
}

func (r *real) pull(t *testing.T, name string, p ...ocispec.Platform) {
	t.Helper()
	response, err := r.api.ImagePull(t.Context(), name, client.ImagePullOptions{Platforms: p})
	if err == nil {
		err = response.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// names are all names in the engine; images without any count with their ID.
func (r *real) names(t *testing.T) []string {
	t.Helper()
	list, err := r.api.ImageList(context.Background(), client.ImageListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, image := range list.Items {
		if len(image.RepoTags)+len(image.RepoDigests) == 0 {
			names = append(names, image.ID)
		}
		names = append(append(names, image.RepoTags...), image.RepoDigests...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// runs makes sure that a container of the image has the files of the sample's layers.
func (r *real) runs(t *testing.T, name string, s *sample) {
	t.Helper()
	container, err := r.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: name})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		_, _ = r.api.ContainerRemove(t.Context(), container.ID, client.ContainerRemoveOptions{Force: true})
	}()
	stream, err := r.api.ContainerExport(t.Context(), container.ID, client.ContainerExportOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	defer stream.Close()
	files := map[string][]byte{}
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if err != nil {
			break
		}
		files[header.Name], _ = io.ReadAll(archive)
	}
	if want := s.seed + "amd64"; string(files["app"]) != want || len(files["base"]) != baseSize {
		t.Errorf("the container of %s has app %q (want %q) and base of %d bytes", name, files["app"], want, len(files["base"]))
	}
}

func (r *real) clear(t *testing.T) {
	t.Helper()
	for range 3 {
		list, err := r.api.ImageList(t.Context(), client.ImageListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range list.Items {
			_, _ = r.api.ImageRemove(t.Context(), image.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		}
	}
	if left := r.names(t); len(left) > 0 {
		t.Fatalf("left in the engine: %v", left)
	}
}

func (r *real) has(t *testing.T, ref trust.Reference, s *sample) bool {
	t.Helper()
	got, err := r.engine.Has(t.Context(), ref, s.index, s.children["amd64"], s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (r *real) likePull(t *testing.T, s *sample) {
	upstream := s.registry(t)
	for tag, top := range map[string]string{"1": "index", "single": ""} {
		ref := trust.Reference{Registry: upstream.host(), Repository: "acme/" + "app" + top, Tag: tag}
		desc := s.children["amd64"]
		if top != "" {
			desc = s.index
		}
		r.pull(t, ref.String())
		want := r.state(t, ref.String())
		r.clear(t)
		before := upstream.blobs()
		if err := r.engine.Handover(t.Context(), ref, desc, s.children["amd64"], s); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.state(t, ref.String())); diff != "" {
			t.Errorf("%s: docker pull (-), hand-over (+):\n%s", tag, diff)
		}
		if n := upstream.blobs() - before; n != 0 {
			t.Errorf("%s: the engine fetched %d blobs from the registry itself", tag, n)
		}
		r.runs(t, ref.String(), s)
		s.took()
		if got, err := r.engine.Has(t.Context(), ref, desc, s.children["amd64"], s); err != nil || !got {
			t.Errorf("%s: Has after the hand-over: %v, %v", tag, got, err)
		}
		if n := s.layersAmong(s.took()); n != 0 {
			t.Errorf("%s: Has fetched %d layers", tag, n)
		}
		if got, err := r.engine.Has(t.Context(), ref, desc, s.children["arm64"], s); err != nil || got {
			t.Errorf("%s: Has of the other platform: %v, %v", tag, got, err)
		}
		if names := strings.Join(r.names(t), " "); strings.Contains(names, "safepull/") {
			t.Errorf("temporary names stay: %s", names)
		}
		r.clear(t)
	}
	if len(r.notes) > 0 {
		t.Errorf("notes: %q", r.notes)
	}
}

func (r *real) byDigest(t *testing.T, s *sample) {
	ref := trust.Reference{Registry: s.registry(t).host(), Repository: "acme/app", Tag: "1", Digest: s.index.Digest}
	r.pull(t, under(ref))
	want := r.state(t, under(ref))
	r.clear(t)
	if r.has(t, ref, s) {
		t.Error("Has before the hand-over")
	}
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.state(t, under(ref))); diff != "" {
		t.Errorf("docker pull (-), hand-over (+):\n%s", diff)
	}
	if !r.has(t, ref, s) {
		t.Error("not Has after the hand-over")
	}
}

func (r *real) otherPlatform(t *testing.T, s *sample) {
	ref := trust.Reference{Registry: s.registry(t).host(), Repository: "acme/app", Tag: "1"}
	r.pull(t, ref.String(), *s.children["arm64"].Platform)
	want := r.state(t, ref.String())
	r.clear(t)
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["arm64"], s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.state(t, ref.String())); diff != "" {
		t.Errorf("docker pull (-), hand-over (+):\n%s", diff)
	}
	if ok, err := r.engine.Has(t.Context(), ref, s.index, s.children["arm64"], s); err != nil || !ok {
		t.Errorf("Has: %v, %v", ok, err)
	}
	if r.has(t, ref, s) {
		t.Error("Has of the platform that was not handed over")
	}
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); err != nil {
		t.Fatal(err)
	}
	if got := r.state(t, ref.String()); got.Arch != "amd64" {
		t.Errorf("then amd64: got %+v", got)
	}
}

func (r *real) registryDown(t *testing.T, s *sample) {
	upstream := s.registry(t)
	ref := trust.Reference{Registry: upstream.host(), Repository: "acme/app", Tag: "1"}
	upstream.Close()
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); err != nil {
		t.Fatal(err)
	}
	if got := r.state(t, ref.String()).RepoTags; !slices.Equal(got, []string{ref.String()}) {
		t.Errorf("RepoTags %v", got)
	}
	if r.graph != (len(r.notes) == 1) {
		t.Errorf("notes: %q", r.notes)
	}
	if !r.has(t, ref, s) {
		t.Error("not Has after the hand-over")
	}
	r.clear(t)
	ref.Digest = s.index.Digest
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); r.graph != (err != nil) {
		t.Errorf("by digest: %v", err)
	}
	if names := r.names(t); r.graph && len(names) > 0 {
		t.Errorf("left in the engine: %v", names)
	}
}

func (r *real) archive(t *testing.T, s *sample) {
	if !r.graph {
		t.Skip("for graph drivers")
	}
	upstream := s.registry(t)
	ref := trust.Reference{Registry: upstream.host(), Repository: "acme/app", Tag: "1"}
	img, err := open(t.Context(), ref, s.index, s.children["amd64"], s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.engine.unpack(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	r.runs(t, ref.String(), s)
	got, manifest := r.state(t, ref.String()), s.children["amd64"].Digest.String()
	if !slices.Equal(got.RepoDigest, []string{ref.Name() + "@" + manifest}) || got.ID != img.config.Digest.String() {
		t.Errorf("got %+v", got)
	}
	if n := upstream.blobs(); n != 0 {
		t.Errorf("the engine fetched %d blobs from the registry itself", n)
	}
	r.clear(t)
	s.fault[img.layers[1].Digest] = wrong
	if err := r.engine.unpack(t.Context(), img); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("wrong bytes: %v", err)
	}
	if names := r.names(t); len(names) > 0 {
		t.Errorf("left in the engine: %v", names)
	}
}

// wrongBytes: an image of the same name stays as it was, whichever blob is wrong.
func (r *real) wrongBytes(t *testing.T, s *sample) {
	upstream := s.registry(t)
	ref := trust.Reference{Registry: upstream.host(), Repository: "acme/app", Tag: "1"}
	parts := s.parts["amd64"]
	for _, d := range []digest.Digest{parts.Config.Digest, parts.Layers[0].Digest, parts.Layers[1].Digest} {
		for _, earlier := range []bool{false, true} {
			r.clear(t)
			if earlier {
				if err := r.engine.Handover(t.Context(), ref, s.children["arm64"], s.children["arm64"], s); err != nil {
					t.Fatal(err)
				}
			}
			want := r.names(t)
			s.fault = map[digest.Digest]func(context.Context, []byte) (io.ReadCloser, error){d: wrong}
			if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); !errors.Is(err, trust.ErrIntegrity) {
				t.Errorf("%s: %v", d, err)
			}
			s.fault = nil
			if diff := cmp.Diff(want, r.names(t)); diff != "" {
				t.Errorf("names before (-) and after (+):\n%s", diff)
			}
			// Nothing of the failure may be in the way of the next try.
			if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); err != nil {
				t.Error(err)
			}
			r.runs(t, ref.String(), s)
		}
	}
}

func (r *real) cancelled(t *testing.T, s *sample) {
	upstream := s.registry(t)
	ref := trust.Reference{Registry: upstream.host(), Repository: "acme/app", Tag: "1"}
	ctx, cancel := context.WithCancel(t.Context())
	hangs := make(chan struct{})
	s.fault[s.parts["amd64"].Layers[0].Digest] = hang(hangs)
	go func() {
		<-hangs
		cancel()
	}()
	if err := r.engine.Handover(ctx, ref, s.index, s.children["amd64"], s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if names := r.names(t); len(names) > 0 {
		t.Errorf("left in the engine: %v", names)
	}
}

func (r *real) save(t *testing.T, s *sample) {
	ref := trust.Reference{Registry: s.registry(t).host(), Repository: "acme/app", Tag: "1"}
	if err := r.engine.Handover(t.Context(), ref, s.index, s.children["amd64"], s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ref.String(), r.state(t, ref.String()).ID} {
		stream, err := r.engine.Save(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		entries := map[string][]byte{}
		for archive := tar.NewReader(stream); ; {
			header, err := archive.Next()
			if err != nil {
				break
			}
			entries[header.Name], _ = io.ReadAll(archive)
		}
		_ = stream.Close()
		if !bytes.Contains(entries["manifest.json"], []byte("Layers")) {
			t.Errorf("%s: no manifest.json that names layers: %s", name, entries["manifest.json"])
		}
	}
	if _, err := r.engine.Save(t.Context(), "acme/none:1"); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("unknown image: %v", err)
	}
}

// many hands one image over several times at once, under one tag and several.
func (r *real) many(t *testing.T, s *sample) {
	upstream := s.registry(t)
	results := make(chan error)
	quiet := New(r.api, Options{})
	for i := range 6 {
		go func() {
			ref := trust.Reference{Registry: upstream.host(), Repository: "acme/app", Tag: fmt.Sprint(i / 2)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			results <- quiet.Handover(ctx, ref, s.index, s.children["amd64"], s)
		}()
	}
	for range 6 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	name := upstream.host() + "/acme/app"
	want := []string{name + ":0", name + ":1", name + ":2", name + "@" + s.index.Digest.String()}
	if diff := cmp.Diff(want, r.names(t)); diff != "" {
		t.Error(diff)
	}
}
