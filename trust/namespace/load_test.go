package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	const text = `# our list
version: 1

entries:
  # built here
  - pattern: GHCR.io/acme/**
    action: allow   # for now
    reason: |
      built by
      our CI
    owner: "platform"
    expires: 2027-01-31
    inspect: false
  - action: deny
    pattern: evil/*:1.*
    expires: "2027-01-31T18:00:00.5+02:00"
`
	list, err := Load("trust.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []trust.Entry{
		{Pattern: "ghcr.io/acme/**", Action: "allow", Reason: "built by\nour CI", Owner: "platform", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), SkipInspection: true, List: "trust.yaml", Line: 6},
		{Pattern: "docker.io/evil/*:1.*", Action: "deny", Expires: time.Date(2027, 1, 31, 16, 0, 0, 5e8, time.UTC), List: "trust.yaml", Line: 14},
	}
	if diff := cmp.Diff(want, Combine(list).Entries()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadWithoutEntries(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"version: 1\n", "version: 1\nentries:\n", "version: 1\nentries: []\n", "---\nversion: 1\n...\n", "version: 1\nentries: # none\n"} {
		list, err := Load("x", strings.NewReader(text))
		if err != nil || len(list.rules) != 0 {
			t.Errorf("Load(%q) = %v, %v", text, list, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nentries:\n"
	for name, tc := range map[string]struct{ text, says string }{
		"empty":              {"", "x:1: the list is empty: begin with \"version: 1\""},
		"only comment":       {"# hello\n", "x:1: the list is empty"},
		"null":               {"null\n", "x:1: the list must be keys"},
		"scalar":             {"hello\n", "x:1: the list must be keys"},
		"not yaml":           {head + "  - pattern: [\n", "not valid YAML"},
		"tab":                {"version: 1\nentries:\n\t- pattern: a\n", "x:3: this is not valid YAML"},
		"not utf-8":          {"version: 1 # \xff\n", "x:1: the list is not UTF-8"},
		"no version":         {"entries: []\n", "x:1: the key \"version\" is missing"},
		"version 2":          {"version: 2\n", "x:1: version \"2\" is not known"},
		"unknown top key":    {"version: 1\nentry: []\n", "x:2: unknown key \"entry\""},
		"key twice":          {"version: 1\nversion: 1\n", "x:2: the key \"version\" stands twice"},
		"entries a map":      {"version: 1\nentries: {a: b}\n", "x:2: \"entries\" must be a list"},
		"entries text":       {"version: 1\nentries: all\n", "x:2: \"entries\" must be a list"},
		"two documents":      {"version: 1\n---\nversion: 1\n", "more than one YAML document"},
		"entry text":         {head + "  - alpine\n", "x:3: an entry must be keys"},
		"unknown key":        {head + "  - pattern: a\n    action: deny\n    until: never\n", "x:5: unknown key \"until\""},
		"merge key":          {head + "  - <<: {pattern: a}\n    action: deny\n", "x:3: unknown key \"<<\""},
		"pattern twice":      {head + "  - pattern: a\n    pattern: b\n    action: deny\n", "x:4: the key \"pattern\" stands twice"},
		"anchor":             {head + "  - pattern: &a a\n    action: deny\n", "x:3: anchors"},
		"alias":              {head + "  - &a {pattern: a, action: deny}\n  - *a\n", "x:4: an entry must be keys"},
		"tag":                {head + "  - pattern: !!binary YQ==\n    action: deny\n", "x:3: anchors, aliases and tags"},
		"no pattern":         {head + "  - action: deny\n", "x:3: the entry has no pattern"},
		"null pattern":       {head + "  - pattern:\n    action: deny\n", "x:3: \"pattern\" must have a plain value"},
		"empty pattern":      {head + "  - pattern: ''\n    action: deny\n", "x:3: invalid pattern \"\""},
		"list pattern":       {head + "  - pattern: [a]\n    action: deny\n", "x:3: \"pattern\" must have a plain value"},
		"bad pattern":        {head + "  - action: deny\n    pattern: ghcr.io/a**\n", "x:4: invalid pattern \"ghcr.io/a**\": it has ** inside"},
		"no action":          {head + "  - pattern: a\n", "x:3: the entry's action is \"\": write"},
		"bad action":         {head + "  - pattern: a\n    action: Allow\n", "x:4: the entry's action is \"Allow\": write"},
		"bad expires":        {head + "  - pattern: a\n    action: deny\n    expires: 31.1.2027\n", "x:5: \"expires\" is \"31.1.2027\": write a date"},
		"no such day":        {head + "  - pattern: a\n    action: deny\n    expires: 2027-02-30\n", "x:5: \"expires\""},
		"year zero":          {head + "  - pattern: a\n    action: deny\n    expires: 0001-01-01\n", "x:5: \"expires\""},
		"bad inspect":        {head + "  - pattern: a\n    action: allow\n    inspect: no\n", "x:5: \"inspect\" is \"no\": write true or false"},
		"inspect with deny":  {head + "  - pattern: a\n    action: deny\n    inspect: true\n", "x:5: \"inspect\" goes with action allow only"},
		"inspect no reason":  {head + "  - {pattern: a, action: allow, inspect: false, owner: o, expires: 2027-01-01}\n", "needs reason, owner and expires"},
		"inspect no owner":   {head + "  - {pattern: a, action: allow, inspect: false, reason: r, expires: 2027-01-01}\n", "needs reason, owner and expires"},
		"inspect no expires": {head + "  - {pattern: a, action: allow, inspect: false, reason: r, owner: o}\n", "needs reason, owner and expires"},
		"escape in reason":   {head + "  - {pattern: a, action: deny, reason: \"\\e[31m\"}\n", "unprintable"},
		"bidi in owner":      {head + "  - {pattern: a, action: deny, owner: \"\u202e\"}\n", "unprintable"},
		"long reason":        {head + "  - {pattern: a, action: deny, reason: " + strings.Repeat("a", textLimit+1) + "}\n", "longer than 1024"},
		"large":              {head + strings.Repeat("#\n", fileLimit/2), "larger than"},
		"many":               {head + strings.Repeat("- {pattern: a, action: deny}\n", entryLimit+1), "100001 entries"},
		"deep":               {head + strings.Repeat("[", 100_000), "not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("x", strings.NewReader(tc.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(withoutColumn(err.Error()), tc.says) || !strings.HasPrefix(err.Error(), "x:") || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q does not say %q", err, tc.says)
			}
		})
	}
}

// withoutColumn leaves "x:LINE: …" of an error.
func withoutColumn(s string) string {
	return regexp.MustCompile(`^(x:\d+):\d+: `).ReplaceAllString(s, "$1: ")
}

func TestLoadNamesTheColumn(t *testing.T) {
	t.Parallel()
	for text, place := range map[string]string{
		"version: 1\nentries:\n  - pattern: a\n    action: maybe\n":                                  "x:4:13: ",
		"version: 1\nentries:\n  - pattern: a\n    action: deny\n    colour: red\n":                  "x:5:5: ",
		"version: 1\nentries:\n  - {pattern: a/**b, action: deny}\n":                                 "x:3:15: ",
		"version: 1\nentries:\n  - pattern: a\n    action: allow\n    digests:\n      - sha256:12\n": "x:6:9: ",
		"version: 1\nentries:\n  - pattern: a\n    action: allow\n    requireSignature: {kei: x}\n":  "x:5:24: ",
		"version: 1\n entries:\n": "x:2:1: ",
	} {
		if _, err := Load("x", strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), place) {
			t.Errorf("%q: %v, want it at %s", text, err, place)
		}
	}
}

func TestLoadAtItsLimits(t *testing.T) {
	t.Parallel()
	text := "version: 1\nentries:\n" + strings.Repeat("- {pattern: a, action: deny}\n", entryLimit)
	text += strings.Repeat("#", fileLimit-len(text)-1) + "\n"
	list, err := Load("x", strings.NewReader(text))
	if err != nil || len(list.rules) != entryLimit {
		t.Fatal(err)
	}
}

func TestLoadReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk broke")
	if _, err := Load("x", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("version: 1\nentries:\n  # c\n  - pattern: ghcr.io/a/**\n    action: allow # d\n\n  - {pattern: b, action: deny}\n"))
	f.Add([]byte("version: 1\nentries: [{pattern: a, action: allow, inspect: false, reason: r, owner: o, expires: 2027-01-01}]\n"))
	f.Add([]byte("entries:\n- action: deny\n  pattern: a:1\n  reason: |\n    # x\n\n    y\n# end\nversion: 1\n"))
	f.Add([]byte("version: 1\r\nentries:\r\n- pattern: a\r\n  action: deny\r\n"))
	f.Add([]byte("--- # x\nversion: 1\nentries:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Load("x", bytes.NewReader(data))
		if err != nil {
			var line, column int
			if _, scanErr := fmt.Sscanf(err.Error(), "x:%d:%d: ", &line, &column); scanErr != nil || line < 1 || column < 1 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error without a line: %q", err)
			}
			return
		}
		checkEdits(t, data, list)
	})
}
