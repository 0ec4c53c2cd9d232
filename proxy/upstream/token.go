package upstream

import (
	"context"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxTokens bounds the tokens kept by one Registry: there is one per repository asked for, and clients choose those.
// A proxy has some hundred Registries, one for each login, and a token may have some KB.
const maxTokens = 128

// tokenCache is an auth.Cache that forgets everything when it is full; a token costs one request to get again.
type tokenCache struct {
	mu    sync.Mutex
	cache auth.Cache
	sets  int
}

func newTokenCache() *tokenCache { return &tokenCache{cache: auth.NewCache()} }

func (c *tokenCache) current() auth.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache
}

// GetScheme implements auth.Cache.
func (c *tokenCache) GetScheme(ctx context.Context, registry string) (auth.Scheme, error) {
	return c.current().GetScheme(ctx, registry)
}

// GetToken implements auth.Cache.
func (c *tokenCache) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	return c.current().GetToken(ctx, registry, scheme, key)
}

// Set implements auth.Cache. Callers that want the same token share one fetch; the end of one caller's context is
// reported bare, as the shared cache needs it to let another caller fetch instead.
func (c *tokenCache) Set(ctx context.Context, registry string, scheme auth.Scheme, key string,
	fetch func(context.Context) (string, error),
) (string, error) {
	c.mu.Lock()
	if c.sets++; c.sets > maxTokens {
		c.cache, c.sets = auth.NewCache(), 1
	}
	cache := c.cache
	c.mu.Unlock()
	return cache.Set(ctx, registry, scheme, key, func(ctx context.Context) (string, error) {
		token, err := fetch(ctx)
		if err != nil && ctx.Err() != nil {
			return "", ctx.Err()
		}
		return token, err
	})
}
