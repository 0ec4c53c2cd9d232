package wire

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/proxy/metrics"
)

// enrolments are the hashes of the configured secrets.
func enrolments(cfg config.Config) ([]distribution.Enrolment, error) {
	secrets, err := cfg.Enrolment.Secrets()
	if err != nil {
		return nil, fmt.Errorf("enrolment.secretFile: %w", err)
	}
	var all []distribution.Enrolment
	for i, secret := range secrets {
		e, err := distribution.NewEnrolment(secret.Reveal())
		if err != nil {
			return nil, fmt.Errorf("enrolment.secretFile: secret %d: %w", i+1, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// platforms reads those of a checked configuration.
func platforms(names []string) []ocispec.Platform {
	var all []ocispec.Platform
	for _, name := range names {
		os, rest, _ := strings.Cut(name, "/")
		architecture, variant, _ := strings.Cut(rest, "/")
		all = append(all, ocispec.Platform{OS: os, Architecture: architecture, Variant: variant})
	}
	return all
}

// refusals counts them.
type refusals struct{ counters *metrics.Metrics }

// Refused implements distribution.Observer.
func (r refusals) Refused(client road.Kind, name string, form road.Form, holds bool) {
	r.counters.Refused(string(client), name, string(form), holds)
}

// HostsTOML is a hosts.toml for containerd, or for an engine that reads certs.d, that knows no other host than the proxy
// and carries the first enrolment secret. The address is the proxy's as the engine reaches it; ca, unless empty, is the
// path of a PEM file on the engine's machine.
func HostsTOML(cfg config.Config, address, ca string) (string, error) {
	secrets, err := cfg.Enrolment.Secrets()
	switch {
	case err != nil:
		return "", fmt.Errorf("enrolment.secretFile: %w", err)
	case len(secrets) == 0:
		return "", errors.New("enrolment.secretFile is not configured: there is no secret to give out")
	}
	if _, err := enrolments(cfg); err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("the address must be http or https, a host and perhaps a port, and nothing more, for example https://proxy.example.com:5000")
	}
	if strings.ContainsAny(ca, "\"\\\n\r\t") {
		return "", errors.New("the path of the CA file cannot stand in the file")
	}
	host := u.Scheme + "://" + u.Host
	authority := ""
	if ca != "" {
		authority = fmt.Sprintf("ca = %q\n", ca)
	}
	// The table repeats the server, because older readers refuse a file without one, and then ask the registry itself.
	return fmt.Sprintf(`# Written by "safepull-proxy enrol". Every registry is read through the proxy, and nothing else is asked.
# Place: /etc/docker/certs.d/_default/hosts.toml (Docker Engine 28 or newer), or _default/hosts.toml below containerd's
# config_path. A folder for one registry beside it would win over it. The secret says that this file is in force.
server = %[1]q
capabilities = ["pull", "resolve"]
%[2]s
[header]
  %[3]s = %[4]q

[host.%[1]q]
  capabilities = ["pull", "resolve"]
  %[2]s
  [host.%[1]q.header]
    %[3]s = %[4]q
`, host, authority, distribution.EnrolmentHeader, secrets[0].Reveal()), nil
}
