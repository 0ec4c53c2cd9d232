// Package registrytest is an in-memory registry on loopback for tests: it speaks the pull half of the distribution
// specification, counts what it was asked, and misbehaves on command.
package registrytest

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Options say what kind of registry it is. The zero value is plain http that lets everyone in.
type Options struct {
	// TLS serves https with a certificate that only Registry.Client and Registry.Roots know.
	TLS bool
	// Auth is "", "basic" or "bearer".
	Auth string
	// User and Password are the one account. With bearer and no User, everyone gets a token.
	User, Password string
	// Accounts replace User and Password by several accounts, each with rights of its own. What Public names, and with
	// bearer the right to ask for tokens, is everyone's.
	Accounts map[string]Account
	// Public are repositories that everyone may read, when there are Accounts.
	Public []string
	// IdentityToken, with bearer, buys an access token by POST (OAuth2 refresh_token).
	IdentityToken string
	// Realm replaces the URL of the registry's own token endpoint in challenges.
	Realm string
	// PageSize limits pages of tags/list and referrers; zero means all at once.
	PageSize int
}

// Account is somebody who may read some repositories.
type Account struct {
	Password string
	// Repositories are names, or patterns of path.Match.
	Repositories []string
}

// Registry is a running registry. All its methods may be called at any time from any goroutine.
type Registry struct {
	options Options
	server  *httptest.Server

	mu       sync.Mutex
	repos    map[string]*repository
	tokens   map[string]string // token → scope
	faults   []*armedFault
	spoiled  int
	requests []Request
	stop     chan struct{}
	// publishers are what the APIs beside the registry tell.
	publishers map[string]Publisher
	stopOnce   sync.Once
}

type repository struct {
	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]manifest
	tags      map[string]digest.Digest
	referrers map[digest.Digest][]ocispec.Descriptor
}

type manifest struct {
	mediaType string
	body      []byte
}

// New starts a registry; the caller closes it.
func New(o Options) *Registry {
	r := &Registry{
		options: o,
		repos:   map[string]*repository{},
		tokens:  map[string]string{},
		stop:    make(chan struct{}),
	}
	r.server = httptest.NewUnstartedServer(r)
	if o.TLS {
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	return r
}

// Start is New, closed when the test ends.
func Start(tb testing.TB, o Options) *Registry {
	tb.Helper()
	r := New(o)
	tb.Cleanup(r.Close)
	return r
}

// Close ends every answer in progress and stops the registry. It may be called more than once.
func (r *Registry) Close() {
	r.stopOnce.Do(func() { close(r.stop) })
	r.server.CloseClientConnections()
	r.server.Close()
}

// URL is the base URL, without a trailing slash.
func (r *Registry) URL() string { return r.server.URL }

// Host is host:port, as references name the registry.
func (r *Registry) Host() string {
	u, err := url.Parse(r.server.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Client is an HTTP client that trusts the registry's certificate.
func (r *Registry) Client() *http.Client { return r.server.Client() }

// Roots holds the registry's certificate; nil without TLS.
func (r *Registry) Roots() *x509.CertPool {
	if !r.options.TLS {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.server.Certificate())
	return pool
}

// Certificate is the registry's, in PEM; nil without TLS. It holds for 127.0.0.1 and for example.com and what is below it.
func (r *Registry) Certificate() []byte {
	if !r.options.TLS {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
}

// PutBlob stores body in repo.
func (r *Registry) PutBlob(repo string, body []byte) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromBytes(body)
	r.repo(repo).blobs[d] = slices.Clone(body)
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(body))}
}

// PutManifest stores body in repo, points tag at it when tag is not empty, and lists it as a referrer of its subject
// when it has one.
func (r *Registry) PutManifest(repo, tag, mediaType string, body []byte) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromBytes(body)
	at := r.repo(repo)
	at.manifests[d] = manifest{mediaType: mediaType, body: slices.Clone(body)}
	if tag != "" {
		at.tags[tag] = d
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
	var fields ocispec.Manifest
	if json.Unmarshal(body, &fields) == nil && fields.Subject != nil {
		listed := desc
		listed.ArtifactType = cmp.Or(fields.ArtifactType, fields.Config.MediaType)
		listed.Annotations = fields.Annotations
		subject := fields.Subject.Digest
		if !slices.ContainsFunc(at.referrers[subject], func(x ocispec.Descriptor) bool { return x.Digest == d }) {
			at.referrers[subject] = append(at.referrers[subject], listed)
		}
	}
	return desc
}

// repo is the repository of that name, made when new. The caller holds mu.
func (r *Registry) repo(name string) *repository {
	at := r.repos[name]
	if at == nil {
		at = &repository{
			blobs:     map[digest.Digest][]byte{},
			manifests: map[digest.Digest]manifest{},
			tags:      map[string]digest.Digest{},
			referrers: map[digest.Digest][]ocispec.Descriptor{},
		}
		r.repos[name] = at
	}
	return at
}

// Request is one request as it arrived.
type Request struct {
	Method string
	// Path has no query.
	Path   string
	Query  url.Values
	Header http.Header
}

// Requests are all requests so far, in order of arrival, token requests included.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Count is the number of requests with that method (any, when empty) whose path matches pattern as in Misbehave.
func (r *Registry) Count(method, pattern string) int {
	n := 0
	for _, q := range r.Requests() {
		if (method == "" || q.Method == method) && pathMatches(pattern, q.Path) {
			n++
		}
	}
	return n
}

// ForgetRequests empties the log.
func (r *Registry) ForgetRequests() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

// ExpireTokens makes every token handed out so far worthless.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// pathMatches: empty matches all, a trailing "*" matches any rest, everything else is exact.
func pathMatches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == "" || pattern == path
}
