package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// reachKey is the context's key of the reach that a connection is opened for.
type reachKey struct{}

func withReach(ctx context.Context, r *reach) context.Context {
	return context.WithValue(ctx, reachKey{}, r)
}

// dialer opens connections to where the context's reach allows, by the address that is connected to and not by one that
// was looked up before, so that a name cannot change its meaning in between. Without a reach it is public addresses.
// The HTTP proxies of the environment may be anywhere.
type dialer struct {
	timeout time.Duration
	proxies map[string]bool
}

func newDialer(timeout time.Duration) *dialer {
	d := &dialer{timeout: timeout, proxies: map[string]bool{}}
	env := httpproxy.FromEnvironment()
	for _, proxy := range []string{env.HTTPProxy, env.HTTPSProxy} {
		if !strings.Contains(proxy, "://") {
			proxy = "http://" + proxy
		}
		if u, err := url.Parse(proxy); err == nil && u.Hostname() != "" {
			at := endpointOf(u)
			if at.port == "" {
				at.port = "1080" // socks
			}
			d.proxies[net.JoinHostPort(at.host, at.port)] = true
		}
	}
	return d
}

// DialContext is http.Transport's.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	open := &net.Dialer{Timeout: d.timeout, KeepAlive: 30 * time.Second}
	if !d.proxies[strings.ToLower(address)] {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("dial: %w", err)
		}
		r, _ := ctx.Value(reachKey{}).(*reach)
		if r == nil {
			r = &reach{}
		}
		to := endpoint{strings.ToLower(strings.TrimSuffix(host, ".")), port}
		open.Control = func(_, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("%q is no address: %w", resolved, errNotReached)
			}
			return r.address(to, at.Addr())
		}
	}
	return open.DialContext(ctx, network, address)
}
