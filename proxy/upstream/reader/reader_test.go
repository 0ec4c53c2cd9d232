package reader_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/reader"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an upstream before a registry where ada may read acme/private, and everyone acme/public.
type world struct {
	*registrytest.Registry
	*reader.Upstream
	manifest, blob ocispec.Descriptor
	// storage is where the registry may say that blobs are.
	storage *registrytest.Registry
}

func newWorld(t *testing.T, change func(*reader.Options)) world {
	t.Helper()
	r := registrytest.Start(t, registrytest.Options{Auth: "basic", Public: []string{"acme/public"}, Accounts: map[string]registrytest.Account{
		"ada": {Password: "a", Repositories: []string{"acme/private"}}, "bob": {Password: "b"}, "robot": {Password: "r", Repositories: []string{"acme/private"}},
	}})
	w := world{Registry: r, storage: registrytest.Start(t, registrytest.Options{})}
	for _, repository := range []string{"acme/private", "acme/public"} {
		w.blob = r.PutBlob(repository, []byte("layer"))
		w.manifest = r.PutManifest(repository, "1", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"config":{}}`))
	}
	transport := upstream.NewTransport(upstream.Timeouts{})
	t.Cleanup(transport.CloseIdleConnections)
	o := reader.Options{Host: "docker.io", PassThrough: true, Open: func(login auth.CredentialFunc) (*upstream.Registry, error) {
		return upstream.New(upstream.Options{Host: "docker.io", URL: r.URL(), Credential: login, Transport: transport, Retries: -1,
			Reach: upstream.Reach{RedirectHosts: []string{w.storage.Host()}}})
	}}
	if change != nil {
		change(&o)
	}
	u, err := reader.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	w.Upstream = u
	return w
}

func as(t *testing.T, name string) context.Context {
	t.Helper()
	if name == "" {
		return t.Context()
	}
	return caller.With(t.Context(), caller.Caller{Logins: map[string]caller.Login{
		"docker.io": {Username: name, Password: caller.Secret(name[:1])},
		"ghcr.io":   {Username: "never", Password: "sent-here"},
	}})
}

func (w world) ref(repository string) trust.Reference {
	return trust.Reference{Registry: "docker.io", Repository: repository, Digest: w.manifest.Digest}
}

func TestEachReadsWithTheirOwnLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct {
		who, repository string
		want            error
	}{
		{"ada", "acme/private", nil}, {"bob", "acme/private", trust.ErrUnauthorized}, {"", "acme/private", trust.ErrUnauthorized},
		{"eve", "acme/private", trust.ErrUnauthorized}, {"ada", "acme/public", nil}, {"", "acme/public", nil}, {"ada", "acme/private", nil},
	} {
		ctx, ref := as(t, c.who), w.ref(c.repository)
		src, err := w.Source(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := src.Resolve(ctx, ref)
		content, err2 := src.Fetch(ctx, ref, w.blob)
		if err2 == nil {
			_, err2 = io.Copy(io.Discard, content)
			_ = content.Close()
		}
		_, _, err3 := w.Tags(ctx, ref, 1, "")
		_, err4 := w.Referrers(ctx, ref, "")
		for i, err := range []error{err1, err2, err3, err4, w.Manifest(ctx, ref), w.Blob(ctx, ref, w.blob)} {
			if !errors.Is(err, c.want) {
				t.Errorf("%q, %s, question %d: %v", c.who, c.repository, i, err)
			}
		}
	}
	for _, q := range w.Requests() {
		if user, _, _ := (&http.Request{Header: q.Header}).BasicAuth(); user == "never" {
			t.Error("the login for another registry was sent")
		}
	}
}

func TestAnswersCountForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ask := func(who string) error { return w.Manifest(as(t, who), w.ref("acme/private")) }
	var all sync.WaitGroup
	for range 20 { // those who ask the same at one time are one request
		all.Go(func() {
			if err := ask("ada"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := w.Count(http.MethodHead, "/v2/acme/private/manifests/*"); n > 2 { // the first of them is asked for the login
		t.Errorf("%d requests for one answer", n)
	}
	w.ForgetRequests()
	for range 5 {
		if err := ask("bob"); !errors.Is(err, trust.ErrUnauthorized) {
			t.Error(err)
		}
	}
	if n := w.Count(http.MethodHead, "/v2/acme/private/manifests/*"); n > 2 {
		t.Errorf("%d requests for one no", n)
	}
	// What is not there is asked for again soon, and says nothing of the rest.
	missing := w.ref("acme/private").WithDigest(digest.FromString("missing"))
	w2 := newWorld(t, nil)
	if err := w2.Manifest(as(t, "ada"), missing); !errors.Is(err, trust.ErrNotFound) {
		t.Error(err)
	}
	if err := w2.Manifest(as(t, "ada"), w2.ref("acme/private")); err != nil {
		t.Error(err)
	}
}

// TestBlobsMustBeThere: the right to read a repository is none to what it does not have.
func TestBlobsMustBeThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx, ref := as(t, "ada"), w.ref("acme/private")
	if err := w.Manifest(ctx, ref); err != nil {
		t.Fatal(err)
	}
	elsewhere := ocispec.Descriptor{Digest: digest.FromString("elsewhere"), Size: 9}
	if err := w.Blob(ctx, ref, elsewhere); !errors.Is(err, trust.ErrNotFound) {
		t.Error(err)
	}
	wrong := w.blob
	wrong.Size++
	if err := w.Blob(ctx, ref, wrong); err == nil {
		t.Error("a blob of another size is there")
	}
	w.Misbehave("/v2/acme/private/blobs/*", registrytest.Fault{Status: http.StatusOK, Body: "please log in"})
	if err := w.Blob(ctx, ref, w.blob); err == nil {
		t.Error("a page that asks for a login was taken for a blob")
	}
	w.Behave()
	if err := w.Blob(ctx, ref, w.blob); err != nil {
		t.Error(err)
	}
	w.ForgetRequests()
	if err := w.Blob(ctx, ref, w.blob); err != nil || len(w.Requests()) != 0 {
		t.Errorf("%v, %d requests for what is known", err, len(w.Requests()))
	}
}

// TestBlobsElsewhere: storage that a registry redirects to takes HEAD for something else.
func TestBlobsElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	storage := w.storage
	storage.PutBlob("acme/private", []byte("layer"))
	w.Misbehave("/v2/acme/private/blobs/*", registrytest.Fault{Redirect: storage.URL()})
	storage.Misbehave("", registrytest.Fault{Status: http.StatusForbidden, Times: 1})
	if err := w.Blob(as(t, "ada"), w.ref("acme/private"), w.blob); err != nil {
		t.Error(err)
	}
	for _, q := range storage.Requests() {
		if q.Header.Get("Authorization") != "" {
			t.Error("the login went along")
		}
	}
	if storage.Count(http.MethodGet, "") != 1 {
		t.Errorf("%+v", storage.Requests())
	}
}

func TestWhenTheRegistryIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	public, private := w.ref("acme/public"), w.ref("acme/private")
	if w.AnonymousMayRead(public) {
		t.Error("nobody tried, and it is public")
	}
	_, _ = w.Manifest(as(t, ""), public), w.Manifest(as(t, ""), private)
	w.Misbehave("", registrytest.Fault{Status: http.StatusBadGateway})
	if !w.AnonymousMayRead(public) || w.AnonymousMayRead(private) {
		t.Error("what is public is not known")
	}
	if err := w.Manifest(as(t, "bob"), public); err != nil {
		t.Errorf("public: %v", err)
	}
	if err := w.Manifest(as(t, "bob"), private); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("private: %v", err)
	}
	if err := w.Blob(as(t, "bob"), public, w.blob); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("a blob that nobody saw there: %v", err)
	}
}

func TestOwnLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *reader.Options) {
		o.PassThrough = false
		o.Own = func(context.Context, string) (auth.Credential, error) {
			return auth.Credential{Username: "robot", Password: "r"}, nil
		}
		o.OwnFor = func(c caller.Caller, repository string) bool {
			return c.Identity != "" && strings.HasPrefix(repository, "acme/")
		}
	})
	known := caller.With(t.Context(), caller.Caller{Identity: "ada"})
	if err := w.Manifest(known, w.ref("acme/private")); err != nil {
		t.Error(err)
	}
	for _, who := range []string{"", "ada", "bob"} { // logins that the door does not take are none here either
		if err := w.Manifest(as(t, who), w.ref("acme/private")); !errors.Is(err, trust.ErrUnauthorized) {
			t.Errorf("%q: %v", who, err)
		}
	}
	shared := newWorld(t, func(o *reader.Options) { o.Shared = true })
	if err := errors.Join(shared.Manifest(t.Context(), w.ref("acme/private")), shared.Blob(t.Context(), w.ref("acme/private"), w.blob)); err != nil ||
		len(shared.Requests()) != 0 || !shared.AnonymousMayRead(w.ref("acme/private")) {
		t.Errorf("%v: what is everyone's is asked about", err)
	}
}

// TestWhoseLoginIsWhy is known where no other login could be.
func TestWhoseLoginIsWhy(t *testing.T) {
	t.Parallel()
	var refused atomic.Bool
	var told atomic.Int32
	own := func(o *reader.Options) {
		o.PassThrough, o.OwnRefused = false, refused.Load
		o.OnRefused = func(err error) {
			told.Add(1)
			if !errors.Is(err, trust.ErrUnauthorized) {
				t.Error(err)
			}
		}
		o.Own = func(context.Context, string) (auth.Credential, error) {
			return auth.Credential{Username: "robot", Password: "wrong"}, nil
		}
		o.OwnFor = func(_ caller.Caller, repository string) bool { return repository == "acme/private" }
	}
	reads := func(ctx context.Context, w world, repository string) []error {
		ref := w.ref(repository)
		_, _, tags := w.Tags(ctx, ref, 1, "")
		_, referrers := w.Referrers(ctx, ref, "")
		src, err := w.Source(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		_, resolve := src.Resolve(ctx, ref)
		_, fetch := src.Fetch(ctx, ref, w.blob)
		return []error{tags, referrers, resolve, fetch, w.Blob(ctx, ref, w.blob), w.Manifest(ctx, ref)}
	}
	for name, c := range map[string]struct {
		how                  func(*reader.Options)
		who, repository      string
		refused, known, ours bool
	}{
		"ours":          {own, "", "acme/private", true, true, true},
		"ours-was-fine": {own, "", "acme/private", false, false, false},
		"not-with-ours": {own, "", "acme/other", true, false, false},
		"missing":       {nil, "", "acme/private", true, true, false},
		"not-theirs":    {nil, "bob", "acme/private", true, false, false},
	} {
		refused.Store(c.refused)
		told.Store(0)
		for i, err := range reads(as(t, c.who), newWorld(t, c.how), c.repository) {
			var fault *caller.LoginError
			if known := errors.As(err, &fault); !errors.Is(err, trust.ErrUnauthorized) || known != c.known || known && fault.Own != c.ours {
				t.Errorf("%s: %d: %v", name, i, err)
			}
		}
		if n := told.Load(); c.ours != (n > 0) {
			t.Errorf("%s: told %d times", name, n)
		}
	}
}

func TestLoginIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for who, want := range map[string]error{"": nil, "ada": nil, "bob": nil, "eve": trust.ErrUnauthorized} {
		for range 3 {
			if err := w.CheckLogin(as(t, who)); !errors.Is(err, want) {
				t.Errorf("%q: %v", who, err)
			}
		}
	}
	if n := w.Count(http.MethodGet, "/v2/"); n > 6 { // each login once, and each asked for first
		t.Errorf("%d requests", n)
	}
}

func TestLoginsAreBounded(t *testing.T) {
	t.Parallel()
	opened := 0
	synctest.Test(t, func(t *testing.T) {
		u, err := reader.New(reader.Options{Host: "docker.io", PassThrough: true, Open: func(login auth.CredentialFunc) (*upstream.Registry, error) {
			opened++
			return upstream.New(upstream.Options{Host: "docker.io", Credential: login})
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		for range 2 {
			for i := range 600 {
				ctx := caller.With(t.Context(), caller.Caller{Logins: map[string]caller.Login{"docker.io": {Token: caller.Secret(strings.Repeat("x", i+1))}}})
				for range 2 {
					if _, err := u.Source(ctx, trust.Reference{Repository: "a"}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		time.Sleep(time.Second)
	})
	if opened != 1201 {
		t.Errorf("%d registries were opened", opened)
	}
}
