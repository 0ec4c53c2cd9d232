package inflate_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	kflate "github.com/klauspost/compress/flate"
	kgzip "github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust/layer/inflate"
)

// outcome is what a reader made of a stream.
type outcome struct {
	data []byte
	err  error
	// left are the bytes behind the end of the stream.
	left int
}

// maxOutcome bounds what is compared, for bombs that fuzzing makes.
const maxOutcome = 1 << 20

func readAll(r io.Reader, size int) (data []byte, err error) {
	buf := make([]byte, max(1, size))
	for len(data) < maxOutcome {
		n, err := r.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			return data, err
		}
	}
	return data[:maxOutcome], io.EOF
}

// formats are the three formats with the reader that has the last word about each.
var formats = []struct {
	name   string
	open   func(io.Reader) *inflate.Reader
	oracle func(io.Reader) (io.Reader, error)
}{
	{"gzip", inflate.NewGzip, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"raw", inflate.NewRaw, func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }},
	{"zlib", inflate.NewZlib, func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }},
}

// used are readers of each format that tests share: a new one for each stream would be most of their time.
var used = [...]*sync.Pool{pool(0), pool(1), pool(2)}

func pool(format int) *sync.Pool {
	return &sync.Pool{New: func() any { return formats[format].open(nil) }}
}

func oracle(format int, stream []byte) outcome {
	in := bytes.NewReader(stream)
	r, err := formats[format].oracle(in)
	if err != nil {
		return outcome{err: errors.Join(err)} // no io.EOF: nothing was opened
	}
	data, err := readAll(r, 4096)
	return outcome{data, err, in.Len()}
}

// chunks returns at most n bytes a read; every third read returns none.
type chunks struct {
	r     io.Reader
	n     int
	count int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.count++; c.count%3 == 0 {
		return 0, nil
	}
	return c.r.Read(p[:min(c.n, len(p))])
}

func ours(r *inflate.Reader, in *bytes.Reader, size int) outcome {
	data, err := readAll(r, size)
	return outcome{data, err, in.Len() + len(r.Unread())}
}

// compare says how two outcomes differ. At a fault ours may have more bytes than the oracle, never fewer or others.
func compare(want, got outcome) error {
	switch {
	case (want.err == io.EOF) != (got.err == io.EOF):
		return fmt.Errorf("error %v, want %v", got.err, want.err)
	case want.err == io.EOF && !bytes.Equal(want.data, got.data):
		return fmt.Errorf("%d bytes, want %d or others", len(got.data), len(want.data))
	case want.err == io.EOF && len(got.data) < maxOutcome && want.left != got.left:
		return fmt.Errorf("%d bytes left, want %d", got.left, want.left)
	case !bytes.HasPrefix(got.data, want.data):
		return fmt.Errorf("before the fault %v %d bytes, want at least %d", got.err, len(got.data), len(want.data))
	}
	return nil
}

// check compares the reader with the oracle for several ways to read.
func check(t testing.TB, format int, stream []byte) outcome {
	t.Helper()
	want := oracle(format, stream)
	r := used[format].Get().(*inflate.Reader)
	defer used[format].Put(r)
	for _, way := range []struct{ chunk, read int }{{1 << 20, 1 << 16}, {1, 4096}, {7, 1}, {4096, 333}} {
		if len(stream)+len(want.data) > 1<<16 && way.chunk < 4096 {
			continue // too slow for what it shows
		}
		in := bytes.NewReader(stream)
		r.Reset(&chunks{r: in, n: way.chunk})
		if err := compare(want, ours(r, in, way.read)); err != nil {
			t.Fatalf("%s of %d bytes, read by %d in chunks of %d: %v", formats[format].name, len(stream), way.read, way.chunk, err)
		}
	}
	return want
}

// contents are kinds of bytes that lead compressors to different blocks.
func contents() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	var text, skewed, far bytes.Buffer
	for text.Len() < 150_000 {
		fmt.Fprintf(&text, "%x line %d of a file\n", rnd.Uint32()>>(rnd.Uint32()%28), text.Len())
	}
	for skewed.Len() < 100_000 { // long codes
		skewed.WriteByte(byte(min(255, rnd.ExpFloat64()*20)))
	}
	for far.Len() < 100_000 { // matches as far as the window goes
		far.Write(noise[:32768-rnd.IntN(3)])
	}
	periods := bytes.Buffer{}
	for p := 1; p < 40; p++ {
		periods.WriteString(strings.Repeat(string(noise[:p]), 600/p+1))
	}
	return map[string][]byte{
		"empty": nil, "byte": []byte("a"), "zeros": make([]byte, 330_000), "noise": noise, "text": text.Bytes(),
		"skewed": skewed.Bytes(), "far": far.Bytes(), "periods": periods.Bytes(),
	}
}

type writer interface {
	io.WriteCloser
	Flush() error
}

// packers make streams of a format, at every level of two libraries.
func packers(format int) map[string]func(io.Writer) (writer, error) {
	out := map[string]func(io.Writer) (writer, error){}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		out[fmt.Sprint("go", level)] = func(w io.Writer) (writer, error) {
			switch formats[format].name {
			case "gzip":
				return gzip.NewWriterLevel(w, level)
			case "zlib":
				return zlib.NewWriterLevel(w, level)
			}
			return flate.NewWriter(w, level)
		}
	}
	for level := kflate.ConstantCompression; level <= kflate.BestCompression; level++ {
		out[fmt.Sprint("klauspost", level)] = func(w io.Writer) (writer, error) {
			switch formats[format].name {
			case "gzip":
				return kgzip.NewWriterLevel(w, level)
			case "raw":
				return kflate.NewWriter(w, level)
			}
			return nil, errors.ErrUnsupported
		}
	}
	return out
}

func pack(t testing.TB, open func(io.Writer) (writer, error), data []byte, flushEvery int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := open(&buf)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for part := range bytesBy(data, flushEvery) {
		if _, err := w.Write(part); err != nil || flushEvery > 0 && w.Flush() != nil {
			t.Fatal("write", err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func bytesBy(data []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		if n <= 0 {
			yield(data)
			return
		}
		for len(data) > 0 {
			part := data[:min(n, len(data))]
			if data = data[len(part):]; !yield(part) {
				return
			}
		}
	}
}

// Every compressor at every level, whole, cut off, damaged, and with something behind it.
func TestAgainstStandardLibrary(t *testing.T) {
	t.Parallel()
	for format := range formats {
		for packer, open := range packers(format) {
			t.Run(formats[format].name+"/"+packer, func(t *testing.T) {
				t.Parallel()
				rnd := rand.New(rand.NewPCG(7, uint64(format)))
				for name, data := range contents() {
					for _, flush := range []int{0, 10_000} {
						if flush > 0 && name != "text" && name != "skewed" {
							continue
						}
						stream := pack(t, open, data, flush)
						if stream == nil {
							return
						}
						if got := check(t, format, stream); got.err != io.EOF || !bytes.Equal(got.data, data) {
							t.Fatalf("%s: %v", name, got.err)
						}
						check(t, format, append(bytes.Clone(stream), "tail"...))
						check(t, format, append(bytes.Clone(stream), stream...))
						for range 2 {
							check(t, format, stream[:rnd.IntN(len(stream))])
							check(t, format, damaged(rnd, stream))
						}
					}
				}
			})
		}
	}
}

// damaged is stream with a few bits flipped, most often near its beginning, where codes are.
func damaged(rnd *rand.Rand, stream []byte) []byte {
	out := bytes.Clone(stream)
	for range 1 + rnd.IntN(3) {
		at := rnd.IntN(len(out))
		if rnd.IntN(2) == 0 {
			at = rnd.IntN(min(len(out), 100))
		}
		out[at] ^= 1 << rnd.IntN(8)
	}
	return out
}

// Random bits are mostly broken codes.
func TestRandomBlocks(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for range 5_000 {
		stream := make([]byte, 1+rnd.IntN(60))
		for i := range stream {
			stream[i] = byte(rnd.Uint32())
		}
		stream[0] = stream[0]&^7 | byte([]int{2, 3, 4, 5}[rnd.IntN(4)]) // fixed and dynamic blocks
		if check(t, 1, stream).err == io.EOF {
			accepted++
		}
	}
	if accepted == 0 {
		t.Error("nothing was a stream")
	}
}

// bitWriter writes deflate streams by hand.
type bitWriter struct {
	out []byte
	n   uint
}

func (b *bitWriter) put(value, n uint) *bitWriter {
	for i := range n {
		if b.n%8 == 0 {
			b.out = append(b.out, 0)
		}
		b.out[len(b.out)-1] |= byte(value>>i&1) << (b.n % 8)
		b.n++
	}
	return b
}

// dynamic begins a last block with a code for lengths in which 0, 1, 2 and 18 have two bits each, then writes lengths.
func dynamic(nlit, ndist uint, lengths ...uint) *bitWriter {
	b := new(bitWriter)
	b.put(1, 1).put(2, 2).put(nlit-257, 5).put(ndist-1, 5).put(18-4, 4)
	order := []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1}
	for _, sym := range order {
		switch sym {
		case 0, 1, 2, 18:
			b.put(2, 3)
		default:
			b.put(0, 3)
		}
	}
	for _, l := range lengths {
		switch {
		case l < 3: // codes 00, 01, 10, bits reversed
			b.put([]uint{0, 2, 1}[l], 2)
		default: // a run of zeros
			b.put(3, 2).put(l-11, 7)
		}
	}
	return b
}

// Codes at the border of what is allowed. The oracle decides; want says what it should decide, so that the test tests.
func TestCodes(t *testing.T) {
	t.Parallel()
	zeros := []uint{138, 118} // 256 symbols
	lits := func(more ...uint) []uint { return append(append([]uint{}, zeros...), more...) }
	for name, tc := range map[string]struct {
		stream []byte
		ok     bool
	}{
		"end-only":            {dynamic(257, 1, lits(1, 0)...).put(0, 1).out, true},
		"end-only-other-bit":  {dynamic(257, 1, lits(1, 0)...).put(1, 1).put(0, 64).out, false},
		"end-of-two-bits":     {dynamic(257, 1, lits(2, 0)...).put(0, 8).out, false},
		"no-end":              {dynamic(258, 1, lits(0, 1, 1)...).put(0, 64).out, false},
		"no-codes":            {dynamic(257, 1, lits(0, 0)...).put(0, 64).out, false},
		"distance-of-one-bit": {dynamic(258, 1, lits(1, 1, 1)...).put(0, 8).out, true},
		"distance-incomplete": {dynamic(258, 2, lits(1, 1, 2, 0)...).put(0, 8).out, false},
		"oversubscribed":      {dynamic(259, 1, lits(1, 1, 1, 0)...).put(0, 8).out, false},
		"incomplete":          {dynamic(258, 1, lits(1, 2, 0)...).put(0, 8).out, false},
		"match-without-past":  {dynamic(258, 1, lits(1, 1, 1)...).put(1, 1).put(0, 1).put(0, 8).out, false},
		"all-286":             {dynamic(286, 1, append(lits(1, 1), 27, 0, 0)...).put(0, 8).out, true},
		"287":                 {dynamic(287, 1, append(lits(1, 1), 28, 0, 0)...).put(0, 8).out, false},
		"30-distances":        {dynamic(257, 30, append(lits(1), 30)...).put(0, 8).out, true},
		"31-distances":        {dynamic(257, 31, append(lits(1), 31)...).put(0, 8).out, false},
		"run-beyond-the-end":  {dynamic(257, 1, append(lits(), 11)...).put(0, 64).out, false},
		"fixed-empty":         {new(bitWriter).put(1, 1).put(1, 2).put(0, 7).out, true},
		"fixed-symbol-286":    {new(bitWriter).put(1, 1).put(1, 2).put(0b01100011, 8).put(0, 64).out, false},
		"fixed-distance-30":   {new(bitWriter).put(1, 1).put(1, 2).put(0b00001100, 8).put(0b1000000, 7).put(0b01111, 5).put(0, 64).out, false},
		"reserved-block":      {new(bitWriter).put(1, 1).put(3, 2).put(0, 64).out, false},
		"stored":              {append(new(bitWriter).put(1, 1).put(0, 2).out, 1, 0, 0xfe, 0xff, 'x'), true},
		"stored-bad-length":   {append(new(bitWriter).put(1, 1).put(0, 2).out, 1, 0, 0xfe, 0xfe, 'x'), false},
		"stored-cut":          {append(new(bitWriter).put(1, 1).put(0, 2).out, 2, 0, 0xfd, 0xff, 'x'), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// As it is, and with so much before or behind it that the fast loop meets it.
			got := check(t, 1, tc.stream)
			if (got.err == io.EOF) != tc.ok {
				t.Errorf("%v", got.err)
			}
			check(t, 1, append(bytes.Clone(tc.stream), make([]byte, 2000)...))
			check(t, 1, append(bytes.Clone(tc.stream), bytes.Repeat([]byte{0xff}, 2000)...))
		})
	}
}

func TestGzipHeaders(t *testing.T) {
	t.Parallel()
	body := pack(t, packers(0)["go6"], []byte("hello"), 0)[10:]
	header := func(flags byte, more ...string) []byte {
		return append([]byte{0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255}, strings.Join(more, "")...)
	}
	long := strings.Repeat("n", 511)
	for name, tc := range map[string]struct {
		header []byte
		ok     bool
	}{
		"plain":           {header(0), true},
		"method":          {[]byte{0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0}, false},
		"magic":           {[]byte{0x1f, 0x8c, 8, 0, 0, 0, 0, 0, 0, 0}, false},
		"unknown-flags":   {header(0xe0), true},
		"extra":           {header(4, "\x03\x00abc"), true},
		"extra-long":      {header(4, "\xff\xff", strings.Repeat("e", 65535)), true},
		"name":            {header(8, long+"\x00"), true},
		"name-too-long":   {header(8, long+"n\x00"), false},
		"comment":         {header(16, "\x00"), true},
		"comment-no-end":  {header(16, strings.Repeat("c", 2000)), false},
		"all":             {header(4|8|16, "\x01\x00e", "name\x00", "comment\x00"), true},
		"header-sum-bad":  {header(2, "\x00\x00"), false},
		"header-sum-good": {header(2, "\x8f\xbe"), true}, // computed below if it changes
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := append(tc.header, body...)
			if got := check(t, 0, stream); (got.err == io.EOF) != tc.ok && name != "header-sum-good" {
				t.Errorf("%v", got.err)
			}
			check(t, 0, append(pack(t, packers(0)["go1"], []byte("first"), 0), stream...))
			for n := range min(len(tc.header), 600) {
				check(t, 0, stream[:n])
			}
		})
	}
}

func TestZlibHeaders(t *testing.T) {
	t.Parallel()
	body := pack(t, packers(2)["go6"], []byte("hello"), 0)[2:]
	for cmf := range 256 {
		for flg := range 256 {
			if (cmf<<8|flg)%31 != 0 && flg%16 != 0 {
				continue // most of the nonsense
			}
			check(t, 2, append([]byte{byte(cmf), byte(flg)}, body...))
			if flg&0x20 != 0 {
				check(t, 2, append([]byte{byte(cmf), byte(flg), 0, 0, 0, 1}, body...))
			}
		}
	}
}

// A used Reader is as good as a new one: no history, no bits, no error of the old stream show in the next.
func TestReset(t *testing.T) {
	t.Parallel()
	good := pack(t, packers(1)["go6"], bytes.Repeat([]byte("history"), 20_000), 0)
	reach := dynamic(258, 1, []uint{138, 118, 1, 1, 1}...).put(1, 1).put(0, 1).put(0, 8).out // a match at the start
	r := inflate.NewRaw(bytes.NewReader(good))
	for _, read := range []int{0, 1, 1000, 1 << 20} {
		r.Reset(bytes.NewReader(good))
		_, _ = io.ReadFull(r, make([]byte, read))
		r.Reset(bytes.NewReader(reach))
		if data, err := io.ReadAll(r); !errors.Is(err, inflate.ErrCorrupt) || len(data) > 0 {
			t.Errorf("after %d bytes: %q, %v", read, data, err)
		}
		r.Reset(bytes.NewReader(good))
		if data, err := io.ReadAll(r); err != nil || len(data) != 140_000 {
			t.Errorf("after a fault: %d, %v", len(data), err)
		}
	}
}

// Reading with a used Reader allocates nothing that grows with streams.
func TestAllocations(t *testing.T) {
	good := pack(t, packers(1)["go6"], bytes.Repeat([]byte("history"), 20_000), 0)
	in, buf := bytes.NewReader(good), make([]byte, 1<<16)
	r := inflate.NewRaw(in)
	if n := testing.AllocsPerRun(20, func() {
		in.Reset(good)
		r.Reset(in)
		for err := error(nil); err == nil; {
			_, err = r.Read(buf)
		}
	}); n > 0 {
		t.Errorf("%v allocations for a stream", n)
	}
}

// A reader's own error is told as it is, and after the bytes that came before it.
func TestSourceErrors(t *testing.T) {
	t.Parallel()
	stream := pack(t, packers(0)["go6"], []byte(strings.Repeat("hello ", 1000)), 0)
	broken := errors.New("broken")
	for n := range len(stream) + 1 {
		r := inflate.NewGzip(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(broken)))
		if data, err := io.ReadAll(r); !errors.Is(err, broken) || n == len(stream) && len(data) != 6000 {
			t.Fatalf("after %d bytes: %d bytes, %v", n, len(data), err)
		}
	}
	if _, err := inflate.NewGzip(iotest.DataErrReader(bytes.NewReader(stream))).Read(nil); err != nil {
		t.Error(err)
	}
	idle := 0
	_, err := io.ReadAll(inflate.NewGzip(readFunc(func([]byte) (int, error) { idle++; return 0, nil })))
	if !errors.Is(err, io.ErrNoProgress) || idle > 200 {
		t.Errorf("%v after %d reads", err, idle)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// What is wrong is said with the sentinel for it.
func TestFaults(t *testing.T) {
	t.Parallel()
	stream := pack(t, packers(0)["go6"], []byte("hello"), 0)
	flip := func(at int) []byte {
		out := bytes.Clone(stream)
		out[(at+len(out))%len(out)] ^= 0xff
		return out
	}
	for name, tc := range map[string]struct {
		stream []byte
		want   error
	}{
		"empty":    {nil, io.ErrUnexpectedEOF},
		"cut":      {stream[:len(stream)-1], io.ErrUnexpectedEOF},
		"header":   {flip(0), inflate.ErrHeader},
		"length":   {flip(-1), inflate.ErrChecksum},
		"checksum": {flip(-8), inflate.ErrChecksum},
		"trailing": {append(bytes.Clone(stream), "0123456789"...), inflate.ErrHeader},
		"block":    {append(bytes.Clone(stream[:10]), 7), inflate.ErrCorrupt},
	} {
		if _, err := io.ReadAll(inflate.NewGzip(bytes.NewReader(tc.stream))); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
