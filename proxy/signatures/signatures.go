// Package signatures answers who signed an image, for clients that cannot find out: it takes libraries that are larger
// than the plugin. A client's own trust list may require a signature that nothing here requires.
package signatures

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// Path is where Handler is served.
const Path = "/safepull/v1/signatures"

const (
	// maxBody bounds a question: a name and a public key.
	maxBody = 16 << 10
	// patience bounds an answer, which takes some requests to a registry.
	patience = time.Minute
	// atOnce bounds the answers that are being found, and the requests to registries that they make.
	atOnce = 8
)

// Checker finds out who signed images, as the context's caller may read them.
type Checker interface {
	// Signed returns an empty string when the signer signed ref's digest or index, and what is wrong otherwise. An error
	// means that it could not be found out.
	Signed(ctx context.Context, ref trust.Reference, signer trust.Signer) (wrong string, err error)
}

// Question is what a client asks.
type Question struct {
	// Reference is an image with its digest, Index the digest of the index that led to it, or empty.
	Reference string        `json:"reference"`
	Index     digest.Digest `json:"index,omitempty"`
	Signer    trust.Signer  `json:"signer"`
}

// Answer is what it is told. Where Signed is false, one of the others says why.
type Answer struct {
	Schema int  `json:"schema"`
	Signed bool `json:"signed"`
	// Wrong says what is wrong with the signatures, Unanswered why that cannot be told.
	Wrong      string `json:"wrong,omitempty"`
	Unanswered string `json:"unanswered,omitempty"`
}

// Handler answers questions. Check holds a signer to what can be checked.
func Handler(checker Checker, check func(trust.Signer) error, log logrus.FieldLogger) http.Handler {
	return &handler{checker: checker, check: check, log: log, turns: make(chan struct{}, atOnce)}
}

type handler struct {
	checker Checker
	check   func(trust.Signer) error
	log     logrus.FieldLogger
	turns   chan struct{}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodPost || r.URL.Path != Path {
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, "questions are posted to "+Path)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	ref, signer, err := h.question(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-ctx.Done():
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "too many signatures are being checked")
		return
	}
	wrong, err := h.checker.Signed(ctx, ref, signer)
	h.answer(w, ref, wrong, err)
}

func (h *handler) question(body io.Reader) (trust.Reference, trust.Signer, error) {
	var q Question
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return trust.Reference{}, trust.Signer{}, fmt.Errorf("the body must be a question: %w", err)
	}
	ref, err := reference.Parse(q.Reference)
	if err == nil && ref.Digest == "" {
		err = errors.New("it has no digest")
	}
	if err == nil && q.Index != "" {
		_, err = reference.New(ref.Registry, ref.Repository, q.Index.String())
		ref.Index = q.Index
	}
	if err != nil {
		return trust.Reference{}, trust.Signer{}, fmt.Errorf("the reference: %w", err)
	}
	if err := h.check(q.Signer); err != nil {
		return trust.Reference{}, trust.Signer{}, fmt.Errorf("the signer: %w", err)
	}
	return ref, q.Signer, nil
}

func (h *handler) answer(w http.ResponseWriter, ref trust.Reference, wrong string, err error) {
	a := Answer{Schema: 1, Signed: err == nil && wrong == "", Wrong: trust.Sanitise(wrong, 1000)}
	switch {
	case err == nil:
	case errors.Is(err, trust.ErrUnauthorized):
		refuse(w, http.StatusForbidden, "the registry does not let you read it")
		return
	case errors.Is(err, trust.ErrNotFound):
		refuse(w, http.StatusNotFound, "there is no such image")
		return
	case errors.Is(err, trust.ErrUnsupported), errors.Is(err, trust.ErrMalformed), errors.Is(err, trust.ErrLimit):
		a.Wrong, a.Unanswered = "", trust.Sanitise(err.Error(), 1000)
	default:
		h.log.WithError(err).WithField("reference", ref.String()).Warn("signatures could not be read")
		refuse(w, http.StatusBadGateway, "the signatures could not be read: the log tells more")
		return
	}
	write(w, http.StatusOK, a)
}

func refuse(w http.ResponseWriter, status int, why string) {
	write(w, status, map[string]any{"schema": 1, "error": trust.Sanitise(why, 1000)})
}

func write(w http.ResponseWriter, status int, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}
