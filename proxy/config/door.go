package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Door says who is let in. With no method at all, everyone is.
type Door struct {
	// Anonymous lets in who shows nothing, beside those who log in.
	Anonymous bool   `yaml:"anonymous"`
	HTPasswd  string `yaml:"htpasswd"`
	Tokens    string `yaml:"tokens"`
	OIDC      OIDC   `yaml:"oidc"`
	MTLS      MTLS   `yaml:"mtls"`
	// URL is where clients reach the proxy.
	URL string `yaml:"url"`
	// BasicIsFor is the upstream whose login callers show at the proxy.
	BasicIsFor string `yaml:"basicIsFor"`
}

// OIDC is the issuer whose signed claims are believed; an empty Issuer means none.
type OIDC struct {
	Issuer   string   `yaml:"issuer"`
	Audience string   `yaml:"audience"`
	Claim    string   `yaml:"claim"`
	Require  []string `yaml:"require"`
	CA       string   `yaml:"ca"`
}

// MTLS takes client certificates; an empty CA means none.
type MTLS struct {
	CA       string `yaml:"ca"`
	Identity string `yaml:"identity"`
}

// Authenticates reports whether any method can prove who asks.
func (d Door) Authenticates() bool { return len(d.methods()) > 0 }

// methods are the ways in which callers can prove who they are, as caller.Caller names them.
func (d Door) methods() (all []string) {
	for _, m := range []struct{ name, key string }{{"htpasswd", d.HTPasswd}, {"token", d.Tokens}, {"oidc", d.OIDC.Issuer}, {"mtls", d.MTLS.CA}} {
		if m.key != "" {
			all = append(all, m.name)
		}
	}
	return all
}

// asks is the key by which callers are asked for a login; empty where they are not.
func (d Door) asks() string {
	switch {
	case d.HTPasswd != "":
		return "door.htpasswd"
	case d.Tokens != "":
		return "door.tokens"
	case d.OIDC.Issuer != "":
		return "door.oidc"
	case d.BasicIsFor != "":
		return "door.basicIsFor"
	}
	return ""
}

// paths are those that may be relative to the configuration file.
func (d *Door) paths() []*string {
	return []*string{&d.HTPasswd, &d.Tokens, &d.OIDC.CA, &d.MTLS.CA}
}

func (c *Config) checkDoor(at origins) error {
	d := c.Door
	for _, f := range []struct{ key, path string }{
		{"door.htpasswd", d.HTPasswd}, {"door.tokens", d.Tokens},
	} {
		if f.path == "" {
			continue
		}
		if _, err := readFile(f.path, maxInput); err != nil {
			return at.errorf(f.key, "%w", err)
		}
	}
	if d.Anonymous && !d.Authenticates() {
		return at.errorf("door.anonymous", "everyone is let in already: name a method (htpasswd, tokens, oidc, mtls), or remove it")
	}
	if d.URL != "" {
		u, err := url.Parse(d.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return at.errorf("door.url", "this is no address of the proxy: write for example https://proxy.example.com")
		}
	}
	if asks := d.asks(); asks != "" && d.URL == "" && !c.TLS.Enabled() {
		return at.errorf("door.url", "callers log in here (%s), and without its own address the proxy could only ask for passwords in a way "+
			"at which engines that use it as a mirror go around it: write where clients reach it, for example http://proxy.example.com:5000, or configure tls", asks)
	}
	if err := d.OIDC.check(at); err != nil {
		return err
	}
	if err := d.MTLS.check(at, c.TLS.Enabled()); err != nil {
		return err
	}
	return c.checkBasicIsFor(at)
}

func (o OIDC) check(at origins) error {
	if o.Issuer == "" {
		if o.Audience != "" || len(o.Require) > 0 || o.CA != "" {
			return at.errorf("door.oidc", "without an issuer the other keys do nothing: write it, or remove them")
		}
		return nil
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil, u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return at.errorf("door.oidc.issuer", "the issuer must be an https URL without a login, such as https://login.example.com")
	case o.Audience == "":
		return at.errorf("door.oidc.audience", "a token made for anybody else would be let in: write whom tokens for this proxy name")
	}
	for i, r := range o.Require {
		if name, value, ok := strings.Cut(r, "="); !ok || name == "" || value == "" {
			return at.errorf(fmt.Sprintf("door.oidc.require[%d]", i), "%q is no claim=value", r)
		}
	}
	return checkCertificates("door.oidc.ca", o.CA, at)
}

func (m MTLS) check(at origins, serveTLS bool) error {
	if m.CA == "" {
		return nil
	}
	if !serveTLS {
		return at.errorf("door.mtls", "client certificates need https: write tls.certFile and tls.keyFile, or another of tls")
	}
	if !slices.Contains([]string{"commonName", "dns", "email", "uri"}, m.Identity) {
		return at.errorf("door.mtls.identity", "%q names nobody: use commonName, dns, email or uri", m.Identity)
	}
	return checkCertificates("door.mtls.ca", m.CA, at)
}

// checkCertificates checks a file of PEM certificates, if there is one.
func checkCertificates(key, path string, at origins) error {
	if path == "" {
		return nil
	}
	pem, err := readFile(path, maxInput)
	if err != nil {
		return at.errorf(key, "%w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return at.errorf(key, "%q holds no certificate in PEM form", path)
	}
	return nil
}

// PassThrough are the upstreams that callers read with their own logins.
func (c *Config) PassThrough() []string {
	var hosts []string
	for _, u := range c.Upstreams {
		if u.Credentials.Kind == CredentialsPassThrough {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// checkBasicIsFor keeps a login that somebody gave for one registry from going to another.
func (c *Config) checkBasicIsFor(at origins) error {
	const key = "door.basicIsFor"
	d := c.Door
	switch {
	case d.BasicIsFor == "":
		return nil
	case !slices.Contains(c.PassThrough(), d.BasicIsFor):
		return at.errorf(key, "%q is no upstream with credentials of kind passThrough: name one, or remove the key", d.BasicIsFor)
	case !d.Anonymous && d.MTLS.CA == "" && d.Authenticates():
		return at.errorf(key, "logins at the proxy are the door's own here, and never sent on: remove the key, or write door.anonymous: true")
	}
	return nil
}
