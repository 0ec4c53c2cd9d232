package distribution

import (
	"net/url"
	"testing"
)

// TestNaming: what decides how a refusal must look is how the upstream was named.
func TestNaming(t *testing.T) {
	t.Parallel()
	rt, err := newRouter([]Upstream{{Host: "docker.io", Default: true, Lister: nobody{}}, {Host: "ghcr.io", Alias: "gh", Lister: nobody{}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host, path, query string
		want              Naming
	}{
		"host":           {"ghcr.io", "/v2/a/b/manifests/1", "", ByHost},
		"host_before_ns": {"ghcr.io", "/v2/a/b/manifests/1", "ns=ghcr.io", ByHost},
		"ns":             {"proxy", "/v2/a/b/manifests/1", "ns=ghcr.io", ByNamespace},
		"ns_and_alias":   {"proxy", "/v2/gh/a/b/manifests/1", "ns=ghcr.io", ByNamespace},
		"alias":          {"proxy", "/v2/gh/a/b/manifests/1", "", ByAlias},
		"default":        {"proxy", "/v2/a/b/manifests/1", "", ByDefault},
	} {
		at, bad := parsePath(c.path)
		if bad != nil {
			t.Fatal(name, bad.err)
		}
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, bad := rt.find(&at, c.host, query); bad != nil || at.naming != c.want {
			t.Errorf("%s: named by %q, %v", name, at.naming, bad)
		}
	}
}

type nobody struct{ Lister }
