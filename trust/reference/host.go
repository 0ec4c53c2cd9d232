package reference

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust"
)

// hostLimit is the longest name that DNS carries.
const hostLimit = 253

var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Host gives a registry its one spelling: lower case, Docker Hub under one name, IPv6 addresses compressed, ports
// without leading zeros. It refuses what could not stand before a repository and be told from one: a single word
// other than "localhost" needs a port.
func Host(s string) (string, error) {
	if s == "" {
		return "", errors.New("the registry is missing")
	}
	if !isASCII(s) {
		return "", fmt.Errorf("the registry %s is not a host name or address with an optional port", quote(s))
	}
	host, port, err := splitPort(strings.ToLower(s))
	if err != nil {
		return "", fmt.Errorf("the registry %s %w", quote(s), err)
	}
	switch {
	case strings.HasPrefix(host, "["):
		host, err = ipv6(host)
	case len(host) > hostLimit:
		err = fmt.Errorf("has a host name of more than %d characters", hostLimit)
	case !hostPattern.MatchString(host):
		err = errors.New("is not a host name or address with an optional port")
	case port == "" && host != "localhost" && !strings.Contains(host, "."):
		err = errors.New("needs a dot or a port to be told from a repository")
	}
	if err != nil {
		return "", fmt.Errorf("the registry %s %w", quote(s), err)
	}
	if isHub(host) && (port == "" || port == "443") {
		return trust.DockerHub, nil
	}
	if port != "" {
		host += ":" + port
	}
	return host, nil
}

// isASCII comes before any change of case: the lower case of some other letters (the Kelvin sign) is ASCII.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}

// isHub knows the names under which Docker Hub's registry answers.
func isHub(host string) bool {
	return host == trust.DockerHub || host == "index.docker.io" || host == "registry-1.docker.io" || host == "registry.hub.docker.com"
}

func splitPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", nil
	}
	host, port = s[:i], s[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", "", errors.New("has no valid port after the colon: use 1 to 65535")
	}
	return host, port, nil
}

// ipv6 takes and gives an address in brackets. Zones name an interface of one machine, and IPv4 in IPv6 is a second
// spelling of an address: both are refused.
func ipv6(s string) (string, error) {
	inner, found := strings.CutSuffix(s[1:], "]")
	addr, err := netip.ParseAddr(inner)
	switch {
	case !found || err != nil || !addr.Is6():
		return "", errors.New("has no valid IPv6 address in its brackets")
	case addr.Zone() != "":
		return "", errors.New("names a zone in its IPv6 address: leave it out")
	case addr.Is4In6():
		return "", errors.New("writes an IPv4 address as IPv6: use the IPv4 address")
	}
	return "[" + addr.String() + "]", nil
}
