package transparent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxSigned bounds the certificates in memory. Only configured names get one, so that it is reached by large
// configurations alone.
const maxSigned = 256

// Options say who signs for whom. Certificates are PEM.
type Options struct {
	// Default answers clients that name no host, or one that nothing else is for. Nil means that they are refused.
	Default *tls.Certificate
	// Files are certificates for single hosts.
	Files map[string]tls.Certificate
	// AuthorityCert and AuthorityKey sign for the names of Signed that have no file. Both may be empty.
	AuthorityCert, AuthorityKey []byte
	Signed                      []string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Certificates answers handshakes. It may be used by any number of goroutines.
type Certificates struct {
	files     map[string]tls.Certificate
	names     map[string]bool
	first     string
	def       *tls.Certificate
	authority *authority
	now       func() time.Time

	mu     sync.Mutex
	signed *lru.Cache[string, *tls.Certificate]
}

// New checks that clients who trust the authority will accept every certificate that it is to sign.
func New(o Options) (*Certificates, error) {
	c := &Certificates{files: map[string]tls.Certificate{}, names: map[string]bool{}, def: o.Default, now: o.Now}
	if c.now == nil {
		c.now = time.Now
	}
	for host, pair := range o.Files {
		name := Name(host)
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			return nil, fmt.Errorf("the certificate for %s: %w", host, err)
		}
		c.files[name] = pair
	}
	var err error
	if c.signed, err = lru.New[string, *tls.Certificate](maxSigned); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if len(o.AuthorityCert) == 0 {
		return c, nil
	}
	if c.authority, err = newAuthority(o.AuthorityCert, o.AuthorityKey, c.now()); err != nil {
		return nil, err
	}
	for _, host := range o.Signed {
		name := Name(host)
		if _, ok := c.files[name]; ok {
			continue
		}
		if err := c.authority.permits(name, c.now()); err != nil {
			return nil, fmt.Errorf("the authority cannot sign for %s: make another with \"safepull-proxy ca init\": %w", host, err)
		}
		c.names[name] = true
		if c.first == "" {
			c.first = name
		}
	}
	return c, nil
}

// Hosts are the names that have a certificate of their own, sorted.
func (c *Certificates) Hosts() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(c.files)), maps.Keys(c.names))
	slices.Sort(all)
	return all
}

// Get is tls.Config.GetCertificate: by the name that the client wants, if that is configured.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := Name(hello.ServerName)
	if pair, ok := c.files[name]; ok {
		return &pair, nil
	}
	switch {
	case c.names[name]:
		return c.sign(name)
	case c.def != nil:
		return c.def, nil
	case name == "" && c.first != "":
		return c.sign(c.first) // a client that names nobody may still know the authority
	case name == "":
		return nil, errors.New("the client names no host, and no certificate is configured for that")
	}
	return nil, fmt.Errorf("no certificate is configured for %q", name)
}

// sign remembers what it signed until shortly before its end.
func (c *Certificates) sign(name string) (*tls.Certificate, error) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert, ok := c.signed.Get(name); ok && now.Before(cert.Leaf.NotAfter.Add(-leafRenew)) {
		return cert, nil
	}
	cert, err := c.authority.sign(name, now)
	if err != nil {
		return nil, err
	}
	c.signed.Add(name, cert)
	return cert, nil
}
