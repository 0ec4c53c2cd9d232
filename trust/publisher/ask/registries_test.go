package ask_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/ask"
	"github.com/safepull/safepull/trust/publisher/dockerhub"
	"github.com/safepull/safepull/trust/publisher/ecrpublic"
	"github.com/safepull/safepull/trust/publisher/ghcr"
	"github.com/safepull/safepull/trust/publisher/quay"
	"github.com/safepull/safepull/trust/store/memory"
)

// TestRegistries: each registry's questions are answered by the stand-in for its API, all of them, and a mirror of the API may
// stand below a path.
func TestRegistries(t *testing.T) {
	t.Parallel()
	api := registrytest.Start(t, registrytest.Options{})
	api.PutPublisher(acme())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	u, err := url.Parse(api.URL())
	if err != nil {
		t.Fatal(err)
	}
	var sources []ask.Source
	for _, r := range []publisher.Registry{dockerhub.Registry{}, ecrpublic.Registry{}, ghcr.Registry{}, quay.Registry{}} {
		if strings.Contains(r.Endpoint(), " ") || !strings.HasPrefix(r.Endpoint(), "https://") {
			t.Errorf("%s is at %q", r.Title(), r.Endpoint())
		}
		sources = append(sources, ask.Source{Registry: r, URL: u, Transport: transport})
	}
	a, err := ask.New(sources, memory.New(), ask.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]func(publisher.Known) bool{
		"docker.io": func(k publisher.Known) bool {
			return k.Account.Now.Badged() && *k.Repository.Now.Stars == 10 && *k.Listing.Now.Repositories == 1
		},
		"public.ecr.aws": func(k publisher.Known) bool { return k.Account.Now.Badged() && *k.Repository.Now.Pulls == 1000 },
		"ghcr.io":        func(k publisher.Known) bool { return k.Account.Now.ID == "1" && !k.Account.Now.Created.IsZero() },
		"quay.io": func(k publisher.Known) bool {
			return k.Repository.Now.Type == "organization" && k.Listing.Now.Names[0] == "app" && !k.Repository.Now.Updated.IsZero()
		},
	} {
		answer, err := a.Ask(t.Context(), trust.Reference{Registry: host, Repository: "acme/app"})
		if err != nil || len(answer.Findings) > 0 || !want(answer.Known) {
			t.Errorf("%s: %+v, %v", host, answer, err)
		}
	}
	if n := api.Count("POST", ""); n != 2 {
		t.Errorf("%d questions were posted", n)
	}
}
