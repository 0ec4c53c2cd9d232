// Package compressed unwraps single files that are compressed: gzip, zlib, compress, zstd, bzip2, xz, lzma and lz4.
package compressed

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// minTail is the least behind compressed data that can hold a program. Less is padding, or a checksum.
const minTail = 48

// Wrapper decompresses. What follows the compressed data is malformed; it is shown as well as what came before it.
type Wrapper struct{ gunzips *decompress.Gunzips }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{gunzips: new(decompress.Gunzips)} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "compressed" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool {
	f := decompress.Detect(c.Head)
	return f != decompress.None && (f.Trial(c.Head) == 0 || c.Kind != trust.KindText && c.Kind != trust.KindScript)
}

// Unwrap implements unwrap.Wrapper. The one piece has the file's name without the suffix of the compression.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	content := in.Content()
	f := decompress.Detect(content.Head)
	trial := f.Trial(content.Head)
	src := stream.NewSource(in)
	var d *decompress.Tailed
	var err error
	if f == decompress.Gzip {
		d, err = w.gunzips.Open(src)
	} else {
		d, err = f.OpenTailed(src, in)
	}
	if err != nil {
		return failed(src, f, trial, err)
	}
	defer d.Close()
	body := bufio.NewReader(stream.NewBody(d))
	_, err = body.Peek(max(1, trial))
	if src.Err() != nil || err != nil && err != io.EOF && !errors.Is(err, stream.ErrTrailing) { //nolint:errorlint // bufio returns the reader's value
		return failed(src, f, trial, err)
	}
	decoded := stream.NewBody(body)
	if err := show(unwrap.Piece{Name: w.name(content.Path, f), Size: -1}, decoded); err != nil {
		return err
	}
	if src.Err() != nil {
		return src.Err()
	}
	return cmp.Or(w.rest(d, decoded.Err(), src, show), f.Classify(decoded.Err()))
}

// failed is what the failure to read the beginning means.
func failed(src *stream.Source, f decompress.Format, trial int, err error) error {
	switch {
	case src.Err() != nil:
		return src.Err()
	case errors.Is(err, trust.ErrUnsupported): // there is no memory left to find out
		return err
	case trial > 0:
		return nil // something else that begins alike
	}
	return f.Classify(err)
}

// rest shows what follows the compressed data, unless that is next to nothing or nothing but zeros and line ends.
func (w Wrapper) rest(d *decompress.Tailed, broken error, src *stream.Source, show unwrap.Show) error {
	if broken == nil {
		return nil
	}
	r, taken := d.Rest(broken)
	if r == nil {
		return nil
	}
	at := src.Offset() - int64(taken)
	behind := bufio.NewReader(r)
	for {
		b, _ := behind.Peek(512)
		n := len(b) - len(bytes.TrimLeft(b, "\x00\r\n "))
		if bytes.HasPrefix(b[n:], []byte("asm\x01")) { // WebAssembly begins with a zero
			n--
		}
		if n <= 0 {
			if len(b) < minTail {
				return src.Err()
			}
			break
		}
		_, _ = behind.Discard(n) // it was peeked at
		at += int64(n)
	}
	if src.Err() != nil {
		return src.Err()
	}
	if err := show(unwrap.Piece{Name: fmt.Sprintf("tail@%d", at), Size: -1, Tail: true}, behind); err != nil {
		return err
	}
	return src.Err()
}

// name is what the compressed file is called without its suffix.
func (w Wrapper) name(file string, f decompress.Format) string {
	if at := strings.LastIndex(file, trust.Nested); at >= 0 {
		file = file[at+len(trust.Nested):]
	}
	base := path.Base(file)
	if file == "" {
		return w.Name()
	}
	ext := path.Ext(base)
	if with, ok := f.Suffixes()[strings.ToLower(ext)]; ok && len(ext) < len(base) {
		return strings.TrimSuffix(base, ext) + with
	}
	return base
}
