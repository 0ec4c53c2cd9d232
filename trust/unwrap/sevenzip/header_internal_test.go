package sevenzip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint64{
		"\x00": 0, "\x7f": 127, "\x80\x80": 128, "\xbf\xff": 1<<14 - 1, "\xc0\x00\x40": 1 << 14, "\xc1\x02\x03": 0x10302,
		"\xe1\x01\x02\x03": 0x01030201, "\xff\x01\x02\x03\x04\x05\x06\x07\x08": 0x0807060504030201, "\xfe\x01\x00\x00\x00\x00\x00\x02": 0x02000000000001,
	} {
		c := &cursor{b: []byte(in + "x")}
		if got := c.number(); got != want || c.err != nil || len(c.b) != 1 {
			t.Errorf("%x is %#x, %v, want %#x", in, got, c.err, want)
		}
		c = &cursor{b: []byte(in[:len(in)-1])}
		if c.number(); !errors.Is(c.err, trust.ErrMalformed) {
			t.Errorf("%x cut: %v", in, c.err)
		}
	}
}

func TestSizesAndCounts(t *testing.T) {
	t.Parallel()
	c := &cursor{b: []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff")}
	if c.size(); !errors.Is(c.err, trust.ErrMalformed) {
		t.Error(c.err)
	}
	c = &cursor{b: []byte("\x09")}
	if n := c.count(8); n != 0 || !errors.Is(c.err, trust.ErrLimit) {
		t.Error(n, c.err)
	}
	if c.fail("later"); !errors.Is(c.err, trust.ErrLimit) {
		t.Error("the first fault counts")
	}
	c = &cursor{b: []byte("\x08")}
	if n := c.count(8); n != 8 || c.err != nil {
		t.Error(n, c.err)
	}
}

func TestBits(t *testing.T) {
	t.Parallel()
	c := &cursor{b: []byte{0xa0, 0x80}}
	want := []bool{true, false, true, false, false, false, false, false, true}
	if diff := cmp.Diff(want, c.bits(9)); diff != "" || c.err != nil {
		t.Error(diff, c.err)
	}
	if got := c.bits(1); len(got) != 0 || c.err == nil {
		t.Error(got, c.err)
	}
	for in, want := range map[string]string{"\x01": "[true true]", "\x00\x40": "[false true]", "\x00": "[false false]", "": "[false false]"} {
		has := (&cursor{b: []byte(in)}).defined(2)
		if got := fmt.Sprint([]bool{has(0), has(1)}); got != want {
			t.Errorf("%x: %s, want %s", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n\x00", maxName)
	l := list{
		named:      []byte("d\x00\x00\x00a\x00\x00\x00e\x00\x00\x00b\x00\xac\x20\x00\x00" + long + "\x00\x00"),
		empty:      []bool{true, false, true},
		attributes: []uint32{0x10, 0x81ed8000, 0, 0x20},
	}
	n := l.names()
	var got []string
	for range 4 {
		name, mode := n.next()
		if len(name) > 10 {
			name = fmt.Sprint(len(name))
		}
		got = append(got, fmt.Sprintf("%s %o", name, mode))
	}
	if diff := cmp.Diff([]string{"a 755", "b€ 0", fmt.Sprint(maxName/2, " 0"), " 0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestSubstreams divides folders into files.
func TestSubstreams(t *testing.T) {
	t.Parallel()
	two := func() *streams {
		return &streams{folders: []folder{{sizes: []int64{10}, sum: 7, hasSum: true}, {sizes: []int64{20}}}}
	}
	for name, c := range map[string]struct {
		in   string
		want [][]content
		err  error
	}{
		"as folders": {"\x00", [][]content{{{size: 10}}, {{size: 20}}}, nil},
		"sums":       {"\x0a\x01\x09\x00\x00\x00\x00", [][]content{{{10, 7, true}}, {{20, 9, true}}}, nil},
		"counts":     {"\x0d\x02\x01\x09\x03\x00", [][]content{{{size: 3}, {size: 7}}, {{size: 20}}}, nil},
		"all": {"\x0d\x02\x02\x09\x03\x04\x0a\x00\x50\x01\x00\x00\x00\x02\x00\x00\x00\x00",
			[][]content{{{size: 3}, {7, 1, true}}, {{size: 4}, {16, 2, true}}}, nil},
		"none":      {"\x0d\x00\x01\x00", [][]content{{}, {{size: 20}}}, nil},
		"too large": {"\x0d\x02\x01\x09\x0b\x00", nil, trust.ErrMalformed},
		"too many":  {"\x0d\x01\xe0\x00\x00\x10\x00", nil, trust.ErrLimit},
		"unknown":   {"\x42", nil, trust.ErrMalformed},
	} {
		s, cur := two(), &cursor{b: []byte(c.in)}
		cur.substreams(s)
		if !errors.Is(cur.err, c.err) {
			t.Errorf("%s: %v, want %v", name, cur.err, c.err)
		}
		if c.err != nil {
			continue
		}
		var got [][]content
		for _, f := range s.folders {
			got = append(got, f.files)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(content{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	bcj2 := "\x04" + "\x14\x03\x03\x01\x1b\x04\x01" + "\x01\x00" + "\x01\x00" + "\x01\x00" + "\x00\x01" + "\x01\x02" + "\x02\x03" + "\x04\x05\x06\x03"
	for name, c := range map[string]struct {
		in     string
		packed []int
		main   int
		err    error
	}{
		"one":           {"\x01\x01\x00", []int{0}, 0, nil},
		"chain":         {"\x02\x01\x00\x21\x21\x01\x10\x00\x01", []int{1}, 0, nil},
		"bcj2":          {bcj2, []int{4, 5, 6, 3}, 0, nil},
		"no coders":     {"\x00", nil, 0, trust.ErrMalformed},
		"many inputs":   {"\x01\x11\x00\x05\x01", nil, 0, trust.ErrMalformed},
		"two outputs":   {"\x01\x11\x00\x01\x02", nil, 0, trust.ErrMalformed},
		"no inputs":     {"\x01\x11\x00\x00\x01", nil, 0, trust.ErrMalformed},
		"alternatives":  {"\x01\x81\x00", nil, 0, trust.ErrMalformed},
		"input outside": {"\x02\x01\x00\x01\x00\x02\x00", nil, 0, trust.ErrMalformed},
	} {
		cur := &cursor{b: []byte(c.in)}
		f := cur.folder()
		if !errors.Is(cur.err, c.err) {
			t.Errorf("%s: %v, want %v", name, cur.err, c.err)
		}
		if c.err == nil && (cmp.Diff(c.packed, f.packed) != "" || f.main != c.main || len(cur.b) > 0) {
			t.Errorf("%s: packed %v, main %d, %d left", name, f.packed, f.main, len(cur.b))
		}
	}
}

// purse is input with a budget.
type purse struct {
	unwraptest.Plenty
	content []byte
	words   []string
	left    int64
}

func (p *purse) Read([]byte) (int, error) { return 0, io.EOF }
func (p *purse) Content() unwrap.Content {
	return unwrap.Content{Head: p.content, Passwords: p.words, Size: int64(len(p.content))}
}
func (p *purse) Spool() (io.ReaderAt, int64, error) {
	return bytes.NewReader(p.content), int64(len(p.content)), nil
}

func (p *purse) Spend(n int64) error {
	if p.left -= n; p.left < 0 {
		return errSpent
	}
	return nil
}

var errSpent = fmt.Errorf("%w: budget", trust.ErrLimit)

// TestKeysCost: a password is hashed half a million times.
func TestKeysCost(t *testing.T) {
	t.Parallel()
	a := &archive{in: &purse{left: 1 << 20}}
	if _, err := a.key(19, nil, "secret"); !errors.Is(err, errSpent) {
		t.Error(err)
	}
	if _, err := a.key(25, nil, "secret"); !errors.Is(err, trust.ErrUnsupported) {
		t.Error(err)
	}
	a.in = &purse{left: 1 << 20}
	first, err := a.key(4, []byte("salt"), "secret")
	if err != nil {
		t.Fatal(err)
	}
	a.in = &purse{}
	again, err := a.key(4, []byte("salt"), "secret")
	if err != nil || !bytes.Equal(first, again) {
		t.Error("a key is made once", err)
	}
	plain, err := a.key(plainTurns, []byte("s"), "ab")
	if want := append([]byte("sa\x00b\x00"), make([]byte, 27)...); err != nil || !bytes.Equal(plain, want) {
		t.Errorf("%x, %v", plain, err)
	}
}

func TestPasswordsAreBounded(t *testing.T) {
	t.Parallel()
	sealed := folder{coders: []coder{{id: idEncrypted}}}
	a := &archive{in: &purse{words: make([]string, 100)}}
	if n := len(a.passwords(sealed)); n != maxPasswords {
		t.Errorf("%d are tried", n)
	}
	a.in = &purse{words: []string{"a", "b"}}
	a.keys.right("b")
	if diff := cmp.Diff([]string{"b", "a"}, a.passwords(sealed)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{""}, a.passwords(folder{})); diff != "" {
		t.Error(diff)
	}
}

func TestEncryptionProperties(t *testing.T) {
	t.Parallel()
	a := &archive{in: &purse{left: 1 << 40}}
	for props, want := range map[string]error{
		"": trust.ErrMalformed, "\x13": trust.ErrMalformed, "\x44\x00": trust.ErrMalformed, "\xc4\x0f" + strings.Repeat("x", 17): nil,
		"\x44\x0f" + strings.Repeat("x", 16): nil, "\xc4\xf0" + strings.Repeat("x", 17): nil, "\x59\x00x": trust.ErrUnsupported,
	} {
		if _, err := a.decrypt([]byte(props), strings.NewReader(""), "p"); !errors.Is(err, want) {
			t.Errorf("%x: %v, want %v", props, err, want)
		}
	}
}

// TestHeadersAreBounded: in size, and in how often one holds another.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	a := &archive{Wrapper: Wrapper{maxHeader: 4}, in: &purse{left: 1 << 20}, at: nil, coders: decompress.Tab{Memory: unwraptest.Plenty{}}}
	if _, err := a.read(strings.NewReader("12345"), 5, 0, false); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	// A header that is packed in itself: the one at place 0, of 17 bytes.
	loop := "\x17\x06\x00\x01\x09\x11\x00\x07\x0b\x01\x00\x01\x01\x00\x0c\x11\x00\x00"
	loop = strings.ReplaceAll(loop, "\x11", string(rune(len(loop))))
	b := &archive{Wrapper: New(), in: &purse{left: 1 << 20}, at: spoolOf(loop), size: int64(len(loop)), coders: decompress.Tab{Memory: unwraptest.Plenty{}}}
	if _, err := b.list([]byte(loop)); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
}

func spoolOf(s string) *stream.Spool { return stream.NewSpool(strings.NewReader(s)) }
