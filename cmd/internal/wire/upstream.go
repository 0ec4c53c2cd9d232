package wire

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/breaker"
	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/proxy/upstream/reader"
	"github.com/safepull/safepull/trust"
)

// registries are the configured upstreams, by the registry's name.
type registries struct {
	byHost     map[string]*reader.Upstream
	routes     []distribution.Upstream
	transports []*http.Transport
}

func (r *registries) close() {
	for _, u := range r.byHost {
		u.Close()
	}
	for _, t := range r.transports {
		t.CloseIdleConnections()
	}
}

// of is the upstream of the reference's registry.
func (r *registries) of(ref trust.Reference) (*reader.Upstream, error) {
	if u := r.byHost[ref.Registry]; u != nil {
		return u, nil
	}
	return nil, fmt.Errorf("%s: %w", ref.Registry, enforce.ErrNotConfigured)
}

// Source implements enforce.Sources.
func (r *registries) Source(ctx context.Context, ref trust.Reference) (trust.Source, error) {
	u, err := r.of(ref)
	if err != nil {
		return nil, err
	}
	src, err := u.Source(ctx, ref)
	if err != nil {
		return nil, err
	}
	return held{src, u}, nil
}

// held is a source of content that others may have brought into the cache.
type held struct {
	trust.Source
	of *reader.Upstream
}

// Has reports whether the repository has a blob, for the context's caller: see trust/judge.
func (h held) Has(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) error {
	return h.of.Blob(ctx, ref, desc)
}

// Manifest implements enforce.Rights.
func (r *registries) Manifest(ctx context.Context, ref trust.Reference) error {
	u, err := r.of(ref)
	if err != nil {
		return err
	}
	return u.Manifest(ctx, ref)
}

// Blob implements enforce.Rights.
func (r *registries) Blob(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) error {
	u, err := r.of(ref)
	if err != nil {
		return err
	}
	return u.Blob(ctx, ref, desc)
}

// Referrers lists what refers to ref's digest, as the context's caller may read it.
func (r *registries) Referrers(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error) {
	u, err := r.of(ref)
	if err != nil {
		return ocispec.Index{}, err
	}
	return u.Referrers(ctx, ref, artifactType)
}

// AnonymousMayRead reports whether anonymous callers may read the reference's repository, as far as is known.
func (r *registries) AnonymousMayRead(ref trust.Reference) bool {
	u := r.byHost[ref.Registry]
	return u != nil && u.AnonymousMayRead(ref)
}

func upstreams(cfg config.Config, kept *kept, counters *metrics.Metrics, log *logrus.Logger) (*registries, error) {
	all := &registries{byHost: map[string]*reader.Upstream{}}
	shared := everythingIsShared(cfg)
	for _, u := range cfg.Upstreams {
		o, transport, err := newUpstream(u)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Host, err)
		}
		all.transports = append(all.transports, transport)
		o.Shared = shared
		if o.Own != nil {
			o.OnRefused = refusedLogin(u, counters, log)
		}
		o.Wrap = func(src trust.Source) trust.Source {
			return kept.tags.Source(upstream.Typed(kept.blobs.Source(counted{src, func(n int64) { counters.UpstreamBytes(u.Host, n) }})))
		}
		read, err := reader.New(o)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Host, err)
		}
		all.byHost[u.Host] = read
		all.routes = append(all.routes, distribution.Upstream{
			Host: u.Host, Alias: u.Alias, TransparentHosts: u.TransparentHosts, Default: u.Default,
			HardDeny: road.Mode(u.HardDeny), Sealed: u.Delivery == config.DeliverySealed, Lister: read,
		})
	}
	return all, nil
}

// everythingIsShared reports whether whoever reaches the proxy may have all that it may have: no upstream is read with
// a login that is not everyone's. One that is makes all of them ask for rights, since they share the cache.
func everythingIsShared(cfg config.Config) bool {
	for _, u := range cfg.Upstreams {
		if u.Credentials.Kind == config.CredentialsPassThrough || u.Credentials.ShareWithAuthenticated {
			return false
		}
	}
	return true
}

// newUpstream says how an upstream is read. All its readers share the transport, which keeps refused logins back.
func newUpstream(u config.Upstream) (reader.Options, *http.Transport, error) {
	timeouts := upstream.Timeouts{Header: u.Timeout}
	transport := upstream.NewTransport(timeouts)
	pool, err := rootCAs(u.CA)
	if err != nil {
		return reader.Options{}, nil, err
	}
	transport.TLSClientConfig.RootCAs = pool
	guarded, err := breaker.New(transport, time.Now)
	if err != nil {
		return reader.Options{}, nil, err
	}
	own, err := login(u.Credentials)
	if err != nil {
		return reader.Options{}, nil, err
	}
	shared := reading(u)
	shared.Transport, shared.Timeouts = guarded, timeouts
	return reader.Options{
		Host: u.Host, PassThrough: u.Credentials.Kind == config.CredentialsPassThrough, Own: own, OwnRefused: guarded.Refused,
		Mirrored: len(u.Mirrors) > 0,
		Open: func(login auth.CredentialFunc) (*upstream.Registry, error) {
			o := shared
			o.Credential = login
			return upstream.New(o)
		},
		OwnFor: func(c caller.Caller, repository string) bool {
			return u.Credentials.SharedWith(repository) || u.Credentials.ShareWithAuthenticated && c.Identity != ""
		},
	}, transport, nil
}

// reading is how an upstream is read, whoever asks.
func reading(u config.Upstream) upstream.Options {
	o := upstream.Options{
		Host: u.Host, URL: u.URL, UserAgent: "safepull-proxy", Retries: u.Retries, RetryAfter: u.RetryAfter,
		Reach:  upstream.Reach{RedirectHosts: u.RedirectHosts, TokenHosts: u.TokenHosts, AllowPrivate: u.AllowPrivate},
		Limits: upstream.NewLimits(float64(u.RequestsPerSecond), int64(u.BytesPerSecond)),
	}
	for _, m := range u.Mirrors {
		o.Mirrors = append(o.Mirrors, upstream.NewMirror(m.URL, m.Resolve))
	}
	return o
}

// login is nil when the upstream is read anonymously.
func login(c config.Credentials) (auth.CredentialFunc, error) {
	switch c.Kind {
	case config.CredentialsNone, config.CredentialsPassThrough:
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
