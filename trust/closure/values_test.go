package closure

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	t.Parallel()
	v := "/opt/" + unknown("$D") + "/m" + string(splitMark) + "-x"
	if got := shownText(v); got != "/opt/$D/m -x" {
		t.Errorf("shown %q", got)
	}
	if got := plainText(v); got != "/opt/\x00/m -x" {
		t.Errorf("plain %q", got)
	}
	if diff := cmp.Diff([]string{"/opt/" + unknown("$D") + "/m", "-x"}, splitFields(v)); diff != "" {
		t.Error(diff)
	}
	if got := unmarked("a\x00b\x01c\x02d"); got != "abcd" {
		t.Errorf("unmarked %q", got)
	}
	if got := splitFields(strings.Repeat("a"+string(splitMark), 1000)); len(got) != 256 {
		t.Errorf("%d fields", len(got))
	}
}

func TestEscapes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`a\ b`: "a b", `\\`: `\`, "a\\\nb": "ab", `a\`: `a\`, `\n`: "n"} {
		if got := unescape(in, false); got != want {
			t.Errorf("unescape %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{`a\ b`: `a\ b`, `\$x`: "$x", "\\`": "`", `\n`: `\n`} {
		if got := unescape(in, true); got != want {
			t.Errorf("unescape quoted %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{`\x41\102\n\t`: "AB\n\t", `\x`: "", `\'`: "'", `\`: `\`, `\x4`: "\x04", `\477`: "?", `\08`: "\x008"} {
		if got := cEscapes(in); got != want {
			t.Errorf("cEscapes %q: %q, want %q", in, got, want)
		}
	}
}

func TestStringsOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`("a")`:                 {"a"},
		`(["a", 'b c'], x="d")`: {"a", "b c", "d"},
		`("a") ("b")`:           {"a"},
		`('''a'b''')`:           {"a'b"},
		`("a\"b")`:              {`a"b`},
		`("unclosed`:            {"unclosed"},
		`('\`:                   {`\`},
		`(x)`:                   nil,
		` "a"; "b"`:             {"a"},
		`("", 'b')`:             {"b"},
	} {
		got, list := stringsOf(in)
		if diff := cmp.Diff(want, got); diff != "" || list != (len(want) > 1) {
			t.Errorf("%s: list %t %s", in, list, diff)
		}
	}
}

func TestAbsolute(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path string
		want []string
	}{
		{"/a/../b", []string{"/b"}}, {"a", []string{"/x/a", "/y/a"}}, {"../a", []string{"/a"}}, {"", nil}, {"a\x00", nil}, {strings.Repeat("a", 5000), nil},
	} {
		if diff := cmp.Diff(tc.want, absolute(tc.path, []string{"/x", "/y"})); diff != "" {
			t.Errorf("%q: %s", tc.path, diff)
		}
	}
}

func TestLanguageOfProgram(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"/usr/bin/python3.11": python, "bash": shellScript, "node": node, "perl5": perl, "cat": "", "python3-config": "", "": ""} {
		if got := languageOfProgram(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
