// Package ecrpublic knows what the gallery of Amazon ECR Public tells of accounts and repositories to anybody, and how. The
// gallery's own interface is not documented; what is read of it is what public clients read:
//
//   - POST /searchRepositoryCatalogData with searchTerm tells repositoryCatalogSearchResultList, each with repositoryName,
//     primaryRegistryAliasName, registryVerified and downloadCount. Sources: public clients that search the gallery, such as
//     app/models/ecosystem/docker.rb of github.com/ecosyste-ms/packages.
//   - POST /getRepositoryCatalogData with registryAliasName and repositoryName tells catalogData and, beside it,
//     insightData.downloadCount. Sources: the same, and the statistics of github.com/MultiQC/api.multiqc.info.
//   - What is not there is RepositoryNotFoundException, RepositoryCatalogDataNotFoundException or RegistryNotFoundException,
//     with status 400 as the errors of the Amazon ECR Public API are (docs.aws.amazon.com/AmazonECRPublic/latest/APIReference).
//
// It tells of no account when it was made. Questions are posted, so that none can be conditional.
package ecrpublic

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/internal/document"
)

const host = "public.ecr.aws"

// Registry implements publisher.Registry.
type Registry struct{}

// Host implements publisher.Registry.
func (Registry) Host() string { return host }

// Title implements publisher.Registry.
func (Registry) Title() string { return "ECR Public" }

// Endpoint implements publisher.Registry.
func (Registry) Endpoint() string { return "https://api.us-east-1.gallery.ecr.aws" }

// Questions implements publisher.Registry. All are posted.
func (Registry) Questions(ref trust.Reference) []publisher.Question {
	alias, repo, ok := strings.Cut(ref.Repository, "/")
	if !ok || alias == "" || repo == "" {
		return nil
	}
	account := host + "/" + alias
	return []publisher.Question{
		{
			Kind: publisher.KindAccount, Name: account, Path: "/searchRepositoryCatalogData",
			Body: posted(map[string]any{"searchTerm": alias}), Read: func(body []byte) (publisher.Facts, error) { return ReadSearch(alias, body) },
		},
		{
			Kind: publisher.KindRepository, Name: account + "/" + repo, Path: "/getRepositoryCatalogData",
			Body: posted(map[string]any{"registryAliasName": alias, "repositoryName": repo}), Read: ReadRepository,
			Absent: absent,
		},
	}
}

// absent: errors name their sort in "__type", with or without a name space before it.
func absent(status int, body []byte) bool {
	var doc struct {
		Type string `json:"__type"`
		Code string `json:"code"`
	}
	if status != http.StatusBadRequest || json.Unmarshal(body, &doc) != nil {
		return false
	}
	sort := cmp.Or(doc.Type, doc.Code)
	sort = sort[strings.LastIndexByte(sort, '#')+1:]
	return sort == "RepositoryNotFoundException" || sort == "RepositoryCatalogDataNotFoundException" || sort == "RegistryNotFoundException"
}

func posted(question map[string]any) []byte {
	body, err := json.Marshal(question)
	if err != nil {
		return []byte("{}") // texts alone
	}
	return body
}

// ReadSearch reads what a search found, as far as it belongs to the account with an alias.
func ReadSearch(alias string, body []byte) (publisher.Facts, error) {
	var doc struct {
		Found []struct {
			Name     string `json:"repositoryName"`
			Alias    string `json:"primaryRegistryAliasName"`
			Verified *bool  `json:"registryVerified"`
		} `json:"repositoryCatalogSearchResultList"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Found == nil {
		return publisher.Facts{}, document.Lacks("a list")
	}
	var f publisher.Facts
	for _, r := range doc.Found {
		if r.Alias != alias {
			continue
		}
		f.Names = append(f.Names, r.Name)
		switch {
		case r.Verified == nil:
		case *r.Verified:
			f.Badge = new(publisher.BadgeVerified)
		case f.Badge == nil:
			f.Badge = new("")
		}
	}
	return f, nil
}

// ReadRepository reads one repository.
func ReadRepository(body []byte) (publisher.Facts, error) {
	var doc struct {
		CatalogData *struct{} `json:"catalogData"`
		InsightData struct {
			DownloadCount *int64 `json:"downloadCount"`
		} `json:"insightData"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.CatalogData == nil {
		return publisher.Facts{}, document.Lacks("catalog data")
	}
	return publisher.Facts{Pulls: doc.InsightData.DownloadCount}, nil
}
