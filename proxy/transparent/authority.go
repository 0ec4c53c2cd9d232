// Package transparent holds the certificates under which the proxy answers in a registry's name: engines that cannot
// be told of a mirror are led to it by DNS or by an HTTP proxy setting, and trust an authority of its own. That
// authority can sign for the configured hosts and no other.
package transparent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// authorityLife is how long a new authority may sign.
	authorityLife = 365 * 24 * time.Hour
	// leafLife is how long a host's certificate is good, and leafRenew how long before its end another is made.
	leafLife  = 24 * time.Hour
	leafRenew = time.Hour
	// skew lets a client whose clock is behind accept what was just signed.
	skew = 5 * time.Minute
	// maxHosts bounds the names that one authority may be made for: clients read all of them in every handshake.
	maxHosts = 1000
)

// Create makes an authority for the hosts (names or addresses, a port is ignored) and writes its certificate and its
// key, which only the owner may read. It overwrites nothing.
func Create(certFile, keyFile string, hosts []string, now time.Time) error {
	template, err := authorityTemplate(hosts, now)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w", err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign the authority: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write the authority's key: %w", err)
	}
	if err := writeNew(keyFile, "PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	if err := writeNew(certFile, "CERTIFICATE", cert, 0o644); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

func writeNew(path, kind string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of %q: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: content}), f.Close())
}

// authorityTemplate permits the hosts and excludes everything else, addresses included. A permitted name includes the
// names below it, as the standard has it.
func authorityTemplate(hosts []string, now time.Time) (*x509.Certificate, error) {
	names, addrs, err := split(hosts)
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "safepull-proxy, for configured registries only"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: names,
	}
	if len(names) == 0 {
		t.PermittedDNSDomains = []string{"invalid"} // an absent list would permit all
	}
	for _, a := range addrs {
		t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
	}
	if len(addrs) == 0 {
		t.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
	}
	return t, nil
}

// split tells names from addresses, each once, without ports.
func split(hosts []string) (names []string, addrs []netip.Addr, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("an authority needs at least one host to sign for")
	}
	if len(hosts) > maxHosts {
		return nil, nil, fmt.Errorf("an authority for %d hosts, at most %d fit", len(hosts), maxHosts)
	}
	for _, host := range hosts {
		name := Name(host)
		if addr, err := netip.ParseAddr(name); err == nil {
			if !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
			continue
		}
		if name == "" || strings.ContainsAny(host, "*/@ ") {
			return nil, nil, fmt.Errorf("%q is no host", host)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, addrs, nil
}

// Name is a host without its port, brackets and final dot, in lower case: what a certificate is for.
func Name(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return n, nil
}

// authority signs leaf certificates, all with one key that never leaves memory.
type authority struct {
	pair tls.Certificate
	leaf *ecdsa.PrivateKey
}

// newAuthority refuses a pair that no client would accept as an authority now.
func newAuthority(certPEM, keyPEM []byte, now time.Time) (*authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err != nil:
		return nil, fmt.Errorf("certificate and key are no pair: %w", err)
	case pair.Leaf == nil || !pair.Leaf.IsCA || pair.Leaf.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("the certificate is none of an authority: make one with \"safepull-proxy ca init\"")
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("the authority ended on %s: make another with \"safepull-proxy ca init\"", pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &authority{pair: pair, leaf: leaf}, nil
}

// permits reports whether clients would accept the authority's word for the name.
func (a *authority) permits(name string, now time.Time) error {
	cert, err := a.sign(name, now)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.pair.Leaf)
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

// sign makes a certificate for one name or address.
func (a *authority) sign(name string, now time.Time) (*tls.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name[:min(len(name), 64)]},
		NotBefore: now.Add(-skew), NotAfter: now.Add(leafLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(name); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.pair.Leaf, a.leaf.Public(), a.pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", name, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.pair.Certificate[0]}, PrivateKey: a.leaf, Leaf: leaf}, nil
}
