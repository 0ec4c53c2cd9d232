package yara

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// samples are harmless files, always the same: texts, noise, headers, and what is needed at the edges of blocks.
func samples() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, at := range []int{0, 32<<10 - 3, 40 << 10, 64<<10 - 2, 100_000, 199_990} {
		copy(noise[at:], "Alpha-Beta")
	}
	edges := []byte(strings.Repeat(".", 90_000))
	for i := 0; i+20 < len(edges); i += 4091 {
		copy(edges[i:], "start middle end\n")
	}
	words := []byte("The quick brown fox_jumps over the lazy dog. foobar foo bar FOOBAR FooBar fo0 foo1\n" +
		"alpha beta gamma alpha-beta ALPHA\r\n\tx=1 yy==22 zzz===333 aaaaaaaa abababab abcabcabc abd\n" +
		"user@host.example http://a.example/path?q=1 10.0.0.1 0xDEADbeef {brace} [bracket] a+b*c\n" +
		"foofoofoo barbarbar\x00\x01\x02foo\xff\xfefoo tail foo")
	return map[string][]byte{
		"empty": {},
		"one":   []byte("f"),
		"words": words,
		"wide":  bytes.Join([][]byte{wide("alpha foobar FooBar x"), wide("foo bar"), []byte("alpha"), wide("foobarfoo")}, []byte("\x01\x02")),
		"odd":   append([]byte{1}, wide("foobar alpha beta")...),
		"noise": noise,
		"edges": edges,
		"zeros": append(make([]byte, 3000), "foobar"...),
		"xored": xored("the foobar key alpha"),
		"b64": []byte(base64.StdEncoding.EncodeToString([]byte("say foobar now")) + "\n" +
			base64.StdEncoding.EncodeToString([]byte("xalpha foobar")) + "\n" + base64.StdEncoding.EncodeToString([]byte("xxalpha!")) + "\n" +
			string(wide(base64.StdEncoding.EncodeToString([]byte("foobar")))) + base64.StdEncoding.EncodeToString(wide("alpha"))),
		"hex":    []byte("\x7f\x01\x02\x03\x04\x05\x06\xaa\xbb\xcc\xdd\xee\xff\x10\x20\x30\x48\x8b\x05\x11\x22\x33\x44\xe8\x48\x8d\x05\x90\x90\x90\xaa\xbb\x00\xcc\xaa\xbb\x00\x00\xcc\x0a\x0d\xaa\xbb\x0a\xcc\xdd"),
		"elf64":  elf64(),
		"elf32":  elf32(),
		"pe":     pe(),
		"almost": []byte("\x7fELF\x02\x01"),
	}
}

func wide(s string) []byte {
	var out []byte
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}

func xored(s string) []byte {
	var out []byte
	for key := range 256 {
		if key%7 == 0 {
			for i := range len(s) {
				out = append(out, s[i]^byte(key))
			}
			out = append(out, '|', '|')
		}
	}
	return out
}

// elf64 has one loaded segment and three sections; its code is a single instruction that stops.
func elf64() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x400)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[0x10:], 2)
	le.PutUint16(b[0x12:], 62)
	le.PutUint32(b[0x14:], 1)
	le.PutUint64(b[0x18:], 0x401080)
	le.PutUint64(b[0x20:], 0x40)
	le.PutUint64(b[0x28:], 0x200)
	for at, v := range map[int]uint16{0x34: 64, 0x36: 56, 0x38: 1, 0x3a: 64, 0x3c: 3, 0x3e: 0} {
		le.PutUint16(b[at:], v)
	}
	p := b[0x40:]
	le.PutUint32(p, 1)
	le.PutUint32(p[4:], 5)
	le.PutUint64(p[8:], 0)
	le.PutUint64(p[16:], 0x401000)
	le.PutUint64(p[24:], 0x401000)
	le.PutUint64(p[32:], 0x180)
	le.PutUint64(p[40:], 0x180)
	s := b[0x240:] // .text
	le.PutUint32(s[4:], 1)
	le.PutUint64(s[8:], 6)
	le.PutUint64(s[16:], 0x401080)
	le.PutUint64(s[24:], 0x80)
	le.PutUint64(s[32:], 0x100)
	copy(b[0x80:], "\xf4\xeb\xfefoobar")
	return b
}

func elf32() []byte {
	be := binary.BigEndian
	b := make([]byte, 0x300)
	copy(b, "\x7fELF\x01\x02\x01")
	be.PutUint16(b[0x10:], 2)
	be.PutUint16(b[0x12:], 8)
	be.PutUint32(b[0x14:], 1)
	be.PutUint32(b[0x18:], 0x10090)
	be.PutUint32(b[0x1c:], 0x34)
	be.PutUint32(b[0x20:], 0x200)
	for at, v := range map[int]uint16{0x28: 52, 0x2a: 32, 0x2c: 1, 0x2e: 40, 0x30: 2, 0x32: 0} {
		be.PutUint16(b[at:], v)
	}
	p := b[0x34:]
	be.PutUint32(p, 1)
	be.PutUint32(p[4:], 0)
	be.PutUint32(p[8:], 0x10000)
	be.PutUint32(p[12:], 0x10000)
	be.PutUint32(p[16:], 0x180)
	be.PutUint32(p[20:], 0x180)
	s := b[0x228:]
	be.PutUint32(s[4:], 1)
	be.PutUint32(s[8:], 6)
	be.PutUint32(s[12:], 0x10090)
	be.PutUint32(s[16:], 0x90)
	be.PutUint32(s[20:], 0x80)
	copy(b[0x90:], "\x00\x00\x00\x00................foobar")
	return b
}

// pe is a header and a section that holds nothing to run.
func pe() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x400)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00\x4c\x01\x01\x00")
	le.PutUint16(b[0x80+20:], 0xe0)
	o := b[0x80+24:]
	le.PutUint16(o, 0x10b)
	le.PutUint32(o[16:], 0x1010)
	le.PutUint32(o[32:], 0x1000)
	le.PutUint32(o[36:], 0x200)
	s := b[0x80+24+0xe0:]
	copy(s, ".text")
	le.PutUint32(s[8:], 0x200)
	le.PutUint32(s[12:], 0x1000)
	le.PutUint32(s[16:], 0x200)
	le.PutUint32(s[20:], 0x200)
	copy(b[0x210:], "\xf4foobar")
	return b
}

// snippets cover every construct: strings and a condition, or whole rules.
func snippets() []string {
	return []string{
		// Texts.
		`$a = "foobar"`,
		`$a = "foobar" nocase`,
		`$a = "foobar" wide`,
		`$a = "foobar" ascii wide nocase`,
		`$a = "foo" fullword`,
		`$a = "foo" wide ascii fullword`,
		`$a = "foobar" wide fullword nocase`,
		`$a = "fo"`,
		`$a = "fo" nocase`,
		`$a = "foobar" xor`,
		`$a = "foobar" xor(1-20)`,
		`$a = "alpha" xor(0x07-0x0e) wide`,
		`$a = "foobar" xor(14)`,
		`$a = "foobar" base64`,
		`$a = "alpha" base64 base64wide`,
		`$a = "alpha" wide base64`,
		`$a = "foobar" base64wide`,
		`$a = "foobar" base64("ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210+/")`,
		`$a = "aaa"`,
		`$a = "abab"`,
		`$a = "quick \x62rown\x20fox\x5fjumps"`,
		`$a = "x=1\tyy" $b = "\r\n\tx" condition: #b > 0 and not $a`,
		`$ = "alpha" $ = "nothing here"`,
		`$a = "Alpha-Beta" condition: #a == 6 and @a[2] == 32765 and @a[6] == 199990`,
		`$a = "start middle end"`,
		// Hex strings.
		`$a = { AA BB CC }`,
		`$a = { AA BB ?? CC }`,
		`$a = { AA BB [1-2] CC }`,
		`$a = { AA BB [0-4] CC DD }`,
		`$a = { 48 8? 05 }`,
		`$a = { 48 ?D 05 [3] ?A }`,
		`$a = { 48 8B 05 ?? ?? ?? ?? E8 }`,
		`$a = { ( AA BB | 48 8D ) ( 00 | 05 | CC ) }`,
		`$a = { 7F ( 01 02 | 45 4C ( 46 | 47 ) ) [0-8] 0? }`,
		`$a = { 90 90 } $b = { 00 00 00 00 }`,
		`$a = { 66 6F 6F [0-30] 62 61 72 }`,
		`$a = { 73 74 61 72 74 [4-100] 65 6E 64 [0-10] 2E }`,
		"$a = { AA /* a comment */ BB // another\n 00 }",
		`$a = { 41 6C 70 68 61 ?? 42 65 74 61 }`,
		// Regular expressions.
		`$a = /foo(bar)?/`,
		`$a = /foo(bar)?/i`,
		`$a = /foo.{0,10}bar/`,
		`$a = /foo.{0,10}?bar/`,
		`$a = /foo.*bar/`,
		`$a = /foo.*foo/s`,
		`$a = /alpha[ -]beta/ nocase`,
		`$a = /alpha/ wide`,
		`$a = /foo(bar)*/ wide ascii`,
		`$a = /foo[a-z]+/ fullword`,
		`$a = /(alpha|beta|gamma)/`,
		`$a = /(alpha|beta|gamma) (alpha|beta|gamma)/`,
		`$a = /\bfoo\b/`,
		`$a = /\Bbar/`,
		`$a = /^The/`,
		`$a = /foo$/`,
		`$a = /[0-9]+\.0\.0\.1/`,
		`$a = /http:\/\/[a-z.]+\/\w*\?q=\d/`,
		`$a = /0x[0-9a-fA-F]{8}/`,
		`$a = /(ab){2,3}/`,
		`$a = /(abc|abd)+/`,
		`$a = /a{4,6}/`,
		`$a = /a{2,}b/`,
		`$a = /z{,3}={3}3/`,
		`$a = /foo[a-z]{1,3}?/`,
		`$a = /foo[a-z ]{0,9}?bar/`,
		`$a = /foo(b|ba|bar)/`,
		`$a = /foo(bar|b)(oo|a)?/`,
		`$a = /foo(\w+ )?[a-z]*b/`,
		`$a = /foo(\w+? )??[a-z]*?b/`,
		`$a = /fo+\w*r/`,
		`$a = /[^a-z]oo[^ ]/`,
		`$a = /\{brace\} \[bracket\]/`,
		`$a = /x\x3d1\s+yy/`,
		`$a = /fo[o0]\s/i`,
		`$a = /a(b|c|d)*abc/`,
		`$a = /[\w.]+@host/`,
		`$a = /start[\s\S]{1,5}middle/`,
		`$a = /foo(bar|baz|)/`,
		`$a = /(foo|bar){2}/`,
		`$a = /foo\S*?\s/`,
		`$a = /Alpha-B(e|t|a){3}/`,
		`$a = /[ab]{8}/`,
		// Conditions.
		`$a = "foo" condition: #a > 2`,
		`$a = "foo" $b = "alpha" condition: $a and $b`,
		`$a = "foo" $b = "alpha" condition: $a and not $b`,
		`$a = "foo" $b = "alpha" condition: not $a and not $b`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: all of them`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: 2 of them`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: none of them`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: 0 of them`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: 50% of them`,
		`$a = "foo" $b = "alpha" $c = "quick" condition: 67% of them`,
		`$a1 = "foo" $a2 = "alpha" $c = "quick" condition: all of ($a*) and not $c`,
		`$a1 = "foo" $a2 = "alpha" $c = "quick" condition: any of ($a1, $c) or #a2 > 50`,
		`$a1 = "foo" $a2 = "alpha" $c = "quick" condition: #c of ($a*)  or #a2 == 12`,
		`$a = "foo" $b = "bar" condition: for any of them : ( # > 5 )`,
		`$a = "foo" $b = "bar" condition: for all of them : ( $ in (0..200) )`,
		`$a = "foo" $b = "bar" condition: for 1 of them : ( @ < 30 and @[2] > 30 )`,
		`$a = "foo" $b = "bar" condition: for none of them : ( $ at 83 )`,
		`$a = "foo" condition: for all i in (1..#a) : ( @a[i] < 300 )`,
		`$a = "foo" condition: for any i in (1..#a) : ( @a[i] + 3 == @a[i+1] )`,
		`$a = "foo" condition: for 3 i in (1..#a) : ( uint8(@a[i] + 3) == 0x20 )`,
		`$a = "foo" condition: for any i in (0, 1, 5) : ( uint8(i) == 0x46 or $a at i )`,
		`$a = "foo" condition: for none i in (1..#a) : ( @a[i] == 0 )`,
		`$a = "foo" condition: for all i in (5..1) : ( i == 3 ) or #a > 100`,
		`$a = "MZ" condition: $a at 0`,
		`$a = "foobar" condition: $a at entrypoint + 1`,
		`$a = "foobar" condition: $a in (entrypoint..entrypoint + 10)`,
		`$a = "foobar" condition: $a in (0..100)`,
		`$a = "foobar" condition: #a in (0..100) == 1`,
		`$a = "foobar" $b = "alpha" condition: any of them in (0..60)`,
		`$a = /foo\w*/ condition: !a[1] > 3 or !a == 6`,
		`$a = "foo" condition: @a == 1`,
		`condition: filesize < 100`,
		`condition: filesize > 64KB and filesize < 1MB`,
		`condition: uint16(0) == 0x5A4D and uint32(uint32(0x3c)) == 0x00004550`,
		`condition: uint32be(0) == 0x7f454c46`,
		`condition: uint8(filesize - 1) == 0x6f`,
		`condition: int8(0) < 0 or int16(2) < 0 or int32(4) == 1 or int16be(0) == 0x666f`,
		`condition: uint8(filesize) == 0 or uint8(filesize) != 0`,
		`condition: not uint8(filesize) == 0`,
		`condition: not (uint8(filesize) == 0 and true)`,
		`condition: uint8(filesize) == 0 or true`,
		`condition: defined uint8(10) and not defined uint8(100)`,
		`condition: 1 + 2 * 3 == 7 and 7 \ 2 == 3 and 7 % 4 == 3 and (1 << 4 | 1) == 17 and 6 & 3 == 2 and 5 ^ 1 == 4`,
		`condition: -1 < 0 and ~0 == -1 and 0x10 == 16 and 0o17 == 15 and 1KB == 1024 and 2 - -2 == 4 and 1 >> 1 == 0`,
		`condition: 1 \ (filesize - filesize) == 0 or filesize == 6`,
		`condition: 1 << 64 == 0 and 8 >> 2 == 2`,
		`condition: 1.5 * 2 == 3.0 and 1.5 > 1 and 3 \ 2.0 == 1.5`,
		`condition: true and not false or false`,
		`condition: false or true and false`,
		`condition: not true or true`,
		`condition: not 1 == 2`,
		`condition: "abc" contains "b" and "ABC" icontains "bc" and "abc" startswith "a" and "abc" endswith "bc" and "abc" iequals "ABC"`,
		`condition: "abc" matches /a.c/ and not "abc" matches /x/`,
		`condition: "abc" == "abc" and "abc" != "abd" and "a" < "b"`,
		`condition: filesize`,
		// Several rules.
		`rule a { strings: $a = "foo" condition: $a } rule b { condition: a and filesize > 100 } rule c { condition: not a }`,
		`private rule a { strings: $a = "foo" condition: $a } rule b : tag1 tag2 { meta: x = "y" n = -1 t = true condition: a }`,
		`global rule g { condition: filesize < 2KB } rule b { strings: $a = "foobar" condition: $a }`,
		`global private rule g { strings: $a = "foobar" condition: $a } rule b { condition: true }`,
		`rule a1 { strings: $a = "foo" condition: $a } rule a2 { strings: $a = "alpha" condition: $a } rule b { condition: all of (a*) } rule c { condition: 1 of (a1, a2) } rule d { condition: none of (a*) }`,
		`rule a { strings: $a = "foo" private $b = "alpha" condition: $a or $b }`,
		// Modules.
		`import "elf" rule a { condition: elf.type == elf.ET_EXEC and elf.machine == elf.EM_X86_64 and elf.number_of_sections == 3 and elf.number_of_segments == 1 and elf.entry_point == 0x80 }`,
		`import "elf" rule a { condition: elf.machine == elf.EM_MIPS and elf.entry_point == 0x90 } rule b { condition: not elf.machine == 62 }`,
		`import "math" rule a { condition: math.entropy(0, filesize) > 7 } rule b { condition: math.entropy(0, filesize) < 1.0 }`,
		`import "hash" rule a { condition: hash.md5(0, filesize) == "d41d8cd98f00b204e9800998ecf8427e" } rule b { condition: not hash.sha1(0, filesize) == "" }`,
		`import "hash" rule a { condition: hash.md5(0, filesize) == "8fa14cdd754f91cc6554c9e71929cce7" or hash.sha1(0, filesize) == "4a0a19218e082a343a1b17e5333409af9d98f0f5" or hash.sha256(0, filesize) startswith "25" }`,
	}
}

// randomSnippets are strings that nobody would think of, always the same.
func randomSnippets(n int) []string {
	rng := rand.New(rand.NewPCG(5, 6))
	var out []string
	for range n {
		var b strings.Builder
		for i := range 10 {
			name := string(rune('a' + i))
			if rng.IntN(3) == 0 {
				b.WriteString("$" + name + " = { " + randomHex(rng, 2) + "}\n\t\t")
			} else {
				modifier := []string{"", "", " nocase", " wide", " wide ascii", " fullword", " wide ascii nocase fullword"}[rng.IntN(7)]
				b.WriteString("$" + name + " = /" + randomRegex(rng, 2, rng.IntN(2) == 0) + "/" + []string{"", "i", "s"}[rng.IntN(3)] + modifier + "\n\t\t")
			}
		}
		out = append(out, b.String())
	}
	return out
}

// randomHex has a literal in the middle, so that it is never refused.
func randomHex(rng *rand.Rand, depth int) string {
	part := func() string {
		var b strings.Builder
		for range rng.IntN(4) {
			switch rng.IntN(8) {
			case 0:
				b.WriteString("?? ")
			case 1:
				b.WriteString([]string{"6? ", "?F ", "0? "}[rng.IntN(3)])
			case 2:
				if depth > 0 && b.Len() > 0 {
					b.WriteString("( " + randomHex(rng, depth-1) + "| " + randomHex(rng, depth-1) + ") ")
				}
			case 3:
				if b.Len() > 0 {
					low := rng.IntN(3)
					b.WriteString([]string{"[3] 6F ", "[0-4] 62 ", "[" + string(rune('0'+low)) + "-" + string(rune('4'+low)) + "] 72 "}[rng.IntN(3)])
				}
			default:
				b.WriteString([]string{"66 ", "6F ", "61 ", "62 ", "20 ", "72 ", "00 "}[rng.IntN(7)])
			}
		}
		return b.String()
	}
	return part() + []string{"66 6F 6F ", "62 61 72 ", "61 6C 70 68 ", "6F 6F ", "65 00 67 "}[rng.IntN(5)] + part()
}

// randomRegex has greedy quantifiers or lazy ones, never both.
func randomRegex(rng *rand.Rand, depth int, greedy bool) string {
	mark := ""
	if !greedy {
		mark = "?"
	}
	part := func() string {
		var b strings.Builder
		for range rng.IntN(4) {
			atom := []string{"a", "b", "o", "[a-c]", "[^o]", ".", `\w`, `\s`, "(oo|b|ba)", "r", " ", `[\w ]`}[rng.IntN(12)]
			if depth > 0 && rng.IntN(5) == 0 {
				atom = "(" + randomRegex(rng, depth-1, greedy) + "|" + randomRegex(rng, depth-1, greedy) + ")"
			}
			b.WriteString(atom)
			if q := rng.IntN(12); q < 6 {
				b.WriteString([]string{"*", "+", "?", "{2}", "{1,3}", "{0,5}"}[q] + mark)
			} else if q == 6 {
				b.WriteString(`\b`)
			}
		}
		return b.String()
	}
	return part() + []string{"foo", "bar", "alph", "obar", "eta ", "abc"}[rng.IntN(6)] + part()
}
