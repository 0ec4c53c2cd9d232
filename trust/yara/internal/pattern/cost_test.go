package pattern

import (
	"strings"
	"testing"
	"time"
)

// TestCompilingIsBounded: strings that are as long and as tangled as the parser lets them be take a moment, not more.
// Most are refused.
func TestCompilingIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return strings.Repeat("(", n) + "ab" + strings.Repeat("|cd){9,99}", n)
	}
	for name, definition := range map[string]string{
		"alternatives": "/" + strings.Repeat("(a|b)", 3000) + "/",
		"words":        "/(" + strings.Repeat("alpha|", 2500) + "omega)/",
		"nested":       "/" + nested(30) + "/",
		"empty":        "/ab" + strings.Repeat("(", 30) + strings.Repeat("){4096}", 30) + "/",
		"optional":     "/ab" + strings.Repeat("(x?){99}", 1500) + "/",
		"hex":          "{ 41 " + strings.Repeat("( 01 | 02 ) ", 1300) + "}",
		"hex nested":   "{ 41 42 " + strings.Repeat("( 01 | ", 30) + "02 " + strings.Repeat(") ", 30) + "}",
		"jumps":        "{ 41 42 " + strings.Repeat("[0-3] 41 ", 1000) + "}",
		"branches":     "/((aa|bb)(cc|dd)(ee|ff)(gg|hh)(ii|jj)(kk|ll)){80}x.*/ wide ascii",
		"classes":      "/" + strings.Repeat("[0-9a-f]", 2000) + "/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			p, err := New("t.yar", str(t, definition))
			if took := time.Since(start); took > 10*time.Second { // a hundredth of that on an idle machine
				t.Errorf("%s: %v", took, err)
			}
			if err == nil && (p.Steps() > maxSteps || len(p.Branches) > 2*maxBranches) {
				t.Errorf("%d steps in %d branches", p.Steps(), len(p.Branches))
			}
			t.Logf("%s: %v", time.Since(start), err)
		})
	}
}
