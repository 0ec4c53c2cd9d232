package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/trust"
)

// registries are the configured upstreams.
type registries struct {
	sources    map[string]trust.Source
	routes     []distribution.Upstream
	transports []*http.Transport
}

func (r *registries) close() {
	for _, t := range r.transports {
		t.CloseIdleConnections()
	}
}

func upstreams(cfg config.Config, cache *blobcache.Cache, counters *metrics.Metrics) (*registries, error) {
	all := &registries{sources: map[string]trust.Source{}}
	for _, u := range cfg.Upstreams {
		registry, transport, err := newUpstream(u)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Host, err)
		}
		all.transports = append(all.transports, transport)
		fromUpstream := counted{registry, func(n int64) { counters.UpstreamBytes(u.Host, n) }}
		all.sources[u.Host] = upstream.Typed(cache.Source(fromUpstream))
		all.routes = append(all.routes, distribution.Upstream{
			Host: u.Host, Alias: u.Alias, TransparentHosts: u.TransparentHosts, Default: u.Default, Lister: registry,
		})
	}
	return all, nil
}

// shared reads with the proxy's login what the configuration shares with everyone, and anonymously all the rest.
type shared struct {
	anonymous, loggedIn *upstream.Registry
	with                func(repository string) bool
}

func newUpstream(u config.Upstream) (shared, *http.Transport, error) {
	timeouts := upstream.Timeouts{Header: u.Timeout}
	transport := upstream.NewTransport(timeouts)
	pool, err := rootCAs(u.CA)
	if err != nil {
		return shared{}, nil, err
	}
	transport.TLSClientConfig.RootCAs = pool
	o := reading(u)
	o.Transport, o.Timeouts = transport, timeouts
	s := shared{with: u.Credentials.SharedWith}
	if s.anonymous, err = upstream.New(o); err != nil {
		return shared{}, nil, err
	}
	s.loggedIn = s.anonymous
	if o.Credential, err = login(u.Credentials); err == nil && o.Credential != nil {
		s.loggedIn, err = upstream.New(o)
	}
	return s, transport, err
}

// reading is how an upstream is read, whoever asks.
func reading(u config.Upstream) upstream.Options {
	o := upstream.Options{
		Host: u.Host, URL: u.URL, UserAgent: "safepull-proxy", Retries: u.Retries, RetryAfter: u.RetryAfter,
		Reach:  upstream.Reach{RedirectHosts: u.RedirectHosts, TokenHosts: u.TokenHosts, AllowPrivate: u.AllowPrivate},
		Limits: upstream.NewLimits(float64(u.RequestsPerSecond), int64(u.BytesPerSecond)),
	}
	for _, m := range u.Mirrors {
		o.Mirrors = append(o.Mirrors, upstream.Mirror{URL: m.URL, Resolve: m.Resolve})
	}
	return o
}

// login is nil when the upstream is read anonymously.
func login(c config.Credentials) (auth.CredentialFunc, error) {
	switch c.Kind {
	case config.CredentialsNone:
		return nil, nil
	case config.CredentialsDockerConfig:
		return credential.DockerConfig(c.Path), nil
	case config.CredentialsHelper:
		if _, err := exec.LookPath("docker-credential-" + c.Helper); err != nil {
			return nil, fmt.Errorf("credentials: the program docker-credential-%s cannot be run: %w", c.Helper, err)
		}
		return credential.Helper(c.Helper), nil
	case config.CredentialsStatic, config.CredentialsFile:
		return func(context.Context, string) (auth.Credential, error) {
			username, password, err := c.Login()
			return auth.Credential{Username: username, Password: password.Reveal()}, err
		}, nil
	}
	return nil, fmt.Errorf("credentials of kind %q are not known here", c.Kind)
}

func (s shared) of(ref trust.Reference) *upstream.Registry {
	if s.with(ref.Repository) {
		return s.loggedIn
	}
	return s.anonymous
}

// Resolve implements trust.Source.
func (s shared) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	return s.of(ref).Resolve(ctx, ref)
}

// Fetch implements trust.Source.
func (s shared) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return s.of(ref).Fetch(ctx, ref, desc)
}

// Tags implements distribution.Lister.
func (s shared) Tags(ctx context.Context, ref trust.Reference, n int, last string) ([]string, bool, error) {
	return s.of(ref).Tags(ctx, ref, n, last)
}

// Referrers implements distribution.Lister.
func (s shared) Referrers(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error) {
	return s.of(ref).Referrers(ctx, ref, artifactType)
}
