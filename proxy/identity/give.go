package identity

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/safepull/safepull/proxy/caller"
)

// maxForm bounds a request for a token that comes as a form.
const maxForm = 64 << 10

// ServeHTTP gives out tokens. It is served at TokenPath, before the door.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	scope := ""
	switch r.Method {
	case http.MethodGet:
		scope = r.URL.Query().Get("scope")
	case http.MethodPost:
		var err error
		if r, scope, err = fromForm(w, r); err != nil {
			problem(w, http.StatusBadRequest, "UNSUPPORTED", "the form cannot be read")
			return
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		problem(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "tokens are got with GET or POST")
		return
	}
	c, err := d.Enter(r)
	refusal := ""
	var refused *caller.Refused
	if errors.As(err, &refused) && scope != "" { // "docker login" names no scope, and is to fail
		c, refusal, err = caller.Caller{}, refused.Reason, nil
	}
	token := ""
	if err == nil {
		token, err = d.sessions.issue(c, refusal)
	}
	if err != nil {
		problem(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"token": token, "access_token": token, "expires_in": int(sessionFor.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	})
}

// fromForm is a request by OAuth 2.0's form as one that shows the same login in its header. Another registry's refresh
// token, which engines show to mirrors, is no login here.
func fromForm(w http.ResponseWriter, r *http.Request) (shows *http.Request, scope string, err error) {
	r = r.Clone(r.Context())
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, "", err //nolint:wrapcheck // nobody is told
	}
	form := r.PostForm
	if user, password := form.Get("username"), form.Get("password"); form.Get("grant_type") == "password" && r.Header.Get("Authorization") == "" {
		r.SetBasicAuth(user, password)
	}
	return r, form.Get("scope"), nil
}

func problem(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
