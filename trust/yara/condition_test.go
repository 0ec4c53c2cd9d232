package yara

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const greek = "alpha beta alpha .... alpha"

// conditions are about greek and three strings, alpha, beta and gamma.
func conditions() map[string]bool {
	return map[string]bool{
		// One string.
		"$a and $b and not $c":                   true,
		"$c or $a or $b":                         true,
		"#a == 3 and #b == 1 and #c == 0":        true,
		"#a in (0..21) == 3 or $b and $c":        false,
		"#a in (0..21) == 2 and $b or $c":        true,
		"@a == 0 and @a[1] == 0 and @a[2] == 11": true,
		"@a[4] == 0 or @b[0] == 6 or @c == 0":    false,
		"not @a[4] == 0 and $b or $c":            false, // not undefined is undefined
		"!a == 5 and !b == 4 or $c":              true,
		"$a at 11 and $b at 6 and not $c at 0":   true,
		"$a in (1..10) or $b at 7 or $c":         false,
		"$a in (11..11) and $b in (0..6) or $c":  true,
		// Sets.
		"all of them":                               false,
		"any of them":                               true,
		"2 of them and not 3 of them":               true,
		"66% of them and not 67% of them":           true,
		"none of ($c) and not none of them":         true,
		"all of ($a, $b) and not any of ($c*)":      true,
		"#b of ($a, $c) and $b":                     true,
		"(1 + 1) of ($a, $b, $c)":                   true,
		"any of them in (1..8) and not all of them": true,
		"2 of them in (1..11)":                      true,
		"any of them in (7..10)":                    false,
		"4 of them":                                 false,
		// Loops.
		"for any of them : ( # == 3 )":                                                 true,
		"for all of them : ( # > 0 )":                                                  false,
		"for 2 of them : ( @ < 7 )":                                                    true,
		"for none of them : ( $ at 5 )":                                                true,
		"for any of ($a, $b) : ( $c ) or $c":                                           false,
		"for any of them : ( $ and ! == 4 )":                                           true,
		"for any of them : ( any of ($c) or @[2] == 11 )":                              true,
		"for all i in (1..#a) : ( @a[i] % 11 == 0 ) and $b or $c":                      true,
		"for 2 i in (1..#a) : ( @a[i] > 5 ) and $b or $c":                              true,
		"for 3 i in (1..#a) : ( @a[i] > 5 ) and $b or $c":                              false,
		"for any i in (0, 6, 9) : ( $b at i ) and $a or $c":                            true,
		"for all i in (0, 6, 9) : ( $b at i ) and $a or $c":                            false,
		"for any i in (1..2) : ( for any j in (5..6) : ( $b at i * j ) ) and $a or $c": true,
		"for all i in (3..1) : ( true ) and any of them":                               false,
		"for none i in (1..#c) : ( true ) and any of them":                             false,
		"for any i in (1..@c) : ( true ) and any of them":                              false,
		// The file.
		"filesize == 27 and any of them":                                true,
		"uint8(0) == 0x61 and any of them":                              true,
		"uint16be(0) == 0x616c and uint16(0) == 0x6c61 and any of them": true,
		"uint32(24) == 0 or $c or $a and $b and false":                  false,
		"uint8(@b) == 0x62 and any of them":                             true,
		"entrypoint == 0 or all of them":                                false,
		"defined @a[3] and not defined @a[4] and any of them":           true,
	}
}

// ofCondition is a rule for a condition. Strings that it leaves out are no error.
func ofCondition(name, condition string) string {
	return `rule ` + name + ` { strings: $a = "alpha" $b = "beta" $c = "gamma" condition: (` + condition + `) or (all of them and false) }`
}

// TestConditions says what conditions mean.
func TestConditions(t *testing.T) {
	t.Parallel()
	for condition, want := range conditions() {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			got := len(names(t, mustCompile(t, ofCondition("r", condition)), []byte(greek))) == 1
			if got != want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestConditionsOracle asks YARA whether that is what they mean.
func TestConditionsOracle(t *testing.T) {
	t.Parallel()
	program := oracle(t)
	dir := written(t, map[string][]byte{"greek": []byte(greek)})
	var text strings.Builder
	var want []string
	for i, condition := range slices.Sorted(maps.Keys(conditions())) {
		name := fmt.Sprintf("r%03d", i)
		text.WriteString(ofCondition(name, condition) + "\n")
		if conditions()[condition] {
			want = append(want, name)
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yar")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(ask(t, program, file, dir)["greek"], func(line string) bool { return strings.Contains(line, " ") })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v\n%s", got, want, text.String())
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	files := samples()
	for _, c := range []struct {
		condition, file string
		want            bool
	}{
		{`elf.type == elf.ET_EXEC and elf.machine == elf.EM_X86_64`, "elf64", true},
		{`elf.type == elf.ET_EXEC and elf.machine == elf.EM_MIPS`, "elf32", true},
		{`elf.number_of_segments == 1 and elf.number_of_sections == 3 and elf.entry_point == 0x80`, "elf64", true},
		{`elf.number_of_segments == 1 and elf.number_of_sections == 2 and elf.entry_point == 0x90`, "elf32", true},
		{`elf.type >= 0`, "words", false},
		{`elf.type >= 0`, "almost", false},
		{`not elf.type == 3`, "words", false},
		{`defined elf.type`, "pe", false},
		{`math.entropy(0, filesize) > 7.9`, "noise", true},
		{`math.entropy(0, filesize) < 0.1`, "zeros", true},
		{`math.entropy(0, filesize) == 0.0`, "one", true},
		{`math.entropy(0, filesize) >= 0.0`, "empty", false},
		{`hash.md5(0, filesize) == "8fa14cdd754f91cc6554c9e71929cce7"`, "one", true},
		{`hash.sha1(0, filesize) == "4a0a19218e082a343a1b17e5333409af9d98f0f5"`, "one", true},
		{`hash.sha256(0, filesize) startswith "252f10c8"`, "one", true},
		{`hash.sha256(0, filesize) matches /^[0-9a-f]{64}$/`, "noise", true},
		{`hash.md5(0, filesize) == "d41d8cd98f00b204e9800998ecf8427e"`, "empty", false},
	} {
		r := mustCompile(t, `import "elf" import "math" import "hash" rule r { condition: `+c.condition+` }`)
		if got := len(names(t, r, files[c.file])) == 1; got != c.want {
			t.Errorf("%s of %s: %t", c.condition, c.file, got)
		}
	}
}
