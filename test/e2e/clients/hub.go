//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/safepull/safepull/test/registrytest"
)

// hub is the internet of the clients: an HTTP proxy through which docker.io is a registry that has every image and hands
// it to everybody, quickly. It writes down who asked whom for what.
type hub struct {
	// registry is the content of docker.io.
	registry *registrytest.Registry
	// address is the hub's own, ca a file with the authority that its certificates are from.
	address, ca string

	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	front     *http.Server
	back      *http.Server
	accepted  *conns

	mu       sync.Mutex
	contacts []contact
}

// handshake bounds how long a client may take to begin.
const handshake = 30 * time.Second

func startHub(dir string) (*hub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hub{
		registry: registrytest.New(registrytest.Options{}), address: l.Addr().String(), ca: filepath.Join(dir, "ca.pem"),
		accepted: &conns{next: make(chan net.Conn), done: make(chan struct{}), address: l.Addr()},
	}
	if err := h.found(); err != nil {
		return nil, err
	}
	h.front = &http.Server{Handler: http.HandlerFunc(h.connect), ReadHeaderTimeout: handshake}
	h.back = &http.Server{Handler: http.HandlerFunc(h.serve), ReadHeaderTimeout: handshake}
	go func() { _ = h.front.Serve(l) }() // both end with close
	go func() { _ = h.back.Serve(h.accepted) }()
	return h, nil
}

func (h *hub) close() {
	_ = h.front.Close()
	_ = h.back.Close()
	h.registry.Close()
}

// found makes the authority and writes it down.
func (h *hub) found() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	h.key = key
	if h.authority, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return os.WriteFile(h.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// certificate is for whatever name the client wants to reach.
func (h *hub) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: hello.ServerName}, DNSNames: []string{hello.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, h.authority, &h.key.PublicKey, h.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: h.key}, nil
}

// connect answers CONNECT: a road to docker.io, to nobody else.
func (h *hub) connect(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || host != "docker.io" && !strings.HasSuffix(host, ".docker.io") {
		h.note(contact{host: r.Host})
		http.Error(w, "this machine has no road there", http.StatusForbidden)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = conn.Close()
		return
	}
	h.accepted.add(tls.Server(conn, &tls.Config{GetCertificate: h.certificate, MinVersion: tls.VersionTLS12}))
}

// serve is docker.io.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	h.registry.ServeHTTP(&watched{ResponseWriter: w, then: func(status int) {
		h.note(contact{host: r.Host, path: r.URL.Path, given: r.Method == http.MethodGet && status < http.StatusMultipleChoices})
	}}, r)
}

// contact is one request to the internet. Given says that it was answered with content.
type contact struct {
	host, path string
	given      bool
}

// watched tells the status before the client sees it.
type watched struct {
	http.ResponseWriter
	then func(status int)
	told bool
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	if !w.told {
		w.told = true
		w.then(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(p []byte) (int, error) {
	if !w.told {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

func (h *hub) note(c contact) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contacts = append(h.contacts, c)
}

// asked counts the requests for a repository, and those of them that were answered with content.
func (h *hub) asked(repository string) (all, given int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.contacts {
		if strings.HasPrefix(c.path, "/v2/"+repository+"/") {
			all++
			if c.given {
				given++
			}
		}
	}
	return all, given
}

// conns is a listener for connections that were accepted elsewhere.
type conns struct {
	next    chan net.Conn
	done    chan struct{}
	once    sync.Once
	address net.Addr
}

func (c *conns) add(conn net.Conn) {
	select {
	case c.next <- conn:
	case <-c.done:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (c *conns) Accept() (net.Conn, error) {
	select {
	case conn := <-c.next:
		return conn, nil
	case <-c.done:
		return nil, errors.New("closed")
	}
}

// Close implements net.Listener.
func (c *conns) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// Addr implements net.Listener.
func (c *conns) Addr() net.Addr { return c.address }
