package tail

import (
	"bytes"
	"encoding/binary"
)

// png reads chunks up to IEND (W3C PNG, section 5.3).
func png(s *stream) error {
	if _, err := s.take(8); err != nil {
		return err
	}
	for {
		b := s.peek(8)
		if len(b) < 8 {
			return errBroken
		}
		size, kind := int64(binary.BigEndian.Uint32(b)), string(b[4:])
		if size > 1<<31-1 || !isLetters(kind) {
			return errBroken
		}
		if err := s.skip(12 + size); err != nil || kind == "IEND" {
			return err
		}
	}
}

func isLetters(s string) bool {
	for _, c := range []byte(s) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// jpeg reads segments and the coded data between them up to EOI (ITU-T T.81, annex B). Pictures of several pictures, one
// behind the other, are read to the end of the last one.
func jpeg(s *stream) error {
	for {
		b := s.peek(4)
		switch {
		case len(b) < 2 || b[0] != 0xff:
			return errBroken
		case b[1] == 0xff: // filling
			if err := s.skip(1); err != nil {
				return err
			}
		case b[1] == 0xd9: // EOI
			if err := s.skip(2); err != nil {
				return err
			}
			if !bytes.HasPrefix(s.peek(3), []byte("\xff\xd8\xff")) {
				return nil
			}
		case b[1] == 0xd8, b[1] == 0x01, b[1] >= 0xd0 && b[1] <= 0xd7: // of no length
			if err := s.skip(2); err != nil {
				return err
			}
		case len(b) < 4 || binary.BigEndian.Uint16(b[2:]) < 2:
			return errBroken
		default:
			scan := b[1] == 0xda
			if err := s.skip(2 + int64(binary.BigEndian.Uint16(b[2:]))); err != nil {
				return err
			}
			if scan {
				if err := s.jpegScan(); err != nil {
					return err
				}
			}
		}
	}
}

// jpegScan passes over coded data, in which 0xff is followed by zero or the number of a restart.
func (s *stream) jpegScan() error {
	for {
		b := s.peek(peekBytes)
		i := bytes.IndexByte(b, 0xff)
		switch {
		case len(b) == 0:
			return errBroken
		case i < 0:
			i = len(b)
		case i+1 == len(b) && i > 0: // what follows is not here yet
		case i+1 == len(b):
			return errBroken
		case b[i+1] == 0 || b[i+1] >= 0xd0 && b[i+1] <= 0xd7:
			i += 2
		default:
			return s.skip(int64(i))
		}
		if err := s.skip(int64(i)); err != nil {
			return err
		}
	}
}

// gif reads blocks up to the trailer (GIF89a, section 12 on).
func gif(s *stream) error {
	b, err := s.take(13)
	if err != nil {
		return err
	}
	if err := s.gifColors(b[10]); err != nil {
		return err
	}
	for {
		b, err := s.take(1)
		if err != nil {
			return err
		}
		switch b[0] {
		case 0x3b:
			return nil
		case 0x21:
			err = s.skip(1)
		case 0x2c:
			if b, err = s.take(9); err == nil {
				err = s.gifColors(b[8])
			}
			if err == nil {
				err = s.skip(1)
			}
		case 0: // filling that some writers leave
			continue
		default:
			return errBroken
		}
		for n := byte(1); n > 0 && err == nil; {
			if b, err = s.take(1); err == nil {
				n = b[0]
				err = s.skip(int64(n))
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) gifColors(flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	return s.skip(3 << (flags&7 + 1))
}

// bmp has its size in its header.
func bmp(s *stream) error {
	b, err := s.take(26)
	if err != nil {
		return err
	}
	size, pixels := int64(binary.LittleEndian.Uint32(b[2:])), int64(binary.LittleEndian.Uint32(b[10:]))
	if size < pixels || size < 26 {
		size = pixels // some writers leave it at zero
	}
	return s.skipTo(size)
}

// ico is a directory of pictures.
func ico(s *stream) error {
	b, err := s.take(6)
	if err != nil {
		return err
	}
	end := int64(0)
	for range int(b[4]) | int(b[5])<<8 {
		b, err := s.take(16)
		if err != nil {
			return err
		}
		end = max(end, int64(binary.LittleEndian.Uint32(b[8:]))+int64(binary.LittleEndian.Uint32(b[12:])))
	}
	return s.skipTo(end)
}
