package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Reach says where a registry may lead us beside its own host. The zero value means the hosts that are known to belong
// to it (see known), at public addresses.
type Reach struct {
	// RedirectHosts and TokenHosts are patterns for the hosts of content and of token endpoints: a host, a host with
	// "*" for any characters, either with a port. Without one, it is the scheme's own port.
	RedirectHosts, TokenHosts []string
	// AllowPrivate lets these hosts, and the registry itself, be at private, shared and loopback addresses. An address
	// that stands in the registry's URL or in the lists as it is needs no permission.
	AllowPrivate bool
	// Anywhere allows every host: for a person's own machine, where the registry is whatever that person names.
	// Loopback is left out unless the registry is there too.
	Anywhere bool
}

// reach is Reach, read once, for the registry at base.
type reach struct {
	own        endpoint
	secure     bool // own is spoken to by https
	ownLiteral bool // own is a private or loopback address by its URL
	redirects  []string
	tokens     []string
	private    bool
	anywhere   bool
}

// endpoint is a host, lower case, with its port.
type endpoint struct{ host, port string }

func endpointOf(u *url.URL) endpoint {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return endpoint{strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port}
}

func newReach(base *url.URL, o Reach) *reach {
	r := &reach{own: endpointOf(base), secure: base.Scheme == "https", redirects: o.RedirectHosts, tokens: o.TokenHosts, private: o.AllowPrivate, anywhere: o.Anywhere}
	r.ownLiteral = isLoopback(r.own.host)
	if addr, err := netip.ParseAddr(r.own.host); err == nil && classOf(addr) == private {
		r.ownLiteral = true
	}
	for _, k := range known() {
		if hostMatches(k.registry, r.own, "https") {
			r.redirects = append(append([]string{}, r.redirects...), k.redirects...)
			r.tokens = append(append([]string{}, r.tokens...), k.tokens...)
		}
	}
	return r
}

// errNotReached marks that a registry wanted to lead us where it must not.
var errNotReached = errors.New("refused")

// redirect is nil where content may come from.
func (r *reach) redirect(u *url.URL) error {
	return r.follow(u, r.redirects, "redirect", "redirectHosts")
}

// realm is nil where a token may come from. It is shown the login, which does not leave in the clear what came by https.
func (r *reach) realm(u *url.URL) error {
	if r.secure && u.Scheme == "http" {
		return fmt.Errorf("token endpoint at %s %w: it is not https, as the registry is", u.Host, errNotReached)
	}
	return r.follow(u, r.tokens, "token endpoint", "tokenHosts")
}

func (r *reach) follow(u *url.URL, patterns []string, what, key string) error {
	to := endpointOf(u)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s with scheme %q %w", what, u.Scheme, errNotReached)
	case to == r.own, to.host == r.own.host && to.port == "443" && u.Scheme == "https":
		return nil
	}
	allowed := r.anywhere
	for _, p := range patterns {
		allowed = allowed || hostMatches(p, to, u.Scheme)
	}
	if !allowed {
		return fmt.Errorf("%s at %s %w: it is none of this upstream's %s", what, u.Host, errNotReached, key)
	}
	if addr, err := netip.ParseAddr(to.host); err == nil {
		return r.address(to, addr) // also where an HTTP proxy dials in our place
	}
	return nil
}

// hostMatches reports whether a pattern means the endpoint.
func hostMatches(pattern string, e endpoint, scheme string) bool {
	host, port := cutPort(strings.ToLower(pattern))
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	if port != e.port {
		return false
	}
	if strings.Trim(host, "[]") == e.host {
		return true
	}
	ok, err := path.Match(host, e.host)
	return ok && err == nil
}

func cutPort(pattern string) (host, port string) {
	i := strings.LastIndexByte(pattern, ':')
	if i < 0 || strings.HasSuffix(pattern, "]") || strings.Count(pattern, ":") > 1 && !strings.HasPrefix(pattern, "[") {
		return pattern, ""
	}
	return pattern[:i], pattern[i+1:]
}

// class is what kind of address it is, as far as it matters for who may be there.
type class int

const (
	public class = iota
	private
	// never is for nobody's registry: link-local and with it the metadata services of clouds, multicast, unspecified.
	never
)

// prefixes of addresses that are not public: RFC 6890 and its successors in IANA's special-purpose registries, and the
// metadata services of clouds that are not link-local (Alibaba, AWS, Google, Azure).
func specialPrefixes() (neverPrefixes, privatePrefixes []netip.Prefix) {
	parse := func(list string) (out []netip.Prefix) {
		for _, s := range strings.Fields(list) {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	return parse(`0.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32 ::/128 fe80::/10 ff00::/8
			100.100.100.200/32 168.63.129.16/32 fd00:ec2::/32 fd20:ce::254/128`),
		parse(`10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 127.0.0.0/8 192.0.0.0/24 198.18.0.0/15 240.0.0.0/4
			192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 192.88.99.0/24 ::1/128 fc00::/7 fec0::/10 2001::/23 2001:db8::/32 3fff::/20
			5f00::/16 100::/64 64:ff9b:1::/48`)
}

// classOf looks through the ways to write an IPv4 address in IPv6.
func classOf(addr netip.Addr) class {
	addr = unwrapped(addr.WithZone(""))
	neverPrefixes, privatePrefixes := specialPrefixes()
	for _, p := range neverPrefixes {
		if p.Contains(addr) {
			return never
		}
	}
	for _, p := range privatePrefixes {
		if p.Contains(addr) {
			return private
		}
	}
	return public
}

// unwrapped is the IPv4 address that an IPv6 address stands for: mapped, translated, compatible, NAT64 and 6to4.
func unwrapped(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); addr.Is4() {
		return addr
	}
	b := addr.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("::ffff:0:0:0/96").Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:]))
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case netip.MustParsePrefix("::/96").Contains(addr) && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// address is nil when the endpoint may be at this address.
func (r *reach) address(to endpoint, addr netip.Addr) error {
	own := to.host == r.own.host && (to.port == r.own.port || to.port == "443")
	kind := classOf(addr)
	loopback := unwrapped(addr).IsLoopback()
	switch {
	case kind == public:
		return nil
	case kind == never:
	case r.private, own && r.ownLiteral, own && r.anywhere, r.spelled(to):
		return nil
	case r.anywhere && (!loopback || r.ownLiteral):
		return nil
	}
	text := fmt.Sprintf("%s is at %s, which is no public address", to.host, addr)
	if kind == private {
		text += ": if it is meant to be there, say allowPrivate for this upstream"
	}
	return fmt.Errorf("%s: %w", text, errNotReached)
}

// spelled reports whether the endpoint is an address, or localhost, that the configuration spells out.
func (r *reach) spelled(to endpoint) bool {
	if _, err := netip.ParseAddr(to.host); err != nil && !isLoopback(to.host) {
		return false
	}
	return slices.ContainsFunc(slices.Concat(r.redirects, r.tokens), func(p string) bool {
		host, port := cutPort(strings.ToLower(p))
		return strings.Trim(host, "[]") == to.host && (port == to.port || port == "" && (to.port == "443" || to.port == "80"))
	})
}

// redirectPolicy lets a registry send us elsewhere for content, but not from https to http, not where it must not lead,
// not for ever, and without the login.
func redirectPolicy(r *reach) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		req.Header.Del("Authorization")
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		for _, hop := range via {
			if hop.URL.Scheme == "https" && req.URL.Scheme != "https" {
				return errors.New("redirect from https to http refused")
			}
		}
		if req.URL.User != nil {
			return errors.New("redirect to a URL with a login refused")
		}
		if req.Method != http.MethodGet && req.Method != http.MethodHead { // its body holds what buys a token
			return errors.New("redirect of a login refused")
		}
		err := r.redirect(req.URL)
		if err != nil && len(via) > 0 && r.realm(via[0].URL) == nil && r.realm(req.URL) == nil {
			return nil // a token endpoint may move within its hosts
		}
		return err
	}
}
