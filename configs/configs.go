// Package configs embeds the defaults that safepull ships: the policy, the trust lists, the names that look-alikes imitate, the rules and the proxy's
// configuration. It only embeds; what the files mean, the packages that load them say.
package configs

import (
	"bytes"
	_ "embed"
)

var (
	//go:embed policy/default.yaml
	policyDefault []byte
	//go:embed policy/strict.yaml
	policyStrict []byte
	//go:embed policy/monitor.yaml
	policyMonitor []byte
	//go:embed trust/default.yaml
	trustDefault []byte
	//go:embed lookalike/names.yaml
	names []byte
	//go:embed proxy/default.yaml
	proxyDefault []byte
)

// DefaultPolicy is the policy in force where nobody names another one.
func DefaultPolicy() []byte { return bytes.Clone(policyDefault) }

// Policy is a shipped policy by its name, "strict" or "monitor", which overrides the default one; false for another name.
func Policy(name string) ([]byte, bool) {
	switch name {
	case "strict":
		return bytes.Clone(policyStrict), true
	case "monitor":
		return bytes.Clone(policyMonitor), true
	}
	return nil, false
}

// DefaultTrust is the trust list that is in force beside the user's own.
func DefaultTrust() []byte { return bytes.Clone(trustDefault) }

// Names are the names that look-alikes imitate, with their owners.
func Names() []byte { return bytes.Clone(names) }

// DefaultProxy is the proxy's configuration with every key and its default.
func DefaultProxy() []byte { return bytes.Clone(proxyDefault) }
