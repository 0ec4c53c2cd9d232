package judge

import (
	"context"
	"fmt"
	"time"

	"github.com/safepull/safepull/trust"
)

// unsignedHolds is how long an image counts as not signed, or as one of which that cannot be told: somebody may sign it, or
// mend its signatures, at any time.
const unsignedHolds = 5 * time.Minute

// askSignature asks who signed the image, where the entry that decided requires a signature. What cannot be found out is
// unanswered, and the entry's trust does not hold where the answer is no.
func (c *inquiry) askSignature(ctx context.Context) error {
	standing := &c.evidence.Standing
	if !standing.Allowed() || standing.Decided.RequireSignature == nil {
		return nil // nobody asks for one
	}
	if c.judge.Signatures == nil {
		return c.unanswered(askSignature, fmt.Errorf(
			"the trust entry %s requires a signature, which only safepull-proxy can check: name one with --proxy: %w", standing.Decided.Pattern, trust.ErrUnsupported))
	}
	wrong, err := c.judge.Signatures.Signed(ctx, c.ref, c.src, *standing.Decided.RequireSignature)
	if err != nil || wrong != "" {
		standing.Until = earliest(standing.Until, c.judge.Now().Add(unsignedHolds))
	}
	if err != nil {
		return c.unanswered(askSignature, err)
	}
	if wrong != "" {
		standing.Unmet = append(standing.Unmet, fmt.Sprintf("the entry %s requires a signature: %s", standing.Decided.Pattern, wrong))
	}
	c.answered(askSignature)
	return nil
}

// signaturesKey is what the memory of verdicts must tell apart by what signatures are checked against, and of what: those of
// the index that led to a manifest count too.
func (j *Judge) signaturesKey(ref trust.Reference, standing trust.Standing) string {
	switch e := standing.Decided; {
	case e == nil || e.RequireSignature == nil:
		return ""
	case j.Signatures == nil:
		return "unchecked"
	}
	return j.Signatures.Digest().String() + " " + ref.Index.String()
}
