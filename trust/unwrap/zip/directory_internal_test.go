package zip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestExtents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		add  []extent
		want []extent // what is between, of 1000 bytes
	}{
		"none":               {nil, []extent{{0, 1000}}},
		"all":                {[]extent{{0, 1000}}, nil},
		"descriptors":        {[]extent{{0, 100}, {116, 300}, {324, 1000}}, nil},
		"a gap":              {[]extent{{0, 100}, {300, 1000}}, []extent{{100, 300}}},
		"a short gap":        {[]extent{{0, 100}, {129, 1000}}, nil},
		"a gap for a header": {[]extent{{0, 100}, {130, 1000}}, []extent{{100, 130}}},
		"in disorder":        {[]extent{{500, 600}, {100, 200}, {150, 550}, {0, 50}}, []extent{{50, 100}, {600, 1000}}},
		"within":             {[]extent{{0, 900}, {100, 200}}, []extent{{900, 1000}}},
		"beyond the end":     {[]extent{{0, 100}, {900, 2000}}, []extent{{100, 900}}},
	} {
		e := extents{limit: 100, hold: unwraptest.Plenty{}.Hold}
		for _, x := range c.add {
			if err := e.add(x.from, x.to); err != nil {
				t.Fatal(err)
			}
		}
		var got []extent
		if err := e.between(1000, func(from, to int64) error {
			got = append(got, extent{from, to})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(extent{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	e := extents{limit: 10, hold: unwraptest.Plenty{}.Hold}
	for _, x := range []extent{{100, 200}, {500, 600}} {
		if err := e.add(x.from, x.to); err != nil {
			t.Fatal(err)
		}
	}
	for at, want := range map[int64]bool{99: false, 100: true, 199: true, 200: false, 550: true, 700: false} {
		if e.has(at) != want {
			t.Errorf("%d: %v", at, !want)
		}
	}
}

// field is an extra field.
func field(id uint16, b string) string {
	h := binary.LittleEndian.AppendUint16(nil, id)
	return string(binary.LittleEndian.AppendUint16(h, uint16(len(b)))) + b
}

func TestExtra(t *testing.T) {
	t.Parallel()
	number := func(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }
	aes := "\x02\x00AE\x03\x08\x00"
	for name, c := range map[string]struct {
		extra     string
		in, want  header
		directory bool
	}{
		"nothing":               {"", header{size: large}, header{size: large}, true},
		"all three":             {field(1, number(7)+number(8)+number(9)), header{size: large, packed: large, offset: large}, header{size: 7, packed: 8, offset: 9}, true},
		"only the offset":       {field(1, number(9)), header{size: 1, packed: 2, offset: large}, header{size: 1, packed: 2, offset: 9}, true},
		"not in a local one":    {field(1, number(7)), header{offset: large}, header{offset: large}, false},
		"too short":             {field(1, "1234"), header{size: large}, header{size: large}, true},
		"behind others":         {field(0x5455, "time") + field(1, number(7)), header{size: large}, header{size: 7}, true},
		"cut":                   {field(1, number(7))[:8], header{size: large}, header{size: large}, true},
		"aes":                   {field(0x9901, aes), header{method: 99, flags: 1}, header{method: 8, flags: 1, vendor: 2, strength: 3}, true},
		"aes without flag":      {field(0x9901, aes), header{method: 99}, header{method: 8, flags: 1, vendor: 2, strength: 3}, true},
		"aes of another method": {field(0x9901, aes), header{method: 8}, header{method: 8}, true},
	} {
		h := c.in
		h.extra([]byte(c.extra), c.directory)
		if diff := cmp.Diff(c.want, h, cmp.AllowUnexported(header{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDisagrees(t *testing.T) {
	t.Parallel()
	record := header{name: "a", method: 8, packed: 10}
	for name, c := range map[string]struct {
		local header
		want  bool
	}{
		"same":               {header{name: "a", method: 8, packed: 10}, false},
		"sizes behind":       {header{name: "a", method: 8, flags: descriptor}, false},
		"sizes of 64 bits":   {header{name: "a", method: 8, packed: large}, false},
		"another time":       {header{name: "a", method: 8, packed: 10, time: 7, crc: 9}, false},
		"another size":       {header{name: "a", method: 8, packed: 11}, true},
		"another method":     {header{name: "a", packed: 10}, true},
		"another name":       {header{name: "b", method: 8, packed: 10}, true},
		"another encryption": {header{name: "a", method: 8, packed: 10, strength: 1}, true},
	} {
		if got := c.local.disagrees(record); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPlausible(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		h    header
		want bool
	}{
		{header{name: "a"}, true},
		{header{name: "a", method: methodZstd}, true},
		{header{name: "a", method: 7}, false},
		{header{}, false},
		{header{name: "a\x00b"}, false},
		{header{name: strings.Repeat("n", maxHiddenName)}, true},
		{header{name: strings.Repeat("n", maxHiddenName+1)}, false},
	} {
		if got := c.h.plausible(); got != c.want {
			t.Errorf("%+v: %v", c.h, got)
		}
	}
}

func TestStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at, size, offset int64
		want             []start
	}{
		"ordinary":          {100, 40, 60, []start{{60, 0}}},
		"behind a program":  {1100, 40, 60, []start{{1060, 1000}, {60, 0}}},
		"gap before":        {150, 40, 60, []start{{110, 50}, {60, 0}}},
		"size is wrong":     {100, 400, 60, []start{{60, 0}}},
		"offset is too big": {100, 40, 90, []start{{90, 0}}},
		"negative":          {100, -1, 60, nil},
	} {
		var e end
		e.starts(c.at, c.size, c.offset)
		if diff := cmp.Diff(c.want, e.from, cmp.AllowUnexported(start{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestEndsAreBounded: a tail full of ends is followed a few times.
func TestEndsAreBounded(t *testing.T) {
	t.Parallel()
	b := bytes.Repeat([]byte(endMagic+strings.Repeat("\x00", 18)), 1000)
	a := &archive{at: stream.NewSpool(bytes.NewReader(b)), size: int64(len(b))}
	ends, err := a.ends()
	if err != nil || len(ends) != maxEnds || ends[0].at != int64(len(b)-endBytes) {
		t.Errorf("%d ends, %v", len(ends), err)
	}
}

// TestTraditionalEncryption decrypts what the same keys encrypted.
func TestTraditionalEncryption(t *testing.T) {
	t.Parallel()
	const check = 0x5a
	plain := append(bytes.Repeat([]byte{1}, traditionalBytes-1), check)
	plain = append(plain, "what is hidden"...)
	packed := bytes.Clone(plain)
	e := &traditional{keys: [3]uint32{0x12345678, 0x23456789, 0x34567890}}
	for _, c := range []byte("secret") {
		e.update(c)
	}
	for i, c := range plain {
		x := uint16(e.keys[2]) | 2
		packed[i] = c ^ byte(uint32(x)*uint32(x^1)>>8)
		e.update(c)
	}
	r := newTraditional(bytes.NewReader(packed), "secret", check)
	if r == nil {
		t.Fatal("the password is not taken")
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "what is hidden" {
		t.Errorf("%q, %v", got, err)
	}
	if newTraditional(bytes.NewReader(packed), "secret", check+1) != nil || newTraditional(strings.NewReader("short"), "secret", check) != nil {
		t.Error("what cannot be right is taken")
	}
}

func TestShortAES(t *testing.T) {
	t.Parallel()
	a := &archive{in: &spender{left: 1 << 40}, at: stream.NewSpool(strings.NewReader(""))}
	part := func() io.Reader { return strings.NewReader("") }
	for _, h := range []header{{strength: 4}, {strength: 1}, {strength: 3}} {
		if _, err := a.openAES(h, part, 19, "p"); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%d: %v", h.strength, err)
		}
	}
}
