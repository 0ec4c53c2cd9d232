package upstream

import (
	"context"
	"fmt"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Clients choose the repositories, so the tokens must not grow with them.
func TestTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newTokenCache()
	set := func(i int) {
		key := fmt.Sprintf("repository:r%d:pull", i)
		if _, err := c.Set(t.Context(), "host", auth.SchemeBearer, key, func(context.Context) (string, error) { return "t", nil }); err != nil {
			t.Fatal(err)
		}
	}
	known := func() (n int) {
		for i := range maxTokens + 1 {
			if _, err := c.GetToken(t.Context(), "host", auth.SchemeBearer, fmt.Sprintf("repository:r%d:pull", i)); err == nil {
				n++
			}
		}
		return n
	}
	for i := range maxTokens {
		set(i)
	}
	if n := known(); n != maxTokens {
		t.Errorf("%d tokens known, want %d", n, maxTokens)
	}
	set(maxTokens)
	if n := known(); n != 1 {
		t.Errorf("%d tokens known after one too many, want 1", n)
	}
}
