package line

import (
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Standing prints which entry decided and which lost, if any matched.
func Standing(out io.Writer, s trust.Standing) {
	if s.Decided == nil && len(s.Lost) == 0 {
		return
	}
	fmt.Fprint(out, "\nTrust entries:\n")
	if s.Decided != nil {
		fmt.Fprintf(out, "  decided: %s\n", Entry(*s.Decided))
		if by := s.Decided.RequireSignature; by != nil {
			fmt.Fprintf(out, "           signed by: %s\n", signer(*by))
		}
	}
	for _, u := range s.Unmet[:min(len(s.Unmet), Most)] {
		fmt.Fprintf(out, "           %s\n", Clean(u))
	}
	for _, e := range s.Lost[:min(len(s.Lost), Most)] {
		fmt.Fprintf(out, "  lost:    %s\n", Entry(e))
		if e.Because != "" {
			fmt.Fprintf(out, "           because: %s\n", Clean(e.Because))
		}
	}
}

// signer is who must have signed: a key by the beginning of its digest, or an identity.
func signer(s trust.Signer) string {
	who := fmt.Sprintf("%s, for whom %s vouches", Clean(s.Identity), Clean(s.Issuer))
	if s.Key != "" {
		who = "the key " + digest.FromString(s.Key).Encoded()[:12]
	}
	if s.Repository != "" {
		who += ", as " + Clean(s.Repository)
	}
	return who
}

// Entry is one entry on one line: "deny docker.io/evil/* (user.yaml:3): reason".
func Entry(e trust.Entry) string {
	line := fmt.Sprintf("%s %s (%s)", EntryAction(e), Clean(e.Pattern), EntryPlace(e))
	if e.Level != "" {
		line += ", " + Clean(e.Level)
	}
	until := ""
	if !e.Expires.IsZero() {
		until = EntryEnd(e)
	}
	for _, part := range []struct{ before, text string }{
		{"until", until}, {"owner", e.Owner}, {"approved by", e.ApprovedBy}, {"ticket", e.Ticket},
	} {
		if part.text != "" {
			line += ", " + part.before + " " + Clean(part.text)
		}
	}
	if e.Reason != "" {
		line += ": " + Clean(e.Reason)
	}
	return line
}

// EntryAction is what an entry does, with its conditions.
func EntryAction(e trust.Entry) string {
	action := Clean(e.Action)
	if e.SkipInspection {
		action += " without inspection"
	}
	if e.Tier == trust.TierKnown {
		action += " as known"
	}
	switch n := len(e.Digests); n {
	case 0:
	case 1:
		action += ", one digest"
	default:
		action += fmt.Sprintf(", %d digests", n)
	}
	if e.RequireSignature != nil {
		action += ", signed"
	}
	if e.Locked {
		action += ", locked"
	}
	return action
}

// EntryEnd is when an entry ends, or "never".
func EntryEnd(e trust.Entry) string {
	if e.Expires.IsZero() {
		return "never"
	}
	return Moment(e.Expires)
}

// EntryPlace is where an entry stands: list and line.
func EntryPlace(e trust.Entry) string {
	if e.List == "" {
		return "no list"
	}
	if e.Line == 0 {
		return Clean(e.List)
	}
	return fmt.Sprintf("%s:%d", Clean(e.List), e.Line)
}
