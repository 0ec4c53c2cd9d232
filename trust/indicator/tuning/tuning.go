// Package tuning finds scripts that prepare a machine for mining: huge pages as RandomX wants them, processor registers
// that make it faster, a look at the processor that chooses the algorithm. Databases and packet processors reserve huge
// pages too: the numbers and the company decide.
package tuning

import "github.com/safepull/safepull/trust/indicator/internal/behaviour"

const (
	name    = "tuning"
	version = 1
)

// New checks the rules.
func New(r behaviour.Rules) (*behaviour.Indicator, error) {
	return behaviour.New(name, version, "prepares the machine for mining", r)
}
