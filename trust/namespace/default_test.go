package namespace

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

// checkSources: every entry says in a comment how it is known, and where anybody can publish, names are known and
// no more, but for those of Docker and Amazon themselves.
func checkSources(t *testing.T, list *List) {
	t.Helper()
	text, err := os.ReadFile("../../configs/trust/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range list.rules {
		e := list.rules[i].entry
		if _, source, ok := strings.Cut(lines[e.Line-1], " # "); !ok || !strings.Contains(source, ".") {
			t.Errorf("%s has no source", e.Pattern)
		}
		host, _, _ := strings.Cut(e.Pattern, "/")
		own := []string{"docker.io/library/**", "public.ecr.aws/docker/library/**", "docker.io/docker/**", "docker.io/moby/buildkit", "public.ecr.aws/amazonlinux/**", "gcr.io/distroless/**"}
		if e.Action == allow && e.Tier != trust.TierKnown && strings.Contains(shared, " "+host+" ") && !slices.Contains(own, e.Pattern) {
			t.Errorf("%s is trusted, and anybody can publish at %s", e.Pattern, host)
		}
	}
}

// TestShippedList holds the list in configs/trust to what its own head says.
func TestShippedList(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../configs/trust/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := Load("default.yaml", f)
	if err != nil {
		t.Fatal(err)
	}
	lists := Combine(list)
	seen := map[string]bool{}
	for _, e := range lists.Entries() {
		if e.Reason == "" || e.SkipInspection || seen[e.Pattern] {
			t.Errorf("%s: reason %q, inspection skipped %v, twice %v", e.Pattern, e.Reason, e.SkipInspection, seen[e.Pattern])
		}
		seen[e.Pattern] = true
	}
	checkSources(t, list)
	if problems := Combine(list.At(Shipped)).Lint(noon); len(problems) > 0 {
		t.Errorf("lint: %+v", problems)
	}
	for image, want := range map[string]string{
		"alpine":                            allow,
		"mcr.microsoft.com/dotnet/sdk:9.0":  allow,
		"registry.k8s.io/pause":             allow,
		"gcr.io/distroless/static":          allow,
		"azurenql/anything":                 deny,
		"registry-1.docker.io/azurenql/x/y": deny,
		"docker123321/tomcat":               deny,
		"pocosow/centos:7.6.1810":           deny,
		"gakeaws/nginx":                     deny,
		"vibersastra/ubuntu":                deny,
		"azurenql2/anything":                "",
		"127.0.0.1:5000/library/alpine":     "",
		"mcr.microsoft.com.example.com/x":   "",
		"gcr.io/distroless-evil/static":     "",
		"quay.io/prometheus/prometheus":     allow,
		"quay.io/prometheus2/prometheus":    "",
		"public.ecr.aws/lambda/python:3.12": allow,
	} {
		standing := lists.Match(parse(t, image), noon)
		got := ""
		if standing.Decided != nil {
			got = standing.Decided.Action
		}
		if got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
