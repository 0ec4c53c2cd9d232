package yara

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
	"github.com/safepull/safepull/trust/yara"
)

const own = `
rule described : demo {
	meta:
		description = "says the word of the demonstration."
		safepull_strength = "weak"
	strings:
		$a = "demonstration word" nocase
	condition:
		$a
}

rule undescribed {
	strings:
		$a = { 7F 01 02 [2-4] 03 04 05 06 }
		$b = /order [0-9]+ of the demonstration/
	condition:
		any of them
}

rule certain { meta: safepull_strength = "proof" condition: uint32be(0) == 0x70726f6f and filesize < 1KB }

private rule inner { strings: $a = "inner text here" condition: $a }

rule outer { meta: safepull_strength = "context" description = "tells of something inside" condition: inner }
`

func mustNew(t testing.TB, text string) *Indicator {
	t.Helper()
	ind, err := New(yara.Source{Name: "/etc/rules/own.yar", Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	samples := []indicatortest.Sample{
		{Name: "text", Path: "usr/share/doc", Kind: trust.KindText, Content: "the DEMONSTRATION word", Want: trust.Weak},
		{Name: "hex", Path: "usr/bin/x", Kind: trust.KindExecutable, Content: "..\x7f\x01\x02\x00\x00\x00\x03\x04\x05\x06..", Want: trust.Strong},
		{Name: "regex", Path: "run.sh", Kind: trust.KindScript, Content: "order 66 of the demonstration", Want: trust.Strong},
		{Name: "private", Path: "x", Kind: trust.KindData, Content: "an inner text here", Want: trust.Context},
	}
	twins := []indicatortest.Twin{
		{Name: "near text", Path: "x", Kind: trust.KindText, Content: "the demonstration of a word"},
		{Name: "near hex", Path: "x", Kind: trust.KindExecutable, Content: "\x7f\x01\x02\x03\x03\x04\x05\x06"},
		{Name: "near regex", Path: "x", Kind: trust.KindScript, Content: "order x of the demonstration"},
	}
	indicatortest.Run(t, mustNew(t, own), samples, twins)
}

func inspect(t *testing.T, ind *Indicator, content string) []trust.Finding {
	t.Helper()
	return indicatortest.Inspect(ind, indicator.File{Path: "x", Kind: trust.KindData}, []byte(content), indicatortest.Drive{Chunk: 5})
}

func TestFindings(t *testing.T) {
	t.Parallel()
	ind := mustNew(t, own)
	got := inspect(t, ind, "proof: order 1 of the demonstration, a demonstration word, an inner text here")
	want := []trust.Finding{
		{Strength: trust.Proof, Why: "the user's YARA rule certain matches (own.yar:20)"},
		{Strength: trust.Strong, Offset: 7, Excerpt: "order 1 of the demonstration", Why: "the user's YARA rule undescribed matches (own.yar:12)"},
		{Strength: trust.Weak, Offset: 39, Excerpt: "demonstration word", Why: "says the word of the demonstration (YARA rule described, own.yar:2)"},
		{Strength: trust.Context, Why: "tells of something inside (YARA rule outer, own.yar:24)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetaIsOutsideText(t *testing.T) {
	t.Parallel()
	ind := mustNew(t, `rule a { meta: description = "\x1b[31mred`+strings.Repeat("x", 1000)+`" description = "second" safepull_strength = "strong" safepull_strength = "weak" strings: $a = "\x1b\x07abc" condition: $a }`)
	got := inspect(t, ind, "\x1b\x07abc")
	if len(got) != 1 || got[0].Strength != trust.Strong || strings.ContainsRune(got[0].Why+got[0].Excerpt, '\x1b') || len(got[0].Why) > 300 {
		t.Errorf("%+v", got)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rule a { condition: pe.is_pe }":                                 `/etc/rules/own.yar:1:21: "pe.is_pe" needs import "pe", or is no module`,
		"rule a { condition: true }\n rule b { condition: }":             `/etc/rules/own.yar:2:22: expected a condition`,
		`rule a { meta: safepull_strength = "huge" condition: true }`:    `/etc/rules/own.yar:1:6: rule a: meta safepull_strength is "huge": use context, weak, strong or proof`,
		`rule a { meta: safepull_strength = 3 condition: true }`:         `meta safepull_strength is "3"`,
		`rule a { meta: safepull_strength = true condition: true }`:      `meta safepull_strength is "true"`,
		`private rule a { meta: safepull_strength = "" condition: true}`: `meta safepull_strength is ""`,
	} {
		if _, err := New(yara.Source{Name: "/etc/rules/own.yar", Text: []byte(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	if _, err := New(); err == nil {
		t.Error("an indicator without rules")
	}
}

func TestManyFindingsKeepTheStrongest(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 40 {
		strength := "weak"
		if i == 33 {
			strength = "proof"
		}
		fmt.Fprintf(&b, "rule r%d { meta: safepull_strength = %q condition: filesize > 0 }\n", i, strength)
	}
	got := inspect(t, mustNew(t, b.String()), "x")
	if len(got) != maxFindings || got[0].Strength != trust.Proof {
		t.Errorf("%d findings, the first %v", len(got), got[0])
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	ind := mustNew(t, "rule far { condition: uint8(100000) == 1 } rule near { condition: uint8(1) == 0 }")
	file, content := indicator.File{Path: "x"}, bytes.Repeat([]byte{0}, 200_000)
	got := indicatortest.Unread(ind, file, content, indicatortest.Drive{})
	if !strings.HasPrefix(got, "leaves unanswered rule far of /etc/rules/own.yar: it reads byte 100000") {
		t.Errorf("got %q", got)
	}
	if found := indicatortest.Inspect(ind, file, content, indicatortest.Drive{}); len(found) != 1 {
		t.Errorf("%+v", found)
	}
	if got := indicatortest.Unread(ind, file, content[:10], indicatortest.Drive{}); got != "" {
		t.Errorf("a short file: %q", got)
	}
}

func TestRulesDigest(t *testing.T) {
	t.Parallel()
	var ruled indicator.Ruled = mustNew(t, own)
	if other := mustNew(t, own+"\n"); other.RulesDigest() == ruled.RulesDigest() || len(other.Rules().Names()) != 5 {
		t.Errorf("%s", other.RulesDigest())
	}
}
