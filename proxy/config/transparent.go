package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
)

// HostCert is the certificate for one of the hosts in whose name the proxy answers.
type HostCert struct {
	Host     string `yaml:"host"`
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// CA is an authority that signs for transparentHosts and TLS.Names while the proxy runs.
type CA struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// Connect is the address of an HTTP proxy for engines (HTTPS_PROXY); empty means none.
type Connect struct {
	Listen string `yaml:"listen"`
}

// Enabled reports whether any certificate is configured.
func (t TLS) Enabled() bool { return t.CertFile != "" || t.CA.CertFile != "" || len(t.Hosts) > 0 }

// TransparentHosts are the names of all upstreams under which engines take the proxy for a registry.
func (c Config) TransparentHosts() []string {
	var all []string
	for _, u := range c.Upstreams {
		all = append(all, u.TransparentHosts...)
	}
	return all
}

// SignedHosts are the names that the authority of TLS.CA must be able to sign for.
func (c Config) SignedHosts() []string {
	return slices.Concat(c.TLS.Names, c.TransparentHosts())
}

func (c *Config) checkTransparent(at origins) error {
	if (c.TLS.CA.CertFile == "") != (c.TLS.CA.KeyFile == "") {
		return at.errorf("tls.ca", "certFile and keyFile belong together: write both or none")
	}
	for i, name := range c.TLS.Names {
		if !hostPattern.MatchString(name) || strings.Contains(name, ":") && !strings.HasPrefix(name, "[") {
			return at.errorf(fmt.Sprintf("tls.names[%d]", i), "%q is no host: write for example proxy.example.com", name)
		}
	}
	certified := map[string]bool{}
	for i, h := range c.TLS.Hosts {
		key := fmt.Sprintf("tls.hosts[%d]", i)
		if !hostPattern.MatchString(h.Host) {
			return at.errorf(key+".host", "%q is no host: write for example registry-1.docker.io", h.Host)
		}
		if err := checkPair(key, h.CertFile, h.KeyFile, at); err != nil {
			return err
		}
		certified[bareHost(h.Host)] = true
	}
	if c.TLS.CA.CertFile != "" {
		if err := checkPair("tls.ca", c.TLS.CA.CertFile, c.TLS.CA.KeyFile, at); err != nil {
			return err
		}
	}
	return c.checkTransparentHosts(certified, at)
}

func (c *Config) checkTransparentHosts(certified map[string]bool, at origins) error {
	owner, found := map[string]string{}, false
	for _, u := range c.Upstreams {
		owner[u.Host] = u.Host
	}
	for i, u := range c.Upstreams {
		for j, host := range u.TransparentHosts {
			key := fmt.Sprintf("upstreams[%d].transparentHosts[%d]", i, j)
			if !hostPattern.MatchString(host) {
				return at.errorf(key, "%q is no host: write for example registry-1.docker.io", host)
			}
			if other := owner[host]; other != "" && other != u.Host {
				return at.errorf(key, "%q is %s already: keep one", host, other)
			}
			if c.TLS.Enabled() && c.TLS.CA.CertFile == "" && !certified[bareHost(host)] {
				return at.errorf(key, "no certificate is configured for %q: add it to tls.hosts, or make an authority with \"safepull-proxy ca init\" and name it in tls.ca", host)
			}
			owner[host], found = u.Host, true
		}
	}
	if c.Connect.Listen == "" {
		return nil
	}
	if err := checkAddress(c.Connect.Listen); err != nil {
		return at.errorf("connect.listen", "%w", err)
	}
	if _, port, _ := net.SplitHostPort(c.Connect.Listen); port != "0" && (c.Connect.Listen == c.Listen || c.Connect.Listen == c.Admin.Listen) {
		return at.errorf("connect.listen", "%q is another listener's address: choose another port, or leave it empty", c.Connect.Listen)
	}
	if !found || !c.TLS.Enabled() {
		return at.errorf("connect.listen", "there is nothing to connect to: name transparentHosts at an upstream, and their certificates in tls.hosts or tls.ca")
	}
	return nil
}

func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

func checkPair(key, certFile, keyFile string, at origins) error {
	cert, err := readFile(certFile, maxInput)
	if err != nil {
		return at.errorf(key+".certFile", "%w", err)
	}
	private, err := readFile(keyFile, maxInput)
	if err != nil {
		return at.errorf(key+".keyFile", "%w", err)
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		return at.errorf(key, "certFile and keyFile are no pair: %w", err)
	}
	return nil
}
