package pyinstaller

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestParser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		want object
		err  error
	}{
		"none":           {"N", object{}, nil},
		"true":           {"T", object{}, nil},
		"number":         {"i\x05\x00\x00\x00", object{number: 5}, nil},
		"negative":       {"i\xff\xff\xff\xff", object{number: -1}, nil},
		"short-text":     {"z\x02ab", object{text: "ab"}, nil},
		"interned":       {"\xda\x02ab", object{text: "ab"}, nil},
		"unicode":        {"u\x02\x00\x00\x00ab", object{text: "ab"}, nil},
		"tuple":          {")\x02z\x01az\x01b", object{items: []object{{text: "a"}, {text: "b"}}}, nil},
		"long-tuple":     {"(\x01\x00\x00\x00z\x01a", object{items: []object{{text: "a"}}}, nil},
		"list":           {"[\x01\x00\x00\x00N", object{items: []object{{}}}, nil},
		"empty":          {")\x00", object{}, nil},
		"dictionary":     {"{z\x01ai\x01\x00\x00\x000", object{items: []object{{text: "a"}, {number: 1}}, dictionary: true}, nil},
		"referred":       {")\x02\xda\x01ar\x00\x00\x00\x00", object{items: []object{{text: "a"}, {text: "a"}}}, nil},
		"refers-ahead":   {"r\x00\x00\x00\x00", object{}, trust.ErrMalformed},
		"refers-before":  {"r\xff\xff\xff\xff", object{}, trust.ErrMalformed},
		"nothing":        {"", object{}, trust.ErrMalformed},
		"cut-number":     {"i\x05\x00", object{}, trust.ErrMalformed},
		"cut-text":       {"z\x05ab", object{}, trust.ErrMalformed},
		"negative-text":  {"u\xff\xff\xff\xff", object{}, trust.ErrMalformed},
		"many-items":     {"[\xff\xff\xff\x7fN", object{}, trust.ErrMalformed},
		"cut-items":      {")\x02N", object{items: []object{{}}}, trust.ErrMalformed},
		"cut-dictionary": {"{NN", object{items: []object{{}, {}}, dictionary: true}, trust.ErrMalformed},
		"unknown-type":   {"?", object{}, trust.ErrMalformed},
		"too-deep":       {strings.Repeat(")\x01", maxDepth+2) + "N", object{}, trust.ErrLimit},
	} {
		p := &parser{b: []byte(tt.in), hold: unwraptest.Plenty{}.Hold}
		got, err := p.object(0)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", name, err, tt.err)
		}
		if tt.err != nil {
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(object{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestParserCounts: references make no more objects than were read.
func TestParserCounts(t *testing.T) {
	t.Parallel()
	p := &parser{b: []byte("[\x10\x00\x00\x00" + strings.Repeat("N", 16)), count: 8*maxEntries - 10, hold: unwraptest.Plenty{}.Hold}
	if _, err := p.object(0); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("error %v", err)
	}
}
