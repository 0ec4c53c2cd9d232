package campaign

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Edge is something by which images hang together: both have the same wallet, file, pool or publisher.
type Edge struct {
	// Kind is "wallet", "payload", "pool" or "publisher".
	Kind  string `json:"kind"`
	Value string `json:"value"`
	// Name, Manifest and Verdict say of which image it is, At when that was judged, and Action what came of it, before a
	// policy's mode made it milder.
	Name     string        `json:"name"`
	Manifest digest.Digest `json:"manifest"`
	Verdict  string        `json:"verdict"`
	Action   trust.Action  `json:"action"`
	// Publisher is whose image it is: its namespace.
	Publisher string `json:"publisher"`
	// Vouched is true where a trust list allows the name, or its registry vouches for the publisher.
	Vouched bool      `json:"vouched"`
	At      time.Time `json:"at"`
}
