// Package text reads what people and programs write about running things: words of commands in any quoting,
// assignments, network addresses. It is tolerant: it reads fragments, and it has no errors.
package text

// Seam gives a ByteWatch its content in overlapping pieces, so that every span of at most Keep bytes lies wholly in at
// least one piece wherever the chunks were cut. A span may be seen in several pieces.
type Seam struct {
	// Keep is the longest span that must not be cut. It may not change after the first chunk.
	Keep int
	tail []byte
	seen int64 // bytes before and in tail
}

// Next visits the pieces that chunk completes. at is the piece's offset in the file.
func (s *Seam) Next(chunk []byte, visit func(piece []byte, at int64)) {
	if len(s.tail) > 0 {
		start := s.seen - int64(len(s.tail))
		joined := append(s.tail, chunk[:min(len(chunk), s.Keep)]...)
		visit(joined, start)
		s.tail = joined
	}
	if len(s.tail) == 0 || len(chunk) > s.Keep {
		visit(chunk, s.seen)
		s.tail = append(s.tail[:0], chunk[max(0, len(chunk)-s.Keep):]...)
	} else if n := len(s.tail) - s.Keep; n > 0 {
		s.tail = append(s.tail[:0], s.tail[n:]...)
	}
	s.seen += int64(len(chunk))
}

// Close visits the end of the file once more, where nothing follows.
func (s *Seam) Close(visit func(piece []byte, at int64)) {
	if len(s.tail) > 0 {
		visit(s.tail, s.seen-int64(len(s.tail)))
	}
}
