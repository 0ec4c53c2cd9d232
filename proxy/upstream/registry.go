// Package upstream reads registries: it is the pull half of the distribution specification as a trust.Source, with
// every answer bounded and every blob verified while it is read.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/safepull/safepull/trust"
)

// dockerHubURL is where the registry that references call docker.io is.
const dockerHubURL = "https://registry-1.docker.io"

// Options say which registry, as whom, and how patiently.
type Options struct {
	// Host is the registry's name in references, such as "docker.io" or "127.0.0.1:5000". References to another
	// registry are refused.
	Host string
	// URL is the base URL. Empty means https://Host, and registry-1.docker.io for docker.io. Plain http is used only
	// when this says so. A path is kept in front of /v2/.
	URL string
	// Under stands between /v2/ and the repository's name in paths, where the registry is read through another one that
	// knows it by that name. Empty means nothing.
	Under string
	// Credential finds the login; nil means anonymous. It is asked for the host of URL only.
	Credential auth.CredentialFunc
	// Transport is shared by registries that have the same network settings; see NewTransport. Nil means one of its
	// own, which Close empties.
	Transport http.RoundTripper
	// UserAgent is sent with every request; empty means "safepull".
	UserAgent string
	// Timeouts bound waiting; zero fields have defaults.
	Timeouts Timeouts
	// Retries is how often one request is tried again after a passing error; zero means 3, negative never.
	Retries int
	// Resumes is how often one body that broke off is continued; zero means 8, negative never.
	Resumes int
	// RetryWait is the first pause between tries, doubled each time up to maxRetryWait; zero means 250 ms.
	RetryWait time.Duration
	// RetryAfter is the longest pause that is made because the registry asks for it; zero means 3 s.
	RetryAfter time.Duration
	// Reach says where the registry may lead us.
	Reach Reach
	// Limits are shared by all registries that stand for one upstream; nil is none.
	Limits *Limits
	// Mirrors are asked for content before URL, in this order.
	Mirrors []Mirror
}

// Registry reads one registry as one identity: it keeps that identity's tokens and must not be shared between
// identities. It is safe for concurrent use.
type Registry struct {
	name      string
	base      *url.URL
	under     string
	client    *auth.Client
	transport *http.Transport // nil when the caller brought one
	timeouts  Timeouts
	resumes   int
	retryWait time.Duration
	limits    *Limits
	mirrors   []*mirror
	// large is the room that large answers share.
	large *semaphore.Weighted
}

var _ trust.Source = (*Registry)(nil)

// New makes a Registry. It does no I/O.
func New(o Options) (*Registry, error) {
	base, err := baseURL(o)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		name:      o.Host,
		base:      base,
		under:     o.Under,
		timeouts:  o.Timeouts.withDefaults(),
		resumes:   orDefault(o.Resumes, 8),
		retryWait: o.RetryWait,
		limits:    o.Limits,
		large:     semaphore.NewWeighted(largeAnswers),
	}
	if r.name == "" {
		r.name = base.Host
	}
	if r.retryWait <= 0 {
		r.retryWait = 250 * time.Millisecond
	}
	transport := o.Transport
	if transport == nil {
		r.transport = NewTransport(o.Timeouts)
		transport = r.transport
	}
	where := newReach(base, o.Reach)
	agent := o.UserAgent
	if agent == "" {
		agent = "safepull"
	}
	r.client = &auth.Client{
		Client: &http.Client{
			Transport: &retry.Transport{
				Base:   outgoing{transport, where, o.Limits},
				Policy: retryPolicy(orDefault(o.Retries, 3), r.retryWait, cmp.Or(o.RetryAfter, maxRetryWait)),
			},
			CheckRedirect: redirectPolicy(where),
		},
		Header:               http.Header{"User-Agent": {agent}},
		Credential:           credentialFor(base.Host, o.Credential),
		Cache:                newTokenCache(),
		ClientID:             "safepull",
		BlockedRealmPrefixes: blockedPrefixes(base),
	}
	r.mirrors, err = newMirrors(o, transport)
	return r, err
}

// ForHost makes a Registry for the registry of that name, reached as docker reaches it: by https, except that a
// loopback host which does not answer https is spoken to in plain http, and that its certificate need not be known.
// URL and Host of o are set by ForHost. It asks the network only for loopback hosts.
func ForHost(ctx context.Context, host string, o Options) (*Registry, error) {
	o.Host, o.URL, o.Reach.Anywhere = host, "", true
	if host == trust.DockerHub || !isLoopback(hostname(host)) {
		return New(o)
	}
	o.URL = "http://" + host
	transport := NewTransport(o.Timeouts)
	transport.TLSClientConfig.InsecureSkipVerify = true // the peer is this machine, and http would be the alternative
	if answersTLS(ctx, transport, host) {
		o.URL = "https://" + host
		if o.Transport == nil {
			o.Transport = transport
		}
	}
	if err := ctx.Err(); err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	r, err := New(o)
	if err != nil || o.Transport != http.RoundTripper(transport) {
		transport.CloseIdleConnections()
		return r, err
	}
	r.transport = transport
	return r, nil
}

// answersTLS reports whether anything speaks https at host, whatever it says.
func answersTLS(ctx context.Context, transport *http.Transport, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req.WithContext(withReach(ctx, newReach(req.URL, Reach{}))))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// Close drops idle connections of a transport of its own. Reads in progress go on.
func (r *Registry) Close() {
	if r.transport != nil {
		r.transport.CloseIdleConnections()
	}
}

func baseURL(o Options) (*url.URL, error) {
	raw := o.URL
	switch {
	case raw != "":
	case o.Host == trust.DockerHub:
		raw = dockerHubURL
	case o.Host != "":
		raw = "https://" + o.Host
	default:
		return nil, errors.New("a registry needs a host or a URL")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("registry URL of %q cannot be parsed", o.Host) // the URL may hold a password
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("registry URL %q: the scheme must be https or http", u.Redacted())
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("registry URL %q has no host", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("registry URL %q holds a login: configure it as a credential instead", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("registry URL %q: query and fragment have no meaning here", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// credentialFor asks ask for the login of host, and answers every other host with nothing.
func credentialFor(host string, ask auth.CredentialFunc) auth.CredentialFunc {
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, at string) (auth.Credential, error) {
		if at != host {
			return auth.EmptyCredential, nil
		}
		cred, err := ask(ctx, at)
		if err != nil {
			return auth.EmptyCredential, credentialError{err}
		}
		return cred, nil
	}
}

// blockedPrefixes are the addresses that a registry may not send us to, for tokens or for content: link-local, cloud
// metadata and the like, and loopback unless the registry itself is on loopback or spoken to in plain http.
func blockedPrefixes(base *url.URL) []netip.Prefix {
	all := auth.DefaultBlockedRealmPrefixes()
	if base.Scheme != "http" && !isLoopback(base.Hostname()) {
		return all
	}
	blocked := make([]netip.Prefix, 0, len(all))
	for _, p := range all {
		if !p.Addr().IsLoopback() {
			blocked = append(blocked, p)
		}
	}
	return blocked
}

// isLoopback is docker's rule for hosts that need no TLS.
func isLoopback(hostname string) bool {
	if strings.EqualFold(hostname, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(hostname, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func orDefault(n, def int) int {
	switch {
	case n == 0:
		return def
	case n < 0:
		return 0
	}
	return n
}
