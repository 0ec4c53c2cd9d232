package registrytest

import (
	"net/http"
	"slices"
	"time"
)

// Fault is one way to misbehave. Fields combine where that makes sense; the zero value does nothing.
type Fault struct {
	// Times is how many requests it spoils; zero means all.
	Times int
	// Method limits it to one method.
	Method string

	// Status answers with that status, Header and Body instead of content.
	Status int
	// Header is added to the answer, also to a good one; an empty list removes a header.
	Header http.Header
	Body   string

	// Raw is written to the connection in place of an answer, which then ends; Flood writes it again and again until the
	// client is gone.
	Raw   string
	Flood bool

	// Redirect answers 307 to this base URL plus the path of the request.
	Redirect string

	// Wrong flips a bit of the content's last byte: the size holds, the digest does not.
	Wrong bool
	// Short leaves away the last bytes and announces the shorter length.
	Short int
	// Extra appends bytes and announces the longer length.
	Extra int
	// Chunked announces no length.
	Chunked bool
	// CutAfter closes the connection after so many bytes of this answer's body; -1 before the first.
	CutAfter int
	// StallAfter sends nothing more after so many bytes, but keeps the connection; -1 before the first.
	StallAfter int
	// Endless goes on with zero bytes after the content, without announcing a length.
	Endless bool

	// HeaderDelay passes before the status line.
	HeaderDelay time.Duration
	// BodyDelay passes before every chunk of 1 KiB.
	BodyDelay time.Duration

	// NoRange ignores Range and answers 200 with the whole content.
	NoRange bool
	// RangeStart answers 206 from this offset, whatever was asked, when positive.
	RangeStart int64
}

type armedFault struct {
	Fault
	pattern string
	left    int // -1: for ever
}

// Misbehave arms a fault for the paths that match pattern: exact, or a prefix with a trailing "*"; empty means all.
// The fault armed last wins.
func (r *Registry) Misbehave(pattern string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := f.Times
	if left == 0 {
		left = -1
	}
	r.faults = append(r.faults, &armedFault{Fault: f, pattern: pattern, left: left})
}

// Pardon disarms the faults that were armed for that pattern.
func (r *Registry) Pardon(pattern string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = slices.DeleteFunc(r.faults, func(f *armedFault) bool { return f.pattern == pattern })
}

// Behave disarms all faults.
func (r *Registry) Behave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
}

// Spoiled is the number of requests that met a fault so far.
func (r *Registry) Spoiled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spoiled
}

// fault finds what to do wrong with this request, and uses it up.
func (r *Registry) fault(method, path string) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.faults) - 1; i >= 0; i-- {
		f := r.faults[i]
		if f.left == 0 || !pathMatches(f.pattern, path) || (f.Method != "" && f.Method != method) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		r.spoiled++
		return f.Fault
	}
	return Fault{}
}

// spoil changes content as the fault says.
func (f Fault) spoil(body []byte) []byte {
	body = append([]byte(nil), body...)
	if f.Wrong && len(body) > 0 {
		body[len(body)-1] ^= 1
	}
	body = body[:max(0, len(body)-f.Short)]
	return append(body, make([]byte, f.Extra)...)
}

// streams reports whether the body needs more than http.ServeContent.
func (f Fault) streams() bool {
	return f.Chunked || f.CutAfter != 0 || f.StallAfter != 0 || f.Endless || f.BodyDelay > 0
}
