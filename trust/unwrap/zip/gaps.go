package zip

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// maxHiddenName bounds the names of entries that no directory names: a longer one is no header.
const maxHiddenName = 4 << 10

// gaps shows entries that no directory names.
func (a *archive) gaps() error {
	return a.covered.between(a.size, func(from, to int64) error {
		for from < to {
			at, err := a.find(from, to)
			if err != nil || at < 0 {
				return err
			}
			if from, err = a.hidden(at, to); err != nil {
				return err
			}
			a.reached = max(a.reached, from)
		}
		return nil
	})
}

// minTail is the least behind an archive that can hold a program.
const minTail = 48

// behind shows what follows the last record: its comment, and bytes that belong to nothing.
func (a *archive) behind(ends []end) error {
	from := a.reached
	for _, p := range a.covered.parts {
		from = max(from, p.to)
	}
	for _, e := range ends {
		if len(a.covered.parts) > 0 {
			from = max(from, e.at+endBytes)
		}
	}
	if from == 0 || a.size-from < minTail { // magic numbers by themselves are in programs that read archives
		return nil
	}
	r := io.NewSectionReader(a.at, from, a.size-from)
	broken, err := stream.Show(a.show, unwrap.Piece{Name: fmt.Sprintf("tail@%d", from), Size: a.size - from, Tail: true}, r, a.at)
	return cmp.Or(err, broken)
}

// find looks for the magic number of a local header that makes sense. It returns -1 if there is none.
func (a *archive) find(from, to int64) (int64, error) {
	for to-from >= localBytes {
		p, err := a.window(from, to)
		if err != nil {
			return 0, err
		}
		at := bytes.Index(p, []byte(localMagic))
		if at < 0 {
			at = len(p) - len(localMagic) + 1
		} else if len(p)-at >= localBytes && sensible(p[at:]) {
			return from + int64(at), a.in.Spend(int64(at) / 4)
		} else if len(p)-at >= localBytes || at == 0 {
			at += len(localMagic) // four bytes that mean something else
		}
		if err := a.in.Spend(int64(at)/4 + 1); err != nil {
			return 0, err
		}
		from += int64(at)
	}
	return -1, nil
}

// windowBytes are read at once to look for headers.
const windowBytes = 64 << 10

// window is what the file has from one place on, at most up to another, and at least a header if that is not nearer. It is
// valid until the next call.
func (a *archive) window(from, to int64) ([]byte, error) {
	if from < a.seenAt || from+localBytes > a.seenAt+int64(len(a.seen)) {
		if a.seen == nil {
			a.seen = make([]byte, min(windowBytes, a.size))
		}
		a.seen, a.seenAt = a.seen[:min(int64(cap(a.seen)), a.size-from)], from
		if err := a.at.Full(a.seen, from); err != nil {
			return nil, err
		}
	}
	p := a.seen[from-a.seenAt:]
	return p[:min(int64(len(p)), to-from)], nil
}

// sensible reports whether a local header has a method that exists and a name. Whatever else it names is read only then,
// which costs time.
func sensible(header []byte) bool {
	name := int(binary.LittleEndian.Uint16(header[26:]))
	return known(binary.LittleEndian.Uint16(header[8:])) && name > 0 && name <= maxHiddenName
}

// hidden shows the entry at a place and returns where to look on.
func (a *archive) hidden(at, to int64) (int64, error) {
	next := at + int64(len(localMagic))
	h, data, err := a.local(at)
	if err != nil {
		return next, a.at.Err() // four bytes that mean something else
	}
	if err := a.in.Spend((data - at) / 4); err != nil {
		return 0, err
	}
	if !h.plausible() {
		return next, nil
	}
	if err := a.count(); err != nil {
		return 0, err
	}
	if h.packed > 0 || h.flags&descriptor == 0 {
		packed := max(0, min(h.packed, a.size-data))
		if packed == h.packed && data+packed <= to {
			next = data + packed // else the size is not to be believed
		}
		return next, a.entry(h, data, packed)
	}
	// The sizes stand behind the data, whose end its own format tells, if it has one.
	h.size = -1
	if h.flags&encrypted != 0 {
		return next, a.entry(h, data, a.size-data)
	}
	src := io.NewSectionReader(a.at, data, max(0, to-data))
	if err := a.content(h, src, -1); err != nil {
		return 0, err
	}
	if h.method == methodDeflate {
		read, _ := src.Seek(0, io.SeekCurrent)
		next = max(next, data+read-int64(a.decoder.buf.Buffered()))
	}
	return next, nil
}

// plausible reports whether a header that was found by its magic number makes sense.
func (h header) plausible() bool {
	return known(h.method) && h.name != "" && len(h.name) <= maxHiddenName && bytes.IndexByte([]byte(h.name), 0) < 0
}

func known(method uint16) bool {
	switch method {
	case methodStored, methodDeflate, methodDeflate64, methodBzip2, methodLzma, methodZstd, methodZstdOld, methodXz, methodAES:
		return true
	}
	return false
}
