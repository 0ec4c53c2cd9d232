package identity

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust/reference"
)

// Header is where logins for registries are handed over: by a configuration of the engine that adds headers, or by a
// client through the engine, which copies headers whose name begins like this one to every request. Its value is
// "REGISTRY Basic …" or "REGISTRY Bearer …"; without the registry it is read as Authorization would be.
const Header = "X-Meta-Safepull-Authorization"

const (
	// maxHandedOver bounds the logins of one request, and maxLogin the length of each.
	maxHandedOver = 8
	maxLogin      = 32 << 10
)

var (
	errTwoLogins = errors.New("the request shows more than one login for the proxy: show one")
	errManyHeld  = errors.New("the request hands over more logins than safepull takes")
	errLong      = errors.New("the request shows a login that is longer than safepull takes")
	errHanded    = errors.New("the request hands over a login that safepull cannot read: write REGISTRY Basic … or REGISTRY Bearer …")
)

// shown is what a request shows. Only one of password and bearer is set.
type shown struct {
	user, password, bearer string
	// forDoor says that it came in Header, which no client sends to a registry by itself.
	forDoor bool
	// handed are the logins that name their registry.
	handed map[string]caller.Login
}

func (s shown) none() bool { return s.user == "" && s.password == "" && s.bearer == "" }

func (s shown) login() caller.Login {
	if s.bearer != "" {
		return caller.Login{Token: caller.Secret(s.bearer)}
	}
	return caller.Login{Username: s.user, Password: caller.Secret(s.password)}
}

// shownBy reads the request's headers. Its errors hold nothing of them.
func shownBy(r *http.Request) (shown, error) {
	s := shown{handed: map[string]caller.Login{}}
	values := r.Header.Values("Authorization")
	handed := r.Header.Values(Header)
	if len(handed) > maxHandedOver {
		return shown{}, errManyHeld
	}
	for _, v := range handed {
		fields := strings.Fields(v)
		switch {
		case len(v) > maxLogin:
			return shown{}, errLong
		case len(fields) == 2:
			values, s.forDoor = append(values, v), true
			continue
		case len(fields) != 3:
			return shown{}, errHanded
		}
		registry, err := reference.Host(fields[0])
		user, password, bearer, ok := credentials(fields[1] + " " + fields[2])
		if err != nil || !ok || bearer == "" && password == "" {
			return shown{}, errHanded
		}
		s.handed[registry] = shown{user: user, password: password, bearer: bearer}.login()
	}
	if len(values) > 1 {
		return shown{}, errTwoLogins
	}
	if len(values) == 1 {
		if len(values[0]) > maxLogin {
			return shown{}, errLong
		}
		s.user, s.password, s.bearer, _ = credentials(values[0]) // another scheme is no login that we asked for
	}
	return s, nil
}

// credentials reads the value of an Authorization header.
func credentials(value string) (user, password, bearer string, ok bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
		return "", "", rest, rest != ""
	case "basic":
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", "", "", false
		}
		user, password, ok = strings.Cut(string(decoded), ":")
		return user, password, "", ok
	}
	return "", "", "", false
}

// handedOver keeps the logins for registries that are read with callers' logins, and drops all others.
func (d *Door) handedOver(s shown) map[string]caller.Login {
	kept := map[string]caller.Login{}
	for registry, login := range s.handed {
		if d.passThrough[registry] {
			kept[registry] = login
		}
	}
	return kept
}
