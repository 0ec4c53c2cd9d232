package report

import "github.com/safepull/safepull/trust"

// MaxReads bounds the places of one file that are read closely, so that a file full of bait costs no more than its
// length. What exceeds it is reported: it is not clean, it is unread.
const MaxReads = 2048

// Budget counts the places that were read. Its zero value is ready.
type Budget struct{ spent int }

// Spend reports whether one more place may be read, and reports a sign of strength s the first time it may not.
func (b *Budget) Spend(r *Report, offset int64, s trust.Strength) bool {
	b.spent++
	if b.spent == MaxReads+1 {
		r.Add(offset, s, nil, "holds more possible signs of mining than are read one by one")
	}
	return b.spent <= MaxReads
}
