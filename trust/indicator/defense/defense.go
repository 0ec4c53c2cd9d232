// Package defense finds scripts that disable what would notice them: agents of cloud providers and of security
// products, watchdogs, logs. Turning off a firewall is ordinary set-up work; turning off several guards is not.
package defense

import "github.com/safepull/safepull/trust/indicator/internal/behaviour"

const (
	name    = "defense"
	version = 1
)

// New checks the rules.
func New(r behaviour.Rules) (*behaviour.Indicator, error) {
	return behaviour.New(name, version, "disables what would notice it", r)
}
