//go:build linux

package wire

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace/signed"
)

// listServer signs lists and serves them over TLS, as it is told.
type listServer struct {
	*httptest.Server
	key    ed25519.PrivateKey
	public string
	serve  atomic.Pointer[http.HandlerFunc]
}

func newListServer(t *testing.T) *listServer {
	t.Helper()
	private, public, err := signed.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &listServer{public: signed.Public(public)}
	if p.key, err = signed.ParsePrivate(private); err != nil {
		t.Fatal(err)
	}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.serve.Load())(w, r) }))
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	p.gives(p.list(t, 10, time.Now(), time.Hour))
	return p
}

func (p *listServer) list(t *testing.T, sequence uint64, issued time.Time, maxAge time.Duration) []byte {
	t.Helper()
	text, err := signed.Sign(signed.Statement{
		Version: 1, Name: "Acme", Sequence: sequence, Issued: issued, MaxAge: int64(maxAge / time.Second),
		List: "version: 1\nentries:\n  - {pattern: 'quay.io/evil/**', action: deny}\n",
	}, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *listServer) gives(text []byte) {
	p.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

func (p *listServer) does(f http.HandlerFunc) { p.serve.Store(&f) }

// trusts puts the certificate of a server where engines look for it.
func trusts(t *testing.T, certs string, servers ...*httptest.Server) {
	t.Helper()
	for _, s := range servers {
		dir := filepath.Join(certs, strings.TrimPrefix(s.URL, "https://"))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if err := os.WriteFile(filepath.Join(dir, "ca.crt"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// newMachine is a machine with a folder of certificates.
func newMachine(t *testing.T) organization {
	t.Helper()
	p, _ := loggedIn(t, nil)
	o := p.organization()
	o.certs = t.TempDir()
	return o
}

// TestListByTLS: lists come over TLS from hosts whose certificate is known, and from nobody else.
func TestListByTLS(t *testing.T) {
	t.Parallel()
	p, o := newListServer(t), newMachine(t)
	if _, err := o.Enrol(t.Context(), p.URL+"/list", p.public); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	trusts(t, o.certs, p.Server)
	if s, err := o.Enrol(t.Context(), p.URL+"/list", p.public); err != nil || s.Sequence != 10 {
		t.Fatal(s, err)
	}
}

// TestListRedirects: answers may lead on, over TLS, not far, and not with what identifies us at the first host.
func TestListRedirects(t *testing.T) {
	t.Parallel()
	p, to, o := newListServer(t), newListServer(t), newMachine(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p.list(t, 1, time.Now(), time.Hour)) }))
	t.Cleanup(plain.Close)
	trusts(t, o.certs, p.Server)
	text := p.list(t, 11, time.Now(), time.Hour)
	to.gives(text)
	leads := func(where string) {
		p.does(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, where, http.StatusFound) })
	}
	leads(to.URL)
	if _, err := o.Fetch(t.Context(), p.URL+"/x"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the authority of one host counts for another: %v", err)
	}
	trusts(t, o.certs, to.Server)
	if got, err := o.Fetch(t.Context(), p.URL+"/x"); err != nil || string(got) != string(text) {
		t.Errorf("%q, %v", got, err)
	}
	leads(plain.URL)
	if _, err := o.Fetch(t.Context(), p.URL+"/x"); err == nil || !strings.Contains(err.Error(), "away from TLS") {
		t.Error(err)
	}
	leads("/again")
	if _, err := o.Fetch(t.Context(), p.URL+"/x"); err == nil || !strings.Contains(err.Error(), "more than 5 times") {
		t.Error(err)
	}
	for _, tt := range []struct {
		first, next string
		ok          bool
	}{
		{"http://127.0.0.1:1/", "http://127.0.0.1:2/", true}, {"http://127.0.0.1:1/", "https://a.example/", true},
		{"http://127.0.0.1:1/", "http://a.example/", false}, {"https://a.example/", "http://127.0.0.1/", false}, {"https://a.example/", "file:///x", false},
	} {
		first, next := httptest.NewRequest(http.MethodGet, tt.first, nil), httptest.NewRequest(http.MethodGet, tt.next, nil)
		if err := mayLead(next, []*http.Request{first}); (err == nil) != tt.ok {
			t.Errorf("%s to %s: %v", tt.first, tt.next, err)
		}
	}
}

// TestListServers: whatever a server does, the last good list stays, in bounded time and memory, and the reason is told.
func TestListServers(t *testing.T) {
	t.Parallel()
	p := newListServer(t)
	stranger := newListServer(t)
	now := time.Now()
	write := func(text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }
	}
	for name, tt := range map[string]struct {
		does http.HandlerFunc
		say  string
		is   error
	}{
		"newer":         {does: write(p.list(t, 11, now, time.Hour))},
		"the-same":      {does: write(p.list(t, 10, now, time.Hour))},
		"rolled-back":   {does: write(p.list(t, 9, now, time.Hour)), say: "older than the list that was seen last (10)", is: signed.ErrRollback},
		"stale":         {does: write(p.list(t, 11, now.Add(-2*time.Hour), time.Hour)), say: "stale", is: signed.ErrStale},
		"of-tomorrow":   {does: write(p.list(t, 11, now.Add(24*time.Hour), time.Hour)), say: "is the clock right"},
		"by-a-stranger": {does: write(stranger.list(t, 11, now, time.Hour)), say: "not by the key that is pinned", is: signed.ErrSignature},
		"garbage":       {does: write([]byte("<html>")), say: "no signed list", is: trust.ErrMalformed},
		"nothing":       {does: write(nil), say: "no signed list", is: trust.ErrMalformed},
		"half":          {does: write(p.list(t, 11, now, time.Hour)[:100]), say: "no signed list", is: trust.ErrMalformed},
		"not-there":     {does: http.NotFound, say: "404", is: trust.ErrUnavailable},
		"not-let-in":    {does: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, say: "docker login", is: trust.ErrUnauthorized},
		"endless": {does: func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, say: "more than 12582912 bytes", is: trust.ErrLimit},
		"slow": {does: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}, say: "deadline", is: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(tt.does)
			t.Cleanup(server.Close)
			o := newMachine(t)
			trusts(t, o.certs, server)
			key, err := signed.ParsePublic(p.public)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.kept.Enrol(server.URL+"/list", key, p.list(t, 10, now, time.Hour), now); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = o.Refresh(ctx)
			if (err == nil) != (tt.say == "") || err != nil && !strings.Contains(err.Error(), tt.say) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %q, %v", err, tt.say, tt.is)
			}
			e, s, lerr := o.Status()
			if lerr != nil || s.Sequence < 10 || (e.Problem == "") != (err == nil) {
				t.Errorf("%+v, %+v, %v", e.Problem, s, lerr)
			}
			list, lerr := o.list(t.Context())
			if lerr != nil || len(list.Entries()) != 1 {
				t.Errorf("the last good list is gone: %v", lerr)
			}
		})
	}
}

// TestListAsArtifact: the only layer of an artifact, and nothing else that a registry may have under the name.
func TestListAsArtifact(t *testing.T) {
	t.Parallel()
	p := newListServer(t)
	good := p.list(t, 11, time.Now(), time.Hour)
	r := registrytest.Start(t, registrytest.Options{})
	manifest := func(tag, mediaType string, m any) {
		t.Helper()
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		r.PutManifest("acme/list", tag, mediaType, body)
	}
	empty := r.PutBlob("acme/list", []byte("{}"))
	empty.MediaType = ocispec.MediaTypeEmptyJSON
	list := r.PutBlob("acme/list", good)
	large := list
	large.Size = signed.MaxEnvelope + 1
	of := func(layers ...ocispec.Descriptor) ocispec.Manifest {
		return ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.safepull.trust-list.v1+json",
			Config: empty, Layers: layers,
		}
	}
	manifest("good", ocispec.MediaTypeImageManifest, of(list))
	manifest("two", ocispec.MediaTypeImageManifest, of(list, list))
	manifest("none", ocispec.MediaTypeImageManifest, of())
	manifest("large", ocispec.MediaTypeImageManifest, of(large))
	manifest("gone", ocispec.MediaTypeImageManifest, of(ocispec.Descriptor{MediaType: "x/y", Digest: digest.FromString("gone"), Size: 4}))
	manifest("lie", ocispec.MediaTypeImageManifest, of(ocispec.Descriptor{MediaType: "x/y", Digest: list.Digest, Size: list.Size - 1}))
	manifest("index", ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex})
	for tag, say := range map[string]string{
		"good": "", "two": "2 layers", "none": "0 layers", "large": "more than", "gone": "fetch the list", "lie": "fetch the list", "index": "fetch the list", "missing": "not found",
	} {
		o := newMachine(t)
		text, err := o.Fetch(t.Context(), "oci://"+r.Host()+"/acme/list:"+tag)
		if (err == nil) != (say == "") || err != nil && !strings.Contains(err.Error(), say) || err == nil && string(text) != string(good) {
			t.Errorf("%s: %v, want %q", tag, err, say)
		}
	}
}

// TestListClock: a list that became stale counts on, and that is said; a clock that was ahead keeps nobody from asking.
func TestListClock(t *testing.T) {
	t.Parallel()
	p := newListServer(t)
	parts, said := loggedIn(t, nil)
	o := parts.organization()
	o.certs = t.TempDir()
	trusts(t, o.certs, p.Server)
	key, err := signed.ParsePublic(p.public)
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-90 * time.Minute)
	if _, err := o.kept.Enrol(p.URL, key, p.list(t, 10, then, time.Hour), then); err != nil {
		t.Fatal(err)
	}
	p.does(http.NotFound)
	list, err := o.list(t.Context())
	if err != nil || len(list.Entries()) != 1 || !strings.Contains(said.String(), "list 10 of Acme is stale since") || !strings.Contains(said.String(), "counts on, because no newer one was taken") {
		t.Errorf("%v, said %q", err, said)
	}
	text := read(t, o.kept.Path)
	ahead := strings.Replace(text, `"tried": "20`, `"tried": "21`, 1)
	if err := os.WriteFile(o.kept.Path, []byte(ahead), 0o600); err != nil || ahead == text {
		t.Fatal(err, text)
	}
	said.Reset()
	p.gives(p.list(t, 11, time.Now(), time.Hour))
	if _, err := o.list(t.Context()); err != nil || said.Len() > 0 {
		t.Errorf("%v, said %q", err, said)
	}
	if e, s, err := o.Status(); err != nil || s.Sequence != 11 || e.Problem != "" {
		t.Errorf("%+v, %+v, %v", e, s, err)
	}
}

// TestListThatCannotBeKept: where the user's folder is read-only, as in many build jobs, a newer list counts for the run.
func TestListThatCannotBeKept(t *testing.T) {
	t.Parallel()
	p := newListServer(t)
	parts, said := loggedIn(t, nil)
	o := parts.organization()
	o.certs = t.TempDir()
	trusts(t, o.certs, p.Server)
	if _, err := o.Enrol(t.Context(), p.URL, p.public); err != nil {
		t.Fatal(err)
	}
	// A lock that cannot be opened stands for a folder that cannot be written to: to root, all can.
	if err := errors.Join(os.Remove(o.kept.Path+".lock"), os.Mkdir(o.kept.Path+".lock", 0o700)); err != nil {
		t.Fatal(err)
	}
	p.gives(p.list(t, 12, time.Now(), time.Hour))
	if s, err := o.Refresh(t.Context()); err == nil || s.Sequence != 12 {
		t.Errorf("%+v, %v", s, err)
	}
	p.gives(p.list(t, 9, time.Now(), time.Hour))
	if s, err := o.Refresh(t.Context()); err == nil || s.Sequence != 0 {
		t.Errorf("an older list: %+v, %v", s, err)
	}
	p.gives(p.list(t, 13, time.Now(), time.Hour))
	text := read(t, o.kept.Path)
	old := strings.Replace(text, `"tried": "20`, `"tried": "19`, 1) // long ago, so that it is asked anew
	if err := os.WriteFile(o.kept.Path, []byte(old), 0o600); err != nil || old == text {
		t.Fatal(err, text)
	}
	if _, err := o.list(t.Context()); err != nil || !strings.Contains(said.String(), "the list 13 of Acme counts for this run alone") {
		t.Errorf("%v, said %q", err, said)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFollow: what an editor or another proxy changes in the file counts soon, and what is wrong in it never.
func TestFollow(t *testing.T) {
	t.Parallel()
	own, cfg, _ := newOwn(t)
	log := logrus.New()
	log.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	defer alongside(ctx, func(ctx context.Context) { own.follow(ctx, 10*time.Millisecond, log) })()
	defer cancel()
	ref := trust.Reference{Registry: "quay.io", Repository: "evil/x", Tag: "1"}
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 500 {
			if ok() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal(what)
	}
	change := func(text string) {
		t.Helper()
		at := time.Now().Add(time.Second)
		if err := errors.Join(os.WriteFile(cfg.Organization.List, []byte(text), 0o600), os.Chtimes(cfg.Organization.List, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	change("version: 1\nentries:\n  - {pattern: 'quay.io/evil/**', action: deny}\n")
	until("it is not taken", func() bool { return own.live.Match(ref, time.Now()).Denied() })
	change("version: 1\nentries: no\n")
	time.Sleep(50 * time.Millisecond)
	if !own.live.Match(ref, time.Now()).Denied() || len(own.Entries()) != 1 {
		t.Error("a broken list counts")
	}
	if err := os.Remove(cfg.Organization.List); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if !own.live.Match(ref, time.Now()).Denied() {
		t.Error("a list that is gone counts as empty")
	}
}
