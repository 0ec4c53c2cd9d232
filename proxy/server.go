// Package proxy is the frame of safepull-proxy: listeners, routes and the orderly stop. What is decided, and how
// requests are read, is in proxy/enforce and proxy/enforce/distribution; read those next. cmd/internal/wire puts them
// together.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

const (
	// headerTime bounds how long a client may take to send a request's header.
	headerTime = 10 * time.Second
	// maxHeader bounds a request's header.
	maxHeader = 64 << 10
	// idleTime ends connections that ask for nothing.
	idleTime = 2 * time.Minute
	// bodyTime bounds reading of a request's body, which no request that is served has.
	bodyTime = 5 * time.Second
	// stallTime ends an answer whose client takes no byte for so long. Engines pause while they unpack.
	stallTime = 10 * time.Minute
	// adminConnections bounds the admin listener.
	adminConnections = 64
	// lastWords is what handlers get to end after their connections were closed: they log, and let go of the store.
	lastWords = 5 * time.Second
)

// Observer is told of every answer, for metrics.
type Observer interface {
	Request(route, method string, status int, took time.Duration)
}

// Door finds out who asks for what is behind it. Its errors are *caller.Refused, or the end of the request's context.
type Door interface {
	Enter(*http.Request) (caller.Caller, error)
}

// Options of a server. Listen, Registry, Verdicts and Metrics are required.
type Options struct {
	// Listen is the address for clients; Admin, unless empty, that of health and metrics.
	Listen, Admin string
	// Profiles serves profiles of memory on Admin.
	Profiles bool
	// TLS makes Listen serve https.
	TLS *tls.Config
	// Connect, unless empty, is the address of an HTTP proxy that connects to ConnectHosts, which are host or host:port.
	// There Registry answers, with TLS's certificates, which are then required.
	Connect      string
	ConnectHosts []string
	// Registry serves /v2/, Verdicts /safepull/v1/verdicts, Metrics /metrics.
	Registry, Verdicts, Metrics http.Handler
	// Lists serves /safepull/v1/trust-list and what is below /safepull/v1/admin/; nil serves neither.
	Lists http.Handler
	// Signatures serves /safepull/v1/signatures; nil serves none.
	Signatures http.Handler
	// Door is before Registry, Verdicts, Lists and Signatures; nil lets everyone in. Refuse answers those that it does not let in.
	Door   Door
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Login gives out tokens at /safepull/v1/token; nil gives none.
	Login http.Handler
	// Ready fails while requests could not be served; nil means always ready.
	Ready func(context.Context) error
	// Observer and Log may be nil.
	Observer Observer
	Log      *logrus.Logger
	// MaxConnections of clients are open at one time; when one more comes, the longest idle one is closed, and where none
	// is idle it waits. Zero means 1024.
	MaxConnections int
	// Grace is what answers get to end after the stop. Zero means that they are cut.
	Grace time.Duration
}

// Server listens from Listen on and answers while Serve runs.
type Server struct {
	options  Options
	main     net.Listener
	admin    net.Listener
	connect  net.Listener
	stopping atomic.Bool
	// handlers are those that run. net/http does not wait for the ones that wrote to the connection itself.
	handlers sync.WaitGroup
}

// Listen opens the addresses. Serve must follow, or Close.
func Listen(o Options) (*Server, error) {
	if o.Registry == nil || o.Verdicts == nil || o.Metrics == nil {
		return nil, errors.New("proxy: the handlers of registry, verdicts and metrics are required")
	}
	if o.Door != nil && o.Refuse == nil {
		return nil, errors.New("proxy: a door needs an answer for those that it refuses")
	}
	if o.Log == nil {
		o.Log = logrus.New()
		o.Log.SetLevel(logrus.PanicLevel)
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 1024
	}
	s := &Server{options: o}
	var err error
	if s.main, err = listen(o.Listen, o.MaxConnections); err != nil {
		return nil, err
	}
	if o.Admin != "" {
		if s.admin, err = listen(o.Admin, adminConnections); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if o.Connect != "" {
		if o.TLS == nil {
			return nil, errors.Join(errors.New("proxy: connecting needs certificates"), s.Close())
		}
		if s.connect, err = listen(o.Connect, o.MaxConnections); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if o.TLS != nil {
		s.main = tls.NewListener(s.main, withProtocols(o.TLS))
	}
	return s, nil
}

func listen(address string, connections int) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the address is in use: stop what listens there, or configure another one", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return limited(l, connections), nil
}

// withProtocols offers HTTP/1.1 alone: refusals reach people in its reason phrase.
func withProtocols(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// Addr is where clients are served; with port 0 configured, it tells the port.
func (s *Server) Addr() net.Addr { return s.main.Addr() }

// AdminAddr is where health and metrics are served.
func (s *Server) AdminAddr() net.Addr {
	if s.admin != nil {
		return s.admin.Addr()
	}
	return s.main.Addr()
}

// ConnectAddr is where engines find the HTTP proxy; nil when there is none.
func (s *Server) ConnectAddr() net.Addr {
	if s.connect == nil {
		return nil
	}
	return s.connect.Addr()
}

// Close closes the listeners of a server that never served.
func (s *Server) Close() error {
	err := s.main.Close()
	if s.connect != nil {
		err = errors.Join(err, s.connect.Close())
	}
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
	}
	return err
}

// Serve answers until ctx ends, then takes no new connections, lets running answers end within the grace, and cuts
// what is left. It returns nil after an orderly stop.
func (s *Server) Serve(ctx context.Context) error {
	servers := map[*http.Server]net.Listener{s.server(s.routes()): s.main}
	if s.admin != nil {
		servers[s.server(s.adminRoutes())] = s.admin
	}
	if s.connect != nil {
		front := newConnect(withProtocols(s.options.TLS), s.options.ConnectHosts, s.connect.Addr())
		servers[s.server(s.around(func(w *recorder, r *http.Request) { front.ServeHTTP(w, r) }))] = s.connect
		servers[s.server(s.routes())] = front.inner
	}
	failed := make(chan error, len(servers))
	for server, l := range servers {
		s.options.Log.WithField("address", l.Addr().String()).Info("listening")
		go func() { failed <- server.Serve(l) }()
	}
	var err error
	running := len(servers)
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	s.stopping.Store(true)
	s.options.Log.WithField("grace", s.options.Grace.String()).Info("stopping")
	err = errors.Join(err, s.stop(servers)) //nolint:contextcheck // ctx has ended; the grace begins now
	for range running {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	s.awaitHandlers()
	return err
}

func (s *Server) awaitHandlers() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.handlers.Wait()
	}()
	select {
	case <-done:
	case <-time.After(lastWords):
		s.options.Log.Warn("handlers are still running")
	}
}

func (s *Server) stop(servers map[*http.Server]net.Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	var err error
	for server := range servers {
		switch e := server.Shutdown(ctx); {
		case errors.Is(e, context.DeadlineExceeded):
			s.options.Log.Warn("answers were cut: the grace is over")
			err = errors.Join(err, server.Close())
		case e != nil:
			err = errors.Join(err, e)
		}
	}
	return err
}

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, MaxHeaderBytes: maxHeader, IdleTimeout: idleTime,
		ConnState: follow,
		ErrorLog:  log.New(errorLog{s.options.Log}, "", 0),
	}
}

// errorLog takes what net/http says about connections.
type errorLog struct{ log *logrus.Logger }

// Write logs one line.
func (l errorLog) Write(p []byte) (int, error) {
	l.log.WithField("error", trust.Sanitise(strings.TrimSpace(string(p)), 500)).Debug("connection")
	return len(p), nil
}
