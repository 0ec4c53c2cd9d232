package sevenzip

import (
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/deflate64"
	"github.com/safepull/safepull/trust/unwrap/internal/filter"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// folder is content that was packed in one piece, by one or more coders one behind the other.
type folder struct {
	coders []coder
	// pairs tie an input to the output that feeds it, packed are the inputs that are fed from the file.
	pairs  []pair
	packed []int
	pack   []extent
	// sizes are those of the outputs, main is the output that is the content.
	sizes  []int64
	main   int
	sum    uint32
	hasSum bool
	files  []content
}

type coder struct {
	id    string
	props []byte
	// ins and outs are how many there are, firstIn and firstOut the numbers of the first ones in the folder.
	ins, outs, firstIn, firstOut int
}

type pair struct{ in, out int }

func (f folder) size() int64 {
	if f.main < len(f.sizes) {
		return f.sizes[f.main]
	}
	return 0
}

func (c *cursor) folder() folder {
	var f folder
	n := c.count(maxCoders)
	if n < 1 {
		c.fail("folder of %d coders", n)
		return f
	}
	ins, outs := 0, 0
	for range n {
		k := c.coder()
		k.firstIn, k.firstOut = ins, outs
		ins, outs = ins+k.ins, outs+k.outs
		f.coders = append(f.coders, k)
	}
	if c.err != nil {
		return f
	}
	f.sizes = make([]int64, outs)
	for range outs - 1 {
		f.pairs = append(f.pairs, pair{in: c.index(ins), out: c.index(outs)})
	}
	n = ins - len(f.pairs)
	switch {
	case n < 1:
		c.fail("folder without packed streams")
	case n == 1:
		f.packed = []int{unused(ins, func(i int) bool {
			return slices.ContainsFunc(f.pairs, func(p pair) bool { return p.in == i })
		})}
	default:
		for range n {
			f.packed = append(f.packed, c.index(ins))
		}
	}
	f.main = unused(outs, func(i int) bool {
		return slices.ContainsFunc(f.pairs, func(p pair) bool { return p.out == i })
	})
	return f
}

// unused is the first number below n that is not in use.
func unused(n int, in func(int) bool) int {
	for i := range n {
		if !in(i) {
			return i
		}
	}
	return 0
}

// index reads a number below n.
func (c *cursor) index(n int) int {
	v := c.number()
	if v >= uint64(n) {
		c.fail("stream %d of %d", v, n)
		return 0
	}
	return int(v)
}

func (c *cursor) coder() coder {
	flags := c.byte()
	k := coder{id: string(c.take(uint64(flags & 0xf))), ins: 1, outs: 1}
	if flags&0x10 != 0 {
		k.ins, k.outs = c.index(maxStreams+1), c.index(maxStreams+1)
	}
	if flags&0x20 != 0 {
		k.props = c.take(c.number())
	}
	if flags&0x80 != 0 || k.outs != 1 || k.ins < 1 {
		c.fail("coder with flags %#x, %d inputs and %d outputs", flags, k.ins, k.outs)
	}
	return k
}

// Coders, by their identifiers.
const (
	idCopy      = "\x00"
	idDelta     = "\x03"
	idX86       = "\x04"
	idX86Old    = "\x03\x03\x01\x03"
	idBCJ2      = "\x03\x03\x01\x1b"
	idPPC       = "\x05"
	idPPCOld    = "\x03\x03\x02\x05"
	idIA64      = "\x06"
	idARM       = "\x07"
	idARMOld    = "\x03\x03\x05\x01"
	idThumb     = "\x08"
	idThumbOld  = "\x03\x03\x07\x01"
	idSPARC     = "\x09"
	idSPARCOld  = "\x03\x03\x08\x05"
	idARM64     = "\x0a"
	idRISCV     = "\x0b"
	idLzma      = "\x03\x01\x01"
	idLzma2     = "\x21"
	idDeflate   = "\x04\x01\x08"
	idDeflate64 = "\x04\x01\x09"
	idBzip2     = "\x04\x02\x02"
	idZstd      = "\x04\xf7\x11\x01"
	idEncrypted = "\x06\xf1\x07\x01"
)

// open decodes a folder.
func (a *archive) open(f folder, password string) (io.Reader, error) {
	a.coders.Release() // of the folder before
	return a.output(f, f.main, password, 0)
}

// output decodes what comes out of one of the outputs of a folder.
func (a *archive) output(f folder, out int, password string, depth int) (io.Reader, error) {
	if depth > len(f.coders) {
		return nil, stream.Malformed("7z folder feeds itself")
	}
	i := slices.IndexFunc(f.coders, func(k coder) bool { return k.firstOut <= out && out < k.firstOut+k.outs })
	if i < 0 {
		return nil, stream.Malformed("7z folder without an output")
	}
	k := f.coders[i]
	var ins []io.Reader
	for in := k.firstIn; in < k.firstIn+k.ins; in++ {
		r, err := a.input(f, in, password, depth)
		if err != nil {
			return nil, err
		}
		ins = append(ins, r)
	}
	r, err := a.decode(k, ins, f.sizes[out], password)
	if err != nil {
		return nil, err
	}
	return io.LimitReader(r, f.sizes[out]), nil
}

// input is what feeds an input: another coder, or the file.
func (a *archive) input(f folder, in int, password string, depth int) (io.Reader, error) {
	if i := slices.IndexFunc(f.pairs, func(p pair) bool { return p.in == in }); i >= 0 {
		return a.output(f, f.pairs[i].out, password, depth+1)
	}
	if i := slices.Index(f.packed, in); i >= 0 && i < len(f.pack) {
		return a.section(f.pack[i].at, f.pack[i].size)
	}
	return nil, stream.Malformed("7z folder with an input that nothing feeds")
}

// decode is one coder. Size is that of what comes out.
func (a *archive) decode(k coder, ins []io.Reader, size int64, password string) (io.Reader, error) {
	if k.id == idBCJ2 && len(ins) == 4 {
		return filter.NewBCJ2(ins[0], ins[1], ins[2], ins[3]), nil
	}
	if len(ins) != 1 {
		return nil, stream.Unsupported("7z coder %x with %d inputs", k.id, len(ins))
	}
	r := ins[0]
	switch k.id {
	case idCopy:
		return r, nil
	case idLzma:
		return decompress.NewLzma(r, k.props, size, &a.coders)
	case idLzma2:
		if len(k.props) < 1 {
			return nil, stream.Malformed("7z coder without properties")
		}
		return decompress.NewLzma2(r, k.props[0], &a.coders)
	case idDeflate:
		return flate.NewReader(r), nil
	case idDeflate64:
		return deflate64.NewReader(r), nil
	case idBzip2:
		return decompress.Bzip2.Open(r, &a.coders)
	case idZstd:
		return decompress.Zstd.Open(r, &a.coders)
	case idEncrypted:
		return a.decrypt(k.props, r, password)
	case idDelta:
		return filter.NewDelta(r, k.props), nil
	}
	if kind, ok := branches(k.id); ok {
		return filter.New(r, kind, 0), nil
	}
	if k.id == idIA64 || k.id == idRISCV {
		// Texts are the same with and without the filter, and so are seen.
		a.broken.Add(stream.Unsupported("7z filter %x", k.id))
		return r, nil
	}
	return nil, stream.Unsupported("7z coder %x", k.id)
}

// branches is the filter of a coder, if it is one for machine code.
func branches(id string) (filter.Kind, bool) {
	switch id {
	case idX86, idX86Old:
		return filter.X86, true
	case idARM, idARMOld:
		return filter.ARM, true
	case idThumb, idThumbOld:
		return filter.Thumb, true
	case idARM64:
		return filter.ARM64, true
	case idPPC, idPPCOld:
		return filter.PPC, true
	case idSPARC, idSPARCOld:
		return filter.SPARC, true
	}
	return 0, false
}

// classify says what an error of a decoder means, in terms of package trust.
func classify(err error) error {
	if errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrUnsupported) || errors.Is(err, trust.ErrLimit) {
		return err
	}
	return decompress.Zstd.Classify(err)
}

func malformed(err error) bool { return errors.Is(err, trust.ErrMalformed) }
