package proxy

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
)

// connect is an HTTP proxy that connects to the configured hosts only, and there it is this server that answers. To
// every other host it refuses to connect.
type connect struct {
	tls   *tls.Config
	hosts map[string]bool
	inner *handoff
}

// newConnect is for hosts with an optional port; 443 is meant otherwise.
func newConnect(c *tls.Config, hosts []string, at net.Addr) *connect {
	f := &connect{tls: c, hosts: map[string]bool{}, inner: &handoff{at: at, conns: make(chan net.Conn), closed: make(chan struct{})}}
	for _, host := range hosts {
		f.hosts[withPort(host)] = true
	}
	return f
}

func withPort(host string) string {
	host = strings.ToLower(host)
	if _, _, err := net.SplitHostPort(host); err != nil {
		return net.JoinHostPort(strings.Trim(host, "[]"), "443")
	}
	return host
}

// ServeHTTP implements http.Handler.
func (f *connect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.Header().Set("Allow", http.MethodConnect)
		plain(w, http.StatusMethodNotAllowed, "safepull-proxy: this is an HTTP proxy for engines, and connects by CONNECT only")
		return
	}
	if !f.hosts[withPort(r.Host)] {
		plain(w, http.StatusForbidden, "safepull-proxy: this proxy does not connect to that host: it is none of transparentHosts")
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		plain(w, http.StatusHTTPVersionNotSupported, "safepull-proxy: CONNECT needs HTTP/1.1")
		return
	}
	if n, ok := w.(*recorder); ok {
		n.Note(http.StatusOK, 0)
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = conn.Close()
		return
	}
	f.inner.give(tls.Server(&ahead{conn, buffered.Reader}, f.tls))
}

// ahead is a connection of which some bytes were read already.
type ahead struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements io.Reader.
func (c *ahead) Read(p []byte) (int, error) {
	if c.reader.Buffered() > 0 {
		return c.reader.Read(p)
	}
	return c.Conn.Read(p)
}

// handoff is a listener of connections that others accepted.
type handoff struct {
	at     net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// give closes the connection when nobody accepts any more.
func (h *handoff) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return h.at }
