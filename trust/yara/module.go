package yara

import (
	"crypto/md5"  //nolint:gosec // rules name files by it; nothing is trusted because of it
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

func moduleNames() []string { return []string{"elf", "hash", "math"} }

// elfConstants are those of the elf module that rules use most.
func elfConstants() map[string]int64 {
	return map[string]int64{
		"ET_NONE": 0, "ET_REL": 1, "ET_EXEC": 2, "ET_DYN": 3, "ET_CORE": 4,
		"EM_NONE": 0, "EM_386": 3, "EM_68K": 4, "EM_MIPS": 8, "EM_PPC": 20, "EM_PPC64": 21, "EM_ARM": 40,
		"EM_X86_64": 62, "EM_AARCH64": 183,
	}
}

// elfFields are values of an ELF's header.
func elfFields() map[string]func(*header) value {
	number := func(n uint64) value { return whole(int64(n)) }
	return map[string]func(*header) value{
		"type":               func(h *header) value { return number(h.at(0x10, 2)) },
		"machine":            func(h *header) value { return number(h.at(0x12, 2)) },
		"entry_point":        (*header).elfEntry,
		"number_of_segments": func(h *header) value { return number(h.half(0x2c, 0x38)) },
		"number_of_sections": func(h *header) value { return number(h.half(0x30, 0x3c)) },
	}
}

func (c *compiler) moduleValue(e *syntax.Expr, module, name string) (typed, error) {
	if !c.modules[module] {
		return typed{}, c.errorf(e.Pos, "%q needs import %q, or is no module", e.Text, module)
	}
	if module != "elf" {
		return typed{}, c.errorf(e.Pos, "%q is not supported", e.Text)
	}
	if n, ok := elfConstants()[name]; ok {
		return typed{typ: typInt, eval: func(*frame) value { return whole(n) }}, nil
	}
	field, ok := elfFields()[name]
	if !ok {
		return typed{}, c.errorf(e.Pos, "%q is not supported", e.Text)
	}
	c.wantHead()
	return typed{typ: typInt, eval: func(f *frame) value {
		h := f.elf()
		if h == nil {
			return value{state: undefined}
		}
		v := field(h)
		if h.bad {
			return h.gap
		}
		return v
	}}, nil
}

// call compiles the functions of modules: those over the whole file, which are computed while it passes.
func (c *compiler) call(e *syntax.Expr) (typed, error) {
	whole := len(e.Args) == 2 && e.Args[0].Op == syntax.OpInt && e.Args[0].Int == 0 && e.Args[1].Op == syntax.OpFileSize
	var want *bool
	out := typed{typ: typText}
	switch w := &c.r.hashes; e.Text {
	case "hash.md5":
		want, out.eval = &w.md5, func(f *frame) value { return f.hex(f.sums.md5) }
	case "hash.sha1":
		want, out.eval = &w.sha1, func(f *frame) value { return f.hex(f.sums.sha1) }
	case "hash.sha256":
		want, out.eval = &w.sha256, func(f *frame) value { return f.hex(f.sums.sha256) }
	case "math.entropy":
		want = &w.entropy
		out = typed{typ: typFloat, eval: func(f *frame) value { return f.sums.entropy(f.total) }}
	default:
		return typed{}, c.errorf(e.Pos, "the function %q is not supported", e.Text)
	}
	if module := e.Text[:4]; !c.modules[module] {
		return typed{}, c.errorf(e.Pos, "%q needs import %q", e.Text, module)
	}
	if !whole {
		return typed{}, c.errorf(e.Pos, "%s is supported over the whole file only: write %s(0, filesize)", e.Text, e.Text)
	}
	*want = true
	return out, nil
}

// wants says which sums some rule asks for.
type wants struct{ md5, sha1, sha256, entropy bool }

// sums are computed over the whole file while it passes.
type sums struct {
	md5, sha1, sha256 hash.Hash
	counts            *[256]int64
}

func (s *sums) begin(w wants) {
	fresh := func(h *hash.Hash, want bool, create func() hash.Hash) {
		switch {
		case !want:
		case *h == nil:
			*h = create()
		default:
			(*h).Reset()
		}
	}
	fresh(&s.md5, w.md5, md5.New)
	fresh(&s.sha1, w.sha1, sha1.New)
	fresh(&s.sha256, w.sha256, sha256.New)
	if w.entropy {
		s.counts = new([256]int64)
	}
}

func (s *sums) write(p []byte) {
	for _, h := range []hash.Hash{s.md5, s.sha1, s.sha256} {
		if h != nil {
			h.Write(p)
		}
	}
	if s.counts != nil {
		for _, c := range p {
			s.counts[c]++
		}
	}
}

// hex is a sum in hexadecimal. Like YARA, an empty file has none.
func (f *frame) hex(h hash.Hash) value {
	if f.total == 0 {
		return value{state: undefined}
	}
	return value{state: text, s: hex.EncodeToString(h.Sum(nil))}
}

// entropy is in bits a byte.
func (s *sums) entropy(total int64) value {
	if total == 0 {
		return value{state: undefined}
	}
	sum := 0.0
	for _, n := range s.counts {
		if n > 0 {
			p := float64(n) / float64(total)
			sum -= p * math.Log2(p)
		}
	}
	return value{state: decimal, f: sum}
}
