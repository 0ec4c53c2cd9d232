package trust

import (
	"cmp"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Action is what happens to a pull. Its zero value is no action, which nothing treats as Allow.
type Action string

// The actions, from least to most severe.
const (
	Allow      Action = "allow"
	Warn       Action = "warn"
	Quarantine Action = "quarantine"
	Block      Action = "block"
)

// Severity orders the actions; what is not one of the four is more severe than all of them.
func (a Action) Severity() int {
	switch a {
	case Allow:
		return 0
	case Warn:
		return 1
	case Quarantine:
		return 2
	case Block:
		return 3
	}
	return 4
}

// Serves reports whether content under this action may reach a host. Only Allow and Warn do.
func (a Action) Serves() bool { return a == Allow || a == Warn }

// UnmarshalText reads one of the four words; anything else is an error.
func (a *Action) UnmarshalText(text []byte) error {
	if v := Action(text); v.Severity() < 4 {
		*a = v
		return nil
	}
	return fmt.Errorf("unknown action %q: use allow, warn, quarantine or block", text)
}

// Evidence is all that was found out about an image. Every question is in exactly one of Answered, Unanswered and
// NotAsked.
type Evidence struct {
	Reference Reference     `json:"reference"`
	Manifest  digest.Digest `json:"manifest"`
	Platform  string        `json:"platform,omitempty"`
	// Layers are the digests that the manifest names, the lowest first: people count layers from 1.
	Layers   []digest.Digest `json:"layers,omitempty"`
	Standing Standing        `json:"standing"`
	// Vouched are facts of registries that speak for the publisher, one sentence each: an official image, a verified
	// publisher. Popularity is none.
	Vouched  []string  `json:"vouched,omitempty"`
	Findings []Finding `json:"findings"`
	// Steps are how starting the image leads to files, as far as it is known; those that matter to a finding at least.
	Steps []Step `json:"steps,omitempty"`
	// Integrity are contradictions of the content with itself or its digest, one sentence each.
	Integrity []string `json:"integrity,omitempty"`
	// Answered are names of questions: "trust lists", "manifest", "config", "layer 1 sha256:…".
	Answered []string `json:"answered"`
	// Unanswered are questions that failed, timed out or met a limit, with the reason.
	Unanswered map[string]string `json:"unanswered"`
	// NotAsked are questions that no further answer could matter to, or that an entry waived, with the reason.
	NotAsked map[string]string `json:"notAsked"`
}

// Step says that an image, once started, goes from one file to another.
type Step struct {
	// By is a part of the image's configuration, such as "config:entrypoint", or the path of a file as Finding has it.
	By string `json:"by"`
	// Path is the file that it leads to, and Layer where that stands; empty when it is not known.
	Path  string        `json:"path"`
	Layer digest.Digest `json:"layer,omitempty"`
}

// Verdict is the judgement on one image manifest under one name, one ruleset, one policy and one set of trust lists.
type Verdict struct {
	// ID names the verdict to people: "SP-" and ten characters.
	ID        string    `json:"id"`
	Reference Reference `json:"reference"`
	// Manifest is the digest that was judged: a platform's manifest, never an index that has platforms.
	Manifest   digest.Digest `json:"manifest"`
	Ruleset    digest.Digest `json:"ruleset"`
	Policy     digest.Digest `json:"policy"`
	TrustLists digest.Digest `json:"trustLists"`
	Action     Action        `json:"action"`
	Reasons    []string      `json:"reasons"`
	// Decision is how the policy came to Action and Reasons, which stand above; nil in verdicts of older programs.
	Decision *Decision `json:"decision,omitempty"`
	// Story tells how the findings hang together: what the image starts, what that holds, what else is there.
	Story    []string  `json:"story,omitempty"`
	Evidence Evidence  `json:"evidence"`
	At       time.Time `json:"at"`
	// Until is the earliest expiry of any entry or fact used; zero means as long as the keys above stand.
	Until    time.Time     `json:"until,omitzero"`
	Duration time.Duration `json:"duration"`
	// Blobs are the descriptors that the manifest references (config first): what may be served with it.
	Blobs []Blob `json:"blobs,omitempty"`
	// Passing is true when asking again may answer otherwise: it is explained, but never used as a remembered answer.
	Passing bool `json:"passing,omitempty"`
}

// Whom is whom to ask about the verdict: who answers for the trust entry that denies the image, and whom the policy
// names. It is empty where neither says.
func (v Verdict) Whom() string {
	var owner, contact string
	s := v.Evidence.Standing
	_, unsigned := v.Evidence.Unanswered["signature"]
	if s.Denied() || s.Decided != nil && (len(s.Unmet) > 0 || unsigned && s.Decided.RequireSignature != nil) {
		owner = s.Decided.Owner
	}
	if v.Decision != nil {
		contact = v.Decision.Contact
	}
	if owner != "" && contact != "" && owner != contact {
		return owner + " or " + contact
	}
	return cmp.Or(owner, contact)
}

// Blob is the part of a descriptor that serving needs.
type Blob struct {
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	MediaType string        `json:"mediaType,omitempty"`
}
