package ecrpublic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/ecrpublic"
	"github.com/safepull/safepull/trust/publisher/publishertest"
)

// Answers as the API gives them, with the names and the shapes of its fields.
const (
	found = `{"repositoryCatalogSearchResultList":[
		{"repositoryName":"app","primaryRegistryAliasName":"acme","displayName":"Acme","logoUrl":null,"repositoryDescription":"","operatingSystems":["Linux"],
		"architectures":["x86-64"],"registryVerified":true,"downloadCount":123},
		{"repositoryName":"app","primaryRegistryAliasName":"acme-fan","displayName":"","registryVerified":false,"downloadCount":1}],"totalResults":2,"nextToken":"x"}`
	repository = `{"catalogData":{"description":"","architectures":["x86-64"],"operatingSystems":["Linux"],"aboutText":"","usageText":"","marketplaceCertified":false},
		"insightData":{"downloadCount":456}}`
)

func search(alias string) func([]byte) (publisher.Facts, error) {
	return func(body []byte) (publisher.Facts, error) { return ecrpublic.ReadSearch(alias, body) }
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		read func([]byte) (publisher.Facts, error)
		body string
		want publisher.Facts
		bad  bool
	}{
		"verified":       {search("acme"), found, publisher.Facts{Badge: new(publisher.BadgeVerified), Names: []string{"app"}}, false},
		"not-verified":   {search("acme-fan"), found, publisher.Facts{Badge: new(""), Names: []string{"app"}}, false},
		"not-among-them": {search("other"), found, publisher.Facts{}, false},
		"not-told":       {search("acme"), strings.Replace(found, `"registryVerified":true,`, "", 1), publisher.Facts{Names: []string{"app"}}, false},
		"repository":     {ecrpublic.ReadRepository, repository, publisher.Facts{Pulls: new(int64(456))}, false},
		"no-insight":     {ecrpublic.ReadRepository, `{"catalogData":{}}`, publisher.Facts{}, false},
		"no-list":        {search("acme"), `{}`, publisher.Facts{}, true},
		"verified-text":  {search("acme"), strings.Replace(found, "true", `"true"`, 1), publisher.Facts{}, true},
		"no-data":        {ecrpublic.ReadRepository, `{"message":"x"}`, publisher.Facts{}, true},
		"count-as-text":  {ecrpublic.ReadRepository, strings.Replace(repository, "456", `"456"`, 1), publisher.Facts{}, true},
	} {
		got, err := tt.read([]byte(tt.body))
		if (err != nil) != tt.bad || err != nil && !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	for repository, want := range map[string]string{
		"acme/app": `account public.ecr.aws/acme /searchRepositoryCatalogData {"searchTerm":"acme"}, ` +
			`repository public.ecr.aws/acme/app /getRepositoryCatalogData {"registryAliasName":"acme","repositoryName":"app"}`,
		"acme/a/b": `account public.ecr.aws/acme /searchRepositoryCatalogData {"searchTerm":"acme"}, ` +
			`repository public.ecr.aws/acme/a/b /getRepositoryCatalogData {"registryAliasName":"acme","repositoryName":"a/b"}`,
		"app": "", "/x": "", "x/": "",
	} {
		var got []string
		for _, q := range (ecrpublic.Registry{}).Questions(trust.Reference{Registry: "public.ecr.aws", Repository: repository}) {
			got = append(got, q.Key()+" "+q.Path+" "+string(q.Body))
		}
		if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%q: %s", repository, diff)
		}
	}
}

// TestAbsent: only the words for what is not there are an answer.
func TestAbsent(t *testing.T) {
	t.Parallel()
	absent := (ecrpublic.Registry{}).Questions(trust.Reference{Registry: "public.ecr.aws", Repository: "acme/app"})[1].Absent
	for body, want := range map[string]bool{
		`{"__type":"RepositoryNotFoundException","message":"x"}`:                         true,
		`{"__type":"com.amazonaws.ecr.public#RepositoryNotFoundException"}`:              true,
		`{"code":"RepositoryCatalogDataNotFoundException"}`:                              true,
		`{"__type":"RegistryNotFoundException"}`:                                         true,
		`{"__type":"InvalidParameterException","message":"RepositoryNotFoundException"}`: false,
		`{"__type":["RepositoryNotFoundException"]}`:                                     false,
		`RepositoryNotFoundException`:                                                    false,
	} {
		if absent(400, []byte(body)) != want || absent(503, []byte(body)) || absent(200, []byte(body)) {
			t.Errorf("%s", body)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, ecrpublic.Registry{})
}

// FuzzRead: no answer makes a reader panic, and what it makes of one can be remembered.
func FuzzRead(f *testing.F) { publishertest.Fuzz(f, ecrpublic.Registry{}, found, repository) }
