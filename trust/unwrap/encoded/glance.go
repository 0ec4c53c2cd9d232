package encoded

const (
	// glanceBytes of a run tell, in almost every case, that it is noise.
	glanceBytes = 88
	// glanceCost is charged for a glance.
	glanceCost = 50
)

// glance looks at the beginning and the end of the run whose first part is from:to, without memory of its own. It returns
// how many characters the run has, at most glanceBytes, and 0 if no reading of it is promising. Long runs of a program that
// may be opaque always are.
func (s *scanner) glance(from, to int, first bool) int {
	var run [glanceBytes]byte
	n := s.begin(run[:], from)
	length := s.group.to - s.base - int64(from)
	if (first && (length >= longRun || s.cut) || s.words&inflates != 0 && n >= longForReverse) && mixed(run[:n]) {
		return n
	}
	for _, c := range fitting(run[:n]) {
		for skip := range min(c.alignments, n) {
			if c.promises(run[skip:n]) {
				return n
			}
		}
	}
	if !first || !s.mayReverse(length) {
		return 0
	}
	if s.group.to != s.base+int64(to) { // made of parts
		if s.words&reverses != 0 && mixed(run[:n]) {
			return n
		}
	}
	if s.cut {
		return 0
	}
	var back [glanceBytes]byte
	end := int(s.group.to - s.base)
	k := 0
	for at := end - 1; at >= from && k < len(back); at-- {
		if wordBytes[s.buf[at]] {
			back[k] = s.buf[at]
			k++
		}
	}
	for _, c := range fitting(run[:n]) {
		if c.promises(back[:k]) || s.words&reverses != 0 && c.promisesTurned(s.buf[from:end]) {
			return n
		}
	}
	return 0
}

// begin copies the first characters of the run at i of the window into out.
func (s *scanner) begin(out []byte, i int) int {
	n := 0
	for {
		for i < s.n && n < len(out) && wordBytes[s.buf[i]] {
			out[n] = s.buf[i]
			i++
			n++
		}
		if n == len(out) || i >= s.n {
			return n
		}
		next := joiner(s.buf[i:min(s.n, i+maxJoiner)])
		if next == 0 {
			return n
		}
		i += next
	}
}

// promises reports whether the beginning of a run may decode to something known.
func (c coding) promises(run []byte) bool {
	var head [glanceBytes]byte
	if n := c.decodeHead(head[:], run[:min(len(run), 16)]); n >= 8 && !promising(head[:n], 2) {
		return false
	}
	n := c.decodeHead(head[:], run)
	return n >= minText && promising(head[:min(n, 32)], n/16)
}

// promisesTurned is promises for the decoded bytes turned around.
func (c coding) promisesTurned(run []byte) bool {
	unit := 8 // characters that stand for whole bytes
	from := max(0, len(run)-glanceBytes+unit) / unit * unit
	var head [glanceBytes]byte
	n := c.decodeHead(head[:], run[from:])
	for i := range n / 2 {
		head[i], head[n-1-i] = head[n-1-i], head[i]
	}
	return n >= minText && promising(head[:n], n/16)
}

// promising is false for nearly all noise, and true for all that identify knows. It needs eight bytes. Text may have some
// bytes that are not of text.
func promising(head []byte, allowed int) bool {
	odd, high, zeros, want := 0, 0, 0, byte(0)
	for _, c := range head {
		switch class := classes[c]; {
		case class == plainByte && want == 0:
		case class == plainByte, class == oddByte:
			want = 0
			odd++
		case class == tailByte && want == 0:
			odd++
		case class == tailByte:
			want--
		default: // it begins a character of UTF-8
			if want > 0 {
				odd++
			}
			want = class
		}
		high += int((c ^ head[0]) >> 7)
		if c == 0 {
			zeros++
		}
	}
	switch {
	case odd <= allowed,
		high == 0,           // a mask of one byte
		zeros > len(head)/4, // UTF-16, or the name of a tar archive's first entry
		magicBytes[head[0]] && begins(head),
		head[2] == '\r' && head[3] == '\n':
		return true
	}
	for _, m := range masked {
		if key := head[0] ^ m[0]; head[1]^m[1] == key && head[2]^m[2] == key {
			return true
		}
	}
	return false
}

// The classes of bytes in UTF-8; from 1 to 3 it is how many bytes follow.
const (
	plainByte = 0
	tailByte  = 4
	oddByte   = 5
)

var classes = func() (t [256]byte) {
	for c := range t {
		switch {
		case c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != 0x1b, c == 0x7f, c == 0xc0, c == 0xc1, c >= 0xf5:
			t[c] = oddByte
		case c >= 0xf0:
			t[c] = 3
		case c >= 0xe0:
			t[c] = 2
		case c >= 0xc2:
			t[c] = 1
		case c >= 0x80:
			t[c] = tailByte
		}
	}
	return t
}()

// begins is plainForm without a look further than the first bytes.
func begins(head []byte) bool {
	switch head[0] {
	case 0x5d:
		return head[1]|head[2] == 0
	case 0x1f, 'B', 'M', 0xe3:
		return head[1] == 0x8b || head[1] == 'Z' || head[0] == 0xe3 && head[2]|head[3]|head[4] == 0
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 && head[1]&0x20 == 0 {
		return true
	}
	for _, m := range magics {
		if m[0] == head[0] && m[1] == head[1] && m[2] == head[2] {
			return true
		}
	}
	return false
}

// magicBytes are the first bytes of what identify knows by its beginning, tar archives apart.
var magicBytes = func() (t [256]bool) {
	for _, m := range magics {
		t[m[0]] = true
	}
	for _, c := range []byte("\x1fB\xe3M\x5d") {
		t[c] = true
	}
	for c := range 256 {
		if c&0x0f == 8 && c>>4 <= 7 || c == 0x78 {
			t[c] = true
		}
	}
	return t
}()
