package transparent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/transparent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes one and reads it back.
func authority(t *testing.T, now time.Time, hosts ...string) (cert, key []byte) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "in", "ca.crt"), filepath.Join(dir, "in", "ca.key")
	if err := transparent.Create(certFile, keyFile, hosts, now); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v %v", info.Mode(), err)
	}
	cert, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err = os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// handshake is what a client that trusts ca alone says to a server with the certificates.
func handshake(t *testing.T, c *transparent.Certificates, ca []byte, name string, now time.Time) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client, server := net.Pipe()
	defer client.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		_ = tls.Server(server, &tls.Config{GetCertificate: c.Get, MinVersion: tls.VersionTLS12}).Handshake()
	}()
	err := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: name, Time: func() time.Time { return now }, MinVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
	_ = client.Close()
	<-done
	return err
}

func TestSignsForConfiguredHostsOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, key := authority(t, now, "registry-1.docker.io", "ghcr.io:443", "127.0.0.1")
	c, err := transparent.New(transparent.Options{AuthorityCert: ca, AuthorityKey: key, Signed: []string{"registry-1.docker.io", "GHCR.io", "127.0.0.1:5443"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Hosts()); got != "[127.0.0.1 ghcr.io registry-1.docker.io]" {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"registry-1.docker.io": "", "ghcr.io": "",
		"evil.ghcr.io": "unrecognized name|internal error|no certificate", "bank.example": "internal error|unrecognized name|no certificate",
	} {
		err := handshake(t, c, ca, name, now)
		if (err == nil) != (want == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := handshake(t, c, ca, "ghcr.io", now.Add(25*time.Hour)); err == nil {
		t.Error("a leaf is good for more than a day")
	}
}

// TestConstraints: even somebody who holds the key gets no certificate for another host past a client.
func TestConstraints(t *testing.T) {
	t.Parallel()
	ca, key := authority(t, time.Now(), "ghcr.io")
	for _, other := range []string{"bank.example", "10.0.0.1", "[2001:db8::1]", "xghcr.io"} {
		_, err := transparent.New(transparent.Options{AuthorityCert: ca, AuthorityKey: key, Signed: []string{other}})
		if err == nil || !strings.Contains(err.Error(), "cannot sign for") {
			t.Errorf("%s: %v", other, err)
		}
	}
	only, onlyKey := authority(t, time.Now(), "10.0.0.1")
	if _, err := transparent.New(transparent.Options{AuthorityCert: only, AuthorityKey: onlyKey, Signed: []string{"bank.example"}}); err == nil {
		t.Error("an authority for addresses signs for a name")
	}
}

func TestRenews(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, key := authority(t, now, "ghcr.io")
	c, err := transparent.New(transparent.Options{AuthorityCert: ca, AuthorityKey: key, Signed: []string{"ghcr.io"}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{ServerName: "ghcr.io"}
	one, err := c.Get(hello)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.Get(hello); again != one {
		t.Error("signed twice within a day")
	}
	now = now.Add(23*time.Hour + time.Minute)
	if later, err := c.Get(hello); err != nil || later == one {
		t.Errorf("not renewed: %v", err)
	}
}

func TestWhichCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, key := authority(t, now, "ghcr.io", "quay.io", "proxy.example")
	signer, err := transparent.New(transparent.Options{AuthorityCert: ca, AuthorityKey: key, Signed: []string{"quay.io", "proxy.example"}})
	if err != nil {
		t.Fatal(err)
	}
	file, err := signer.Get(&tls.ClientHelloInfo{ServerName: "quay.io"})
	if err != nil {
		t.Fatal(err)
	}
	own, err := signer.Get(&tls.ClientHelloInfo{ServerName: "proxy.example"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := transparent.New(transparent.Options{
		Default: own, Files: map[string]tls.Certificate{"quay.io": *file}, AuthorityCert: ca, AuthorityKey: key, Signed: []string{"ghcr.io", "quay.io"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"quay.io": "quay.io", "ghcr.io": "ghcr.io", "": "proxy.example", "other.example": "proxy.example", "GHCR.io.": "ghcr.io"} {
		got, err := c.Get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || got.Leaf.DNSNames[0] != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := transparent.New(transparent.Options{Files: map[string]tls.Certificate{"ghcr.io": *file}}); err == nil {
		t.Error("another host's certificate is accepted")
	}
	none, err := transparent.New(transparent.Options{Files: map[string]tls.Certificate{"quay.io": *file}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "ghcr.io"} {
		if _, err := none.Get(&tls.ClientHelloInfo{ServerName: name}); err == nil {
			t.Errorf("%q has a certificate", name)
		}
	}
	if got, err := signer.Get(&tls.ClientHelloInfo{}); err != nil || got.Leaf.DNSNames[0] != "quay.io" {
		t.Errorf("without a name: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, hosts := range map[string][]string{"none": nil, "pattern": {"*.docker.io"}, "url": {"https://ghcr.io"}, "many": make([]string, 1001), "empty": {""}} {
		if err := transparent.Create(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), hosts, time.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	crt, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if err := os.WriteFile(crt, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := transparent.Create(crt, key, []string{"ghcr.io"}, time.Now()); err == nil {
		t.Error("a file was overwritten")
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a key without its certificate is left")
	}
}

func TestNoAuthority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, key := authority(t, now.Add(-400*24*time.Hour), "ghcr.io")
	other, _ := authority(t, now, "ghcr.io")
	for name, o := range map[string]transparent.Options{
		"ended":   {AuthorityCert: ca, AuthorityKey: key},
		"no_pair": {AuthorityCert: other, AuthorityKey: key},
		"garbage": {AuthorityCert: []byte("x"), AuthorityKey: []byte("y")},
	} {
		if _, err := transparent.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
