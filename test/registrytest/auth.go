package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// authorised lets the request through or answers it with a challenge.
func (r *Registry) authorised(w http.ResponseWriter, req *http.Request) bool {
	switch r.options.Auth {
	case "basic":
		user, password, ok := req.BasicAuth()
		if r.options.Accounts != nil {
			if ok = r.account(user, password); ok && !r.mayRead(user, repositoryOf(req)) {
				refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
				return false
			}
			if ok || user == "" && r.isPublic(repositoryOf(req)) {
				return true
			}
		} else if ok && user == r.options.User && password == r.options.Password {
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
		user, password, shown := req.BasicAuth()
		allowed = user == r.options.User && password == r.options.Password
		if r.options.Accounts != nil {
			allowed = !shown || r.account(user, password)
			name := strings.TrimSuffix(strings.TrimPrefix(scope, "repository:"), ":pull")
			if !r.mayRead(user, name) && !r.isPublic(name) {
				scope = "" // as Docker Hub does: a token that is good for nothing
			}
		}
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

// account reports whether the login is that of an account.
func (r *Registry) account(user, password string) bool {
	a, ok := r.options.Accounts[user]
	return ok && a.Password == password
}

// mayRead reports whether an account has the right to read a repository; all may ping.
func (r *Registry) mayRead(user, name string) bool {
	return name == "" || r.isPublic(name) || slices.ContainsFunc(r.options.Accounts[user].Repositories, func(pattern string) bool {
		fits, err := path.Match(pattern, name)
		return err == nil && fits
	})
}

func (r *Registry) isPublic(name string) bool { return slices.Contains(r.options.Public, name) }

func repositoryOf(req *http.Request) string {
	if m := route.FindStringSubmatch(req.URL.Path); m != nil {
		return m[1]
	}
	return ""
}
