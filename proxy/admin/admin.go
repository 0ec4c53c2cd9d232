// Package admin is what the organization's administrators, and the machines that it enrolled, ask a proxy about the
// organization's trust list: the signed list for everyone who is let in, and edits for those whom the configuration
// names. Who they are, the front door has proved.
package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

const (
	// maxBody bounds what an edit sends: an import of some thousand entries.
	maxBody = 4 << 20
	// maxImport bounds the entries of one edit.
	maxImport = 10_000
	// maxPatterns bounds what the log says of the entries of one edit.
	maxPatterns = 2_000
)

// The paths that Handler serves, and nothing below them.
const (
	ListPath    = "/safepull/v1/trust-list"
	EntriesPath = "/safepull/v1/admin/trust"
	HistoryPath = "/safepull/v1/admin/trust/history"
	ExportPath  = "/safepull/v1/admin/trust/export"
	TestPath    = "/safepull/v1/admin/trust/test"
	LintPath    = "/safepull/v1/admin/trust/lint"
)

// List is the organization's trust list. Its edits are atomic, count at once, and are recorded with who made them.
type List interface {
	// Signed is the list as machines fetch it.
	Signed() ([]byte, error)
	// Entries are those of the list.
	Entries() []trust.Entry
	// Import adds entries, or updates those with the same patterns, and says how many changed: with an error too, where the
	// edit counts and its history is not written. An error that wraps trust.ErrMalformed is about the entries.
	Import(by string, entries []trust.Entry) (int, error)
	// Remove takes out the entries with exactly this pattern, and says how many, as Import does.
	Remove(by, pattern string) (int, error)
	// History is what was edited, newest first, as JSON can carry it; with an error, what of it can be read.
	History() (any, error)
}

// Review is what there is to know about the list without changing it, as JSON can carry it.
type Review interface {
	// Text is the list as its file is.
	Text() []byte
	// Test is what all lists in force say about an image. Its error is about the name.
	Test(image string) (any, error)
	// Lint is what is questionable about the entries of all lists in force.
	Lint() any
	// Preview is what an import would change. An error that wraps trust.ErrMalformed is about the entries.
	Preview([]trust.Entry) (any, error)
}

// Options are who may edit.
type Options struct {
	// Admins are identities as the front door names them, or a method of it and an identity ("oidc:anna"): where callers
	// can prove who they are in several ways, one way's name may be somebody else's in another.
	Admins []string
	// Log is told about every edit and every attempt.
	Log logrus.FieldLogger
}

// Handler serves a list.
func Handler(list List, review Review, o Options) http.Handler { return &handler{list, review, o} }

type handler struct {
	list   List
	review Review
	Options
}

// isAdmin never takes an identity that somebody chose, such as "htpasswd:anna", for a method and an identity.
func (h *handler) isAdmin(who caller.Caller) bool {
	return who.Identity != "" && slices.ContainsFunc(h.Admins, func(admin string) bool {
		if method, name, ok := strings.Cut(admin, ":"); ok && isMethod(method) {
			return who.Method == method && who.Identity == name
		}
		return who.Identity == admin
	})
}

// isMethod knows the front door's methods, as caller.Caller has them.
func isMethod(name string) bool {
	return slices.Contains([]string{"htpasswd", "token", "oidc", "mtls"}, name)
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == ListPath {
		h.signed(w, r)
		return
	}
	who := caller.Of(r.Context())
	if !h.isAdmin(who) {
		h.Log.WithFields(logrus.Fields{
			"audit": "trust", "identity": trust.Sanitise(who.Identity, 255), "by": who.Method, "address": who.Address,
			"method": trust.Sanitise(r.Method, 20), "path": trust.Sanitise(r.URL.Path, 255),
		}).Warn("who is no administrator was refused the trust list")
		refuse(w, http.StatusForbidden, "only the administrators that organization.admins names may do that")
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		h.read(w, r)
		return
	}
	switch {
	case r.URL.Path == EntriesPath && r.Method == http.MethodPost:
		h.add(w, r, who)
	case r.URL.Path == EntriesPath && r.Method == http.MethodDelete:
		h.remove(w, r, who)
	case r.URL.Path == EntriesPath:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "GET, POST and DELETE are served here")
	default:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "edits are made at "+EntriesPath)
	}
}

// read answers what changes nothing.
func (h *handler) read(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case EntriesPath:
		answer(w, map[string]any{"schema": 1, "entries": h.list.Entries()})
	case HistoryPath:
		h.history(w)
	case ExportPath:
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(h.review.Text()) // a client that is gone needs no answer
	case LintPath:
		answer(w, h.review.Lint())
	case TestPath:
		document, err := h.review.Test(r.URL.Query().Get("image"))
		if err != nil {
			refuse(w, http.StatusBadRequest, "?image=…: "+err.Error())
			return
		}
		answer(w, document)
	default:
		refuse(w, http.StatusNotFound, "there is nothing here: the list is at "+EntriesPath)
	}
}

func (h *handler) signed(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are served here")
		return
	}
	text, err := h.list.Signed()
	if errors.Is(err, trust.ErrNotFound) {
		refuse(w, http.StatusNotFound, "this proxy signs no list: see organization.signingKeyFile")
		return
	}
	if err != nil {
		h.Log.WithError(err).Error("the trust list cannot be signed")
		refuse(w, http.StatusInternalServerError, "the list cannot be signed: the log tells more")
		return
	}
	w.Header().Set("Content-Type", "application/vnd.dsse.envelope.v1+json")
	_, _ = w.Write(text) // a client that is gone needs no answer
}

func (h *handler) history(w http.ResponseWriter) {
	edits, err := h.list.History()
	document := map[string]any{"schema": 1, "edits": edits}
	if err != nil {
		h.Log.WithError(err).Error("the history of the trust list cannot be read, or not all of it")
		document["error"] = "not all of the history can be read: the log tells more"
	}
	answer(w, document)
}

func (h *handler) add(w http.ResponseWriter, r *http.Request, who caller.Caller) {
	// A page in a browser can send a form to here, and no JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	entries, err := parseEntries(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.URL.Query().Has("dryRun") {
		h.preview(w, entries)
		return
	}
	n, err := h.list.Import(by(who), entries)
	patterns := make([]string, 0, len(entries))
	for _, e := range entries {
		patterns = append(patterns, e.Action+" "+e.Pattern)
	}
	h.edited(w, who, "import", patterns, n, err)
}

// preview answers what an import would change.
func (h *handler) preview(w http.ResponseWriter, entries []trust.Entry) {
	switch document, err := h.review.Preview(entries); {
	case errors.Is(err, trust.ErrMalformed):
		refuse(w, http.StatusBadRequest, err.Error())
	case err != nil:
		h.Log.WithError(err).Error("an edit of the trust list cannot be tried")
		refuse(w, http.StatusInternalServerError, "it cannot be tried: the log tells more")
	default:
		answer(w, document)
	}
}

// parseEntries reads {"entries": […]} and nothing else, but for the "schema" that our own documents of entries have.
func parseEntries(r io.Reader) ([]trust.Entry, error) {
	var body struct {
		Schema  int           `json:"schema"`
		Entries []trust.Entry `json:"entries"`
	}
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return nil, fmt.Errorf("the body must be {\"entries\": […]} as \"docker safepull trust ls --format json\" has them: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the body's document")
	}
	if len(body.Entries) == 0 || len(body.Entries) > maxImport {
		return nil, fmt.Errorf("send 1 to %d entries", maxImport)
	}
	return body.Entries, nil
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request, who caller.Caller) {
	pattern := r.URL.Query().Get("pattern")
	if pattern == "" || strings.Contains(pattern, "\n") {
		refuse(w, http.StatusBadRequest, "name the entries with ?pattern=…")
		return
	}
	n, err := h.list.Remove(by(who), pattern)
	if err == nil && n == 0 {
		refuse(w, http.StatusNotFound, "no entry has exactly this pattern")
		return
	}
	h.edited(w, who, "remove", []string{pattern}, n, err)
}

// edited answers an edit. The log has who, what, how much and of what; the history has the entries.
func (h *handler) edited(w http.ResponseWriter, who caller.Caller, what string, patterns []string, n int, err error) {
	log := h.Log.WithFields(logrus.Fields{
		"audit": "trust", "identity": trust.Sanitise(who.Identity, 255), "by": who.Method, "address": who.Address, "edit": what, "entries": n,
		"patterns": trust.Sanitise(strings.Join(patterns, ", "), maxPatterns),
	})
	switch {
	case errors.Is(err, trust.ErrMalformed):
		log.WithError(err).Warn("an edit of the trust list was wrong")
		refuse(w, http.StatusBadRequest, trust.Sanitise(err.Error(), 1000))
	case err != nil && n > 0:
		log.WithError(err).Error("the trust list was edited, but its history was not written")
		refuse(w, http.StatusInternalServerError, "the list is changed, and counts, but its history is not written: the log tells more")
	case err != nil:
		log.WithError(err).Error("an edit of the trust list failed")
		refuse(w, http.StatusInternalServerError, "the edit failed: the log tells more")
	default:
		log.Info("the trust list was edited")
		answer(w, map[string]any{"schema": 1, "changed": n})
	}
}

func by(who caller.Caller) string { return who.Identity + " (" + who.Method + ")" }

func answer(w http.ResponseWriter, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

func refuse(w http.ResponseWriter, status int, why string) {
	text, err := json.Marshal(map[string]any{"schema": 1, "error": trust.Sanitise(why, 1000)})
	if err != nil {
		text = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
