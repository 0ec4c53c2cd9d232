//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
)

// skip is a visitor that wants nothing: what is left is reading, both digests, decompression and tar.
type skip struct{}

// File implements layer.Visitor.
func (skip) File(context.Context, layer.Entry, io.Reader) error { return nil }

// BenchmarkSteps tells what the steps of inspecting a layer cost. "digest" is that of the packed bytes, "walk" is all
// but the search for signs, "scan" adds that, for no indicator, for each alone, and for all. MB/s count unpacked bytes.
func BenchmarkSteps(b *testing.B) {
	blob, l := packed(b, 1, 16<<20)
	desc := l.blob().Descriptor
	step := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(l.plain.n)
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	step("digest", func() error {
		sha256.Sum256(blob)
		return nil
	})
	step("inflate", func() error {
		z, err := gzip.NewReader(bytes.NewReader(blob))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, z)
		return err
	})
	step("walk", func() error {
		_, err := layer.Walk(context.Background(), bytes.NewReader(blob), desc, layer.Limits{}, skip{})
		return err
	})
	all := scanners(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		step("scan/"+name, func() error {
			_, err := all[name].Layer(context.Background(), bytes.NewReader(blob), desc)
			return err
		})
	}
}

// scanners ask nothing, one indicator each, or all of them.
func scanners(tb testing.TB) map[string]*scan.Scanner {
	tb.Helper()
	shipped, rules := indicators(tb)
	sets := map[string][]indicator.Indicator{"nothing": nil, "everything": shipped}
	for _, i := range shipped {
		sets[i.Name()] = []indicator.Indicator{i}
	}
	all := map[string]*scan.Scanner{}
	for name, set := range sets {
		s, err := scan.New(set, nil, rules, scan.Limits{})
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = s
	}
	return all
}
