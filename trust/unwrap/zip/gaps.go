package zip

import (
	"bytes"
	"io"
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
		}
		return nil
	})
}

// find looks for the magic number of a local header. It returns -1 if there is none.
func (a *archive) find(from, to int64) (int64, error) {
	buf := make([]byte, min(64<<10, to-from))
	for to-from >= localBytes {
		p := buf[:min(int64(len(buf)), to-from)]
		if err := a.at.Full(p, from); err != nil {
			return 0, err
		}
		at := bytes.Index(p, []byte(localMagic))
		if at >= 0 {
			return from + int64(at), a.in.Spend(int64(at) / 4)
		}
		if err := a.in.Spend(int64(len(p)) / 4); err != nil {
			return 0, err
		}
		from += int64(len(p) - len(localMagic) + 1)
	}
	return -1, nil
}

// hidden shows the entry at a place and returns where to look on.
func (a *archive) hidden(at, to int64) (int64, error) {
	next := at + int64(len(localMagic))
	h, data, err := a.local(at)
	if err != nil || !h.plausible() {
		return next, a.at.Err() // four bytes that mean something else
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
	switch h.method {
	case methodStored, methodDeflate, methodBzip2, methodLzma, methodZstd, methodZstdOld, methodXz, methodAES:
	default:
		return false
	}
	return h.name != "" && len(h.name) <= maxHiddenName && bytes.IndexByte([]byte(h.name), 0) < 0
}
