// Package caller says who asks. The proxy's front door finds it out once for each request and puts it into the request's
// context; upstreams read with the caller's own login, the gate's answers depend on what the caller may read, and audit
// names it. It holds secrets, so nothing in it may be logged but Identity and Method.
package caller

import (
	"context"
	"log/slog"
)

// Caller is who asks. The zero value is somebody without a name and without a login.
type Caller struct {
	// Identity names who asks, as the front door proved it; empty means anonymous.
	Identity string
	// Method is how it was proved: "", "htpasswd", "token", "oidc", "mtls".
	Method string
	// Address is the IP address that the request came from, which proves nothing: others may be behind it.
	Address string
	// Logins are the caller's own logins at registries, by the registry's name in references ("docker.io"). One that
	// was given for a registry is never sent to another.
	Logins map[string]Login
	// Challenge is the WWW-Authenticate header that may ask for a login; it is empty where a login would not help, and
	// where a 401 makes clients go around the proxy.
	Challenge string
	// Again is the challenge for who brought a login of which it turns out later that it is a wrong one. It is empty where
	// nobody is asked for one.
	Again string
}

// Refused is why the front door lets somebody not in. Its text is for the client, and holds nothing that was shown.
type Refused struct {
	Reason string
	// Challenge is as in Caller.
	Challenge string
	// Busy says that the door could not find out: asking again makes sense.
	Busy bool
}

// Error gives the reason.
func (r *Refused) Error() string { return r.Reason }

// Login is a caller's own login at one registry: a name and a password, or a bearer token that the registry gave out.
type Login struct {
	Username string
	Password Secret
	// Token is sent as it is, as Authorization: Bearer.
	Token Secret
}

// Empty reports whether there is nothing to log in with.
func (l Login) Empty() bool { return l.Password == "" && l.Token == "" }

// Secret is text that no format verb, log or encoder shows.
type Secret string

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Reveal is the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

type key struct{}

// With returns a context of the caller.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// Of is the caller of the context, the zero Caller when nobody was put there.
func Of(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}
