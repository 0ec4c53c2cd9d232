package main

import (
	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/corpus/evasion"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/trust"
)

// sample is a generated image and what is right about it.
type sample struct {
	Group, Name, Repository string
	Mining                  bool
	Image                   imagetest.Built
	// Integrity is true where the image contradicts itself: then only a block is right.
	Integrity bool
}

// right reports whether the verdict is: mining images do not reach a host, clean ones do without a word.
func (s sample) right(v trust.Verdict) bool {
	switch {
	case s.Integrity:
		return v.Action == trust.Block && len(v.Evidence.Integrity) > 0
	case s.Mining:
		return !v.Action.Serves()
	}
	return v.Action == trust.Allow
}

func samples(seed uint64) []sample {
	var all []sample
	add := func(group string, s corpus.Sample) {
		all = append(all, sample{Group: group, Name: s.Name, Repository: s.Repository, Mining: s.Mining, Image: s.Image})
	}
	for _, s := range corpus.Generate(seed) {
		add("account of 2020", s)
	}
	mixed, clean := corpus.MultiArch(seed)
	add("one bad platform", mixed)
	add("one bad platform", clean)
	for _, c := range evasion.Generate(seed) {
		all = append(all, sample{
			Group: c.Group, Name: c.Name, Repository: "evasion/" + c.Name, Mining: c.Mining, Image: c.Image, Integrity: c.Integrity,
		})
	}
	return all
}
