package packed

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func shipped(t testing.TB) *Indicator {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	ind, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

// program describes an ELF file to write; its parts are inert.
type program struct {
	kind     uint16
	flags    uint32 // of the segment
	sections bool
	interp   bool
	grows    bool
	far      bool // program headers at the end
	small    bool // 32 bits, big-endian
	mark     string
	body     []byte
	end      string
}

func (p program) bytes() string {
	if p.small {
		return p.bytes32()
	}
	number, at := uint16(1), uint64(64)
	if p.interp {
		number = 2
	}
	if p.far {
		at = 64 + uint64(len(p.body))
	}
	bodyAt := 64 + 56*int(number) + len(p.mark)
	memory := uint64(bodyAt + len(p.body))
	if p.grows {
		memory = memory*8 + 1<<20
	}
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le := func(v ...any) {
		for _, x := range v {
			_ = binary.Write(&b, binary.LittleEndian, x)
		}
	}
	section, shnum := uint64(0), uint16(0)
	if p.sections {
		section, shnum = 64, 5
	}
	le(p.kind, uint16(62), uint32(1), uint64(0x400000+bodyAt), at, section, uint32(0), uint16(64), uint16(56), number, uint16(64), shnum, uint16(0))
	headers := func() {
		if p.interp {
			le(uint32(segmentInterp), uint32(4), uint64(0), uint64(0x400000), uint64(0), uint64(16), uint64(16), uint64(1))
		}
		le(uint32(segmentLoad), p.flags, uint64(0), uint64(0x400000), uint64(0), uint64(bodyAt+len(p.body)), memory, uint64(0x1000))
	}
	if !p.far {
		headers()
	}
	b.WriteString(p.mark)
	b.Write(p.body)
	if p.far {
		headers()
	}
	b.WriteString(p.end)
	return b.String()
}

func (p program) bytes32() string {
	bodyAt := 52 + 32
	var b bytes.Buffer
	b.WriteString("\x7fELF\x01\x02\x01" + strings.Repeat("\x00", 9))
	be := func(v ...any) {
		for _, x := range v {
			_ = binary.Write(&b, binary.BigEndian, x)
		}
	}
	be(p.kind, uint16(8), uint32(1), uint32(0x400000+bodyAt), uint32(52), uint32(0), uint32(0), uint16(52), uint16(32), uint16(1), uint16(40), uint16(0), uint16(0))
	be(uint32(segmentLoad), uint32(0), uint32(0x400000), uint32(0), uint32(bodyAt+len(p.body)), uint32(bodyAt+len(p.body)), p.flags, uint32(0x1000))
	b.Write(p.body)
	return b.String()
}

func noise(n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{9}).Read(out)
	return out
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	const r, w, x = 4, flagWrite, flagExec
	exe := trust.KindExecutable
	code := bytes.Repeat([]byte("\x48\x89\xe5\x48\x83\xec\x20\x89\x7d\xfc\x8b\x45\xfc\x00\x00\x00"), 4096)
	random := noise(200_000)
	mark := "\x00\x01\x02\x03UPX!\x0d\x00\x0e\x16\x00\x00\x00\x00"
	sample := func(name string, p program, ifRun trust.Strength) indicatortest.Sample {
		if p.kind == 0 {
			p.kind = typeExec
		}
		return indicatortest.Sample{Name: name, Path: "usr/bin/x", Kind: exe, Content: p.bytes(), Want: trust.Context, IfRun: ifRun, Whole: true}
	}
	twin := func(name string, p program) indicatortest.Sample { return sample(name, p, 0) }
	samples := []indicatortest.Sample{
		sample("unknown-packer", program{flags: r | w | x, body: random, grows: true}, trust.Strong),
		sample("unknown-packer-read-only-code", program{flags: r | x, body: random}, trust.Strong),
		sample("packed-library", program{kind: typeDyn, flags: r | x, body: random}, trust.Strong),
		sample("sections-kept", program{flags: r | w | x, body: random, sections: true, interp: true}, trust.Strong),
		sample("32-bits", program{flags: r | w | x, body: random, small: true}, trust.Strong),
		sample("mark-taken-off-one-end", program{flags: r | x, body: random, mark: mark}, trust.Strong),
		sample("upx", program{flags: r | w | x, body: random, mark: mark, end: strings.Repeat("\x00", 20) + "UPX!" + strings.Repeat("\x00", 32)}, trust.Weak),
		sample("little-loader", program{flags: r | w | x, body: code[:64]}, trust.Weak),
		sample("headers-far-away", program{flags: r | x, body: random, far: true}, trust.Weak),
	}
	var twins []indicatortest.Twin
	for _, s := range []indicatortest.Sample{
		twin("static-program", program{flags: r | x, body: code, sections: true}),
		twin("static-without-sections", program{flags: r | x, body: code}),
		twin("executable-stack-code", program{flags: r | w | x, body: code, sections: true, interp: true}),
		twin("embedded-archive", program{flags: r | x, body: random, sections: true}),
		twin("object", program{kind: 1, flags: r | w | x, body: random}),
		twin("core", program{kind: 4, flags: r | w | x, body: random}),
	} {
		twins = append(twins, indicatortest.Twin{Name: s.Name, Path: s.Path, Kind: s.Kind, Content: s.Content, Whole: true})
	}
	twins = append(
		twins,
		indicatortest.Twin{Name: "webassembly", Path: "x.wasm", Kind: exe, Content: "\x00asm" + string(random)},
		indicatortest.Twin{Name: "magic-alone", Path: "x", Kind: exe, Content: "\x7fELF", Whole: true},
		indicatortest.Twin{Name: "words-about-it", Path: "x", Kind: trust.KindText, Content: "UPX! is a packer"},
	)
	indicatortest.Run(t, shipped(t), samples, twins)
	for _, twin := range twins {
		found := indicatortest.Inspect(shipped(t), indicator.File{Path: twin.Path, Kind: twin.Kind}, []byte(twin.Content), indicatortest.Drive{})
		if len(found) > 0 {
			t.Errorf("%s: %+v", twin.Name, found)
		}
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	p := program{kind: typeExec, flags: flagExec | flagWrite, body: noise(50_000)}
	found := indicatortest.Inspect(shipped(t), indicator.File{Path: "x", Kind: trust.KindExecutable}, []byte(p.bytes()), indicatortest.Drive{})
	if len(found) != 1 || found[0].Class != trust.ClassOpaque || !strings.Contains(found[0].Why, "no sections") {
		t.Errorf("got %+v", found)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Rules{
		"nothing":  {},
		"more":     {Entropy: 9},
		"nameless": {Entropy: 7, Marks: []Mark{{Text: "abcd"}}},
		"short":    {Entropy: 7, Marks: []Mark{{Name: "x", Text: "abc"}}},
		"long":     {Entropy: 7, Marks: []Mark{{Name: "x", Text: strings.Repeat("x", markBytes+1)}}},
	} {
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	ind := shipped(f)
	body := noise(5000)
	for _, p := range []program{{kind: typeExec, flags: 7, body: body}, {kind: typeDyn, flags: 5, body: body, small: true}, {kind: typeExec, body: body, far: true, interp: true}} {
		f.Add([]byte(p.bytes()), 100)
	}
	f.Add([]byte("\x7fELF\x02\x01"+strings.Repeat("\xff", 200)), 7)
	f.Fuzz(func(t *testing.T, content []byte, chunk int) {
		file := indicator.File{Path: "x", Kind: trust.KindExecutable}
		whole := indicatortest.Inspect(ind, file, content, indicatortest.Drive{})
		cut := indicatortest.Inspect(ind, file, content, indicatortest.Drive{Chunk: max(1, chunk%1000)})
		if len(whole) != len(cut) || len(whole) > 0 && whole[0] != cut[0] {
			t.Errorf("%+v whole, %+v cut", whole, cut)
		}
	})
}
