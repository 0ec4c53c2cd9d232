package reputation

import (
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		key    string
		says   string
	}{
		"default":       {func(*Config) {}, "", ""},
		"on":            {func(c *Config) { c.Ask = On }, "", ""},
		"no-registries": {func(c *Config) { c.Registries = nil }, "", ""},
		"https":         {func(c *Config) { c.QuayURL = "https://mirror.example.com:8443/quay" }, "", ""},
		"this-machine": {func(c *Config) {
			c.QuayURL, c.GitHubURL, c.ECRPublicURL = "http://localhost:1", "http://127.0.0.1", "http://[::1]:5"
		}, "", ""},
		"word":              {func(c *Config) { c.Ask = "true" }, "ask", "use auto, on or off"},
		"no-time":           {func(c *Config) { c.Timeout = 0 }, "timeout", "not between"},
		"long":              {func(c *Config) { c.Timeout = time.Minute }, "timeout", "not between"},
		"never-fresh":       {func(c *Config) { c.Fresh = 0 }, "fresh", "not between"},
		"for-ever":          {func(c *Config) { c.Stale = 1 << 62 }, "stale", "not between"},
		"never-stale":       {func(c *Config) { c.Stale = 0 }, "", ""},
		"no-rate":           {func(c *Config) { c.RequestsPerSecond = 0 }, "requestsPerSecond", "not between"},
		"unknown-registry":  {func(c *Config) { c.Registries = []string{"docker.io", "example.com"} }, "registries[1]", "tells nothing"},
		"in-the-clear":      {func(c *Config) { c.DockerHubURL = "http://hub.example.com" }, "dockerHubURL", "not encrypted"},
		"no-scheme":         {func(c *Config) { c.DockerHubURL = "hub.docker.com" }, "dockerHubURL", "no URL"},
		"a-login":           {func(c *Config) { c.GitHubURL = "https://a:secret@api.example.com" }, "githubURL", "a login"},
		"a-query":           {func(c *Config) { c.QuayURL = "https://quay.io?token=secret" }, "quayURL", "a query"},
		"a-broken-one":      {func(c *Config) { c.ECRPublicURL = "https://a:secret@%zz" }, "ecrPublicURL", "cannot be parsed"},
		"a-name-like-local": {func(c *Config) { c.QuayURL = "http://localhost.example.com" }, "quayURL", "not encrypted"},
	} {
		c := Default()
		tt.change(&c)
		key, err := c.Check()
		if key != tt.key || (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
}
