package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

// requestID is the header of answers by which the log names them.
const requestID = "X-Request-Id"

// handedOver is the header of logins for registries.
const handedOver = "X-Meta-Safepull-Authorization"

// readyTime bounds the check behind /readyz.
const readyTime = 2 * time.Second

// routes are the clients' end points. Paths are taken as they are: a router that cleans them would give two paths one
// meaning.
func (s *Server) routes() http.Handler {
	return s.around(func(w *recorder, r *http.Request) {
		switch route := routeOf(r.URL.Path); {
		case route == "verdicts":
			s.behindDoor(w, r, s.options.Verdicts)
		case r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/"):
			s.behindDoor(w, r, s.options.Registry)
		case route == "lists" && s.options.Lists != nil:
			s.behindDoor(w, r, s.options.Lists)
		case route == "signatures" && s.options.Signatures != nil:
			s.behindDoor(w, r, s.options.Signatures)
		case route == "token" && s.options.Login != nil:
			s.options.Login.ServeHTTP(w, r)
		case s.admin == nil:
			s.health(w, r)
		default:
			s.notFound(w)
		}
	})
}

func (s *Server) adminRoutes() http.Handler {
	return s.around(func(w *recorder, r *http.Request) {
		if s.options.Profiles && strings.HasPrefix(r.URL.Path, profilePath) {
			s.profile(w, r)
			return
		}
		s.health(w, r)
	})
}

// behindDoor serves who is let in. What they showed to be let in is not passed on, but for what is in the caller.
func (s *Server) behindDoor(w *recorder, r *http.Request, h http.Handler) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr) // empty where it has none
	if s.options.Door == nil {
		h.ServeHTTP(w, r.WithContext(caller.With(r.Context(), caller.Caller{Address: address})))
		return
	}
	who, err := s.options.Door.Enter(r)
	who.Address = address
	r = r.Clone(caller.With(r.Context(), who))
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "Cookie", handedOver} {
		r.Header.Del(secret)
	}
	if err != nil {
		s.options.Refuse(w, r, err)
		return
	}
	w.identity, w.method = who.Identity, who.Method
	h.ServeHTTP(w, r)
}

// health serves what an operator's tools ask.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		plain(w, http.StatusMethodNotAllowed, "only GET and HEAD are served here")
		return
	}
	switch r.URL.Path {
	case "/livez":
		plain(w, http.StatusOK, "ok")
	case "/readyz":
		s.ready(w, r)
	case "/metrics":
		s.options.Metrics.ServeHTTP(w, r)
	default:
		s.notFound(w)
	}
}

func (s *Server) notFound(w http.ResponseWriter) {
	plain(w, http.StatusNotFound, "safepull-proxy: a registry is served below /v2/")
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		plain(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	if s.options.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTime)
		defer cancel()
		if err := s.options.Ready(ctx); err != nil {
			s.options.Log.WithError(err).Warn("not ready")
			plain(w, http.StatusServiceUnavailable, "not ready: the log tells more")
			return
		}
	}
	plain(w, http.StatusOK, "ok")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that is gone needs no answer
}

// around gives each request an id, survives a panic, and logs and counts the answer. Neither headers nor queries are
// logged, but for ns: they may hold secrets.
func (s *Server) around(h func(*recorder, *http.Request)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.handlers.Add(1)
		defer s.handlers.Done()
		start := time.Now()
		w := &recorder{ResponseWriter: rw, control: http.NewResponseController(rw)}
		w.Header().Set(requestID, newID())
		if r.ContentLength != 0 {
			_ = w.control.SetReadDeadline(start.Add(bodyTime)) // where it is not possible, maxHeader and bodies' own limit remain
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					s.broke(w, p)
				}
			}()
			h(w, r)
		}()
		s.account(w, r, time.Since(start))
	})
}

// broke turns a panic into 500, or into a broken answer where one has begun.
func (s *Server) broke(w *recorder, p any) {
	s.options.Log.WithFields(logrus.Fields{
		"request": w.Header().Get(requestID), "panic": trust.Sanitise(fmt.Sprint(p), 500), "stack": string(debug.Stack()),
	}).Error("a handler broke")
	if w.status == 0 {
		for name := range w.Header() {
			if name != requestID {
				w.Header().Del(name)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNKNOWN","message":"safepull broke; its log tells more under request `+
			w.Header().Get(requestID)+`"}]}`+"\n")
	}
}

func (s *Server) account(w *recorder, r *http.Request, took time.Duration) {
	route := routeOf(r.URL.Path)
	if s.options.Observer != nil {
		s.options.Observer.Request(route, r.Method, w.status, took)
	}
	level := logrus.InfoLevel
	if route == "health" {
		level = logrus.DebugLevel
	}
	fields := logrus.Fields{
		"request": w.Header().Get(requestID), "method": trust.Sanitise(r.Method, 20),
		"path": trust.Sanitise(r.URL.EscapedPath(), 512), "status": w.status, "bytes": w.written,
		"ms": took.Milliseconds(), "client": r.RemoteAddr, "agent": trust.Sanitise(r.UserAgent(), 200),
	}
	if ns := r.URL.Query().Get("ns"); ns != "" {
		fields["ns"] = trust.Sanitise(ns, 255)
	}
	if w.identity != "" {
		fields["identity"], fields["by"] = trust.Sanitise(w.identity, 255), w.method
	}
	s.options.Log.WithFields(fields).Log(level, "request")
}

// routeOf names the end point, out of a fixed set, for metrics.
func routeOf(path string) string {
	switch path {
	case "/livez", "/readyz", "/metrics":
		return "health"
	case "/v2", "/v2/":
		return "base"
	case "/safepull/v1/token":
		return "token"
	case "/safepull/v1/signatures":
		return "signatures"
	}
	if path == "/safepull/v1/trust-list" || strings.HasPrefix(path, "/safepull/v1/admin/") {
		return "lists"
	}
	if path == "/safepull/v1/verdicts" || strings.HasPrefix(path, "/safepull/v1/verdicts/") {
		return "verdicts"
	}
	parts := strings.Split(path, "/")
	if len(parts) < 5 || parts[1] != "v2" {
		return "other"
	}
	switch parts[len(parts)-2] {
	case "manifests":
		return "manifest"
	case "blobs":
		return "blob"
	case "tags":
		return "tags"
	case "referrers":
		return "referrers"
	}
	return "other"
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// recorder remembers what was answered, and ends an answer that its client does not take.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	written int64
	// identity is who asked, as the door proved it by method.
	identity, method string
}

// WriteHeader remembers the first final status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// extend gives the client stallTime anew. A writer without deadlines has none to extend.
func (w *recorder) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(stallTime)) }

// Note remembers an answer that was written to the connection itself.
func (w *recorder) Note(status int, written int64) { w.status, w.written = status, written }

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
