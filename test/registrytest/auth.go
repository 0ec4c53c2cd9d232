package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// authorised lets the request through or answers it with a challenge.
func (r *Registry) authorised(w http.ResponseWriter, req *http.Request) bool {
	switch r.options.Auth {
	case "basic":
		if user, password, ok := req.BasicAuth(); ok && user == r.options.User && password == r.options.Password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registrytest"`)
	case "bearer":
		scope := ""
		if m := route.FindStringSubmatch(req.URL.Path); m != nil {
			scope = "repository:" + m[1] + ":pull"
		}
		token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		granted, ok := r.tokens[token]
		r.mu.Unlock()
		if ok && (scope == "" || granted == scope) {
			return true
		}
		realm := r.options.Realm
		if realm == "" {
			realm = r.URL() + "/token"
		}
		challenge := fmt.Sprintf(`Bearer realm=%q,service="registrytest"`, realm)
		if scope != "" {
			challenge += fmt.Sprintf(`,scope=%q`, scope)
		}
		w.Header().Set("WWW-Authenticate", challenge)
	default:
		return true
	}
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

// serveToken is the token endpoint: GET with Basic, or POST with a refresh token.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	scope := req.URL.Query().Get("scope")
	allowed := false
	if req.Method == http.MethodPost {
		scope = req.PostFormValue("scope")
		allowed = r.options.IdentityToken != "" && req.PostFormValue("refresh_token") == r.options.IdentityToken
	} else {
		user, password, _ := req.BasicAuth()
		allowed = user == r.options.User && password == r.options.Password
	}
	if !allowed {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	token := rand.Text()
	r.mu.Lock()
	r.tokens[token] = scope
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}
