// Package reputation is the part of the configuration that says whether registries are asked who publishes an image, and
// where. The plugin reads the same words from its environment.
package reputation

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The words of Config.Ask.
const (
	Auto = "auto"
	On   = "on"
	Off  = "off"
)

// Config says whether registries are asked who publishes an image, and where.
type Config struct {
	Ask          string   `yaml:"ask"`
	Registries   []string `yaml:"registries"`
	DockerHubURL string   `yaml:"dockerHubURL"`
	GitHubURL    string   `yaml:"githubURL"`
	QuayURL      string   `yaml:"quayURL"`
	ECRPublicURL string   `yaml:"ecrPublicURL"`
	// Snapshot is a file of what another machine was told.
	Snapshot          string        `yaml:"snapshot"`
	Timeout           time.Duration `yaml:"timeout"`
	Fresh             time.Duration `yaml:"fresh"`
	Stale             time.Duration `yaml:"stale"`
	RequestsPerSecond int           `yaml:"requestsPerSecond"`
}

// registries are those that tell something.
func registries() []string {
	return []string{"docker.io", "ghcr.io", "public.ecr.aws", "quay.io"}
}

// Default asks all registries that tell something.
func Default() Config {
	return Config{
		Ask: Auto, Registries: registries(), Timeout: 2 * time.Second, Fresh: 24 * time.Hour, Stale: 7 * 24 * time.Hour, RequestsPerSecond: 2,
	}
}

// Check is an error and the key that it is about.
func (r Config) Check() (key string, err error) {
	switch {
	case !slices.Contains([]string{Auto, On, Off}, r.Ask):
		return "ask", fmt.Errorf("%q is not known: use auto, on or off", r.Ask)
	case r.Timeout < 100*time.Millisecond || r.Timeout > 30*time.Second:
		return "timeout", fmt.Errorf("%s is not between 100ms and 30s", r.Timeout)
	case r.Fresh < time.Minute || r.Fresh > 90*24*time.Hour:
		return "fresh", fmt.Errorf("%s is not between 1m and 2160h", r.Fresh)
	case r.Stale < 0 || r.Stale > 365*24*time.Hour:
		return "stale", fmt.Errorf("%s is not between 0s and 8760h", r.Stale)
	case r.RequestsPerSecond < 1 || r.RequestsPerSecond > 1000:
		return "requestsPerSecond", fmt.Errorf("%d is not between 1 and 1000", r.RequestsPerSecond)
	}
	for i, host := range r.Registries {
		if !slices.Contains(registries(), host) {
			return fmt.Sprintf("registries[%d]", i), fmt.Errorf("%q tells nothing that is known here: use %s", host, strings.Join(registries(), ", "))
		}
	}
	for key, at := range map[string]string{"dockerHubURL": r.DockerHubURL, "githubURL": r.GitHubURL, "quayURL": r.QuayURL, "ecrPublicURL": r.ECRPublicURL} {
		u, err := url.Parse(at)
		switch {
		case at == "":
		case err != nil:
			return key, errors.New("the URL cannot be parsed") // it may hold a password
		case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
			return key, errors.New("it is no URL: write for example https://api.example.com")
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return key, fmt.Errorf("the URL at %s is not encrypted, and who is on the way could vouch for anybody: write https", u.Host)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			return key, fmt.Errorf("the URL at %s has a login, a query or a fragment: nothing of the kind is sent", u.Host)
		}
	}
	return "", nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
