package distribution

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// Naming is how a request names its upstream. It decides whether a client that is refused may have another road: one
// that named it by alias or by host asked for this door; the others may be mirror clients, which go to the registry
// itself when the mirror does not serve them.
type Naming = road.Named

// The ways to name an upstream, in order of precedence.
const (
	// ByHost is the Host header: an engine that takes the proxy for the registry (transparent mode).
	ByHost = road.ByHost
	// ByNamespace is ?ns=, which containerd and current engines send to a mirror.
	ByNamespace = road.ByNamespace
	// ByAlias is the first component of the path.
	ByAlias = road.ByAlias
	// ByDefault is no name at all, as from an engine's registry-mirrors.
	ByDefault = road.ByDefault
)

// Upstream is one registry that requests may be for.
type Upstream struct {
	// Host is the registry's name in references: "docker.io", "registry.example.com:5443".
	Host string
	// Alias names the upstream in paths: /v2/<alias>/<repository>/…; Host does as well where it has no port.
	Alias string
	// TransparentHosts are further names (host, or host:port unless 443) under which clients take the proxy for this
	// registry. A Host header that is Host itself, in any spelling, always means this upstream.
	TransparentHosts []string
	// Default takes the requests that name no upstream. At most one has it.
	Default bool
	// HardDeny says which clients that could fall back get refusals that keep them from it.
	HardDeny road.Mode
	// Sealed delivers images to clients without another road while they are judged; else those wait for the verdict.
	Sealed bool
	// Lister answers what is neither manifest nor blob.
	Lister Lister
}

// router finds the upstream of a request. Its tables do not change.
type router struct {
	byHost      map[string]*Upstream
	byAlias     map[string]*Upstream
	byAuthority map[string]*Upstream
	def         *Upstream
}

func newRouter(upstreams []Upstream) (*router, error) {
	rt := &router{byHost: map[string]*Upstream{}, byAlias: map[string]*Upstream{}, byAuthority: map[string]*Upstream{}}
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
		if err := rt.addAuthorities(u); err != nil {
			return nil, err
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

func (rt *router) addAuthorities(u *Upstream) error {
	for _, name := range append([]string{u.Host}, u.TransparentHosts...) {
		host, ok := authority(name)
		if !ok {
			return fmt.Errorf("upstream %q: %q is no host with an optional port", u.Host, name)
		}
		if other := rt.byAuthority[host]; other != nil && other != u {
			return fmt.Errorf("upstreams %q and %q share the host %q", other.Host, u.Host, name)
		}
		rt.byAuthority[host] = u
	}
	return nil
}

// authority is the one spelling of a Host header, that of trust/reference without the port that https implies and
// without DNS's final dot. Ok is false when it cannot name a registry, as a bare machine name cannot.
func authority(header string) (host string, ok bool) {
	host = strings.TrimSuffix(header, ":443")
	host, err := reference.Host(strings.TrimSuffix(host, "."))
	return host, err == nil
}

// find returns the reference that a request is about, and its upstream: by the Host header, by ns, by the alias that
// the path begins with, or by default; t learns which of them. What matches nothing is refused, so that the proxy is
// open to no other host.
func (rt *router) find(t *target, host string, query url.Values) (trust.Reference, *Upstream, *problem) {
	u, repository, bad := rt.choose(t, host, query)
	if bad != nil {
		return trust.Reference{}, nil, bad
	}
	ref, err := reference.New(u.Host, repository, t.object)
	if err != nil {
		return trust.Reference{}, nil, fail(400, errcode.ErrorCodeNameInvalid, "%v", err)
	}
	return ref, u, nil
}

// choose reads the name whole where the Host header or ns says what it is relative to.
func (rt *router) choose(t *target, host string, query url.Values) (u *Upstream, repository string, bad *problem) {
	var named *Upstream
	if values, ok := query["ns"]; ok {
		if named, bad = rt.byNamespace(values); bad != nil {
			return nil, "", bad
		}
	}
	if at, ok := authority(host); ok {
		if u = rt.byAuthority[at]; u != nil {
			t.naming = ByHost
			if named != nil && named != u {
				return nil, "", badName("ns says %s, but the request is for the host %s", named.Host, u.Host)
			}
			return u, t.name, nil
		}
	}
	first, rest, _ := strings.Cut(t.name, "/")
	aliased := rt.byAlias[first]
	// Where ns says what the name is relative to, a first part without a dot is a namespace there.
	if rest == "" || named != nil && !strings.ContainsAny(first, ".:") {
		aliased = nil
	}
	switch {
	case named != nil && aliased != nil && aliased != named:
		return nil, "", badName("ns says %s, but the path begins with %q, which is %s", named.Host, first, aliased.Host)
	case named != nil:
		if t.naming = ByNamespace; aliased != nil {
			return named, rest, nil
		}
		return named, t.name, nil
	case aliased != nil:
		t.naming = ByAlias
		return aliased, rest, nil
	case strings.ContainsAny(first, ".:") && rest != "":
		return nil, "", notAnUpstream(first)
	case rt.def == nil:
		return nil, "", denied("safepull has no default upstream: name the registry before the repository, as in <proxy>/<registry>/<repository>")
	}
	t.naming = ByDefault
	return rt.def, t.name, nil
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
