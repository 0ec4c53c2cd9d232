package distribution

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/trust"
)

// Observer is told how requests for content were refused, for metrics. It must be safe for concurrent use.
type Observer interface {
	// Refused is called for every manifest and blob that was not served. holds is false when the client may get it
	// elsewhere nonetheless.
	Refused(client road.Kind, road string, form road.Form, holds bool)
}

// WithObserver tells o of refusals.
func WithObserver(o Observer) Option { return func(h *Handler) { h.observer = o } }

type unobserved struct{}

// Refused does nothing.
func (unobserved) Refused(road.Kind, string, road.Form, bool) {}

// pull is a request for content, and how it came.
type pull struct {
	kind kind
	road road.Road
	mode road.Mode
	// ref and upstream are zero while nobody knows them.
	ref      trust.Reference
	upstream *Upstream
}

func (h *Handler) pull(r *http.Request, t target, query url.Values) pull {
	p := pull{kind: t.kind, mode: h.routes.mode(), road: road.Road{
		Client: road.ClientOf(r.UserAgent()), Named: h.routes.named(t, r.Host, query), Enrolled: h.enrolled(r),
	}}
	first, _, _ := strings.Cut(t.name, "/")
	p.road.Ambiguous = p.road.Named == ByAlias && !strings.ContainsAny(first, ".:")
	if p.kind == "" && strings.Contains(r.URL.Path, "/manifests/") {
		p.kind = kindManifest // of a name that nobody here can read, but a client that falls back might
	}
	return p
}

// named says how a request names its upstream, also where that is none of ours.
func (rt *router) named(t target, host string, query url.Values) Naming {
	if t.naming != "" {
		return t.naming
	}
	if at, ok := authority(host); ok && rt.byAuthority[at] != nil {
		return ByHost
	}
	if _, ok := query["ns"]; ok {
		return ByNamespace
	}
	first, rest, _ := strings.Cut(t.name, "/")
	if rest != "" && (rt.byAlias[first] != nil || strings.ContainsAny(first, ".:")) {
		return ByAlias
	}
	return ByDefault
}

// mode is that of requests whose upstream is unknown: the default upstream's.
func (rt *router) mode() road.Mode {
	if rt.def != nil {
		return rt.def.HardDeny
	}
	return road.Auto
}

func (p pull) terms() enforce.Terms {
	back := p.road.FallsBack()
	return enforce.Terms{Whole: back, Sealed: !back && p.upstream != nil && p.upstream.Sealed}
}

// form is how the request is refused.
func (p pull) form(r *http.Request) road.Form {
	mode := p.mode
	if p.upstream != nil {
		mode = p.upstream.HardDeny
	}
	if p.kind != kindManifest && p.kind != kindBlob || !mayBeRaw(r) {
		return road.Plain
	}
	return p.road.Form(mode)
}

// refuse answers with a problem in the form that the road asks for; err is its cause, or nil.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p pull, bad *problem, err error) {
	entry := h.about(w, p.ref, bad, err)
	if bad.status == statusClientGone {
		note(entry, bad)
		return
	}
	answer := h.answer(r, p, bad)
	form := answer.form
	// Of a manifest that passed, other hosts have no other blobs.
	holds := p.kind != kindManifest || p.road.Holds(form)
	entry = entry.WithFields(logrus.Fields{"road": p.road.String(), "client": string(p.road.Client.Kind), "form": string(form), "status": answer.status})
	if p.kind == kindManifest || p.kind == kindBlob {
		h.observer.Refused(p.road.Client.Kind, p.road.String(), form, holds)
	}
	if holds {
		note(entry, bad)
	} else {
		entry.Warn("not served, but this client may get it elsewhere: deny it the way to the registry")
	}
	answer.write(w, r)
}

// broke refuses for a handler that panics before it answered, in the form that the road asks for. The panic goes on.
func (h *Handler) broke(w http.ResponseWriter, r *http.Request, p pull) {
	if answer := h.answer(r, p, broken()); answer.form != road.Plain && w.Header().Get("Content-Length") == "" {
		answer.write(w, r)
	}
}
