package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/namespace/signed"
	"github.com/safepull/safepull/trust/reference"
)

const (
	// organizationFile is the enrolment beside the user's own list.
	organizationFile = "organization.json"
	// listPath is where a proxy serves the list.
	listPath = "/safepull/v1/trust-list"
	// refreshEvery is how old the answer to "is there a newer list" may be, and retryAfter how long after a failure it is
	// asked again: pulls must not wait each time for a server that is down.
	refreshEvery, retryAfter = time.Hour, 5 * time.Minute
	// fetchPatience is what a pull waits for a newer list, and askPatience what a person does who asked for one.
	fetchPatience, askPatience = 5 * time.Second, 30 * time.Second
	// ociScheme begins the address of an artifact.
	ociScheme = "oci://"
)

// organization is the list of the user's organization on this machine.
type organization struct {
	parts *pluginParts
	kept  signed.Kept
	// certs is where the certificates of hosts are.
	certs string
}

// organizationList is the list that counts for this run. It is asked for once, and its notes are said once.
func (p *pluginParts) organizationList(ctx context.Context) (*namespace.List, error) {
	p.asked.Do(func() { p.fetched, p.refused = p.organization().list(ctx) })
	return p.fetched, p.refused
}

func (p *pluginParts) organization() organization {
	return organization{p, signed.Kept{Path: p.file(organizationFile)}, engineCerts}
}

// list is the organization's list, asked anew when it is due; nil where this machine is not enrolled. What cannot be used
// is an error, and what became stale is said.
func (o organization) list(ctx context.Context) (*namespace.List, error) {
	e, s, err := o.kept.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	every := refreshEvery
	if e.Problem != "" {
		every = retryAfter
	}
	if now.Sub(e.Tried) >= every || e.Tried.After(now) {
		ctx, cancel := context.WithTimeout(ctx, fetchPatience)
		defer cancel()
		fresh, err := o.Refresh(ctx)
		switch {
		case err == nil:
			s, e.Problem = fresh, ""
		case fresh.Sequence > 0: // it is good, and cannot be kept, as where the user's folder is read-only
			s, e.Problem = fresh, ""
			o.parts.note(trust.Sanitise(fmt.Sprintf("the list %d of %s counts for this run alone: %v", s.Sequence, s.Name, err), 700))
		default:
			e.Problem = err.Error()
		}
	}
	if e.Problem != "" {
		o.parts.note(trust.Sanitise(fmt.Sprintf("the list %d of %s counts on, because no newer one was taken: %s", s.Sequence, s.Name, e.Problem), 700))
	}
	if until := s.Until(); !until.After(now) {
		o.parts.note(fmt.Sprintf("the list %d of %s is stale since %s: ask whoever runs it", s.Sequence, s.Name, until.UTC().Format(time.RFC3339)))
	}
	return s.Entries()
}

// Enrol implements plugin.Organization.
func (o organization) Enrol(ctx context.Context, at, key string) (signed.Statement, error) {
	public, err := signed.ParsePublic(key)
	if err != nil {
		return signed.Statement{}, err
	}
	at, err = listAddress(at)
	if err != nil {
		return signed.Statement{}, err
	}
	text, err := o.Fetch(ctx, at)
	if err != nil {
		return signed.Statement{}, err
	}
	return o.kept.Enrol(at, public, text, time.Now())
}

// Refresh implements plugin.Organization.
func (o organization) Refresh(ctx context.Context) (signed.Statement, error) {
	e, _, err := o.kept.Load()
	if err != nil {
		return signed.Statement{}, err
	}
	text, err := o.Fetch(ctx, e.URL)
	return o.kept.Refresh(text, err, time.Now())
}

// Status implements plugin.Organization.
func (o organization) Status() (signed.Enrolment, signed.Statement, error) { return o.kept.Load() }

// Leave implements plugin.Organization.
func (o organization) Leave() error { return o.kept.Forget() }

// Fetch implements plugin.Organization.
func (o organization) Fetch(ctx context.Context, at string) ([]byte, error) {
	at, err := listAddress(at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var text []byte
	if name, ok := strings.CutPrefix(at, ociScheme); ok {
		text, err = o.artifact(ctx, name)
	} else {
		text, err = o.get(ctx, at)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the list from %s: %w", at, err)
	}
	return text, nil
}

// listAddress checks where a list is to come from. A URL without a path is a safepull-proxy's. A signature tells who made
// a list and not who keeps a newer one back, so that it travels over TLS.
func listAddress(at string) (string, error) {
	if name, ok := strings.CutPrefix(at, ociScheme); ok {
		_, err := reference.Parse(name)
		return at, err
	}
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return "", errors.New("the address of a list must be https://HOST[/PATH] or oci://REGISTRY/REPOSITORY:TAG")
	case u.User != nil:
		return "", errors.New("the address of a list must hold no login: log in with \"docker login\"")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return "", errors.New("the address of a list must begin with https:// or oci://, or be on this machine")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = listPath
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get reads a list by HTTP, with the login that docker has for the host.
func (o organization) get(ctx context.Context, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "docker-safepull/"+o.parts.version.Version)
	login, err := credential.DockerConfig(o.parts.cli.ConfigFile().Filename)(ctx, req.URL.Host)
	if err != nil {
		return nil, err
	}
	if login.Username != "" {
		req.SetBasicAuth(login.Username, login.Password)
	}
	transport := &transports{root: o.certs}
	defer transport.close()
	resp, err := (&http.Client{Transport: transport, CheckRedirect: mayLead}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", trust.ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return nil, fmt.Errorf("the server answered %s: log in with \"docker login %s\": %w", trust.Sanitise(resp.Status, 100), req.URL.Host, trust.ErrUnauthorized)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s: %w", trust.Sanitise(resp.Status, 100), trust.ErrUnavailable)
	}
	return readSigned(resp.Body)
}

// maxRedirects bounds the way to a list.
const maxRedirects = 5

// mayLead is nil where an answer may lead on: not far, and not to where the address itself could not be.
func mayLead(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("it leads on for more than %d times", maxRedirects)
	}
	if u := next.URL; u.Scheme != "https" && !(u.Scheme == "http" && via[0].URL.Scheme == "http" && isLoopback(u.Hostname())) {
		return fmt.Errorf("it leads away from TLS, to %s", trust.Sanitise(u.Redacted(), 200))
	}
	return nil
}

// transports ask each host with what is kept for that host alone: its authorities, and the certificate that identifies us.
type transports struct {
	root string
	made []*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transports) RoundTrip(req *http.Request) (*http.Response, error) {
	own, err := certified(t.root, req.URL.Host)
	if err != nil {
		return nil, err
	}
	if own == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	// The user named the address: an organization's own server is mostly at a private one.
	own.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.made = append(t.made, own)
	return own.RoundTrip(req)
}

func (t *transports) close() {
	for _, own := range t.made {
		own.CloseIdleConnections()
	}
}

func readSigned(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, signed.MaxEnvelope+1))
	if err == nil && len(text) > signed.MaxEnvelope {
		err = fmt.Errorf("it has more than %d bytes: %w", signed.MaxEnvelope, trust.ErrLimit)
	}
	return text, err
}

// artifact reads a list from a registry: the only layer of an artifact.
func (o organization) artifact(ctx context.Context, name string) ([]byte, error) {
	ref, err := reference.Parse(name)
	if err != nil {
		return nil, err
	}
	registry, leave, err := o.parts.registry(ctx, ref.Registry)
	if err != nil {
		return nil, err
	}
	defer leave()
	top, err := registry.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	body, err := fetchBlob(ctx, registry, ref, top, inspect.MaxManifest)
	if err != nil {
		return nil, err
	}
	manifest, err := inspect.ParseManifest(body, top.MediaType)
	if err != nil {
		return nil, err
	}
	if len(manifest.Layers) != 1 {
		return nil, fmt.Errorf("it has %d layers, and a list has one: %w", len(manifest.Layers), trust.ErrMalformed)
	}
	return fetchBlob(ctx, registry, ref, manifest.Layers[0], signed.MaxEnvelope)
}

// fetchBlob reads what a descriptor names; the source verifies it.
func fetchBlob(ctx context.Context, src trust.Source, ref trust.Reference, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", d.Digest, limit, trust.ErrLimit)
	}
	r, err := src.Fetch(ctx, ref, d)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(r, limit+1))
}
