//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/test/registrytest"
)

func TestCover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   []span
		want []span
	}{
		{"nothing", []span{{3, 3}}, nil},
		{"apart", []span{{5, 6}, {1, 2}}, []span{{1, 2}, {5, 6}}},
		{"meeting", []span{{0, 5}, {5, 9}}, []span{{0, 9}}},
		{"within", []span{{0, 9}, {2, 3}}, []span{{0, 9}}},
		{"bridge", []span{{0, 2}, {8, 9}, {1, 8}}, []span{{0, 9}}},
	} {
		var got []span
		for _, s := range c.in {
			got = cover(got, s)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLedger: a wrong byte and a layer in pieces do not get past it.
func TestLedger(t *testing.T) {
	t.Parallel()
	l, content := newLedger(), []byte("0123456789")
	l.compare("right", content[3:7], content, 3)
	l.compare("empty", nil, content, 10)
	if l.total("wrong") != 0 {
		t.Fatalf("right bytes are wrong: %q", l.wrong)
	}
	l.compare("shifted", content[3:7], content, 4)
	l.compare("too long", append(slices.Clone(content), 'x'), content, 0)
	l.compare("beyond", nil, content, 11)
	if l.total("wrong") != 3 {
		t.Errorf("%d of 3 wrong answers: %q", l.total("wrong"), l.wrong)
	}
	d := digest.FromBytes(content)
	l.part("head", d, 0, 6, 10)
	l.part("head again", d, 1, 6, 10)
	if l.total("blocked") != 0 {
		t.Error("7 bytes are not all of them")
	}
	l.part("tail", d, 7, 3, 10)
	if l.total("blocked") != 1 {
		t.Error("all bytes arrived in pieces, and nobody noticed")
	}
}

func TestSlopeAndFlat(t *testing.T) {
	t.Parallel()
	var level, rising []sample
	for n := range 40 {
		at := time.Duration(n) * time.Minute
		level = append(level, sample{at: at, resident: 100 << 20})
		rising = append(rising, sample{at: at, resident: int64(100+10*n) << 20})
	}
	value := func(s sample) float64 { return float64(s.resident) / (1 << 20) }
	if got := slope(rising, value); got < 599 || got > 601 {
		t.Errorf("slope is %f, want 600 an hour", got)
	}
	if said, ok := flat(level, value); !ok {
		t.Errorf("level is not flat: %s", said)
	}
	if said, ok := flat(rising, value); ok {
		t.Errorf("rising is flat: %s", said)
	}
	if said, ok := flat(level[:3], value); ok {
		t.Errorf("too few samples are enough: %s", said)
	}
}

func TestResident(t *testing.T) {
	t.Parallel()
	if n, err := resident("VmSize:\t10 kB\nVmRSS:\t  2048 kB\n"); err != nil || n != 2<<20 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := resident("VmSize:\t10 kB\n"); err == nil {
		t.Error("no VmRSS is no error")
	}
}

// TestGallery: the same seed makes the same images.
func TestGallery(t *testing.T) {
	t.Parallel()
	up := func() []*upstream {
		return []*upstream{{host: "docker.io", registry: registrytest.Start(t, registrytest.Options{})}}
	}
	a, b := newGallery(7, up(), 6).all(), newGallery(7, up(), 6).all()
	mining := 0
	for i := range a {
		if a[i].built.Root.Digest != b[i].built.Root.Digest {
			t.Errorf("image %d differs", i)
		}
		if a[i].own().Descriptor.Digest == a[(i+1)%len(a)].own().Descriptor.Digest {
			t.Errorf("images %d and the next share their own layer", i)
		}
		if a[i].mining {
			mining++
		}
	}
	if len(a) != 9 || mining != 3 {
		t.Errorf("%d images, %d of them mine", len(a), mining)
	}
}

// TestFaults: every kind is armed sooner or later, none is empty.
func TestFaults(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		if f := fault(rng); f.Times == 0 {
			t.Errorf("%+v is for ever", f)
		}
	}
}

// TestPuller: against a registry that gives everything, everything comes; and a lie is noticed.
func TestPuller(t *testing.T) {
	t.Parallel()
	registry := registrytest.Start(t, registrytest.Options{})
	g := newGallery(3, []*upstream{{host: "docker.io", registry: registry}}, 2)
	// The registry knows no hosts in paths.
	front := httptest.NewServer(http.StripPrefix("/v2/docker.io", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/v2" + r.URL.Path
		registry.ServeHTTP(w, r)
	})))
	t.Cleanup(front.Close)
	at := &proxy{address: strings.TrimPrefix(front.URL, "http://")}
	p := &puller{rng: rand.New(rand.NewPCG(1, 2)), ledger: newLedger(), gallery: g, proxies: []*proxy{at}, client: front.Client(), dir: t.TempDir()}
	for _, i := range g.all() {
		if !p.whole(t.Context(), at, i) {
			t.Errorf("%s did not come whole", i.repository)
		}
		p.parts(t.Context(), at, i)
		p.heads(t.Context(), at, i)
	}
	if l := p.ledger; l.total("wrong") != 0 || l.total("odd") != 0 {
		t.Errorf("an honest registry is found wrong: %q %q", l.wrong, l.surprise)
	}
	if len(p.ledger.private) != 0 {
		t.Errorf("what everybody may read is private: %q", p.ledger.private)
	}
	secret := g.all()[0]
	g.upstreams[0].private, secret.owner = true, "ada"
	for _, p.who = range everybody() {
		p.whole(t.Context(), at, secret)
		p.heads(t.Context(), at, secret)
	}
	for _, d := range []string{"ada's for bob", "ada's for nobody", "ada's for an impostor"} {
		if p.ledger.total(d) == 0 || p.ledger.total("asked for "+d) == 0 {
			t.Errorf("%s: private, arrived, and nobody noticed", d)
		}
	}
	if p.ledger.total("ada's for ada") != 0 {
		t.Error("what is one's own is somebody else's")
	}
	g.upstreams[0].private, p.who = false, who{}
	if p.ledger.total("blocked") == 0 {
		t.Error("an image that mines arrived, and nobody noticed")
	}
	registry.Misbehave("/v2/"+g.all()[0].repository+"/blobs/*", registrytest.Fault{Wrong: true})
	p.whole(t.Context(), at, g.all()[0])
	if p.ledger.total("wrong") == 0 {
		t.Error("wrong bytes arrived, and nobody noticed")
	}
	registry.Behave()
	registry.Misbehave("/v2/"+g.all()[0].repository+"/blobs/*", registrytest.Fault{Short: 5})
	p.whole(t.Context(), at, g.all()[0])
	if p.ledger.total("odd") == 0 {
		t.Error("a complete answer was too short, and nobody noticed")
	}
}

// TestWho: each account reads what is its own, at a registry that knows the accounts, and by the one login for it.
func TestWho(t *testing.T) {
	t.Parallel()
	open := &upstream{host: "docker.io"}
	first, second := &upstream{host: "private.example", private: true}, &upstream{host: "vault.example", private: true}
	adas := image{upstream: second, owner: "ada", repository: "ada/app"}
	if got := len(directions()); got != 6 {
		t.Errorf("%d directions: %q", got, directions())
	}
	for _, w := range everybody() {
		if want := w.String() == "ada"; w.mayRead(adas) != want || !w.mayRead(image{upstream: open}) {
			t.Errorf("%s may read ada's image: %v", w, !want)
		}
		h := http.Header{}
		w.show(h, []*upstream{open, first, second})
		if named := h.Get("X-Meta-Safepull-Authorization"); (w.name == nobody) != (len(h) == 0) || w.name != nobody && !strings.HasPrefix(named, "vault.example Basic ") {
			t.Errorf("%s shows %v", w, h)
		}
	}
	r := registrytest.Start(t, registrytest.Options{Auth: "basic", Accounts: rights()})
	for path, want := range map[string]int{"/v2/ada/app/tags/list": http.StatusOK, "/v2/bob/app/tags/list": http.StatusForbidden, "/v2/ada/a/b/tags/list": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ada", passwordOf("ada"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s for ada: %s", path, resp.Status)
		}
	}
	if n := astray(r.Requests()); n != 3 {
		t.Errorf("%d of 3 logins seen", n)
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	g := newGallery(5, []*upstream{{host: "docker.io", registry: registrytest.Start(t, registrytest.Options{})}}, 1)
	i := g.all()[0]
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &puller{ledger: newLedger()}
	p.layout(i, dir, false)
	if p.ledger.total("odd") != 0 {
		t.Errorf("an empty folder after a failure is odd: %q", p.ledger.surprise)
	}
	p.layout(i, dir, true)
	if p.ledger.total("odd") != 1 {
		t.Error("an empty folder after a success is not odd")
	}
	own := i.own()
	if err := os.WriteFile(filepath.Join(blobs, own.Descriptor.Digest.Encoded()), bytes.ToUpper(own.Content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.layout(i, dir, false)
	if p.ledger.total("wrong") != 1 {
		t.Error("another content under a blob's name is right")
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := &soak{ledger: newLedger(), gallery: &gallery{}, proxies: []*proxy{{}, {}}}
	s.ledger.count("wrong", 1)
	s.ledger.count("status 200", 5)
	r, w := io.Pipe()
	go func() {
		s.report(w, []string{"team/app"})
		_ = w.Close()
	}()
	b, err := io.ReadAll(r)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, want := range []string{"wrong bytes\t1 answers of 0, in 0 MiB\t0\tshort\n", "blocked arrived\t", "\nprivate: ada's for bob\t0 answers with content, asked 0 times\t0\tshort\n", "\nRSS in MiB, start/mid/end\tonly 0 samples", "status 200\t5\t-\tok\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing in\n%s", want, b)
		}
	}
	for line := range strings.Lines(string(b)) {
		if strings.Count(line, "\t") != 3 {
			t.Errorf("row %q", line)
		}
	}
}
