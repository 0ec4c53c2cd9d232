package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/plugin"
	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/identity"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/trust"
)

const (
	// grantFor is how long a token is handed over before another one is got: registries make them for a minute at least.
	grantFor = 45 * time.Second
	// grantPatience bounds the way to a registry that only the proxy can reach.
	grantPatience = 15 * time.Second
	// maxGrant bounds what is handed over: engines and proxies refuse headers that are much longer.
	maxGrant = 30 << 10
	// proxyHolds is how long the proxy may keep a request waiting for a verdict.
	proxyHolds = 5 * time.Minute
)

// customHeaders is the environment in which docker's own client finds headers for the engine.
const customHeaders = "DOCKER_CUSTOM_HEADERS"

// oneWord is what may stand in the header: a token or Base64, with no space that would part it.
var oneWord = regexp.MustCompile(`^[!-~]+$`)

// handover is the user's right to read one repository at its registry, for the proxy that the user named. It is got
// when it is first wanted, and is kept in memory only.
type handover struct {
	ref trust.Reference
	// trusted says that no one overhears what the proxy is sent.
	trusted bool
	ask     func(context.Context) (upstream.Grant, error)
	note    func(string)

	mu    sync.Mutex
	value caller.Secret
	token bool
	until time.Time
	now   func() time.Time
	noted sync.Once
}

// header is the value of identity.Header, empty where there is nothing to hand over. onlyToken leaves out what is no
// token of short life for this repository.
func (h *handover) header(ctx context.Context, onlyToken bool) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.now().Before(h.until) {
		h.renew(ctx)
	}
	if onlyToken && !h.token {
		return ""
	}
	return h.value.Reveal()
}

// renew asks the registry. What it does not give is not handed over: the proxy then says what it thinks of that.
func (h *handover) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grantPatience)
	defer cancel()
	grant, err := h.ask(ctx)
	h.value, h.token = "", grant.Scheme == bearer
	if !errors.Is(err, context.Canceled) {
		h.until = h.now().Add(grantFor)
	}
	switch {
	case err != nil:
		h.say(fmt.Sprintf("the proxy is asked without your login at %s: %v", h.ref.Registry, err))
	case grant.Value == "":
	case len(grant.Value) > maxGrant, !oneWord.MatchString(grant.Value):
		h.say(fmt.Sprintf("the proxy is asked without your login at %s, which gives out a token that cannot be handed over", h.ref.Registry))
	case !h.token && !h.trusted:
		h.say(fmt.Sprintf("the proxy is asked without your login at %s, which would go over the network for all to read: name the proxy with https", h.ref.Registry))
	default:
		scheme := grant.Scheme
		if scheme == standing {
			scheme = bearer
		}
		h.value = caller.Secret(h.ref.Registry + " " + scheme + " " + grant.Value)
	}
}

func (h *handover) say(sentence string) { h.noted.Do(func() { h.note(sentence) }) }

const (
	bearer = "Bearer"
	// standing is a bearer token of docker's configuration: it is for more than one repository, and for long.
	standing = "standing"
)

// handover is the user's right at the reference's registry.
func (p *pluginParts) handover(proxy *url.URL, ref trust.Reference) *handover {
	return &handover{ref: ref, trusted: private(proxy), note: p.note, now: time.Now, ask: func(ctx context.Context) (upstream.Grant, error) {
		login, err := credential.DockerConfig(p.cli.ConfigFile().Filename)(ctx, ref.Registry)
		switch {
		case err != nil || login == auth.EmptyCredential:
			return upstream.Grant{}, err
		case login.AccessToken != "":
			return upstream.Grant{Scheme: standing, Value: login.AccessToken}, nil
		}
		registry, leave, err := p.registry(ctx, ref.Registry)
		if err != nil {
			return upstream.Grant{}, err
		}
		defer leave()
		return registry.Grant(ctx, ref.Repository)
	}}
}

// private reports whether what is sent to a URL is encrypted, or stays on this machine.
func private(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// carrier hands the right over to the proxy, and to no other host, whatever redirects say.
type carrier struct {
	next     http.RoundTripper
	proxy    *url.URL
	handover *handover
}

// RoundTrip implements http.RoundTripper.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del(identity.Header)
	if r.URL.Scheme == c.proxy.Scheme && strings.EqualFold(r.URL.Host, c.proxy.Host) {
		if value := c.handover.header(r.Context(), false); value != "" {
			r.Header.Set(identity.Header, value)
		}
	}
	return c.next.RoundTrip(r)
}

// proxied is the reference's repository as the proxy serves it to the user. Logins are docker's: the one at the proxy's
// host for the proxy, the one at the registry for what is handed over.
func (p *pluginParts) proxied(_ context.Context, proxy *url.URL, ref trust.Reference) (plugin.Proxied, error) {
	transport, err := certified(engineCerts, proxy.Host)
	if err != nil {
		return plugin.Proxied{}, err
	}
	if transport == nil {
		transport = upstream.NewTransport(upstream.Timeouts{})
	}
	transport.ResponseHeaderTimeout = proxyHolds
	plain := transport.Clone() // for questions that no Registry asks, which would say where it may dial
	plain.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	p.atEnd(transport.CloseIdleConnections)
	p.atEnd(plain.CloseIdleConnections)
	right := p.handover(proxy, ref)
	p.mu.Lock()
	p.right = right
	p.mu.Unlock()
	at := *proxy
	at.User = nil
	login := credential.DockerConfig(p.cli.ConfigFile().Filename)
	if password, ok := proxy.User.Password(); ok {
		login = credential.Static(proxy.User.Username(), password)
	}
	registry, err := upstream.New(upstream.Options{
		Host: ref.Registry, URL: at.String(), Under: ref.Registry, Credential: login,
		Transport: carrier{transport, proxy, right}, UserAgent: "docker-safepull/" + p.version.Version, Reach: upstream.Reach{Anywhere: true},
	})
	if err != nil {
		return plugin.Proxied{}, err
	}
	src, err := newDescribed(upstream.Typed(registry))
	return plugin.Proxied{Source: src, Transport: carrier{plain, proxy, right}}, err
}

// recorder is the client for the one request by which the engine itself asks the image's registry. An engine that is
// routed through the proxy brings the user's right along: engines copy headers of this name to all that they ask for an
// image. It is only ever a token of short life, since one that is routed elsewhere shows it there.
func (p *pluginParts) recorder(ctx context.Context, ref trust.Reference) (client.APIClient, error) {
	p.mu.Lock()
	right := p.right
	p.mu.Unlock()
	if right == nil || right.ref.Name() != ref.Name() {
		return nil, nil //nolint:nilnil // nothing is handed over
	}
	value := right.header(ctx, true)
	if value == "" {
		if right.header(ctx, false) != "" {
			p.note(fmt.Sprintf("the engine asks for %s without your login: only a token for pulls from one repository may go along here, and %s gives out none", ref.Name(), ref.Registry))
		}
		return nil, nil //nolint:nilnil // nothing is handed over, and who has a login knows
	}
	if os.Getenv(customHeaders) != "" { // which only docker's own client knows, and which must not be lost
		p.note(fmt.Sprintf("the engine asks for %s without your login, since headers for it are in %s: unset that, or pull what needs no login", ref.Name(), customHeaders))
		return nil, nil //nolint:nilnil // nothing is handed over, and the user knows
	}
	endpoint := p.cli.DockerEndpoint()
	options, err := endpoint.ClientOpts()
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	headers := map[string]string{}
	for name, text := range p.cli.ConfigFile().HTTPHeaders {
		headers[http.CanonicalHeaderKey(name)] = text
	}
	if _, own := headers[identity.Header]; !own {
		headers[identity.Header] = value
	}
	options = append(options, client.WithAPIVersion(p.cli.Client().ClientVersion()), client.WithHTTPHeaders(headers))
	api, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	return api, nil
}
