package config

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	// maxPlatforms bounds the manifests that decide about one index.
	maxPlatforms = 16
	// maxEnrolments bounds the secrets that every request is held against.
	maxEnrolments = 16
)

// platformPattern is os/architecture, perhaps with a variant.
var platformPattern = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9.]+)?$`)

// Secrets reads the enrolment secrets, one a line; blank lines and those that begin with # do not count.
func (e Enrolment) Secrets() ([]Secret, error) {
	if e.SecretFile == "" {
		return nil, nil
	}
	body, err := readFile(e.SecretFile, maxSecret)
	if err != nil {
		return nil, err
	}
	var secrets []Secret
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		secrets = append(secrets, Secret(line))
	}
	switch {
	case len(secrets) == 0:
		return nil, fmt.Errorf("%q holds no secret: write one a line, for example of \"openssl rand -hex 32\"", e.SecretFile)
	case len(secrets) > maxEnrolments:
		return nil, fmt.Errorf("%q holds more than %d secrets", e.SecretFile, maxEnrolments)
	}
	return secrets, nil
}

// checkClients checks what is about the roads of clients.
func (c *Config) checkClients(at origins) error {
	if len(c.Platforms) == 0 || len(c.Platforms) > maxPlatforms {
		return at.errorf("platforms", "the list needs 1 to %d platforms, for example linux/amd64", maxPlatforms)
	}
	for i, p := range c.Platforms {
		if !platformPattern.MatchString(p) {
			return at.errorf(fmt.Sprintf("platforms[%d]", i), "%q is no platform: write for example linux/amd64 or linux/arm/v7", p)
		}
	}
	if _, err := c.Enrolment.Secrets(); err != nil {
		return at.errorf("enrolment.secretFile", "%w", err)
	}
	return nil
}
