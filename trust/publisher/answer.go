package publisher

import (
	"time"

	"github.com/safepull/safepull/trust"
)

// Answer is what is known of who publishes an image.
type Answer struct {
	Known    Known           `json:"known"`
	Findings []trust.Finding `json:"findings"`
	// Vouched are facts that speak for who it is, one sentence each.
	Vouched []string `json:"vouched,omitempty"`
	// Until is when to ask again; zero is never.
	Until time.Time `json:"until,omitzero"`
	// NotAsked is why the registry was not asked, if it was not.
	NotAsked string `json:"notAsked,omitempty"`
}
