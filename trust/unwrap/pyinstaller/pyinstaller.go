// Package pyinstaller reads programs that PyInstaller makes: an archive behind or within an executable, which holds
// scripts and modules as marshalled code, libraries and data, and in it an archive of modules.
package pyinstaller

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zlib"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	cookieMagic = "MEI\014\013\012\013\016"
	// cookieBytes is the length of the cookie that ends an archive: magic, four numbers, and the name of a library. Version
	// 2.0 had no name.
	cookieBytes, oldCookieBytes = 88, 24
	// searchBytes from the end are searched for the cookie: section headers, signatures and padding may follow it.
	searchBytes = 1 << 20
	// maxTable bounds the table of contents, which is held in memory.
	maxTable = 8 << 20
	// maxEntries bounds the number of entries: work for each.
	maxEntries = 1 << 16
	// entryCost is charged for each.
	entryCost = 200

	modulesMagic = "PYZ\x00"
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "pyinstaller" }

func (wrapper) Wraps(c unwrap.Content) bool {
	if bytes.HasPrefix(c.Head, []byte(modulesMagic)) {
		return true
	}
	name := c.Path[strings.LastIndexByte(c.Path, '/')+1:]
	return (strings.HasPrefix(name, "tail@") || strings.HasPrefix(name, "section@") || path.Ext(name) == ".pkg") && len(c.Head) >= oldCookieBytes &&
		!isOther(c.Head)
}

// isOther knows what else stands behind executables.
func isOther(head []byte) bool {
	for _, magic := range []string{"PK\x03\x04", "\x7fELF", "\x1f\x8b\x08", "#!", "hsqs", "\x28\xb5\x2f\xfd", "\xfd7zXZ", "7z\xbc\xaf", "KAX", "KAY", "<?xml", "xar!"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

func (wrapper) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	a := &archive{ctx: ctx, in: in, r: at, size: size, show: show}
	found, err := a.outer()
	if !found && err == nil && bytes.HasPrefix(in.Content().Head, []byte(modulesMagic)) {
		return a.modules()
	}
	return err
}

// archive is the content that holds one of the two kinds of archive.
type archive struct {
	ctx  context.Context
	in   unwrap.Input
	r    io.ReaderAt
	size int64
	show unwrap.Show
	// hidden names the first entry that could not be read.
	hidden string
}

// read reads n bytes at an offset; fewer are malformed.
func (a *archive) read(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > a.size || n > a.size-at {
		return nil, fmt.Errorf("%w: %d bytes at offset %d of %d", trust.ErrMalformed, n, at, a.size)
	}
	if n > searchBytes {
		if err := a.in.Hold(n); err != nil {
			return nil, err //nolint:wrapcheck // as the interface demands
		}
	}
	b := make([]byte, n)
	if k, err := a.r.ReadAt(b, at); k < len(b) {
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			return nil, fmt.Errorf("%w: ends early", trust.ErrMalformed)
		}
		return nil, err //nolint:wrapcheck // as the interface demands
	}
	return b, nil
}

// outer reads the archive behind an executable. It reports false if there is none.
func (a *archive) outer() (bool, error) {
	from := max(0, a.size-searchBytes)
	b, err := a.read(from, a.size-from)
	if err != nil {
		return false, err
	}
	i := bytes.LastIndex(b, []byte(cookieMagic))
	if i < 0 {
		return false, nil
	}
	return true, a.endingWith(from+int64(i), b[i:])
}

// endingWith reads the archive that ends with the cookie at an offset.
func (a *archive) endingWith(at int64, cookie []byte) error {
	if len(cookie) < oldCookieBytes {
		return fmt.Errorf("%w: cookie ends early", trust.ErrMalformed)
	}
	length, table, tableLength := int64(binary.BigEndian.Uint32(cookie[8:])), int64(binary.BigEndian.Uint32(cookie[12:])), int64(binary.BigEndian.Uint32(cookie[16:]))
	// The length counts the cookie, of which there are two.
	start := int64(-1)
	for _, n := range []int64{cookieBytes, oldCookieBytes} {
		if s := at + n - length; s >= 0 && table+tableLength <= length && a.isTable(s+table, tableLength) {
			start = s
			break
		}
	}
	if start < 0 {
		return fmt.Errorf("%w: no table of contents where the cookie says", trust.ErrMalformed)
	}
	if tableLength > maxTable {
		return fmt.Errorf("%w: table of contents of %d bytes", trust.ErrLimit, tableLength)
	}
	b, err := a.read(start+table, tableLength)
	if err != nil {
		return err
	}
	return a.entries(b, start)
}

// isTable reports whether a table of contents may begin at the offset: its first entry has a length that makes sense.
func (a *archive) isTable(at, length int64) bool {
	b, err := a.read(at, 4)
	if err != nil || length < entryHead {
		return length == 0
	}
	n := int64(binary.BigEndian.Uint32(b))
	return n >= entryHead && n <= length
}

// entryHead is what stands before the name of an entry: its length, offset, two sizes, a flag and a type.
const entryHead = 18

// entries shows what a table of contents names.
func (a *archive) entries(table []byte, start int64) error {
	encrypted := false
	for count := 0; len(table) > 0; count++ {
		if count == maxEntries {
			return fmt.Errorf("%w: more than %d entries", trust.ErrLimit, maxEntries)
		}
		if len(table) < entryHead {
			return fmt.Errorf("%w: entry %d ends early", trust.ErrMalformed, count)
		}
		n := int64(binary.BigEndian.Uint32(table))
		if n < entryHead || n > int64(len(table)) {
			return fmt.Errorf("%w: entry %d has a length of %d", trust.ErrMalformed, count, n)
		}
		e := table[:n]
		table = table[n:]
		name, _, _ := strings.Cut(string(e[entryHead:]), "\x00")
		encrypted = encrypted || strings.Contains(name, "pyimod00_crypto_key")
		if kind := e[17]; kind == 'o' || kind == 'd' || kind == 'n' { // options, other archives, links: no content
			continue
		}
		at := start + int64(binary.BigEndian.Uint32(e[4:]))
		if err := a.entry(name, at, int64(binary.BigEndian.Uint32(e[8:])), int64(binary.BigEndian.Uint32(e[12:])), e[16] != 0); err != nil {
			return err
		}
	}
	if encrypted {
		return fmt.Errorf("%w: modules encrypted with a key of their own", trust.ErrUnsupported)
	}
	return a.outcome()
}

// entry shows one entry.
func (a *archive) entry(name string, at, length, size int64, compressed bool) error {
	if err := errors.Join(a.in.Spend(entryCost), a.ctx.Err()); err != nil {
		return err
	}
	if at < 0 || at > a.size || length > a.size-at {
		return fmt.Errorf("%w: entry %q lies outside", trust.ErrMalformed, name)
	}
	var r io.Reader = io.NewSectionReader(a.r, at, length)
	if compressed {
		z, err := zlib.NewReader(r)
		if err != nil {
			if a.hidden == "" {
				a.hidden = name
			}
			return nil
		}
		defer z.Close()
		r = z
	}
	return a.show(unwrap.Piece{Name: name, Mode: 0o644, Size: size}, r) //nolint:wrapcheck // as the interface demands
}

// outcome is an error if something could not be read.
func (a *archive) outcome() error {
	if a.hidden != "" {
		return fmt.Errorf("%w: entry %q is not compressed as it should be", trust.ErrUnsupported, a.hidden)
	}
	return nil
}
