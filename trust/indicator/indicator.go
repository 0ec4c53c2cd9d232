// Package indicator says what a sign of mining is: the interface that every folder below it implements, one sign a
// folder. The engine that drives indicators over a layer is trust/scan; it owns buffers, limits and concurrency, so
// that an indicator is a small state machine over bytes and does no I/O.
//
// To add a sign: make a folder with its package, implement Indicator, run indicatortest.Run in its test with samples
// and benign twins, and name it in trust/indicator/all.
package indicator

import (
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Window sizes that the engine guarantees around a hit, in bytes, unless the file begins or ends sooner.
const (
	WindowBefore = 1 << 10
	WindowAfter  = 4 << 10
)

// Indicator is one sign. It must be safe for concurrent use; its Watches are used by one goroutine each.
type Indicator interface {
	// Name is one word, the same as its folder's.
	Name() string
	// Version grows whenever the same content could get another answer.
	Version() int
	// Literals wake the indicator; they may not change after construction.
	Literals() []Literal
	// Watch begins a file. It returns nil when this file is no concern of the indicator.
	Watch(File) Watch
}

// Idler is an Indicator that most files are no concern of: for a file that it calls idle, Watch would do nothing before
// the first hit, and would not ask for every byte. The engine begins the watch with that hit, or never.
type Idler interface {
	Indicator
	Idle(File) bool
}

// Ruled is an Indicator whose rules are not in the ruleset, because a user brings them.
type Ruled interface {
	Indicator
	// RulesDigest changes whenever the rules do, so that no answer under other rules is remembered as one under these.
	RulesDigest() digest.Digest
}

// Literal is a byte string of at least 6 bytes that the engine finds at line speed.
type Literal struct {
	Text string
	// Fold finds the literal whatever the case of its ASCII letters.
	Fold bool
	// Sampled literals may be as short as 4 bytes. About one occurrence in three is a hit, depending on where it stands:
	// they are for signs that consist of many, such as tables of constants, which the window then shows.
	Sampled bool
}

// File is what is known about a file before its content.
type File struct {
	Path string
	Kind trust.Kind
	// Size in bytes.
	Size int64
}

// Watch follows one file from its first byte to its last.
type Watch interface {
	// Hit is called for every literal of this indicator, in order of offset. It must not keep Window.
	Hit(Hit)
	// Close ends the file. The engine fills in Check, Kind, Layer and Path of what it returns.
	Close() []trust.Finding
}

// ByteWatch is a Watch that sees every byte of the file, once and in order, whether or not a literal hit.
type ByteWatch interface {
	Watch
	// Bytes must not keep chunk. Chunks follow each other without gap or overlap.
	Bytes(chunk []byte)
}

// Bounded is a Watch that stops reading closely where content would cost too much.
type Bounded interface {
	Watch
	// Unread is asked after Close. It says what was left unread, "" if nothing was; the engine leaves the blob
	// unanswered then, because what is unread is not clean.
	Unread() string
}

// Hit is a literal found in a file.
type Hit struct {
	// Literal is an index into Literals.
	Literal int
	// Offset is that of the literal's first byte in the file.
	Offset int64
	// Window is the content around the literal, which starts at Window[At].
	Window []byte
	At     int
}
