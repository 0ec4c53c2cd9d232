package wire

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/transparent"
)

// certificate is nil where the proxy serves plain http. By the name that a client asks for it is that host's
// certificate, else the proxy's own.
func certificate(cfg config.Config) (*tls.Config, error) {
	if !cfg.TLS.Enabled() {
		return nil, nil
	}
	o := transparent.Options{Files: map[string]tls.Certificate{}, Signed: cfg.SignedHosts()}
	if cfg.TLS.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		o.Default = &pair
	}
	for _, h := range cfg.TLS.Hosts {
		pair, err := tls.LoadX509KeyPair(h.CertFile, h.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls.hosts: %s: %w", h.Host, err)
		}
		o.Files[h.Host] = pair
	}
	if ca := cfg.TLS.CA; ca.CertFile != "" {
		var err error
		if o.AuthorityCert, err = os.ReadFile(ca.CertFile); err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		if o.AuthorityKey, err = os.ReadFile(ca.KeyFile); err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
	}
	certificates, err := transparent.New(o)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return withClients(&tls.Config{GetCertificate: certificates.Get, MinVersion: tls.VersionTLS12}, cfg.Door.MTLS)
}

// MakeAuthority writes an authority for the hosts.
func MakeAuthority(certFile, keyFile string, hosts []string) error {
	return transparent.Create(certFile, keyFile, hosts, time.Now())
}
