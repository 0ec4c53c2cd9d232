package judge_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
)

// flooding finds very many signs in each layer.
type flooding struct{ snippetPaths }

func (*flooding) Layer(_ context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	body, err := io.ReadAll(r)
	found := trust.Inspection{DiffID: diffID(body)}
	sign := trust.Finding{Check: "a@1", Layer: desc.Digest, Strength: trust.Weak}
	switch word, _, _ := strings.Cut(string(body), " "); word {
	case "proof":
		sign.Strength = trust.Proof
		found.Findings = []trust.Finding{sign}
		return found, err
	case "run":
		sign.IfRun = trust.Strong
	case "long":
		sign.Excerpt = strings.Repeat("x", 1000)
	}
	for i := range 5000 {
		sign.Path = fmt.Sprintf("srv/%d", i)
		found.Findings = append(found.Findings, sign)
	}
	return found, err
}

func TestJudge_keepsFewOfManyFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind, last string
		most       int
		want       trust.Action
		unanswered int
	}{
		"alike":           {"weak", "weak 5th", 4096, trust.Allow, 0},
		"weighty-one":     {"weak", "proof ....", 4097, trust.Quarantine, 0},
		"needed-if-run":   {"run", "run 5th", 4096, trust.Allow, 0},
		"no-room":         {"long", "long 5th", 4096, trust.Quarantine, 3},
		"beyond-the-most": {"long", "proof ....", 4097, trust.Quarantine, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = &flooding{} })
			src := newSource()
			layers := []string{tc.kind + " 1", tc.kind + " 2", tc.kind + " 3", tc.kind + " 4", tc.last}
			v, err := j.Judge(t.Context(), src.image(t, nil, layers...), src)
			if err != nil || v.Action != tc.want || len(v.Evidence.Unanswered) != tc.unanswered {
				t.Errorf("%s, %v: unanswered %v", v.Action, err, v.Evidence.Unanswered)
			}
			if n := len(v.Evidence.Findings); n != tc.most {
				t.Errorf("%d findings are kept, want %d", n, tc.most)
			}
		})
	}
}
