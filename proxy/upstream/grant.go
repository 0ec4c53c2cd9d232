package upstream

import (
	"context"
	"net/http"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Grant is what a registry takes as proof of a right, as the Authorization header has it. It is secret.
type Grant struct {
	// Scheme is "Bearer" or "Basic"; empty where the registry asked for nothing.
	Scheme string
	// Value is a token that the registry's token endpoint gave out for pulls from one repository, or a name and a password.
	Value string
}

// Grant asks the registry, as whoever this Registry reads it, for the right to pull from a repository. Nothing of it is
// kept. A registry that answers without asking who we are gives the zero Grant.
func (r *Registry) Grant(ctx context.Context, repository string) (Grant, error) {
	got := &granted{Cache: auth.NewCache()}
	client := &auth.Client{
		Client: r.client.Client, Header: r.client.Header, Credential: r.client.Credential, Cache: got,
		ClientID: r.client.ClientID, BlockedRealmPrefixes: r.client.BlockedRealmPrefixes,
	}
	scoped := auth.WithScopesForHost(ctx, r.base.Host, auth.ScopeRepository(repository, auth.ActionPull))
	req, err := http.NewRequestWithContext(scoped, http.MethodGet, r.base.JoinPath("v2", "/").String(), http.NoBody)
	if err != nil {
		return Grant{}, r.requestError(ctx, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Grant{}, r.requestError(ctx, err)
	}
	_ = resp.Body.Close() // whatever it is: a right to the repository need be none to the base
	got.mu.Lock()
	defer got.mu.Unlock()
	return got.grant, nil
}

// granted notes what a client was given.
type granted struct {
	auth.Cache
	mu    sync.Mutex
	grant Grant
}

// Set implements auth.Cache.
func (g *granted) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	token, err := g.Cache.Set(ctx, registry, scheme, key, fetch)
	if err == nil {
		g.mu.Lock()
		g.grant = Grant{Scheme: scheme.String(), Value: token}
		g.mu.Unlock()
	}
	return token, err
}
