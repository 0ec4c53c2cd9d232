package namespace

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/reference"
)

var sha = "sha256:" + strings.Repeat("0123456789abcdef", 4)

func TestPatternNormalised(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"alpine":                              "docker.io/library/alpine",
		"alpine:3.*":                          "docker.io/library/alpine:3.*",
		"alpine@" + sha:                       "docker.io/library/alpine@" + sha,
		"acme/*":                              "docker.io/acme/*",
		"acme*/x":                             "docker.io/acme*/x",
		"acme/**":                             "docker.io/acme/**",
		"index.docker.io/alpine":              "docker.io/library/alpine",
		"registry-1.docker.io:443/azurenql/*": "docker.io/azurenql/*",
		"docker.io/*":                         "docker.io/library/*",
		"docker.io/**":                        "docker.io/**",
		"docker.io/**/x":                      "docker.io/**/x",
		"GHCR.io/acme/**":                     "ghcr.io/acme/**",
		"ghcr.io:443/acme/x":                  "ghcr.io/acme/x",
		"**":                                  "**",
		"**:latest":                           "**:latest",
		"**@" + sha:                           "**@" + sha,
		"**/alpine":                           "**/alpine",
		"*.example.com/**":                    "*.example.com/**",
		"*.Example.com:50??/x":                "*.example.com:50??/x",
		"[::1]:5000/**":                       "[::1]:5000/**",
		"[0::1]/x":                            "[::1]/x",
		"localhost/x":                         "localhost/x",
		"localhost:5000":                      "docker.io/library/localhost:5000",
		"localhost:5000/x:v?":                 "localhost:5000/x:v?",
		"ghcr.io/a/**/b-*":                    "ghcr.io/a/**/b-*",
	} {
		p, err := parsePattern(in)
		if err != nil {
			t.Errorf("parsePattern(%q): %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, p.String()); diff != "" {
			t.Errorf("parsePattern(%q) (-want +got):\n%s", in, diff)
		}
	}
}

func TestPatternRefused(t *testing.T) {
	t.Parallel()
	for in, says := range map[string]string{
		"":                                       "write",
		"https://ghcr.io/x":                      "URL",
		"*":                                      "docker.io/*",
		"*/alpine":                               "docker.io/*/alpine",
		"?/x":                                    "**/…",
		"*/**":                                   "docker.io/*/**",
		"ghcr.io/acme/":                          "extra slash",
		"ghcr.io/acme//x":                        "extra slash",
		"ghcr.io":                                "", // docker.io/library/ghcr.io: as docker reads it
		"**/":                                    "extra slash",
		"**/**":                                  "one is enough",
		"a/**/**":                                "one is enough",
		"a/b**":                                  "stand alone",
		"gh**.io/a":                              "stand alone",
		"ghcr.io/{a,b}":                          "only *, ** and ?",
		"ghcr.io/[ab]":                           "can match no repository",
		"ghcr.io/!a":                             "only *, ** and ?",
		`ghcr.io/a\*`:                            "only *, ** and ?",
		"ghcr.io/a b":                            "only *, ** and ?",
		"ghcr.io/a\x1b[0m":                       "only *, ** and ?",
		"gh\u0441r.io/a":                         "only *, ** and ?",
		"ghcr.io/Acme/x":                         "ghcr.io/acme",
		"ghcr.io/-*":                             "no repository",
		"ghcr.io/a..*":                           "no repository",
		"*_x.io/a":                               "host name",
		"*:x/a":                                  "host name",
		"*:443/a":                                "port 443",
		"*.com:443/a":                            "port 443",
		"[::*]/a":                                "IPv6",
		"a:":                                     "tag",
		"a:-*":                                   "tag",
		"a:**":                                   "tag",
		"a:" + strings.Repeat("a", 129):          "128",
		"a@sha256:abc":                           "64",
		"a@sha256:*":                             "64",
		"a@" + sha[7:]:                           "sha256:",
		"a@sha512:" + strings.Repeat("a", 128):   "sha256",
		"a:1@" + sha:                             "keep the digest",
		"ghcr.io/" + strings.Repeat("a", 256):    "no repository",
		"ghcr.io/" + strings.Repeat("a*", 300):   "longer than 512",
		"ghcr.io/a/" + strings.Repeat("b/", 200): "",
		"registry/" + strings.Repeat("a/", 3) + "": "extra slash",
	} {
		p, err := parsePattern(in)
		if says == "" {
			continue
		}
		if err == nil {
			t.Errorf("parsePattern(%q) = %q, want a refusal", in, p.String())
		} else if !strings.Contains(err.Error(), says) && says != "ghcr.io/acme" || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("parsePattern(%q): %q does not say %q", in, err, says)
		}
	}
}

func TestPatternMatchesNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern string
		yes, no []string
	}{
		{"alpine", []string{"alpine", "docker.io/library/alpine:3"}, []string{"alpine2", "acme/alpine", "ghcr.io/library/alpine"}},
		{"ghcr.io/acme/**", []string{"ghcr.io/acme/x", "ghcr.io/acme/x/y", "ghcr.io:443/acme/x"}, []string{"ghcr.io/acme", "ghcr.io/acmeevil/x", "ghcr.io/x/acme/y", "ghcr.io:5000/acme/x", "ghcr.io.evil.com/acme/x"}},
		{"ghcr.io/acme/*", []string{"ghcr.io/acme/x"}, []string{"ghcr.io/acme/x/y", "ghcr.io/acme"}},
		{"ghcr.io/**/x", []string{"ghcr.io/x", "ghcr.io/a/x", "ghcr.io/a/b/x"}, []string{"ghcr.io/a/xx", "ghcr.io/a/x/y"}},
		{"ghcr.io/a?c-*/x", []string{"ghcr.io/abc-d/x", "ghcr.io/a.c-d.e/x"}, []string{"ghcr.io/ac-d/x", "ghcr.io/abc-d/y/x"}},
		{"**", []string{"alpine", "localhost:5000/x/y/z", "[::1]/x"}, nil},
		{"**/azurenql/**", []string{"azurenql/x", "ghcr.io/azurenql/x/y"}, []string{"azurenql", "ghcr.io/azurenql2/x"}},
		{"*.example.com/**", []string{"a.example.com/x", "a.b.example.com/x/y"}, []string{"example.com/x", "a.example.com:5000/x", "a.example.com.evil/x"}},
		{"[::1]:5000/**", []string{"[::1]:5000/x", "[0::1]:5000/x"}, []string{"[::1]/x", "[::2]:5000/x", "localhost:5000/x"}},
		{"localhost:5000/x:v?", []string{"localhost:5000/x"}, []string{"localhost:5000/y", "localhost:5001/x"}},
	} {
		p, err := parsePattern(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range append(append([]string{}, tc.yes...), tc.no...) {
			if got, want := matches(t, p, s), i < len(tc.yes); got != want {
				t.Errorf("%q matches %q: %v, want %v", tc.pattern, s, got, want)
			}
		}
	}
}

func matches(t *testing.T, p pattern, s string) bool {
	t.Helper()
	ref, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	name := matchable(ref)
	return strings.HasPrefix(name, p.prefix) && p.matchName(name)
}

func TestSpecificity(t *testing.T) {
	t.Parallel()
	// From most to least specific.
	order := []string{
		"ghcr.io/acme/app@" + sha,
		"ghcr.io/**@" + sha,
		"**@" + sha,
		"ghcr.io/acme/app:1.2.3",
		"ghcr.io/acme/app:1.2.*",
		"ghcr.io/acme/app:1.*",
		"ghcr.io/acme/app:*",
		"ghcr.io/acme/app",
		"ghcr.io/acme/app*",
		"ghcr.io/acme/**/app",
		"ghcr.io/acme/??",
		"ghcr.io/acme/*-x",
		"ghcr.io/acme/?*",
		"ghcr.io/acme/*:1.2.3",
		"ghcr.io/acme/*",
		"ghcr.io/acme/**:latest",
		"ghcr.io/acme/**",
		"ghcr.io/*/app",
		"ghcr.io/**",
		"gh*.io/**",
		"**/acme/app",
		"**/app",
		"**:latest",
		"**",
	}
	for i, a := range order {
		for j, b := range order {
			pa, errA := parsePattern(a)
			pb, errB := parsePattern(b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			got := pa.rank.compare(pb.rank)
			if i < j && got <= 0 || i == j && got != 0 || i > j && got >= 0 {
				t.Errorf("%q against %q: %d", a, b, got)
			}
		}
	}
}

// oracle is the pattern language said once more, as a regular expression.
func oracle(p pattern) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	parts := strings.Split(p.name, "/")
	for i, part := range parts {
		switch {
		case part == "**" && i == len(parts)-1:
			b.WriteString(`[^/]+(/[^/]+)*`)
		case part == "**":
			b.WriteString(`([^/]+/)*`)
		default:
			b.WriteString(strings.NewReplacer(`\*`, `[^/]*`, `\?`, `[^/]`).Replace(regexp.QuoteMeta(part)))
			if i < len(parts)-1 {
				b.WriteString("/")
			}
		}
	}
	return regexp.MustCompile(b.String() + `$`)
}

func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"alpine", "alpine"}, {"**", "a/b"}, {"ghcr.io/**/x", "ghcr.io/a/b/x"}, {"gh?r.io/a*/**", "ghcr.io/ab/c/d"},
		{"[::1]:5000/**", "[::1]:5000/x"}, {"**/a*b/**/c*d/*", "x.y/ab/ab/cd/cd/e"}, {"*.a.b:5?/x", "c.a.b:51/x"}, {"a/*:1*", "a/b:12"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, s, image string) {
		p, err := parsePattern(s)
		if err != nil {
			return
		}
		again, err := parsePattern(p.String())
		if err != nil || again != p {
			t.Fatalf("%q reads as %q, which reads as %q, %v", s, p.String(), again.String(), err)
		}
		ref, err := reference.Parse(image)
		if err != nil {
			return
		}
		name := matchable(ref)
		got := strings.HasPrefix(name, p.prefix) && p.matchName(name)
		if want := oracle(p).MatchString(name); got != want {
			t.Errorf("%q matches %q: %v, want %v", p.name, name, got, want)
		}
		exact := newPattern(name, "", "")
		if got && exact.rank.compare(p.rank) < 0 && p.digest == "" && !(p.literal() && p.tag != "") {
			t.Errorf("%q is more specific than %q", p.String(), name)
		}
	})
}
