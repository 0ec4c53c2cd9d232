package distribution

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
)

// EnrolmentHeader is the header in which an engine's configuration says that it knows no other host than this proxy.
const EnrolmentHeader = "X-Safepull-Enrolment"

// minSecret is the least length of an enrolment secret: long enough that nobody finds it out by asking.
const minSecret = 16

// Enrolment is the hash of a secret that enrolled engines send. Who knows the secret gets refusals as they read best;
// it opens nothing.
type Enrolment [sha256.Size]byte

// NewEnrolment hashes a secret, which has at least 16 bytes of printable ASCII.
func NewEnrolment(secret string) (Enrolment, error) {
	if len(secret) < minSecret {
		return Enrolment{}, fmt.Errorf("an enrolment secret needs %d characters or more", minSecret)
	}
	for i := range len(secret) {
		if c := secret[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return Enrolment{}, errors.New("an enrolment secret holds only printable ASCII, no space, quote or backslash")
		}
	}
	return sha256.Sum256([]byte(secret)), nil
}

// WithEnrolments makes a handler know enrolled engines; several secrets let one replace another.
func WithEnrolments(secrets ...Enrolment) Option {
	return func(h *Handler) { h.enrolments = append(h.enrolments, secrets...) }
}

// enrolled compares in constant time.
func (h *Handler) enrolled(r *http.Request) bool {
	sent := r.Header.Values(EnrolmentHeader)
	if len(sent) != 1 {
		return false
	}
	sum, known := sha256.Sum256([]byte(sent[0])), 0
	for _, e := range h.enrolments {
		known |= subtle.ConstantTimeCompare(sum[:], e[:])
	}
	return known == 1
}
