package algorithm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// minLiteral is the engine's shortest literal, in bytes.
const minLiteral = 6

// Constant is one constant of an algorithm. Exactly one of Bytes, Text, Letters and Sizes says what it is.
type Constant struct {
	ID string `yaml:"id"`
	// Bytes are hexadecimal, as they stand in a file. Word is the size of the words that they are written as in
	// sources, 4 or 8; source text is not looked at without it.
	Bytes string `yaml:"bytes"`
	Word  int    `yaml:"word"`
	// Text stands in programs as it is. In source text it is only a word, and not looked for.
	Text string `yaml:"text"`
	// Letters stand in programs as 32-bit numbers, one each.
	Letters string `yaml:"letters"`
	// Sizes are the first two of a table of sizes, which are computed.
	Sizes *Sizes `yaml:"sizes"`
}

// Sizes says how the sizes of Ethash's data grow: first + epoch × growth, less until the number of units is prime.
type Sizes struct {
	First  int64 `yaml:"first"`
	Growth int64 `yaml:"growth"`
	Unit   int64 `yaml:"unit"`
}

// Family says what constants make together.
type Family struct {
	Name string `yaml:"name"`
	// All of these, and at least Least of Any, make the family, unless the file has more than Most of Unless.
	All    []string `yaml:"all"`
	Any    []string `yaml:"any"`
	Least  int      `yaml:"least"`
	Unless []string `yaml:"unless"`
	Most   int      `yaml:"most"`
	// Excuse are constants of other software that has the family: it weighs nothing then, unless it is run.
	Excuse []string `yaml:"excuse"`
	// Strength is what the family weighs, Mining what it weighs together with words that only miners have.
	Strength trust.Strength `yaml:"strength"`
	Mining   trust.Strength `yaml:"mining"`
}

// compiled is a family over bits.
type compiled struct {
	name                     string
	all, any, unless, excuse uint64
	least, most              int
	strength, mining         trust.Strength
}

// compile registers the constants and the families.
func (ind *Indicator) compile(r Rules) error {
	if len(r.Constants) > maxConstants || len(r.Families) > maxFamilies {
		return fmt.Errorf("more than %d constants or %d families", maxConstants, maxFamilies)
	}
	ids := map[string]int{}
	for i, c := range r.Constants {
		if _, ok := ids[c.ID]; ok || c.ID == "" {
			return fmt.Errorf("constant %q: want an id of its own", c.ID)
		}
		ids[c.ID] = i
		if err := ind.constant(c, i); err != nil {
			return fmt.Errorf("constant %q: %w", c.ID, err)
		}
	}
	for _, f := range r.Families {
		c := compiled{name: f.Name, least: f.Least, most: f.Most, strength: f.Strength, mining: f.Mining}
		for _, set := range []struct {
			names []string
			bits  *uint64
		}{{f.All, &c.all}, {f.Any, &c.any}, {f.Unless, &c.unless}, {f.Excuse, &c.excuse}} {
			for _, n := range set.names {
				i, ok := ids[n]
				if !ok {
					return fmt.Errorf("family %q: no constant %q", f.Name, n)
				}
				*set.bits |= 1 << i
			}
		}
		if f.Name == "" || c.all == 0 && (f.Least < 1 || f.Least > len(f.Any)) || f.Mining < f.Strength {
			return fmt.Errorf("family %q: want a name, constants, how many of them, and no less for miners", f.Name)
		}
		ind.families = append(ind.families, c)
		if f.Name == r.Salt {
			ind.salts |= c.any
		}
	}
	return nil
}

// constant registers one constant in every form.
func (ind *Indicator) constant(c Constant, id int) error {
	forms := 0
	for _, set := range []bool{c.Bytes != "", c.Text != "", c.Letters != "", c.Sizes != nil} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		return fmt.Errorf("want one of bytes, text, letters and sizes")
	}
	switch {
	case c.Bytes != "":
		return ind.bytes(c, id)
	case c.Text != "":
		if len(c.Text) < minLiteral {
			return fmt.Errorf("text is shorter than %d bytes", minLiteral)
		}
		ind.literal(indicator.Literal{Text: c.Text}, literal{class: phrase, id: id})
	case c.Letters != "":
		if len(c.Letters) < minLiteral {
			return fmt.Errorf("fewer than %d letters", minLiteral)
		}
		ind.literal(indicator.Literal{Text: spread32([]byte(c.Letters))}, literal{class: constant, id: id})
	default:
		return ind.sizes(*c.Sizes, id)
	}
	return nil
}

// spread32 writes every byte as a little-endian number of 32 bits.
func spread32(b []byte) string {
	var out []byte
	for _, c := range b {
		out = binary.LittleEndian.AppendUint32(out, uint32(c))
	}
	return string(out)
}

func (ind *Indicator) bytes(c Constant, id int) error {
	b, err := hex.DecodeString(c.Bytes)
	if err != nil || len(b) < 8 || len(b) > 64 || c.Word != 0 && c.Word != 4 && c.Word != 8 {
		return fmt.Errorf("want 8 to 64 hexadecimal bytes and words of 4 or 8")
	}
	ind.literal(indicator.Literal{Text: string(b)}, literal{class: constant, id: id})
	if c.Word == 0 {
		return nil
	}
	word := slices.Clone(b[:c.Word])
	ind.literal(indicator.Literal{Text: fmt.Sprintf("0x%x", word), Fold: true}, literal{class: spelled, id: id})
	slices.Reverse(word)
	ind.literal(indicator.Literal{Text: fmt.Sprintf("0x%x", word), Fold: true}, literal{class: spelled, id: id})
	return nil
}

// sizes registers the first two sizes of a table, as numbers of 64 and of 32 bits and as text.
func (ind *Indicator) sizes(s Sizes, id int) error {
	if s.Unit < 1 || s.Growth < 4*s.Unit || s.First < 1<<20 || s.First+s.Growth > 1<<32-1 {
		return fmt.Errorf("sizes must have a unit, grow, and fit 32 bits")
	}
	one, two := s.at(0), s.at(1)
	b := binary.LittleEndian.AppendUint64(nil, uint64(one)) //nolint:gosec // positive
	ind.literal(indicator.Literal{Text: string(binary.LittleEndian.AppendUint64(b, uint64(two)))}, literal{class: constant, id: id})
	ind.literal(indicator.Literal{Text: string(binary.LittleEndian.AppendUint32(b[:4:4], uint32(two)))}, literal{class: constant, id: id}) //nolint:gosec // checked above
	ind.literal(indicator.Literal{Text: fmt.Sprint(one)}, literal{class: sizes, id: id, next: fmt.Sprint(two)})
	return nil
}

// at is the size in an epoch, in bytes (Ethash specification, appendix: data sizes).
func (s Sizes) at(epoch int64) int64 {
	size := s.First + s.Growth*epoch - s.Unit
	for !isPrime(size / s.Unit) {
		size -= 2 * s.Unit
	}
	return size
}

func isPrime(n int64) bool {
	if n < 4 || n%2 == 0 {
		return n == 2 || n == 3
	}
	for d := int64(3); d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// weigh says what a family weighs in a file that holds the constants seen, and whether it is there at all.
func (c compiled) weigh(seen uint64, mining bool) (now, ifRun trust.Strength, there bool) {
	if seen&c.all != c.all || bits.OnesCount64(seen&c.any) < c.least {
		return 0, 0, false
	}
	now = c.strength
	switch {
	case mining:
		now = c.mining
	case bits.OnesCount64(seen&c.unless) > c.most && c.unless != 0:
		return 0, 0, false
	case seen&c.excuse != 0:
		return trust.Context, now, true
	}
	return now, trust.Context, true
}
