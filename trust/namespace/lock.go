package namespace

import (
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// ceiling is what the locked entries of lower levels leave to an entry, all of them taken together.
type ceiling struct {
	// by is the most specific of them; nil when there is none.
	by *rule
	// leniency is the most that may be waived.
	leniency int
	// pins are the digests that may be stood for, where pinned is true.
	pins   []digest.Digest
	pinned bool
	// signers are who must have signed.
	signers []trust.Signer
}

// ceilings are those of all levels, by height.
func ceilings(matched []*rule) [4]ceiling {
	var limits [4]ceiling
	for _, r := range matched {
		if !r.entry.Locked {
			continue
		}
		for above := r.height + 1; above < len(limits); above++ {
			limits[above].lower(r)
		}
	}
	return limits
}

// lower takes a locked entry into account.
func (c *ceiling) lower(r *rule) {
	if c.by == nil {
		c.by, c.leniency = r, leniency(r.entry)
	} else if r.place < c.by.place {
		c.by = r
	}
	c.leniency = min(c.leniency, leniency(r.entry))
	if pins := r.entry.Digests; len(pins) > 0 {
		if c.pinned {
			c.pins = slices.DeleteFunc(c.pins, func(d digest.Digest) bool { return !slices.Contains(pins, d) })
		} else {
			c.pins, c.pinned = slices.Clone(pins), true
		}
	}
	if s := r.entry.RequireSignature; s != nil && !slices.Contains(c.signers, *s) {
		c.signers = append(c.signers, *s)
	}
}

// forbids reports whether a rule is more lenient than what is left to it. A denial never is.
func (c *ceiling) forbids(r *rule) bool {
	e := r.entry
	if c.by == nil || e.Action == deny {
		return false
	}
	if leniency(e) > c.leniency {
		return true
	}
	for _, s := range c.signers {
		if e.RequireSignature == nil || *e.RequireSignature != s {
			return true
		}
	}
	return c.pinned && (len(e.Digests) == 0 || slices.ContainsFunc(e.Digests, func(d digest.Digest) bool { return !slices.Contains(c.pins, d) }))
}
