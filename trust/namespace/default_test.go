package namespace

import (
	"os"
	"testing"
)

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
