package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// copyBuffer is how much of a blob is in memory for each client.
const copyBuffer = 64 << 10

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, p pull) {
	ref := p.ref
	b, err := h.gate.Blob(r.Context(), ref, p.terms())
	if err != nil {
		h.refuseBlob(w, r, p, err)
		return
	}
	size := b.Descriptor.Size
	part, bad := requestedRange(r, etag(ref), size)
	if bad != nil {
		if bad.status == http.StatusRequestedRangeNotSatisfiable {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		}
		bad.write(w, r)
		return
	}
	head := func() {
		contentHeaders(w, "application/octet-stream", ref, part.length)
		w.Header().Set("Accept-Ranges", "bytes")
	}
	if notModified(r, ref) {
		head()
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method == http.MethodHead {
		head()
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := b.Await(r.Context(), part.start); err != nil {
		h.refuseBlob(w, r, p, err)
		return
	}
	content, err := openAt(r.Context(), b, part.start)
	if err != nil {
		h.refuseBlob(w, r, p, err)
		return
	}
	defer content.Close()
	head()
	status := http.StatusOK
	if part.partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, size))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	// An answer that ends short of its Content-Length makes net/http break the connection: the client cannot take it
	// for whole.
	transfer := send
	if b.Sealed {
		transfer = copySealed
	}
	if err := transfer(w, content, part.length, part.start+part.length == size); err != nil && r.Context().Err() == nil {
		h.brokeOff(w, p, err)
	}
}

// brokeOff tells the log why a blob that was on its way did not arrive.
func (h *Handler) brokeOff(w http.ResponseWriter, p pull, err error) {
	entry := h.log(w).WithFields(logrus.Fields{
		"reference": p.ref.String(), "road": p.road.String(), "client": string(p.road.Client.Kind), "error": trust.Sanitise(err.Error(), maxMessage),
	})
	var refusal *enforce.Refusal
	if errors.As(err, &refusal) {
		entry.WithFields(logrus.Fields{"verdict": refusal.Verdict.ID, "action": refusal.Verdict.Action}).Info("blob cut: its image is refused")
		return
	}
	entry.Warn("blob broke off")
}

// refuseBlob answers with what err means, or with the refusal that a config of ours stands for.
func (h *Handler) refuseBlob(w http.ResponseWriter, r *http.Request, p pull, err error) {
	bad := problemOf(r, err, p.ref, errcode.ErrorCodeBlobUnknown)
	if marks := h.tombstones.of(p.ref); marks != nil {
		bad = marks
	}
	h.refuse(w, r, p, bad, err)
}

// openAt opens the blob and goes to the offset.
func openAt(ctx context.Context, b enforce.Blob, offset int64) (io.ReadCloser, error) {
	content, err := b.Open(ctx)
	if err != nil || offset == 0 {
		return content, err
	}
	if s, ok := content.(io.Seeker); ok {
		_, err = s.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, content, offset)
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}

// copyPart writes n bytes of r. Where they end the blob, the last of them are withheld until r has ended without
// error, which is when it has verified the content.
func copyPart(w io.Writer, r io.Reader, n int64, toEnd bool) error {
	buf := make([]byte, copyBuffer)
	for n > 0 {
		chunk := buf[:min(n, copyBuffer)]
		if _, err := io.ReadFull(r, chunk); err != nil {
			return fmt.Errorf("%d bytes are missing: %w", n, err)
		}
		n -= int64(len(chunk))
		if n == 0 && toEnd {
			if err := atEnd(r); err != nil {
				return err
			}
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// copySealed is copyPart for content that waits: what is there goes out at once.
func copySealed(w io.Writer, r io.Reader, n int64, toEnd bool) error {
	buf := make([]byte, copyBuffer)
	flush := func() error { return nil }
	if rw, ok := w.(http.ResponseWriter); ok {
		flush = http.NewResponseController(rw).Flush
	}
	if err := flush(); err != nil {
		return err
	}
	for n > 0 {
		got, err := r.Read(buf[:min(n, copyBuffer)])
		n -= int64(got)
		if n == 0 && toEnd && (err == nil || errors.Is(err, io.EOF)) {
			err = atEnd(r)
		}
		switch {
		case err != nil && (n > 0 || toEnd || !errors.Is(err, io.EOF)):
			return fmt.Errorf("%d bytes are missing: %w", n+int64(got), err)
		case got == 0:
			continue
		}
		if _, err := w.Write(buf[:got]); err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

func atEnd(r io.Reader) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return fmt.Errorf("%w: content goes on behind its size", trust.ErrIntegrity)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// span is the part of a blob that a request wants.
type span struct {
	start, length int64
	partial       bool
}

// requestedRange reads Range and If-Range. What cannot be understood is ignored, as HTTP wants it. Several ranges are
// refused with 400, at which clients that use them fall back to the whole blob.
func requestedRange(r *http.Request, tag string, size int64) (span, *problem) {
	whole := span{length: size}
	header := r.Header.Get("Range")
	if header == "" || r.Method != http.MethodGet {
		return whole, nil
	}
	if condition := r.Header.Get("If-Range"); condition != "" && condition != tag {
		return whole, nil
	}
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return whole, nil
	}
	if strings.Contains(spec, ",") || len(r.Header.Values("Range")) > 1 {
		return span{}, fail(400, errcode.ErrorCodeUnsupported, "safepull serves one range a request")
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return whole, nil
	}
	if first == "" {
		return suffixRange(last, size)
	}
	start, ok := number(first)
	if !ok {
		return whole, nil
	}
	end := size - 1
	if last != "" {
		if end, ok = number(last); !ok || end < start {
			return whole, nil
		}
		end = min(end, size-1)
	}
	if start >= size {
		return span{}, notSatisfiable(size)
	}
	return span{start: start, length: end - start + 1, partial: true}, nil
}

func suffixRange(last string, size int64) (span, *problem) {
	n, ok := number(last)
	if !ok {
		return span{length: size}, nil
	}
	n = min(n, size)
	if n == 0 {
		return span{}, notSatisfiable(size)
	}
	return span{start: size - n, length: n, partial: true}, nil
}

func notSatisfiable(size int64) *problem {
	return fail(http.StatusRequestedRangeNotSatisfiable, errcode.ErrorCodeRangeInvalid, "the blob has %d bytes", size)
}

// number reads decimal digits only: no sign, no space.
func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}
