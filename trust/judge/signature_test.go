package judge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
)

// signed answers for everyone.
type signed struct {
	wrong string
	err   error
}

func (s signed) Signed(context.Context, trust.Reference, trust.Source, trust.Signer) (string, error) {
	return s.wrong, s.err
}
func (s signed) Digest() digest.Digest { return digest.FromString("roots " + s.wrong) }

func TestJudge_signature(t *testing.T) {
	t.Parallel()
	required := func(skip bool) trust.Standing {
		s := entry("allow", "docker.io/grafnaa/**")
		s.Decided.RequireSignature, s.Decided.SkipInspection = &trust.Signer{Key: "k"}, skip
		return s
	}
	for name, tt := range map[string]struct {
		standing                   trust.Standing
		signatures                 judge.Signatures
		layer                      string
		want                       trust.Action
		unanswered, reason, failed string
		lookAlike                  bool
	}{
		"signed":             {standing: required(false), signatures: signed{}, layer: "one", want: trust.Allow},
		"signed-miner":       {standing: required(false), signatures: signed{}, layer: "MINER", want: trust.Quarantine},
		"not-signed":         {standing: required(false), signatures: signed{wrong: "nobody did"}, layer: "one", want: trust.Quarantine, reason: "nobody did", lookAlike: true},
		"not-signed-waived":  {standing: required(true), signatures: signed{wrong: "nobody did"}, layer: "MINER", want: trust.Quarantine, reason: "nobody did", lookAlike: true},
		"nobody-can-check":   {standing: required(false), layer: "one", want: trust.Quarantine, unanswered: "only safepull-proxy can check"},
		"cannot-be-read":     {standing: required(false), signatures: signed{err: fmt.Errorf("odd: %w", trust.ErrMalformed)}, layer: "one", want: trust.Quarantine, unanswered: "odd"},
		"the-registry-broke": {standing: required(false), signatures: signed{err: errors.New("broke off")}, layer: "one", failed: "broke off"},
		"none-required":      {standing: entry("allow", "docker.io/grafnaa/**"), layer: "one", want: trust.Allow},
		"denied":             {standing: entry("deny", "docker.io/grafnaa/**"), layer: "one", want: trust.Block},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) {
				o.Names, o.Signatures = shippedNames(t), tt.signatures
				o.Lists = lists{standing: func(trust.Reference) trust.Standing { return tt.standing }}
			})
			s := newSource()
			ref := s.image(t, nil, tt.layer)
			ref.Repository = "grafnaa/grafana"
			v, err := j.Judge(t.Context(), ref, s)
			if tt.failed != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failed) {
					t.Errorf("%v, want %s", err, tt.failed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Action != tt.want || !strings.Contains(v.Evidence.Unanswered["signature"], tt.unanswered) || !strings.Contains(strings.Join(v.Reasons, "\n"), tt.reason) {
				t.Errorf("%s, unanswered %q, reasons %q", v.Action, v.Evidence.Unanswered, v.Reasons)
			}
			if asked := contains(v.Evidence.Answered, "look-alike"); asked != tt.lookAlike {
				t.Errorf("look-alike asked: %v", asked)
			}
			if soon := !v.Until.IsZero() && time.Until(v.Until) < time.Hour; soon != (tt.signatures != nil && tt.want == trust.Quarantine && tt.layer == "one" || tt.reason != "") {
				t.Errorf("the verdict holds until %s", v.Until)
			}
		})
	}
}

// mended is a repository whose signatures cannot be read the first time.
type mended struct{ asked *int }

func (s mended) Signed(context.Context, trust.Reference, trust.Source, trust.Signer) (string, error) {
	if *s.asked++; *s.asked == 1 {
		return "", fmt.Errorf("33 of them: %w", trust.ErrLimit)
	}
	return "", nil
}
func (mended) Digest() digest.Digest { return "" }

// TestJudge_signatureLater: signatures are no part of the image, so that an answer that nobody could give is not kept for good:
// whoever may push could else keep an image from everybody by one odd signature.
func TestJudge_signatureLater(t *testing.T) {
	t.Parallel()
	now := time.Now()
	j, _, _ := newJudge(t, func(o *judge.Options) {
		o.Signatures, o.Now = mended{new(int)}, func() time.Time { return now }
		o.Lists = lists{standing: func(trust.Reference) trust.Standing {
			s := entry("allow", "docker.io/acme/**")
			s.Decided.RequireSignature = &trust.Signer{Key: "k"}
			return s
		}}
	})
	s := newSource()
	ref := s.image(t, nil, "one")
	for _, want := range []trust.Action{trust.Quarantine, trust.Allow} {
		if v, err := j.Judge(t.Context(), ref, s); err != nil || v.Action != want {
			t.Errorf("%s, %v, want %s", v.Action, err, want)
		}
		now = now.Add(time.Hour)
	}
}

// byIndex holds who signed an index for the signer of all that is in it.
type byIndex struct{ index digest.Digest }

func (s byIndex) Signed(_ context.Context, ref trust.Reference, _ trust.Source, _ trust.Signer) (string, error) {
	if ref.Index == s.index {
		return "", nil
	}
	return "nobody did", nil
}
func (byIndex) Digest() digest.Digest { return "" }

// TestJudge_signatureOfIndex: the answer about a manifest by itself is none about it in an index, nor the other way round.
func TestJudge_signatureOfIndex(t *testing.T) {
	t.Parallel()
	index := digest.FromString("index")
	j, _, _ := newJudge(t, func(o *judge.Options) {
		o.Signatures = byIndex{index}
		o.Lists = lists{standing: func(trust.Reference) trust.Standing {
			s := entry("allow", "docker.io/acme/**")
			s.Decided.RequireSignature = &trust.Signer{Key: "k"}
			return s
		}}
	})
	s := newSource()
	ref := s.image(t, nil, "one")
	for range 2 { // judged, and remembered
		for _, within := range []digest.Digest{"", index, digest.FromString("another")} {
			ref.Index = within
			want := trust.Quarantine
			if within == index {
				want = trust.Allow
			}
			if v, err := j.Judge(t.Context(), ref, s); err != nil || v.Action != want {
				t.Errorf("in %q: %s, %v", within, v.Action, err)
			}
		}
	}
}

// TestJudge_tiers: a name that is merely known is asked about like any other, and one whose condition is not met too.
func TestJudge_tiers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*trust.Standing)
		want   trust.Action
	}{
		"trusted": {func(*trust.Standing) {}, trust.Allow},
		"known":   {func(s *trust.Standing) { s.Decided.Tier = trust.TierKnown }, trust.Warn},
		"unmet":   {func(s *trust.Standing) { s.Unmet = []string{"another digest"} }, trust.Quarantine},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) {
				o.Names = shippedNames(t)
				o.Lists = lists{standing: func(trust.Reference) trust.Standing {
					s := entry("allow", "docker.io/grafnaa/**")
					tt.change(&s)
					return s
				}}
			})
			s := newSource()
			ref := s.image(t, nil, "one")
			ref.Repository = "grafnaa/grafana"
			v, err := j.Judge(t.Context(), ref, s)
			if err != nil || v.Action != tt.want {
				t.Errorf("%s, %v, want %s", v.Action, err, tt.want)
			}
		})
	}
}
