package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safepull/safepull/proxy"
)

// dial opens a connection that is closed when the test ends.
func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestIdleConnectionsKeepNobodyOut: as many as the machine lets us open, silent ones, some that send a header for ever,
// some that asked once; and every client in between is served at once.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	many := 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	const room = 200
	many = min(many, int(files.Cur)-4*room)
	s := start(t, proxy.Options{MaxConnections: room})
	begin := time.Now()
	for i := range many {
		conn := dial(t, s.Addr())
		switch i % 3 {
		case 1:
			_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		case 2:
			_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if i%(many/8) != 0 {
			continue
		}
		asked := time.Now()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
		resp, err := client.Get("http://" + s.Addr().String() + "/v2/") //nolint:noctx // a test on loopback
		if err != nil {
			t.Fatalf("behind %d connections: %v", i, err)
		}
		_ = resp.Body.Close()
		if took := time.Since(asked); took > 10*time.Second || resp.StatusCode != http.StatusOK {
			t.Errorf("behind %d connections: %s after %s", i, resp.Status, took)
		}
	}
	t.Logf("%d connections in %s", many, time.Since(begin))
}

// TestAnswersAreNotCutForNewcomers: only connections that wait for a request have to go.
func TestAnswersAreNotCutForNewcomers(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	s := start(t, proxy.Options{MaxConnections: 2, Registry: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/slow" {
			close(begun)
			<-end
		}
		_, _ = io.WriteString(w, "done")
	})})
	slow := dial(t, s.Addr())
	_, _ = io.WriteString(slow, "GET /v2/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-begun
	for range 20 {
		if status, _, _ := s.get(t, s.Addr(), "/v2/"); status != http.StatusOK {
			t.Error(status)
		}
		s.client.CloseIdleConnections()
		dial(t, s.Addr())
	}
	close(end)
	said, err := io.ReadAll(slow)
	if err != nil || !strings.HasSuffix(string(said), "done") {
		t.Errorf("the slow answer: %q, %v", said, err)
	}
}

// TestSlowHeaders: who does not finish a header is cut.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, proxy.Options{})
	conn := dial(t, s.Addr())
	_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n")
	begin, stop := time.Now(), make(chan struct{})
	go func() {
		defer close(stop)
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", i); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	_ = conn.SetReadDeadline(begin.Add(20 * time.Second))
	said, _ := io.ReadAll(conn)
	if took := time.Since(begin); took > 15*time.Second || strings.Contains(string(said), " 200 ") {
		t.Errorf("%q after %s", said, took)
	}
	_ = conn.Close()
	<-stop
}

// TestHostileRequests: what is no request that an engine makes gets a status, and not a handler.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := start(t, proxy.Options{})
	for name, c := range map[string]struct{ raw, want string }{
		"large_header":      {"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 80<<10) + "\r\n\r\n", "431"},
		"many_headers":      {"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n", "431"},
		"long_path":         {"GET /v2/" + strings.Repeat("a", 80<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
		"null_in_path":      {"GET /v2/\x00/manifests/x HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"no_host":           {"GET /v2/ HTTP/1.1\r\n\r\n", "400"},
		"two_hosts":         {"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: ghcr.io\r\n\r\n", "400"},
		"host_with_path":    {"GET /v2/ HTTP/1.1\r\nHost: x/../y\r\n\r\n", "400"},
		"space_before":      {"GET /v2/ HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
		"length_and_chunks": {"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
		"two_lengths":       {"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400"},
		"no_http":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"http2_preface":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
	} {
		conn := dial(t, s.Addr())
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		go func() { _, _ = io.WriteString(conn, c.raw) }() // the server may not take all of it
		line, err := bufio.NewReader(conn).ReadString('\n')
		if c.want != "" && !strings.Contains(line, " "+c.want) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		_ = conn.Close()
	}
	if status, _, _ := s.get(t, s.Addr(), "/v2/"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

// TestSlowBodies: nothing that is served has a body, and who trickles one holds nothing for long.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	s := start(t, proxy.Options{Registry: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, err)
	})})
	conn := dial(t, s.Addr())
	begin := time.Now()
	_, _ = io.WriteString(conn, "POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx")
	_ = conn.SetReadDeadline(begin.Add(20 * time.Second))
	_, _ = io.ReadAll(conn)
	if took := time.Since(begin); took > 12*time.Second {
		t.Errorf("a body that does not come held a handler for %s", took)
	}
}
