// Package unwrap says what a wrapper is: a way in which content is hidden in other content, such as an archive, a
// compression or an encoding. Every folder below it knows one or a few. The engine that drives them is trust/scan: it
// owns depth, budgets and memory, and inspects what a wrapper shows like any other file.
//
// Nothing is ever executed, and nothing is written but the engine's own spool. To add a wrapper: make a folder with its
// package, implement Wrapper, run unwraptest.Run in its test, give its parser a fuzz target, and name it in
// trust/unwrap/all.
package unwrap

import (
	"context"
	"io"
	"io/fs"

	"github.com/safepull/safepull/trust"
)

// Version grows whenever a wrapper could show something else of the same content, so that answers of before are not used.
const Version = 6

// HeadBytes is how much of a file's beginning Wraps is shown, unless the file is shorter.
const HeadBytes = 4 << 10

// Wrapper is one way to hide content. It must be safe for concurrent use.
type Wrapper interface {
	// Name is one word: "zip".
	Name() string
	// Wraps reports whether the content may be of this format. It is asked for every file, so it must be cheap.
	Wraps(Content) bool
	// Unwrap calls show for every piece of content within, in an order that depends on the content alone. It must
	// return an error of show, Read, Spool or Spend at once and as it is. Its own errors wrap
	//
	//   - trust.ErrMalformed where the content is not of the format after all, or breaks it (what was shown counts),
	//   - trust.ErrUnsupported where it hides something that cannot be read here: encrypted, an unknown method,
	//   - trust.ErrLimit where a bound of its own was met, which leaves the whole blob unanswered.
	Unwrap(ctx context.Context, in Input, show Show) error
}

// TailBytes is how much of a file's end Ends is shown, unless the file is shorter: the longest comment of a zip archive, and
// its last record.
const TailBytes = 1<<16 + 22

// Ender is a Wrapper of a format that readers find by its end, whatever stands before it. Content that Wraps did not take,
// because its beginning is something else, is asked for when all of it was read; then it is too late to unwrap it.
type Ender interface {
	// Ends reports whether the content is of the format. It is shown the last TailBytes, and how many bytes stand before
	// them. Exact asks for an end that nothing follows: of content that was unwrapped as something else, whose last part
	// may well be a file of this format.
	Ends(tail []byte, before int64, exact bool) bool
}

// Content is what is known about content before it is read.
type Content struct {
	// Path is that of the file, with trust.Nested before each piece that was unwrapped already.
	Path string
	Kind trust.Kind
	// Size in bytes; -1 if it is not known.
	Size int64
	// Head is the beginning, at most HeadBytes. It must not be kept or changed.
	Head []byte
	// Passwords are candidates for archives, found elsewhere in the image; mostly none.
	Passwords []string
	// Again says that a file is read once more, because the image runs it and its first reading left something hidden:
	// formats that are found by their end, whatever they begin with, are looked for.
	Again bool
}

// Input is content that is read once, from its beginning. A Wrapper need not read it to its end.
type Input interface {
	io.Reader
	// Content is what Wraps was shown.
	Content() Content
	// Spool gives random access to the whole content, whose size it returns. It is for formats that cannot be read in
	// order, and must be called before the first Read; small content is held in memory, larger content in a file.
	Spool() (io.ReaderAt, int64, error)
	// Spend charges n steps of decoding, of about a nanosecond each, beyond the bytes that are read and shown.
	Spend(n int64) error
	// Hold grants n bytes of memory that depends on what the content asks for, such as a decoder's history, or says why
	// not with an error that wraps trust.ErrUnsupported. A negative n gives some back; all is given back when Unwrap
	// returns. What is held at one time is bounded for a layer as a whole, at all depths.
	Hold(n int64) error
}

// Piece describes content that was within other content.
type Piece struct {
	// Name is its path in the archive, or the wrapper's name where there is none. It need not be clean.
	Name string
	Mode fs.FileMode
	// Size in bytes; -1 if it is not known.
	Size int64
	// Encoding is true for text that stood encoded in other text. Such pieces have a depth of their own, because chains
	// of them are long.
	Encoding bool
	// Tail is true for what stands behind the end of a format, up to the end of the file.
	Tail bool
}

// Show inspects a piece. It reads r to its end, or to the end of a budget.
type Show func(p Piece, r io.Reader) error
