package enforce

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// ErrOverloaded says that more judgements are wanted than may run and wait. The caller should come back later.
var ErrOverloaded = errors.New("too many inspections are waiting")

// ErrNotConfigured says that the reference's registry is no upstream of this proxy.
var ErrNotConfigured = errors.New("registry is not configured as an upstream")

// Refusal is a verdict that serves nothing.
type Refusal struct{ Verdict trust.Verdict }

// Error names the image, the action and the verdict.
func (e *Refusal) Error() string {
	return fmt.Sprintf("%s: %s by verdict %s", e.Verdict.Reference, e.Verdict.Action, e.Verdict.ID)
}

// Denied is a name that the trust lists deny, met where no manifest is judged: an index, a list of tags.
type Denied struct {
	Reference trust.Reference
	Entry     trust.Entry
}

// Error says which entry denies the name.
func (e *Denied) Error() string {
	s := fmt.Sprintf("%s is denied by trust list entry %q", e.Reference, e.Entry.Pattern)
	if e.Entry.List != "" {
		s += fmt.Sprintf(" (%s:%d)", e.Entry.List, e.Entry.Line)
	}
	if e.Entry.Reason != "" {
		s += ": " + e.Entry.Reason
	}
	if e.Entry.Owner != "" {
		s += "; ask " + e.Entry.Owner
	}
	return s
}

// Rejected is a document that no policy could allow: clients would read it in two ways, or fetch past the gate.
type Rejected struct {
	Reference trust.Reference
	Reason    string
}

// Error gives the reason.
func (e *Rejected) Error() string { return fmt.Sprintf("%s: %s", e.Reference, e.Reason) }

// Pending is a judgement that goes on. Asking again finds it, running or finished.
type Pending struct {
	Reference trust.Reference
	// RetryAfter is when asking again makes sense.
	RetryAfter time.Duration
}

// Error says that the inspection is running.
func (e *Pending) Error() string { return fmt.Sprintf("%s: inspection is running", e.Reference) }

// Unjudged is an image about which no verdict was reached.
type Unjudged struct {
	Reference trust.Reference
	Err       error
}

// Error gives the cause.
func (e *Unjudged) Error() string {
	return fmt.Sprintf("%s could not be judged: %v", e.Reference, e.Err)
}

// Unwrap returns the cause.
func (e *Unjudged) Unwrap() error { return e.Err }

// NotReferenced is a blob that no allowed manifest of its repository names.
type NotReferenced struct {
	Name   string
	Digest digest.Digest
}

// Error says what to do.
func (e *NotReferenced) Error() string {
	return fmt.Sprintf("no allowed manifest of %s references blob %s: ask for the manifest first", e.Name, e.Digest)
}
