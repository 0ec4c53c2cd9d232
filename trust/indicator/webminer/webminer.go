// Package webminer finds web pages and scripts that mine in their visitors' browsers, by the interfaces of the known
// browser miners. Block lists name the same files and hosts, but do not call them.
package webminer

import "github.com/safepull/safepull/trust/indicator/internal/behaviour"

const (
	name    = "webminer"
	version = 1
)

// New checks the rules.
func New(r behaviour.Rules) (*behaviour.Indicator, error) {
	return behaviour.New(name, version, "mines in the browsers of visitors", r, behaviour.Pages)
}
