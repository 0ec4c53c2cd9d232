package encoded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
)

// packing is a compression that decoded bytes are in.
type packing int

const (
	stored packing = iota
	gzipped
	zlibbed
	bzipped
	deflated
	lzmaPacked
)

var packingNames = [...]string{gzipped: "gzip", zlibbed: "zlib", bzipped: "bzip2", deflated: "deflate", lzmaPacked: "lzma"}

// maxPackings bounds compressions within one another that are one piece.
const maxPackings = 8

func packingOf(head []byte) packing {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 0x08}):
		return gzipped
	case len(head) >= 10 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return bzipped
	case len(head) >= 8 && head[0]&0x0f == 8 && head[0]>>4 <= 7 && head[1]&0x20 == 0 && (uint(head[0])<<8|uint(head[1]))%31 == 0 && inflatesSome(head[2:]):
		return zlibbed
	case isLZMA(head):
		return lzmaPacked
	}
	return stored
}

// maxDictionary bounds the memory of one LZMA stream in text; more is not peeled. Presets up to 6 need no more.
const maxDictionary = 8 << 20

// isLZMA knows the file format of LZMA alone: properties, a dictionary size as encoders choose it, and a size that is
// either unknown or small, and the zero that a stream begins with.
func isLZMA(head []byte) bool {
	if len(head) < 18 || head[0] >= 225 || head[13] != 0 {
		return false
	}
	dictionary, size := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint64(head[5:])
	return head[0] == 0x5d && dictionary&(dictionary-1) == 0 && dictionary >= 1<<12 && dictionary <= maxDictionary && (size == math.MaxUint64 || size < 1<<32)
}

func openLZMA(r io.Reader, mem decompress.Memory) (io.Reader, error) {
	return lzma.Bounds{Limit: maxDictionary, Memory: mem}.NewAlone(r) //nolint:wrapcheck // only asked whether there is one
}

func unpack(p packing, r io.Reader, mem decompress.Memory) (io.Reader, error) {
	switch p {
	case gzipped:
		return gzip.NewReader(r) //nolint:wrapcheck // only asked whether there is one
	case zlibbed:
		return zlib.NewReader(r) //nolint:wrapcheck // as above
	case bzipped:
		return decompress.Bzip2.Open(r, mem)
	case lzmaPacked:
		return openLZMA(r, mem)
	case deflated:
		return flate.NewReader(r), nil
	}
	return r, nil
}

// attempt is one reading of encoded text.
type attempt struct {
	name string
	// head is the beginning of the decoded bytes; whole says that there are no more.
	head  []byte
	whole bool
	// open gives all of them; it may be called more than once.
	open func() io.Reader
}

// offer shows the first reading that makes sense, and reports whether there is one.
func (s *scanner) offer(at int64, readings []attempt) (bool, error) {
	for _, a := range readings {
		if err := s.in.Spend(tryCost + int64(len(a.head))); err != nil {
			return false, err //nolint:wrapcheck // as the interface demands
		}
		f, ok := identify(a.head, a.whole)
		if !ok && s.words&inflates != 0 && inflatesText(a.head) {
			f, ok = form{packing: deflated}, true
		}
		if !ok {
			continue
		}
		shown, err := s.peel(a, f, at)
		if shown || err != nil {
			return shown, err
		}
	}
	return false, nil
}

// peel takes masks and compressions off and shows what is left, unless nothing is.
func (s *scanner) peel(a attempt, f form, at int64) (bool, error) {
	r, name := a.open(), a.name
	held := decompress.Tab{Memory: s.in}
	defer held.Release()
	for range maxPackings {
		if f.mask != 0 {
			r, name = xorReader{r, f.mask}, fmt.Sprintf("%s+xor%02x", name, f.mask)
		}
		if f.wide {
			r, name = &utf16Reader{r: r, order: littleEndian}, name+"+utf16"
		}
		if f.packing == stored {
			break
		}
		unpacked, err := unpack(f.packing, r, &held)
		if errors.Is(err, trust.ErrUnsupported) { // there is no memory left to find out
			return false, err
		}
		if err != nil {
			return false, nil //nolint:nilerr // it was no such compression: noise
		}
		buffered := bufio.NewReaderSize(unpacked, sampleBytes)
		head, err := buffered.Peek(sampleBytes)
		if len(head) == 0 {
			return false, nil
		}
		r, name = buffered, name+"+"+packingNames[f.packing]
		if f, _ = identify(head, err != nil); len(head) < minText {
			f = form{}
		}
	}
	return true, s.emit(fmt.Sprintf("%s@%d", name, at), r, nil)
}

// inflatesText reports whether a bare deflate stream begins here that holds text, and nothing in the beginning is corrupt.
func inflatesText(head []byte) bool {
	if len(head) < minRun || head[0]&6 == 6 { // a kind of block that there is not
		return false
	}
	r := flate.NewReader(bytes.NewReader(head))
	defer r.Close()
	var out [4 * sampleBytes]byte
	n, err := io.ReadFull(r, out[:])
	var corrupt flate.CorruptInputError
	return n >= minMasked && !errors.As(err, &corrupt) && isText(out[:n], false) && varied(out[:minMasked])
}
