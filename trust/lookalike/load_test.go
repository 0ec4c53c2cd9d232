package lookalike

import (
	"errors"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

const small = `version: 1
registries:
  - {host: docker.io, of: Docker Hub, shared: true}
  - {host: ghcr.io, of: GitHub, shared: true}
tenants: [azurecr.io]
official: [nginx, hello-world]
officialAt: [docker.io/library]
owners:
  - of: Acme
    brands: [acmecorp]
    projects: [roadrunner]
    repositories: [rocket-skates]
    at: [docker.io/acme, ghcr.io/acme-*]
ordinary: [known]
honest: [engine]
claims: [official]
pretences: [latest]
ends: [js]
`

func TestLoad(t *testing.T) {
	t.Parallel()
	one, err := Load("x", strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Load("y", strings.NewReader("# a comment\n"+small))
	if err != nil || one.Digest() != two.Digest() {
		t.Errorf("%v; a comment changed the digest", err)
	}
	three, err := Load("z", strings.NewReader(strings.Replace(small, "acmecorp", "acmeinc", 1)))
	if err != nil || one.Digest() == three.Digest() {
		t.Errorf("%v; a name did not change the digest", err)
	}
	if c := one.Counts(); c["registries"] != 2 || c["namespaces"] != 4 || c["places"] != 3 {
		t.Errorf("%v", c)
	}
	for image, like := range map[string]string{
		"acmecorps1/x": "acmecorp", "x/rocketskates": "rocket-skates", "ghcr.io/acme-labs/roadruner": "", "x/roadruner": "", "roadruner/x": "roadrunner",
		"x/engine": "", "x/hello_world": "hello-world",
	} {
		found := one.Resembles(parse(t, image))
		got := ""
		if len(found) > 0 {
			got = found[0].Like
		}
		if got != like {
			t.Errorf("%s resembles %q, want %q", image, got, like)
		}
	}
}

func TestLoad_refuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ from, to, says string }{
		"empty":                   {small, "", "EOF"},
		"other-version":           {"version: 1", "version: 2", "reads version 1"},
		"unknown-key":             {"honest:", "honset:", "honset"},
		"two-documents":           {"ends: [js]", "ends: [js]\n---\nversion: 1", "more than one"},
		"too-large":               {"version: 1", "version: 1 #" + strings.Repeat("x", maxFile), "more than"},
		"too-many-names":          {"[nginx, hello-world]", manyNames(maxNames), "more than"},
		"host-twice":              {"ghcr.io, of", "docker.io, of", "stands there once"},
		"host-without-owner":      {"of: GitHub, ", "", "with its owner"},
		"no-host":                 {"host: ghcr.io", "host: https://ghcr.io", "must be a host"},
		"tenant-no-host":          {"[azurecr.io]", "[azurecr]", "must be a host"},
		"name-upper":              {"brands: [acmecorp]", "brands: [AcmeCorp]", "must be a name"},
		"name-long":               {"acmecorp", strings.Repeat("a", maxName+1), "must be a name"},
		"name-twice":              {"[nginx, hello-world]", "[nginx, nginx]", "twice"},
		"name-of-two":             {"projects: [roadrunner]", "projects: [acmecorp]", "one owner"},
		"owner-twice":             {"ordinary:", "  - {of: Acme, at: [docker.io/b]}\nordinary:", "once"},
		"owner-nameless":          {"of: Acme", `of: ""`, "must be a name"},
		"owner-nowhere":           {"    at: [docker.io/acme, ghcr.io/acme-*]\n", "", `"at" is missing`},
		"place-of-no-registry":    {"ghcr.io/acme-*", "gchr.io/acme-*", "one of the registries"},
		"place-with-inner-star":   {"ghcr.io/acme-*", "ghcr.io/*-acme", "* only at its end"},
		"official-in-no-registry": {"officialAt: [docker.io/library]", "officialAt: [example.com/library]", "one of the registries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(small, tt.from, tt.to, 1)
			if bad == small {
				t.Fatalf("%q is not there", tt.from)
			}
			_, err := Load("my.yaml", strings.NewReader(bad))
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "my.yaml") {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if limit := strings.HasPrefix(name, "too-"); limit != errors.Is(err, trust.ErrLimit) {
				t.Errorf("%v: a limit: %v", err, limit)
			}
		})
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(", a")
		for i > 0 {
			b.WriteByte(byte('a' + i%26))
			i /= 26
		}
	}
	return "[b" + b.String() + "]"
}
