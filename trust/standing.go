package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Entry is one line of a trust list, and where it stands.
type Entry struct {
	// Pattern is a glob over registry/repository, optionally with ":tag" or "@digest".
	Pattern string `json:"pattern"`
	// Action is "allow" or "deny".
	Action string `json:"action"`
	// Tier is how far an allow entry trusts the name: "known" waives no question, "trusted" those about the name itself
	// (reputation and look-alikes). Empty means trusted.
	Tier string `json:"tier,omitempty"`
	// Reason, Owner, Ticket and ApprovedBy are for people.
	Reason     string `json:"reason,omitempty"`
	Owner      string `json:"owner,omitempty"`
	Ticket     string `json:"ticket,omitempty"`
	ApprovedBy string `json:"approvedBy,omitempty"`
	// Expires ends the entry's effect; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// SkipInspection waives the inspection of content ("inspect: false").
	SkipInspection bool `json:"skipInspection,omitempty"`
	// Digests, where there are any, are the only manifests or indexes that an allow entry stands for.
	Digests []digest.Digest `json:"digests,omitempty"`
	// RequireSignature is who must have signed what an allow entry stands for; nil asks for no signature.
	RequireSignature *Signer `json:"requireSignature,omitempty"`
	// Locked keeps lists of a higher level from being more lenient about what the entry matches.
	Locked bool `json:"locked,omitempty"`
	// Level is whose list it is: "shipped", "organization", "user" or "command line".
	Level string `json:"level,omitempty"`
	// List and Line say where the entry stands.
	List string `json:"list,omitempty"`
	Line int    `json:"line,omitempty"`
	// Because is why the entry was overruled. It is set in Standing.Lost alone.
	Because string `json:"because,omitempty"`
}

// Signer is who signs an image: a key, or an identity that an issuer vouches for.
type Signer struct {
	// Key is a public key in PEM, as "cosign public-key" prints it.
	Key string `json:"key,omitempty"`
	// Identity is the subject of the signer's certificate, with "*" for any run of characters; Issuer vouched for it.
	Identity string `json:"identity,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Repository is what signatures that name a repository may name beside the image's own, with "*" for any run of
	// characters: that of the original, where the image is a copy.
	Repository string `json:"repository,omitempty"`
}

// TierKnown is the tier of a name that is known and has no further trust.
const TierKnown = "known"

// Standing is what the trust lists say about a reference.
type Standing struct {
	// Decided is the entry that decided, nil when none matched: nobody knows the name then.
	Decided *Entry `json:"decided,omitempty"`
	// Lost are the entries that matched and were overruled, most specific first, and then those that would have matched
	// but for one reason, such as that they ended.
	Lost []Entry `json:"lost,omitempty"`
	// Unmet are conditions of the entry that decided which the image does not meet, as sentences for people. Its trust
	// does not hold then.
	Unmet []string `json:"unmet,omitempty"`
	// TagMatters is true when an entry that matched looked at the tag, so that the answer holds for that tag only.
	TagMatters bool `json:"tagMatters,omitempty"`
	// Until is the earliest expiry of any entry that matched; zero means never.
	Until time.Time `json:"until,omitzero"`
	// Lists names the content of the lists that were asked. It is no part of what is written.
	Lists digest.Digest `json:"-"`
}

// Denied reports whether the lists deny the reference.
func (s Standing) Denied() bool { return s.Decided != nil && s.Decided.Action == "deny" }

// Allowed reports whether the lists allow the reference, and all conditions of the entry that does hold.
func (s Standing) Allowed() bool {
	return s.Decided != nil && s.Decided.Action == "allow" && len(s.Unmet) == 0
}

// Trusted reports whether questions about the name are waived: it is allowed, and not merely known.
func (s Standing) Trusted() bool { return s.Allowed() && s.Decided.Tier != TierKnown }

// Waived reports whether the inspection of content is waived.
func (s Standing) Waived() bool { return s.Allowed() && s.Decided.SkipInspection }

// Key tells standings apart by all that a judgement may depend on: not by reasons, nor by where an entry stands.
func (s Standing) Key() string {
	e := s.Decided
	if e == nil {
		return ""
	}
	pins := make([]string, len(e.Digests))
	for i, d := range e.Digests {
		pins[i] = d.String()
	}
	slices.Sort(pins)
	signer := ""
	if e.RequireSignature != nil {
		signer = fmt.Sprintf("%q", *e.RequireSignature)
	}
	return fmt.Sprintf("%s %s %s %t %s %s %q", e.Action, e.Pattern, e.Tier, e.SkipInspection, strings.Join(pins, ","), signer, s.Unmet)
}
