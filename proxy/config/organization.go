package config

import (
	"slices"
	"strings"
	"time"
)

// Organization is the trust list that the organization's machines take from the proxy. An empty List means that there
// is none.
type Organization struct {
	Name           string        `yaml:"name"`
	List           string        `yaml:"list"`
	SigningKeyFile string        `yaml:"signingKeyFile"`
	MaxAge         time.Duration `yaml:"maxAge"`
	Admins         []string      `yaml:"admins"`
}

// The least and the most of Organization.MaxAge: less would be stale before machines ask again, more is no promise.
const (
	leastListAge = 2 * time.Hour
	mostListAge  = 400 * 24 * time.Hour
	// maxAdmins bounds what every edit is held against.
	maxAdmins = 1000
)

func (c *Config) checkOrganization(at origins) error {
	if file := c.Signatures.TrustedRoot; file != "" {
		if _, err := readFile(file, maxInput); err != nil {
			return at.errorf("signatures.trustedRoot", "%w", err)
		}
	}
	o := c.Organization
	if o.List == "" {
		if o.Name != "" || o.SigningKeyFile != "" || len(o.Admins) > 0 {
			return at.errorf("organization.list", "without a list the other keys do nothing: write it, or remove them")
		}
		return nil
	}
	if _, err := readFile(o.List, maxInput); err != nil {
		return at.errorf("organization.list", "%w", err)
	}
	if slices.Contains(c.TrustLists, o.List) {
		return at.errorf("organization.list", "the file stands among trustLists too: remove it there")
	}
	if o.SigningKeyFile != "" {
		if _, err := readFile(o.SigningKeyFile, maxInput); err != nil {
			return at.errorf("organization.signingKeyFile", "%w", err)
		}
		if o.Name == "" {
			return at.errorf("organization.name", "people see who signs: write a name")
		}
	}
	if o.MaxAge < leastListAge || o.MaxAge > mostListAge {
		return at.errorf("organization.maxAge", "%s is not from %s to %s", o.MaxAge, leastListAge, mostListAge)
	}
	switch {
	case len(o.Admins) > 0 && !c.Door.Authenticates():
		return at.errorf("organization.admins", "nobody can prove to be one of them: name a method of the door (htpasswd, tokens, oidc, mtls)")
	case len(o.Admins) > maxAdmins:
		return at.errorf("organization.admins", "more than %d", maxAdmins)
	case slices.Contains(o.Admins, ""):
		return at.errorf("organization.admins", "one of them is empty: write an identity or remove it")
	}
	return o.validateAdmins(c, at)
}

// validateAdmins wants to know how an administrator proves to be one, where there are several ways: who may choose a name in
// one of them could choose that of an administrator in another.
func (o Organization) validateAdmins(c *Config, at origins) error {
	ways := c.Door.methods()
	for _, admin := range o.Admins {
		method, _, ok := strings.Cut(admin, ":")
		switch named := ok && slices.Contains([]string{"htpasswd", "token", "oidc", "mtls"}, method); {
		case named && !slices.Contains(ways, method):
			return at.errorf("organization.admins", "%q cannot prove that: the door has no %s", admin, method)
		case !named && len(ways) > 1:
			return at.errorf("organization.admins", "%q may be several people's name, since the door has %s: write %q",
				admin, strings.Join(ways, " and "), ways[0]+":"+admin)
		}
	}
	return nil
}
