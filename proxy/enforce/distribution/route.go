package distribution

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// Upstream is one registry that requests may be for.
type Upstream struct {
	// Host is the registry's name in references: "docker.io", "registry.example.com:5443".
	Host string
	// Alias names the upstream in paths: /v2/<alias>/<repository>/…; Host does as well where it has no port.
	Alias string
	// Default takes the requests that name no upstream. At most one has it.
	Default bool
	// Lister answers what is neither manifest nor blob.
	Lister Lister
}

// router finds the upstream of a request. Its tables do not change.
type router struct {
	byHost  map[string]*Upstream
	byAlias map[string]*Upstream
	def     *Upstream
}

func newRouter(upstreams []Upstream) (*router, error) {
	rt := &router{byHost: map[string]*Upstream{}, byAlias: map[string]*Upstream{}}
	for i := range upstreams {
		u := &upstreams[i]
		if u.Host == "" || u.Lister == nil {
			return nil, errors.New("an upstream needs a host and a lister")
		}
		if host, err := reference.Host(u.Host); err != nil || host != u.Host {
			return nil, fmt.Errorf("upstream %q is not how references name a registry (%q)", u.Host, host)
		}
		if rt.byHost[u.Host] != nil {
			return nil, fmt.Errorf("upstream %q is configured twice", u.Host)
		}
		rt.byHost[u.Host] = u
		for _, name := range []string{u.Host, u.Alias} {
			if other := rt.byAlias[name]; other != nil && other != u {
				return nil, fmt.Errorf("upstreams %q and %q share the alias %q", other.Host, u.Host, name)
			}
			if name != "" {
				rt.byAlias[name] = u
			}
		}
		if u.Default && rt.def != nil {
			return nil, fmt.Errorf("upstreams %q and %q are both the default", rt.def.Host, u.Host)
		}
		if u.Default {
			rt.def = u
		}
	}
	return rt, nil
}

// find returns the reference that a request is about, and its upstream: by ns, by the alias that the path begins
// with, or by default. What matches nothing is refused, so that the proxy is open to no other host.
func (rt *router) find(t target, query url.Values) (trust.Reference, *Upstream, *problem) {
	u, repository, bad := rt.choose(t.name, query)
	if bad != nil {
		return trust.Reference{}, nil, bad
	}
	ref, err := reference.New(u.Host, repository, t.object)
	if err != nil {
		return trust.Reference{}, nil, fail(400, errcode.ErrorCodeNameInvalid, "%v", err)
	}
	return ref, u, nil
}

func (rt *router) choose(name string, query url.Values) (u *Upstream, repository string, bad *problem) {
	first, rest, _ := strings.Cut(name, "/")
	aliased := rt.byAlias[first]
	if rest == "" {
		aliased = nil
	}
	if values, ok := query["ns"]; ok {
		u, bad := rt.byNamespace(values)
		switch {
		case bad != nil:
			return nil, "", bad
		case aliased == nil:
			return u, name, nil
		case aliased != u:
			return nil, "", badName("ns says %s, but the path begins with %q, which is %s", u.Host, first, aliased.Host)
		}
		return u, rest, nil
	}
	switch {
	case aliased != nil:
		return aliased, rest, nil
	case strings.ContainsAny(first, ".:") && rest != "":
		return nil, "", notAnUpstream(first)
	case rt.def == nil:
		return nil, "", denied("safepull has no default upstream: name the registry before the repository, as in <proxy>/<registry>/<repository>")
	}
	return rt.def, name, nil
}

func (rt *router) byNamespace(values []string) (*Upstream, *problem) {
	if len(values) != 1 || values[0] == "" {
		return nil, badName("ns must be given once and name a registry")
	}
	host, err := reference.Host(values[0])
	if u := rt.byHost[host]; err == nil && u != nil {
		return u, nil
	}
	return nil, notAnUpstream(values[0])
}
