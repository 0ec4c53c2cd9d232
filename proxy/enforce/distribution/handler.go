// Package distribution is the pull half of the OCI distribution specification before a gate: it reads a request once
// into a reference, asks proxy/enforce, and answers with content or with an error that clients show.
package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// Gate decides. *enforce.Gate implements it.
type Gate interface {
	Manifest(context.Context, trust.Reference, enforce.Terms) (enforce.Release, error)
	Blob(context.Context, trust.Reference, enforce.Terms) (enforce.Blob, error)
	// Permit fails when the trust lists deny the name.
	Permit(trust.Reference) error
}

// Lister answers what an upstream has; nothing of it is content. proxy/upstream implements it.
type Lister interface {
	// Tags are at most n tags behind last, and whether there are more.
	Tags(ctx context.Context, ref trust.Reference, n int, last string) (tags []string, more bool, err error)
	// Referrers is the index of what refers to ref's digest; artifactType filters it unless empty.
	Referrers(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error)
}

// Handler serves /v2/. It may be used by any number of goroutines.
type Handler struct {
	gate       Gate
	routes     *router
	logger     logrus.FieldLogger
	observer   Observer
	enrolments []Enrolment
	tombstones *tombstones
}

// Option changes a handler that is being made.
type Option func(*Handler)

// New makes a handler for the upstreams; a nil logger is silent.
func New(gate Gate, upstreams []Upstream, logger logrus.FieldLogger, options ...Option) (*Handler, error) {
	routes, err := newRouter(upstreams)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		logger = silent
	}
	h := &Handler{gate: gate, routes: routes, logger: logger, observer: unobserved{}}
	if h.tombstones, err = newTombstones(); err != nil {
		return nil, err
	}
	for _, option := range options {
		option(h)
	}
	return h, nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// No cache between client and gate may answer in the gate's place.
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported, "safepull serves pulls only").write(w, r)
		return
	}
	t, bad := parsePath(r.URL.EscapedPath())
	if t.kind == kindBase {
		h.base(w, r)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil && bad == nil {
		bad = badName("the query cannot be read") // nor is it shown: it may hold a secret
	}
	var ref trust.Reference
	var upstream *Upstream
	if bad == nil {
		ref, upstream, bad = h.routes.find(&t, r.Host, query)
	}
	p := h.pull(r, t, query)
	p.ref, p.upstream = ref, upstream
	whole := false
	defer func() {
		if !whole {
			h.broke(w, r, p)
		}
	}()
	if bad != nil {
		h.refuse(w, r, p, bad, nil)
	} else {
		h.serve(w, r, p, t, query)
	}
	whole = true
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, p pull, t target, query url.Values) {
	switch t.kind {
	case kindManifest:
		h.manifest(w, r, p)
	case kindBlob:
		h.blob(w, r, p)
	case kindTags:
		h.tags(w, r, p.ref, p.upstream, t, query)
	case kindReferrers:
		h.referrers(w, r, p.ref, p.upstream, query)
	}
}

// loginChecker is a Lister that knows whether the context's caller brings a wrong login.
type loginChecker interface {
	// CheckLogin fails with trust.ErrUnauthorized when they do.
	CheckLogin(context.Context) error
}

// base answers a ping: who shows no login that could be of use is asked for one, and told when it is a wrong one.
func (h *Handler) base(w http.ResponseWriter, r *http.Request) {
	c := caller.Of(r.Context())
	if c.Challenge != "" {
		loginWanted(c.Challenge, "log in at the proxy, or go on without: what needs no login is served").write(w, r)
		return
	}
	for host := range c.Logins {
		u := h.routes.byHost[host]
		if u == nil {
			continue
		}
		l, ok := u.Lister.(loginChecker)
		if !ok || !errors.Is(l.CheckLogin(r.Context()), trust.ErrUnauthorized) {
			continue
		}
		p := denied("%s does not take this login", host)
		if c.Again != "" {
			p = loginWanted(c.Again, p.err.Message)
		}
		p.write(w, r)
		return
	}
	writeJSON(w, r, "application/json", struct{}{})
}

func (h *Handler) manifest(w http.ResponseWriter, r *http.Request, p pull) {
	release, err := h.gate.Manifest(r.Context(), p.ref, p.terms())
	if err != nil {
		h.refuse(w, r, p, problemOf(r, err, p.ref, errcode.ErrorCodeManifestUnknown), err)
		return
	}
	defer release.Close()
	ref := p.ref.WithDigest(release.Descriptor.Digest)
	contentHeaders(w, release.Descriptor.MediaType, ref, int64(len(release.Content)))
	if v := release.Verdict; v != nil {
		tellAction(w.Header(), string(v.Action), v.ID)
		if v.Action == trust.Warn {
			w.Header().Set("Warning", fmt.Sprintf("299 - %q", warningText(r, *v)))
		}
	}
	if notModified(r, ref) {
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(release.Content) // a client that is gone needs no answer
	}
}

func warningText(r *http.Request, v trust.Verdict) string {
	why := ""
	if len(v.Reasons) > 0 {
		why = ": " + v.Reasons[0]
	}
	next := seeEvidence(r, v.ID)
	return reasonPhrase("safepull warns"+strings.NewReplacer(`"`, "'", `\`, "/").Replace(why)+next, next, maxReason)
}

// fail answers with what err means and tells the log what the client need not know.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, ref trust.Reference, err error, unknown errcode.ErrorCode) {
	p := problemOf(r, err, ref, unknown)
	note(h.about(w, ref, p, err), p)
	p.write(w, r)
}

// about is a log entry about an answer that is not the content.
func (h *Handler) about(w http.ResponseWriter, ref trust.Reference, p *problem, err error) logrus.FieldLogger {
	entry := h.log(w).WithFields(logrus.Fields{"reference": ref.String(), "status": p.status})
	if err == nil {
		return entry.WithField("error", p.err.Message)
	}
	var refusal *enforce.Refusal
	if errors.As(err, &refusal) {
		entry = entry.WithFields(logrus.Fields{"verdict": refusal.Verdict.ID, "action": refusal.Verdict.Action})
	}
	var stack interface{ Stack() []byte }
	if errors.As(err, &stack) {
		entry = entry.WithField("stack", string(stack.Stack()))
	}
	return entry.WithField("error", trust.Sanitise(err.Error(), maxMessage))
}

func note(entry logrus.FieldLogger, p *problem) {
	switch {
	case p.status == statusClientGone:
		entry.Debug("client left")
	case p.status >= 500:
		entry.Warn("no answer")
	case p.status == http.StatusForbidden:
		entry.Info("refused")
	default:
		entry.Debug("not served")
	}
}

// Refuse answers a request that the front door did not let in. A ping gives nothing away, and some clients that use the
// proxy as a mirror go around it when theirs is refused: it is, by a challenge, only where that leads to a login.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *caller.Refused
	p := denied("safepull: the login could not be checked")
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		p = fail(statusClientGone, errcode.ErrorCodeUnknown, "the client went away")
	case !errors.As(err, &refused):
	case refused.Busy:
		p = fail(http.StatusServiceUnavailable, errcode.ErrorCodeUnavailable, "%s", refused.Reason).later(comeBack)
	case refused.Challenge != "":
		p = loginWanted(refused.Challenge, refused.Reason)
	default:
		p = denied("%s", refused.Reason)
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("Cache-Control", "no-store")
	from := h.unread(r)
	if from.kind == kindBase && p.status == http.StatusForbidden && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		writeJSON(w, r, "application/json", struct{}{})
		return
	}
	h.log(w).WithFields(logrus.Fields{"status": h.answer(r, from, p).status, "error": trust.Sanitise(err.Error(), maxMessage)}).Info("not let in")
	h.refuse(w, r, from, p, err)
}

// unread is a request of which no more is known than how it came.
func (h *Handler) unread(r *http.Request) pull {
	t, bad := parsePath(r.URL.EscapedPath())
	query, err := url.ParseQuery(r.URL.RawQuery)
	var ref trust.Reference
	var upstream *Upstream
	if bad == nil && err == nil && t.kind != kindBase {
		ref, upstream, _ = h.routes.find(&t, r.Host, query)
	}
	p := h.pull(r, t, query)
	p.ref, p.upstream = ref, upstream
	return p
}

// RequestID is the response header that the server sets before it calls a handler of this package: the log shows it
// with everything about the request.
const RequestID = "X-Request-Id"

func (h *Handler) log(w http.ResponseWriter) logrus.FieldLogger {
	return h.logger.WithField("request", w.Header().Get(RequestID))
}

// contentHeaders describe content that is named by ref's digest.
func contentHeaders(w http.ResponseWriter, mediaType string, ref trust.Reference, length int64) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	h.Set("Docker-Content-Digest", ref.Digest.String())
	h.Set("Etag", etag(ref))
}

func etag(ref trust.Reference) string { return `"` + ref.Digest.String() + `"` }

func notModified(r *http.Request, ref trust.Reference) bool {
	for _, header := range r.Header.Values("If-None-Match") {
		for candidate := range strings.SplitSeq(header, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag(ref) || candidate == ref.Digest.String() {
				return true
			}
		}
	}
	return false
}

func writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(500, errcode.ErrorCodeUnknown, "the answer cannot be written").write(w, r)
		return
	}
	writeBody(w, r, mediaType, body)
}

func writeBody(w http.ResponseWriter, r *http.Request, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}
