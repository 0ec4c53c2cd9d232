package registrytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Publisher is an account as the APIs of Docker Hub, Quay, GitHub and ECR Public tell of it, each in its own words: fields,
// statuses and headers are those that the packages below trust/publisher have sources for. A registry serves them all at its
// own address.
type Publisher struct {
	Name string
	// ID is a number for GitHub's API; any text will do for Docker Hub's.
	ID string
	// User makes it a user; else it is an organization.
	User   bool
	Joined time.Time
	// Badge is the word of Docker Hub's API ("verified_publisher", "open_source"); nil leaves the field out. Any word is
	// a verified account elsewhere.
	Badge        *string
	Repositories []Published
}

// Published is one repository of a publisher.
type Published struct {
	Name                string
	Registered, Updated time.Time
	Pulls, Stars        int64
}

// PutPublisher adds an account, or replaces the one of its name.
func (r *Registry) PutPublisher(p Publisher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.publishers == nil {
		r.publishers = map[string]Publisher{}
	}
	r.publishers[p.Name] = p
}

// DropPublisher deletes an account.
func (r *Registry) DropPublisher(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.publishers, name)
}

func (r *Registry) publisher(name string) (Publisher, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.publishers[name]
	return p, ok
}

// absent is how an API says that it knows no such thing.
type absent struct {
	status int
	body   string
}

// object is a JSON object.
type object = map[string]any

// servePublisher answers requests to the APIs; false when it is none.
func (r *Registry) servePublisher(w http.ResponseWriter, req *http.Request, f Fault) bool {
	path := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	is := func(n int, words ...string) bool {
		return len(path) == n && strings.HasPrefix(strings.Join(path, "/")+"/", strings.Join(words, "/")+"/")
	}
	var name string
	var tell func(Publisher) (any, bool)
	nobody := absent{http.StatusNotFound, `{"message":"httperror 404: object not found","errinfo":{}}`}
	switch {
	case is(3, "v2", "orgs"), is(3, "v2", "users"):
		name = path[2]
		if p, ok := r.publisher(name); ok && p.User != (path[1] == "users") { // each leads on to the other
			w.Header().Set("Location", map[bool]string{true: "/v2/users/", false: "/v2/orgs/"}[p.User]+name)
			w.WriteHeader(http.StatusPermanentRedirect)
			return true
		}
		tell = Publisher.hubAccount
	case is(3, "v2", "repositories"):
		name, tell = path[2], Publisher.hubListing
	case is(4, "v2", "repositories"):
		name, tell = path[2], func(p Publisher) (any, bool) { return p.hubRepository(path[3]) }
	case len(path) > 4 && is(len(path), "api", "v1", "repository"):
		name, tell = path[3], func(p Publisher) (any, bool) { return p.quayRepository(strings.Join(path[4:], "/")) }
		nobody = absent{http.StatusUnauthorized, `{"detail":"Requires authentication","error_message":"Requires authentication","error_type":"invalid_token","title":"invalid_token","status":401}`}
	case is(3, "api", "v1", "repository"):
		name, tell = req.URL.Query().Get("namespace"), Publisher.quayListing
		nobody = absent{http.StatusOK, `{"repositories":[]}`}
	case is(2, "users"), is(2, "orgs"):
		name, tell = path[1], Publisher.githubAccount
		nobody = absent{http.StatusNotFound, `{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}`}
	case is(1, "getRepositoryCatalogData"):
		name, tell = ecrQuestion(req, path[0])
		nobody = absent{http.StatusBadRequest, `{"__type":"RepositoryNotFoundException","message":"The repository does not exist"}`}
	case is(1, "searchRepositoryCatalogData"):
		name, tell = ecrQuestion(req, path[0])
		nobody = absent{http.StatusOK, `{"repositoryCatalogSearchResultList":[],"totalResults":0}`}
	default:
		return false
	}
	p, ok := r.publisher(name)
	var answer any
	if ok {
		answer, ok = tell(p)
	}
	w.Header().Set("X-RateLimit-Limit", "180")
	w.Header().Set("X-RateLimit-Remaining", "179")
	w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Minute).Unix()))
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(nobody.status)
		_, _ = io.WriteString(w, nobody.body)
		return true
	}
	body, err := json.Marshal(answer)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return true
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", digest.FromBytes(body).Encoded()[:16]))
	r.serveContent(w, req, f, "application/json", "", body)
	return true
}

func (p Publisher) hubAccount() (any, bool) {
	kind, key := "Organization", "orgname"
	if p.User {
		kind, key = "User", "username"
	}
	o := object{
		"id": p.ID, "uuid": p.ID, key: p.Name, "full_name": "", "location": "", "company": "", "profile_url": "",
		"date_joined": p.Joined, "gravatar_url": "", "gravatar_email": "", "type": kind, "is_active": true,
	}
	if p.Badge != nil {
		o["badge"] = *p.Badge
	}
	return o, true
}

func (p Publisher) hubRepository(name string) (any, bool) {
	for _, r := range p.Repositories {
		if r.Name == name {
			return object{
				"user": p.Name, "name": r.Name, "namespace": p.Name, "repository_type": "image", "status": 1, "status_description": "active",
				"description": "", "is_private": false, "is_automated": false, "star_count": r.Stars, "pull_count": r.Pulls,
				"last_updated": r.Updated, "last_modified": r.Updated, "date_registered": r.Registered, "collaborator_count": 0, "affiliation": nil,
				"hub_user": p.Name, "full_description": "", "media_types": []string{}, "content_types": []string{"image"}, "categories": []object{},
				"immutable_tags_settings": object{"enabled": false, "rules": []string{}}, "storage_size": 1, "source": nil,
			}, true
		}
	}
	return nil, false
}

func (p Publisher) hubListing() (any, bool) {
	results := []any{}
	for _, r := range p.Repositories {
		one, _ := p.hubRepository(r.Name)
		results = append(results, one)
	}
	return object{"count": len(results), "next": nil, "previous": nil, "results": results}, true
}

func (p Publisher) quayRepository(name string) (any, bool) {
	for _, r := range p.Repositories {
		if r.Name == name {
			return object{
				"namespace": p.Name, "name": r.Name, "kind": "image", "description": "", "is_public": true, "is_organization": !p.User, "is_starred": false,
				"status_token": "", "trust_enabled": false, "tag_expiration_s": 1209600, "is_free_account": false, "state": "NORMAL",
				"tags":      object{"latest": object{"name": "latest", "size": 1, "last_modified": r.Updated.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0000"), "manifest_digest": digest.FromString(r.Name)}},
				"can_write": false, "can_admin": false,
			}, true
		}
	}
	return nil, false
}

func (p Publisher) quayListing() (any, bool) {
	all := []object{}
	for _, r := range p.Repositories {
		all = append(all, object{
			"namespace": p.Name, "name": r.Name, "description": "", "is_public": true, "kind": "image", "state": "NORMAL", "is_starred": false,
			"quota_report": nil, "last_modified": r.Updated.Unix(), "popularity": float64(r.Pulls),
		})
	}
	return object{"repositories": all}, true
}

func (p Publisher) githubAccount() (any, bool) {
	kind := "Organization"
	if p.User {
		kind = "User"
	}
	o := object{
		"login": p.Name, "id": json.RawMessage(p.ID), "node_id": "x", "type": kind, "site_admin": false, "name": p.Name, "company": nil, "blog": "",
		"public_repos": len(p.Repositories), "public_gists": 0, "followers": 0, "following": 0, "created_at": p.Joined, "updated_at": p.Joined,
	}
	if !p.User {
		o["is_verified"] = p.Badge != nil && *p.Badge != ""
	}
	return o, true
}

// ecrQuestion is whom a posted question is about.
func ecrQuestion(req *http.Request, operation string) (string, func(Publisher) (any, bool)) {
	var q struct {
		RegistryAliasName string `json:"registryAliasName"`
		RepositoryName    string `json:"repositoryName"`
		SearchTerm        string `json:"searchTerm"`
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<16))
	if err != nil || json.Unmarshal(body, &q) != nil || req.Method != http.MethodPost {
		return "", nil
	}
	if operation == "searchRepositoryCatalogData" {
		return q.SearchTerm, Publisher.ecrSearch
	}
	return q.RegistryAliasName, func(p Publisher) (any, bool) { return p.ecrRepository(q.RepositoryName) }
}

func (p Publisher) ecrRepository(name string) (any, bool) {
	for _, r := range p.Repositories {
		if r.Name == name {
			return object{
				"catalogData": object{"description": "", "architectures": []string{"x86-64"}, "operatingSystems": []string{"Linux"}},
				"insightData": object{"downloadCount": r.Pulls},
			}, true
		}
	}
	return nil, false
}

func (p Publisher) ecrSearch() (any, bool) {
	all := []object{}
	for _, r := range p.Repositories {
		all = append(all, object{
			"repositoryName": r.Name, "primaryRegistryAliasName": p.Name, "displayName": p.Name, "registryVerified": p.Badge != nil && *p.Badge != "",
			"downloadCount": r.Pulls, "operatingSystems": []string{"Linux"}, "architectures": []string{"x86-64"},
		})
	}
	return object{"repositoryCatalogSearchResultList": all, "totalResults": len(all)}, true
}
