package wire

import (
	"crypto/tls"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/identity"
)

// newDoor makes the front door that a configuration describes.
func newDoor(cfg config.Config, log logrus.FieldLogger) (*identity.Door, error) {
	d := cfg.Door
	o := identity.Options{
		HTPasswd: d.HTPasswd, Tokens: d.Tokens, Anonymous: d.Anonymous,
		PassThrough: cfg.PassThrough(), BasicIsFor: d.BasicIsFor, URL: d.URL, Hosts: map[string]string{}, Log: log,
	}
	for _, u := range cfg.Upstreams {
		for _, host := range append([]string{u.Host}, u.TransparentHosts...) {
			o.Hosts[host] = u.Host
		}
	}
	if d.MTLS.CA != "" {
		o.Certificate = d.MTLS.Identity
	}
	if d.OIDC.Issuer != "" {
		roots, err := rootCAs(d.OIDC.CA)
		if err != nil {
			return nil, err
		}
		o.OIDC = &identity.OIDC{
			Issuer: d.OIDC.Issuer, Audience: d.OIDC.Audience, Claim: d.OIDC.Claim, Require: d.OIDC.Require, Roots: roots,
		}
	}
	return identity.New(o)
}

// withClients makes a listener ask for client certificates. Who shows none may still log in otherwise: the door decides.
func withClients(c *tls.Config, m config.MTLS) (*tls.Config, error) {
	if c == nil || m.CA == "" {
		return c, nil
	}
	pool, err := rootCAs(m.CA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = pool, tls.VerifyClientCertIfGiven
	return c, nil
}
