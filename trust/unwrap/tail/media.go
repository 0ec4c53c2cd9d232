package tail

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// riff is WAV, AVI and WebP: a size, and more of the same for very long ones.
func riff(s *stream) error {
	for {
		b := s.peek(8)
		if len(b) < 8 || string(b[:4]) != "RIFF" {
			return nil
		}
		size := int64(binary.LittleEndian.Uint32(b[4:]))
		if err := s.skip(8 + size); err != nil {
			return err
		}
		if b := s.peek(1); size%2 == 1 && len(b) == 1 && b[0] == 0 {
			if err := s.skip(1); err != nil {
				return err
			}
		}
	}
}

// boxNames are those at the top of files of ISO/IEC 14496-12 and its kin.
var boxNames = []string{
	"ftyp", "styp", "moov", "mdat", "free", "skip", "wide", "uuid", "moof", "mfra", "sidx", "ssix", "meta", "pnot", "udta", "emsg", "prft", "pdin", "meco", "PICT", "jumb", "pssh", "imda", "JXL ", "jxlc", "jxlp", "brob", "jp2h", "jp2c",
}

// boxes is MP4, MOV, HEIF and AVIF: boxes with a size and a name.
func boxes(s *stream) error {
	for {
		b := s.peek(16)
		if len(b) < 8 || !slices.Contains(boxNames, string(b[4:8])) {
			return nil
		}
		size := int64(binary.BigEndian.Uint32(b))
		switch {
		case size == 1 && len(b) == 16:
			if size = int64(binary.BigEndian.Uint64(b[8:])); size < 16 {
				return errBroken
			}
		case size == 0: // to the end of the file
			return s.skip(max(0, s.size-s.at))
		case size < 8:
			return errBroken
		}
		if err := s.skip(size); err != nil {
			return err
		}
	}
}

// ogg reads pages (RFC 3533, section 6).
func ogg(s *stream) error {
	for {
		b := s.peek(27)
		if len(b) < 27 || string(b[:4]) != "OggS" {
			return nil
		}
		n := int(b[26])
		b = s.peek(27 + n)
		if len(b) < 27+n {
			return errBroken
		}
		size := int64(27 + n)
		for _, segment := range b[27:] {
			size += int64(segment)
		}
		if err := s.skip(size); err != nil {
			return err
		}
	}
}

// pdf ends with a marker, behind which an update may follow; each object, table and comment of one begins in its own way.
func pdf(s *stream) error {
	marker := []byte("%%EOF")
	for {
		b := s.peek(peekBytes)
		i := bytes.Index(b, marker)
		if i < 0 {
			if len(b) < len(marker) {
				return errBroken
			}
			if err := s.skip(int64(len(b) - len(marker) + 1)); err != nil {
				return err
			}
			continue
		}
		if err := s.skip(int64(i + len(marker))); err != nil {
			return err
		}
		next := bytes.TrimLeft(s.peek(64), "\r\n \t\x00")
		if len(next) == 0 || !isPDF(next) {
			return nil
		}
	}
}

// isPDF reports whether an update or a comment may begin so: an object has two numbers before its word.
func isPDF(b []byte) bool {
	switch b[0] {
	case '%':
		return len(b) > 1 && (b[1] == '%' || b[1] == 'P' || b[1] == 'B' || b[1] == 'E')
	case 'x', 's', 't':
		return bytes.HasPrefix(b, []byte("xref")) || bytes.HasPrefix(b, []byte("startxref")) || bytes.HasPrefix(b, []byte("trailer"))
	}
	i := 0
	for i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == ' ') {
		i++
	}
	return i > 0 && bytes.HasPrefix(b[i:], []byte("obj"))
}
