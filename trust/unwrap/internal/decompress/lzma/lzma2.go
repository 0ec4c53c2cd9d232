package lzma

import (
	"bufio"
	"io"
)

// chunks is where a stream of LZMA2 is.
type chunks struct {
	// open is set within a chunk, plain if it is not compressed.
	open, plain bool
	// forgot and knows are whether the history was reset, and the properties set, as the first chunks must.
	forgot, knows bool
}

// maxLiteralBits bounds lc+lp in LZMA2.
const maxLiteralBits = 4

// NewReader2 decodes LZMA2 up to its mark; props is the byte that gives the size of the history.
func (b Bounds) NewReader2(r io.Reader, props byte) (io.Reader, error) {
	if props > 40 {
		return nil, malformed("lzma2 properties %#x", props)
	}
	history := int64(2|props&1) << (props/2 + 11)
	if history > int64(b.Limit) {
		return nil, exceeded("lzma2 history of %d bytes", history)
	}
	if err := b.hold(maxLiteralBits); err != nil {
		return nil, err
	}
	return &decoder{in: bufio.NewReaderSize(r, bufferBytes), window: window{limit: int(max(history, minWindow)), memory: b.Memory}, chunks: &chunks{}}, nil
}

// Restart begins another stream of LZMA2, behind the one before in the same file, with the same history.
func (d *decoder) Restart() {
	d.chunks, d.err, d.ended = &chunks{}, nil, false
	d.window.since = 0
}

// nextChunk begins the next chunk unless one is open.
func (d *decoder) nextChunk() {
	c := d.chunks
	if c.open {
		return
	}
	d.packed, d.ended = -1, false
	control := d.next()
	if d.err != nil {
		return
	}
	if control == 0 {
		d.err = io.EOF
		return
	}
	if control == 1 || control >= 0xe0 {
		c.forgot = true
		d.window.since = 0
	}
	c.plain = control < 0x80
	if c.plain && control > 2 || !c.forgot {
		d.err = malformed("lzma2 chunk %#x", control)
		return
	}
	d.left = int64(d.short()) + 1
	c.open = true
	if c.plain {
		return
	}
	d.left += int64(control&0x1f) << 16
	packed := int64(d.short()) + 1
	if control >= 0xc0 {
		p, err := parse(d.next())
		if err == nil && p.lc+p.lp > maxLiteralBits {
			err = malformed("lzma2 properties")
		}
		if err != nil {
			d.fail(err)
			return
		}
		c.knows = true
		d.reset(p)
	} else if !c.knows {
		d.fail(malformed("lzma2 chunk without properties"))
		return
	} else if control >= 0xa0 {
		d.reset(d.properties)
	}
	d.packed = packed
	d.begin()
}

func (d *decoder) short() int {
	high := int(d.next())
	return high<<8 | int(d.next())
}

// copyChunk puts up to n bytes of a chunk that is not compressed into the window.
func (d *decoder) copyChunk(n int) {
	w := &d.window
	for range min(int64(n), d.left) {
		b := d.next()
		if d.err != nil {
			return
		}
		w.put(b)
		d.left--
	}
	d.ended = d.left == 0
}
