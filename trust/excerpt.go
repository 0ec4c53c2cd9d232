package trust

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sanitise makes outside text safe to show on a terminal, in a log or in an error message: control and formatting
// characters (which could move a cursor or hide text) and invalid UTF-8 become "·", white space becomes a space, and
// the result is at most limit bytes.
func Sanitise(s string, limit int) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			r = ' '
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			r = '·'
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
