// Package propagation finds scripts that spread to other machines: scanners for open Docker ports, containers started
// on strange daemons, loops over the hosts and keys that SSH knows. Each is an administrator's tool; together they are
// a worm's.
package propagation

import "github.com/safepull/safepull/trust/indicator/internal/behaviour"

const (
	name    = "propagation"
	version = 1
)

// New checks the rules.
func New(r behaviour.Rules) (*behaviour.Indicator, error) {
	return behaviour.New(name, version, "spreads to other machines", r)
}
