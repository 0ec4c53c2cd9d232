package lookalike

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

// TestNobodyResemblesThemselves: what stands where its owner publishes resembles nothing, whatever it is called.
func TestNobodyResemblesThemselves(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	for host, at := range names.places {
		for _, p := range at {
			for _, name := range []string{"ngnix", "nginx", "rnicrosoft-official"} {
				path := strings.Join(append(append([]string{host}, p.components...), name), "/")
				if p.prefix {
					path = strings.Join(append(append([]string{host}, p.components...), "more", name), "/")
				}
				if p.official {
					continue // the official images are known one by one
				}
				if found := names.Resembles(parse(t, path)); len(found) > 0 {
					t.Errorf("%s: %+v", path, found)
				}
			}
		}
	}
	for _, one := range names.official.all {
		for _, at := range []string{"", "docker.io/library/", "public.ecr.aws/docker/library/", "somebody/"} {
			if found := counted(names.Resembles(parse(t, at+one.name))); len(found) > 0 {
				t.Errorf("%s%s: %+v", at, one.name, found)
			}
		}
	}
	for _, r := range names.registries {
		if found, ok := names.registry(r.Host); ok {
			t.Errorf("%s: %+v", r.Host, found)
		}
	}
}

// TestSpellingsAreOne: tag, digest, port and the ways of writing Docker Hub change nothing.
func TestSpellingsAreOne(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	for _, repository := range []string{"grafnaa/grafana", "acme/ngnix", "acme/nginx", "azurenql/dao"} {
		want := names.Resembles(parse(t, repository))
		for _, spelled := range []string{
			"docker.io/" + repository, "index.docker.io/" + repository, "DOCKER.io/" + repository, "registry-1.docker.io:443/" + repository,
			repository + ":latest", repository + ":1.2.3", repository + "@" + someDigest,
		} {
			got := names.Resembles(parse(t, spelled))
			if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
				t.Errorf("%s: %+v, but %s: %+v", spelled, got, repository, want)
			}
		}
	}
	for _, pair := range [][2]string{{"ngnix", "docker.io/library/ngnix:1"}, {"ghrc.io/a/b", "ghrc.io:5000/a/b"}} {
		one, two := names.Resembles(parse(t, pair[0])), names.Resembles(parse(t, pair[1]))
		if len(one) != 1 || len(two) != 1 || one[0] != two[0] {
			t.Errorf("%s: %+v, but %s: %+v", pair[0], one, pair[1], two)
		}
	}
}

// TestDistance: it is zero for equal names alone, within its limit, and no more than plain edits cost.
func TestDistance(t *testing.T) {
	t.Parallel()
	k := newKeys()
	for _, tt := range []struct {
		name, typed string
		want        int
	}{
		{"nginx", "nginx", 0}, {"nginx", "ngnix", costNear}, {"nginx", "nginc", costNear}, {"nginx", "nginnx", costNear},
		{"nginx", "ngix", costLess}, {"kubernetes", "kuberntes", costLess}, {"jetty", "jety", costNear}, {"nginx", "nginqx", costOther},
		{"nginx", "nginxz", costBeside}, {"redis", "", 5 * costLess}, {"", "redis", 41}, {"a" + strings.Repeat("b", maxName), "b", 41},
	} {
		if got := k.distance(tt.name, tt.typed, 40); got != tt.want {
			t.Errorf("%q, %q: %d, want %d", tt.name, tt.typed, got, tt.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	word := func() string {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = "abnm0-"[r.IntN(6)]
		}
		return string(b)
	}
	for range 20_000 {
		a, b, limit := word(), word(), r.IntN(30)
		exact := k.distance(a, b, 1000)
		if (exact == 0) != (a == b) || exact > costOther*max(len(a), len(b))*2 {
			t.Fatalf("%q, %q: %d", a, b, exact)
		}
		if got := k.distance(a, b, limit); got != min(exact, limit+1) {
			t.Fatalf("%q, %q within %d: %d, want %d", a, b, limit, got, min(exact, limit+1))
		}
	}
}

func TestFinding(t *testing.T) {
	t.Parallel()
	f := Resemblance{Part: partNamespace, Name: strings.Repeat("x", 400) + "\x1b", Strength: trust.Strong, Why: strings.Repeat("y", 400)}.Finding()
	if f.Reach != trust.ReachPresent || f.Path != "name:namespace" || len(f.Excerpt) > trust.ExcerptLimit || len(f.Why) > 300 || f.Check != Check {
		t.Errorf("%+v", f)
	}
}
