package text

import (
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is where something connects to.
type Endpoint struct {
	Scheme string // lower case, without "://"; "" when none was written
	User   string // before "@"
	Host   string // lower case, without brackets
	Port   int    // 0 when none was written
}

// ParseEndpoint reads [scheme://][user@]host[:port][/…]. It refuses what is no host: variables, files, options.
func ParseEndpoint(s string) (Endpoint, bool) {
	var e Endpoint
	if i := strings.Index(s, "://"); i >= 0 {
		e.Scheme, s = strings.ToLower(s[:i]), s[i+3:]
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		if e.Scheme == "" {
			return e, false
		}
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		e.User, s = s[:i], s[i+1:]
	}
	// Brackets that hold an address of version 6 are its own; nothing says the port then.
	if bare := strings.TrimRight(s, ".;)}>"); strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]") {
		if ip, err := netip.ParseAddr(bare[1 : len(bare)-1]); err == nil && ip.Is6() {
			e.Host = strings.ToLower(bare[1 : len(bare)-1])
			return e, isHost(e.Host)
		}
	}
	s = strings.TrimRight(s, ".;)]}>")
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
		n, err := strconv.ParseUint(port, 10, 16) // no sign
		if err != nil || n < 1 || len(port) > 5 {
			return e, false
		}
		e.Port = int(n)
	}
	e.Host = strings.ToLower(strings.Trim(host, "[]"))
	return e, isHost(e.Host)
}

// Dotted reports whether the host is an address or a name with a domain, not a bare word.
func (e Endpoint) Dotted() bool {
	return strings.ContainsAny(e.Host, ".:")
}

// Placeholder reports whether the host stands for one that the reader is to fill in.
func (e Endpoint) Placeholder() bool {
	for _, domain := range []string{"example.com", "example.org", "example.net", "example"} {
		if e.Host == domain || strings.HasSuffix(e.Host, "."+domain) {
			return true
		}
	}
	switch e.Host {
	case "pool", "host", "hostname", "server", "url", "address", "domain", "ip", "poolserver", "pooladdress", "pool_address":
		return true
	}
	return strings.Contains(e.Host, "your") || strings.HasPrefix(e.Host, "some")
}

func isHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	labels := strings.Split(h, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	// The last label of a name has letters: 1.2.3 and 10.5 are versions, not hosts.
	last := labels[len(labels)-1]
	return len(last) > 1 && strings.IndexFunc(last, func(r rune) bool { return r >= 'a' && r <= 'z' }) >= 0
}
