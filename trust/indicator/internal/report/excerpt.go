package report

import (
	"unicode/utf8"

	"github.com/safepull/safepull/trust"
)

// Excerpt is trust.Sanitise of b with trust.ExcerptLimit: what may stand in Finding.Excerpt.
func Excerpt(b []byte) string {
	// No character becomes shorter than half of what it was, and none that was cut may show.
	const enough = 2*trust.ExcerptLimit + utf8.UTFMax
	if len(b) > enough {
		b = b[:enough]
	}
	return trust.Sanitise(string(b), trust.ExcerptLimit)
}
