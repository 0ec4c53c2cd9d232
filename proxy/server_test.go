package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy"
)

func TestMain(m *testing.M) {
	// After an answer to a request that it did not read whole, net/http lingers for half a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// buffer is a log that a test may read while the server writes it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) Request(route, method string, status int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprint(route, " ", method, " ", status))
}

type running struct {
	*proxy.Server
	log    *buffer
	count  *counter
	stop   context.CancelFunc
	done   chan error
	client *http.Client
}

// start serves on free ports until the test ends.
func start(t *testing.T, o proxy.Options) *running {
	t.Helper()
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	r := &running{log: &buffer{}, count: &counter{}, done: make(chan error, 1), client: &http.Client{Transport: &http.Transport{}}}
	o.Listen, o.Observer, o.Log = "127.0.0.1:0", r.count, logrus.New()
	o.Log.SetOutput(r.log)
	o.Log.SetFormatter(&logrus.JSONFormatter{})
	if o.Registry == nil {
		o.Registry = text("registry")
	}
	o.Verdicts, o.Metrics = text("verdicts"), text("metrics")
	var err error
	if r.Server, err = proxy.Listen(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- r.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		r.client.CloseIdleConnections()
		select {
		case err, ok := <-r.done:
			if ok && err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server does not stop")
		}
	})
	return r
}

func (r *running) get(t *testing.T, addr net.Addr, path string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic c2VjcmV0")
	req.Header.Set("User-Agent", "agent\u202eX")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	one := start(t, proxy.Options{})
	two := start(t, proxy.Options{Admin: "127.0.0.1:0"})
	three := start(t, proxy.Options{Admin: "127.0.0.1:0", Profiles: true})
	cases := []struct {
		addr   net.Addr
		path   string
		status int
		body   string
	}{
		{one.Addr(), "/v2/", 200, "registry"},
		{one.Addr(), "/v2", 200, "registry"},
		{one.Addr(), "/v2/a/../b/manifests/x", 200, "registry"}, // unclean paths are the handler's to refuse, not to be redirected
		{one.Addr(), "/v2x", 404, ""},
		{one.Addr(), "/safepull/v1/verdicts", 200, "verdicts"},
		{one.Addr(), "/safepull/v1/verdicts/SP-1", 200, "verdicts"},
		{one.Addr(), "/safepull/v1/verdictsX", 404, ""},
		{one.Addr(), "/livez", 200, "ok"},
		{one.Addr(), "/readyz", 200, "ok"},
		{one.Addr(), "/metrics", 200, "metrics"},
		{one.Addr(), "/", 404, ""},
		{two.Addr(), "/v2/", 200, "registry"},
		{two.Addr(), "/livez", 404, ""},
		{two.Addr(), "/metrics", 404, ""},
		{two.AdminAddr(), "/metrics", 200, "metrics"},
		{two.AdminAddr(), "/readyz", 200, "ok"},
		{two.AdminAddr(), "/v2/", 404, ""},
		{two.AdminAddr(), "/debug/pprof/heap", 404, ""},
		{three.Addr(), "/debug/pprof/heap", 404, ""},
		{three.AdminAddr(), "/debug/pprof/heap", 200, "\x1f\x8b"},
		{three.AdminAddr(), "/debug/pprof/goroutine", 200, "\x1f\x8b"},
		{three.AdminAddr(), "/debug/pprof/cmdline", 404, "the profiles are"},
		{three.AdminAddr(), "/debug/pprof/", 404, "the profiles are"},
		{three.AdminAddr(), "/metrics", 200, "metrics"},
	}
	for _, c := range cases {
		status, body, header := one.get(t, c.addr, c.path)
		if status != c.status || !strings.HasPrefix(body, c.body) || header.Get("X-Request-Id") == "" {
			t.Errorf("%s%s: %d %q", c.addr, c.path, status, body)
		}
	}
}

func TestHealthIsReadOnly(t *testing.T) {
	t.Parallel()
	r := start(t, proxy.Options{})
	resp, err := r.client.Post("http://"+r.Addr().String()+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Error(resp.Status)
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	r := start(t, proxy.Options{Ready: func(context.Context) error { return errors.New("store: secret path") }})
	if status, body, _ := r.get(t, r.Addr(), "/readyz"); status != 503 || strings.Contains(body, "secret path") {
		t.Errorf("%d %q", status, body)
	}
	if status, _, _ := r.get(t, r.Addr(), "/livez"); status != 200 {
		t.Errorf("livez: %d", status)
	}
}

func TestLogAndCount(t *testing.T) {
	t.Parallel()
	r := start(t, proxy.Options{})
	_, _, header := r.get(t, r.Addr(), "/v2/acme/app/manifests/1?ns=ghcr.io&token=c2VjcmV0")
	r.get(t, r.Addr(), "/livez")
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	close(r.done)
	if log := r.log.String(); strings.Contains(log, "c2VjcmV0") || strings.Contains(log, "livez") {
		t.Errorf("the log holds what it must not:\n%s", log)
	}
	found := false
	for line := range strings.Lines(r.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry["msg"] == "request" {
			found = entry["request"] == header.Get("X-Request-Id") && entry["path"] == "/v2/acme/app/manifests/1" &&
				entry["ns"] == "ghcr.io" && entry["status"] == 200. && entry["bytes"] == 8. && entry["agent"] == "agent·X"
		}
	}
	if !found {
		t.Errorf("log:\n%s", r.log)
	}
	if len(r.count.seen) != 2 || r.count.seen[0] != "manifest GET 200" || r.count.seen[1] != "health GET 200" {
		t.Errorf("counted %v", r.count.seen)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	r := start(t, proxy.Options{Registry: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", "sha256:x")
		if r.URL.Path == "/v2/late" {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("half"))
		}
		panic("boom")
	})})
	status, body, header := r.get(t, r.Addr(), "/v2/")
	if status != 500 || !strings.Contains(body, header.Get("X-Request-Id")) || header.Get("Docker-Content-Digest") != "" || strings.Contains(body, "boom") {
		t.Errorf("%d %q %v", status, body, header)
	}
	resp, err := r.client.Get("http://" + r.Addr().String() + "/v2/late")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken answer looks whole: %v", err)
	}
	if log := r.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "server_test.go") {
		t.Errorf("log:\n%s", log)
	}
}

func TestStopLetsAnswersEnd(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	r := start(t, proxy.Options{Grace: time.Minute, Registry: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-goOn
		_, _ = io.WriteString(w, "whole")
	})})
	got := make(chan string)
	go func() {
		resp, err := r.client.Get("http://" + r.Addr().String() + "/v2/")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-begun
	r.stop()
	for { // no new connections are taken, once the stop has begun
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(goOn)
	if body := <-got; body != "whole" {
		t.Errorf("got %q", body)
	}
}

func TestStopCutsAfterGrace(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	r := start(t, proxy.Options{Grace: time.Millisecond, Registry: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})})
	failed := make(chan error)
	go func() {
		resp, err := r.client.Get("http://" + r.Addr().String() + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-begun
	r.stop()
	if err := <-failed; err == nil {
		t.Error("the answer was not cut")
	}
}

// TestStopAwaitsWhoTookTheConnection: refusals are written to the connection itself, of which net/http loses sight.
func TestStopAwaitsWhoTookTheConnection(t *testing.T) {
	t.Parallel()
	taken, stopped, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := start(t, proxy.Options{Grace: time.Minute, Registry: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close()
		close(taken)
		<-stopped
		time.Sleep(50 * time.Millisecond) // what Serve must wait for
		close(ended)
	})})
	go func() {
		if resp, err := r.client.Get("http://" + r.Addr().String() + "/v2/"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-taken
	r.stop()
	close(stopped)
	err := <-r.done
	close(r.done) // for start's cleanup
	if err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("the server stopped before its handler")
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	none := http.NotFoundHandler()
	for _, o := range []proxy.Options{{Listen: l.Addr().String()}, {Listen: "127.0.0.1:0", Admin: l.Addr().String()}} {
		o.Registry, o.Verdicts, o.Metrics = none, none, none
		if _, err := proxy.Listen(o); err == nil || !strings.Contains(err.Error(), "the address is in use") {
			t.Errorf("%v", err)
		}
	}
	if _, err := proxy.Listen(proxy.Options{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("handlers may be missing")
	}
}

func TestLargeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, proxy.Options{})
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = fmt.Fprintf(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 80<<10))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	helper := httptest.NewTLSServer(nil) // for its certificate
	defer helper.Close()
	r := start(t, proxy.Options{TLS: &tls.Config{Certificates: helper.TLS.Certificates}})
	roots := x509.NewCertPool()
	roots.AddCert(helper.Certificate())
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + r.Addr().String() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	first, err := proxy.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = proxy.Lock(dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by another safepull-proxy (pid %d)", os.Getpid())) {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := proxy.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory %v, %v", info.Mode(), err)
	}
	if _, err := proxy.Lock("/dev/null/x"); err == nil {
		t.Error("a state directory below a file")
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"auto": `"msg":"hello"`, "json": `"msg":"hello"`, "text": "msg=hello"} {
		path := filepath.Join(t.TempDir(), "log")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		l, err := proxy.NewLogger(f, "warn", format)
		if err != nil {
			t.Fatal(err)
		}
		l.Info("quiet")
		l.Warn("hello")
		body, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(body), want) || strings.Contains(string(body), "quiet") {
			t.Errorf("%s: %s %v", format, body, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := proxy.NewLogger(os.Stderr, bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
