package upstream

import (
	"net/http"
	"net/url"
)

// Guarded lets requests to base through, as far as o allows its address, and no other: for other questions to a host than
// those of the distribution specification. Next is a transport that NewTransport made.
func Guarded(next http.RoundTripper, base *url.URL, o Reach) http.RoundTripper {
	return guarded{outgoing{next: next, reach: newReach(base, o)}, base}
}

type guarded struct {
	outgoing
	base *url.URL
}

// RoundTrip implements http.RoundTripper. Redirects are requests too.
func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if to := endpointOf(req.URL); to != g.reach.own || req.URL.Scheme != g.base.Scheme {
		return nil, errOther{req.URL.Host}
	}
	return g.outgoing.RoundTrip(req)
}

// errOther names a host that nobody said is to be asked.
type errOther struct{ host string }

// Error implements error.
func (e errOther) Error() string { return "request to another host " + e.host }

// Unwrap is errNotReached.
func (errOther) Unwrap() error { return errNotReached }
