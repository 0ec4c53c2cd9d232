package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options upstream.Options
		wantErr string
	}{
		"docker-hub":  {options: upstream.Options{Host: "docker.io"}},
		"host-only":   {options: upstream.Options{Host: "ghcr.io"}},
		"url-only":    {options: upstream.Options{URL: "https://ghcr.io"}},
		"with-path":   {options: upstream.Options{Host: "x", URL: "https://x/docker/"}},
		"nothing":     {wantErr: "needs a host"},
		"scheme":      {options: upstream.Options{URL: "ftp://x"}, wantErr: "scheme"},
		"no-host":     {options: upstream.Options{URL: "https:///x"}, wantErr: "no host"},
		"login":       {options: upstream.Options{URL: "https://u:hush@x"}, wantErr: "login"},
		"query":       {options: upstream.Options{URL: "https://x/?a=b"}, wantErr: "query"},
		"unparseable": {options: upstream.Options{URL: "https://u:hush@x:port"}, wantErr: "parsed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := upstream.New(tt.options)
			if (err == nil) != (tt.wantErr == "") || (err != nil && !strings.Contains(err.Error(), tt.wantErr)) {
				t.Fatalf("error %v, want %q", err, tt.wantErr)
			}
			if err != nil {
				if strings.Contains(err.Error(), "hush") {
					t.Errorf("the password is in %q", err)
				}
				return
			}
			u.Close()
		})
	}
}

// seen is a transport that notes where a request goes.
type seen struct{ url string }

func (s *seen) RoundTrip(req *http.Request) (*http.Response, error) {
	s.url = req.URL.String()
	return nil, errors.New("nobody is there")
}

func TestWhereRequestsGo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options upstream.Options
		want    string
	}{
		"docker-hub": {upstream.Options{Host: "docker.io"}, "https://registry-1.docker.io/v2/acme/app/manifests/latest"},
		"other":      {upstream.Options{Host: "ghcr.io"}, "https://ghcr.io/v2/acme/app/manifests/latest"},
		"path":       {upstream.Options{Host: "x.test", URL: "http://y.test:81/docker/"}, "http://y.test:81/docker/v2/acme/app/manifests/latest"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &seen{}
			tt.options.Transport = s
			u, err := upstream.New(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			_, err = u.Resolve(t.Context(), trust.Reference{Registry: tt.options.Host, Repository: repo, Tag: "latest"})
			if s.url != tt.want || !errors.Is(err, trust.ErrUnavailable) {
				t.Errorf("asked %q, want %q; %v", s.url, tt.want, err)
			}
		})
	}
}

func TestForHost(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{true, false} {
		r := registrytest.Start(t, registrytest.Options{TLS: tls})
		want := r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
		_, port, err := net.SplitHostPort(r.Host())
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port} {
			u, err := upstream.ForHost(t.Context(), host, upstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := u.Resolve(t.Context(), trust.Reference{Registry: host, Repository: repo, Tag: "latest"})
			if err != nil || got.Digest != want.Digest {
				t.Errorf("%s, TLS %v: %v, %v", host, tls, got, err)
			}
			u.Close()
		}
	}
	t.Run("elsewhere-is-https-only", func(t *testing.T) {
		t.Parallel()
		s := &seen{}
		u, err := upstream.ForHost(t.Context(), "registry.test:5000", upstream.Options{Transport: s, URL: "http://ignored"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = u.Resolve(t.Context(), trust.Reference{Registry: "registry.test:5000", Repository: repo, Tag: "latest"})
		if !strings.HasPrefix(s.url, "https://registry.test:5000/") {
			t.Errorf("asked %q", s.url)
		}
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := upstream.ForHost(ctx, "127.0.0.1:1", upstream.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{TLS: true})
	u := dial(t, r, func(o *upstream.Options) { o.Transport = nil })
	if _, err := u.Resolve(t.Context(), tagged(r, "latest")); !errors.Is(err, trust.ErrUnavailable) || len(r.Requests()) != 0 {
		t.Errorf("error %v, %d requests", err, len(r.Requests()))
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	const host = "127.0.0.1:1" // a port that another test gets is somebody
	u, err := upstream.New(upstream.Options{Host: host, URL: "http://" + host, RetryWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Resolve(t.Context(), trust.Reference{Registry: host, Repository: repo, Tag: "x"}); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

const proxiedEnv = "UPSTREAM_TEST_PROXIED"

// The environment's proxy is read once in a program's life, so it takes a program of its own.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	if os.Getenv(proxiedEnv) != "" {
		u, err := upstream.New(upstream.Options{Host: "registry.test", URL: "http://registry.test"})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if _, err := u.Resolve(t.Context(), trust.Reference{Registry: "registry.test", Repository: repo, Tag: "latest"}); err != nil {
			t.Error(err)
		}
		return
	}
	r := registrytest.Start(t, registrytest.Options{})
	r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$")
	cmd.Env = append(os.Environ(), proxiedEnv+"=1", "HTTP_PROXY="+r.URL(), "http_proxy="+r.URL(), "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil || r.Count("HEAD", "/v2/"+repo+"/manifests/latest") != 1 {
		t.Errorf("%v, %d requests came by the proxy: %s", err, len(r.Requests()), out)
	}
}

func TestResolveByDigest(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	want := r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	ref := tagged(r, "another").WithDigest(want.Digest)
	if got, err := u.Resolve(t.Context(), ref); err != nil || got.Digest != want.Digest || got.Size != want.Size {
		t.Errorf("%v, %v", got, err)
	}
	path := "/v2/" + repo + "/manifests/*"
	r.Misbehave(path, header("Docker-Content-Digest", digest.FromString("other").String()))
	if _, err := u.Resolve(t.Context(), ref); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("another digest in the header: %v", err)
	}
	r.Misbehave(path, registrytest.Fault{Wrong: true, Header: http.Header{"Docker-Content-Digest": nil}})
	if _, err := u.Resolve(t.Context(), ref); !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("other bytes: %v", err)
	}
}
