package pyc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	// refFlag on a type says that the object may be referred to later.
	refFlag = 0x80
	// maxDepth of objects within objects is that of CPython (Python/marshal.c), which refuses more.
	maxDepth = 2000
	// textBytes of constants are shown together, so that memory does not grow with the code.
	textBytes = 256 << 10
	// longString is the length from which text is shown by itself, as a stream.
	longString = 16 << 10
	// longBytes is the length from which a byte string is shown by itself: it may be packed.
	longBytes = 64
	// wordBytes is the length up to which strings without white space stand on one line with their neighbours, as the
	// words of a command do. Longer lines than lineBytes are not made.
	wordBytes, lineBytes = 256, 4 << 10
	// refBytes and refs bound what is remembered to be referred to.
	refBytes, refs = 64, 1 << 14
	// objectCost is charged for each object.
	objectCost = 20
)

// errStop ends reading because of an error that is not the content's: reader.stop.
var errStop = errors.New("stop")

// reader reads one marshalled object.
type reader struct {
	ctx  context.Context
	in   unwrap.Input
	r    *bufio.Reader
	at   int64
	show unwrap.Show
	stop error
	// python2 code objects have fewer numbers.
	python2 bool
	// numbers is how many a code object begins with.
	numbers int

	text bytes.Buffer
	// line is the length of the last line of text so far, in which words is true if only short words stand.
	line  int
	words bool
	known []string
	met   int    // objects that may be referred to
	bytes []bool // which of them are byte strings
	owed  int64
	room  []byte // for one string
}

// field says what an object is a part of.
type field struct {
	// hidden objects are byte code, tables and the like: they are passed over.
	hidden bool
}

func (r *reader) fail(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // only the bare values mean the end
		return r.malformed("it ends early")
	}
	r.stop = err
	return errStop
}

func (r *reader) malformed(what string) error {
	return fmt.Errorf("%w: marshalled object at offset %d: %s", trust.ErrMalformed, r.at, what)
}

func (r *reader) skip(n int64) error {
	k, err := io.CopyN(io.Discard, r.r, n)
	r.at += k
	if err != nil {
		return r.fail(err)
	}
	return nil
}

// take reads n bytes, at most 4 KiB; they are valid until the next call.
func (r *reader) take(n int) ([]byte, error) {
	b, err := r.r.Peek(n)
	if err != nil {
		return nil, r.fail(err)
	}
	_, _ = r.r.Discard(n) // it was peeked at
	r.at += int64(n)
	return b, nil
}

func (r *reader) number() (int64, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint32(b)), nil
}

func (r *reader) short() (int64, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return int64(b[0]), nil
}

// charge spends for one object, now and then.
func (r *reader) charge() error {
	if r.owed += objectCost; r.owed < 1<<12 {
		return nil
	}
	err := r.in.Spend(r.owed)
	if r.owed = 0; err == nil {
		err = r.ctx.Err()
	}
	if err != nil {
		r.stop = err
		return errStop
	}
	return nil
}

// object reads one object, and what it is made of.
func (r *reader) object(f field, depth int) error {
	if depth > maxDepth {
		return r.malformed("objects nested too deep")
	}
	if err := r.charge(); err != nil {
		return err
	}
	b, err := r.take(1)
	if err != nil {
		return err
	}
	ref := -1
	if b[0]&refFlag != 0 {
		ref = r.met
		if r.met++; ref < refs {
			r.bytes = append(r.bytes, b[0]&^refFlag == 's')
		}
	}
	switch kind := b[0] &^ refFlag; kind {
	case 'N', 'F', 'T', 'S', '.', '0':
		return nil
	case 'i':
		return r.skip(4)
	case 'I', 'g':
		return r.skip(8)
	case 'y':
		return r.skip(16)
	case 'f', 'x', 'l':
		return r.digits(kind)
	case ':':
		return r.objects(f, 3, depth)
	case 'c':
		return r.code(depth)
	case 'r', 'R':
		return r.reference(f)
	case 's', 't', 'u', 'a', 'A', 'z', 'Z':
		return r.string(f, kind, ref)
	case '(', '[', '<', '>', ')', '{':
		return r.container(f, kind, depth)
	default:
		return r.malformed(fmt.Sprintf("unknown type %q", kind))
	}
}

// digits passes over a number that is written as text, or in digits of 15 bits.
func (r *reader) digits(kind byte) error {
	if kind == 'l' {
		n, err := r.number()
		if err != nil {
			return err
		}
		return r.skip(2 * max(int64(int32(n)), -int64(int32(n))))
	}
	for range map[byte]int{'f': 1, 'x': 2}[kind] {
		n, err := r.short()
		if err != nil {
			return err
		}
		if err := r.skip(n); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) objects(f field, n int64, depth int) error {
	for range n {
		if err := r.object(f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) container(f field, kind byte, depth int) error {
	n, err := int64(0), error(nil)
	switch kind {
	case ')':
		n, err = r.short()
	case '{':
		for { // keys and values, up to a null
			b, err := r.r.Peek(1)
			if err != nil {
				return r.fail(err)
			}
			if b[0] == '0' {
				return r.skip(1)
			}
			if err := r.objects(f, 2, depth); err != nil {
				return err
			}
		}
	default:
		n, err = r.number()
	}
	if err != nil {
		return err
	}
	r.endLine(f)
	if err := r.objects(f, n, depth); err != nil {
		return err
	}
	r.endLine(f)
	return nil
}

// code reads a code object. Numbers come first, then byte code, constants, names and names of variables; what follows
// depends on the version: from 3.11 on the kinds of variables are a string, and there is one more name and one more table.
func (r *reader) code(depth int) error {
	if r.numbers == 0 { // the outermost one; all within are of the same version
		b, err := r.r.Peek(4*6 + 5)
		if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
			return r.fail(err)
		}
		if r.numbers = counts(b, r.python2); r.numbers == 0 {
			return r.malformed("code object of an unknown version")
		}
	}
	if err := r.skip(int64(4 * r.numbers)); err != nil {
		return err
	}
	r.endLine(field{})
	modern := false
	for i := range 8 {
		if i == 4 {
			b, err := r.r.Peek(5)
			if err != nil {
				return r.fail(err)
			}
			modern = r.numbers == 5 && r.isBytes(b)
		}
		// 1 constants, 2 names; the name of the function is last but one before 3.11, and last with its class since.
		if err := r.object(field{hidden: i != 1 && i != 2 && i != 7}, depth+1); err != nil {
			return err
		}
		r.endLine(field{})
	}
	if err := r.skip(4); err != nil { // the first line's number
		return err
	}
	tables := int64(1)
	if modern {
		tables = 2
	}
	return r.objects(field{hidden: true}, tables, depth)
}

// isBytes reports whether the object that b begins with is a byte string, or refers to one.
func (r *reader) isBytes(b []byte) bool {
	if b[0] != 'r' {
		return b[0]&^refFlag == 's'
	}
	n := binary.LittleEndian.Uint32(b[1:])
	return int64(n) < int64(len(r.bytes)) && r.bytes[n]
}

// reference repeats a short string.
func (r *reader) reference(f field) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	if n < int64(len(r.known)) && !f.hidden {
		return r.put([]byte(r.known[n]))
	}
	return nil
}

// string reads text or bytes. What is short becomes a part of the text, what is long is shown by itself.
func (r *reader) string(f field, kind byte, ref int) error {
	n, err := int64(0), error(nil)
	if kind == 'z' || kind == 'Z' {
		n, err = r.short()
	} else {
		n, err = r.number()
	}
	if err != nil {
		return err
	}
	switch {
	case n > 1<<31-1:
		return r.malformed("string of a negative size")
	case f.hidden && n > refBytes:
		return r.skip(n)
	case !f.hidden && (kind == 's' && n >= longBytes || n >= longString):
		return r.long(kind, n)
	case n >= longString:
		return r.skip(n)
	}
	if int64(cap(r.room)) < n {
		r.room = make([]byte, longString)
	}
	b := r.room[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		return r.fail(err)
	}
	r.at += n
	if ref >= 0 && ref < refs && n <= refBytes {
		for len(r.known) <= ref {
			r.known = append(r.known, "")
		}
		r.known[ref] = string(b)
	}
	if f.hidden {
		return nil
	}
	return r.put(b)
}

// long shows a string by itself.
func (r *reader) long(kind byte, n int64) error {
	if err := r.flush(); err != nil {
		return err
	}
	name := "text"
	if kind == 's' {
		name = "bytes"
	}
	body := &io.LimitedReader{R: r.r, N: n}
	if err := r.show(unwrap.Piece{Name: fmt.Sprintf("%s@%d", name, r.at), Size: n, Encoding: true}, body); err != nil {
		r.stop = err
		return errStop
	}
	r.at += n - body.N
	return r.skip(body.N)
}

// put adds a string to the text: short words to the line, others on lines of their own.
func (r *reader) put(b []byte) error {
	word := len(b) <= wordBytes && !bytes.ContainsAny(b, " \t\r\n")
	if r.line > 0 && (!word || !r.words || r.line+len(b) > lineBytes) {
		r.endLine(field{})
	}
	if len(b) == 0 {
		return nil
	}
	if r.line > 0 {
		r.text.WriteByte(' ')
		r.line++
	}
	r.text.Write(b)
	r.line += len(b)
	r.words = word
	if r.text.Len() < textBytes {
		return nil
	}
	return r.flush()
}

func (r *reader) endLine(f field) {
	if r.line > 0 && !f.hidden {
		r.text.WriteByte('\n')
		r.line = 0
	}
}

// flush shows the text so far.
func (r *reader) flush() error {
	if r.stop != nil {
		return errStop
	}
	if r.endLine(field{}); r.text.Len() == 0 {
		return nil
	}
	err := r.show(unwrap.Piece{Name: "constants.py", Size: int64(r.text.Len()), Encoding: true}, bytes.NewReader(r.text.Bytes()))
	r.text.Reset()
	if err != nil {
		r.stop = err
		return errStop
	}
	return nil
}
