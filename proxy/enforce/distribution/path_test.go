package distribution_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

const hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestWhichImage says which reference a request is about, or with what status it is refused before the gate is asked.
func TestWhichImage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path   string
		want   string
		status int
	}{
		"default":             {"/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"official":            {"/v2/alpine/manifests/1", "docker.io/library/alpine:1", 200},
		"digest":              {"/v2/acme/app/manifests/" + hash, "docker.io/acme/app@" + hash, 200},
		"digest_escaped":      {"/v2/acme/app/manifests/sha256%3A" + hash[7:], "docker.io/acme/app@" + hash, 200},
		"alias":               {"/v2/gh/acme/app/manifests/1", "ghcr.io/acme/app:1", 200},
		"host_in_path":        {"/v2/ghcr.io/acme/app/manifests/1", "ghcr.io/acme/app:1", 200},
		"default_in_path":     {"/v2/docker.io/alpine/manifests/1", "docker.io/library/alpine:1", 200},
		"port_by_alias":       {"/v2/local/acme/app/manifests/1", "127.0.0.1:5443/acme/app:1", 200},
		"alias_alone_is_name": {"/v2/gh/manifests/1", "docker.io/library/gh:1", 200},
		"ns":                  {"/v2/acme/app/manifests/1?ns=ghcr.io", "ghcr.io/acme/app:1", 200},
		"ns_port":             {"/v2/acme/app/manifests/1?ns=127.0.0.1%3A5443", "127.0.0.1:5443/acme/app:1", 200},
		"ns_hub_spelling":     {"/v2/library/alpine/manifests/1?ns=registry-1.docker.io", "docker.io/library/alpine:1", 200},
		"ns_upper_case":       {"/v2/acme/app/manifests/1?ns=GHCR.io", "ghcr.io/acme/app:1", 200},
		"ns_agrees":           {"/v2/ghcr.io/acme/app/manifests/1?ns=ghcr.io", "ghcr.io/acme/app:1", 200},
		"ns_own_alias":        {"/v2/gh/acme/app/manifests/1?ns=ghcr.io", "ghcr.io/gh/acme/app:1", 200},
		"ns_other_alias":      {"/v2/gh/acme/app/manifests/1?ns=docker.io", "docker.io/gh/acme/app:1", 200},
		"ns_dotted_name":      {"/v2/my.team/app/manifests/1?ns=ghcr.io", "ghcr.io/my.team/app:1", 200},
		"v2_as_last":          {"/v2/acme/v2/manifests/1", "docker.io/acme/v2:1", 200},

		"ns_conflict":        {"/v2/ghcr.io/acme/app/manifests/1?ns=docker.io", "", 400},
		"ns_twice":           {"/v2/acme/app/manifests/1?ns=ghcr.io&ns=docker.io", "", 400},
		"ns_empty":           {"/v2/acme/app/manifests/1?ns=", "", 400},
		"ns_unknown":         {"/v2/acme/app/manifests/1?ns=evil.example", "", 403},
		"ns_url":             {"/v2/acme/app/manifests/1?ns=http://169.254.169.254/", "", 403},
		"ns_userinfo":        {"/v2/acme/app/manifests/1?ns=ghcr.io@evil.example", "", 403},
		"query_unreadable":   {"/v2/acme/app/manifests/1?ns=%zz", "", 400},
		"unknown_host":       {"/v2/evil.example/acme/app/manifests/1", "", 403},
		"unknown_port":       {"/v2/127.0.0.1:22/app/manifests/1", "", 403},
		"nested_v2":          {"/v2/a/v2/b/manifests/x", "", 400},
		"nested_manifests":   {"/v2/a/manifests/b/manifests/x", "", 400},
		"nested_blobs":       {"/v2/a/blobs/b/manifests/x", "", 400},
		"dotdot":             {"/v2/a/../b/manifests/x", "", 400},
		"dot":                {"/v2/a/./b/manifests/x", "", 400},
		"dotdot_escaped":     {"/v2/a/%2e%2e/b/manifests/x", "", 400},
		"slash_escaped":      {"/v2/a%2fb/manifests/x", "", 400},
		"null_escaped":       {"/v2/a%00/manifests/x", "", 400},
		"empty_component":    {"/v2/a//b/manifests/x", "", 400},
		"empty_name":         {"/v2//manifests/x", "", 400},
		"no_name":            {"/v2/manifests/x", "", 404},
		"upper_case_name":    {"/v2/Acme/app/manifests/x", "", 400},
		"long_name":          {"/v2/" + strings.Repeat("a", 400) + "/manifests/x", "", 400},
		"long_path":          {"/v2/" + strings.Repeat("a/", 600) + "manifests/x", "", 400},
		"bad_tag":            {"/v2/a/manifests/.x", "", 400},
		"long_tag":           {"/v2/a/manifests/" + strings.Repeat("x", 129), "", 400},
		"empty_tag":          {"/v2/a/manifests/", "", 400},
		"bad_digest":         {"/v2/a/manifests/sha256:123", "", 400},
		"blob_by_tag":        {"/v2/a/blobs/x", "", 400},
		"referrers_by_tag":   {"/v2/a/referrers/x", "", 400},
		"uploads":            {"/v2/a/blobs/uploads/", "", 404},
		"upload_session":     {"/v2/a/blobs/uploads/uuid", "", 404},
		"catalog":            {"/v2/_catalog", "", 404},
		"tags_else":          {"/v2/a/tags/else", "", 404},
		"trailing_slash":     {"/v2/a/manifests/x/", "", 404},
		"behind_manifest":    {"/v2/a/manifests/x/y", "", 404},
		"other_root":         {"/v1/a/manifests/x", "", 404},
		"other_v2":           {"/v2a/manifests/x", "", 404},
		"double_slash_front": {"//v2/a/manifests/x", "", 404},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := &fakeGate{release: released()}
			s := serve(t, gate, fakeLister{})
			got := do(t, s, "GET", c.path)
			if got.StatusCode != c.status {
				t.Fatalf("%d %s", got.StatusCode, got.body)
			}
			if c.status != 200 {
				if len(gate.asked) > 0 || got.message() == "" {
					t.Errorf("asked %v, answered %s", gate.asked, got.body)
				}
				return
			}
			if len(gate.asked) != 1 || gate.asked[0].String() != c.want {
				t.Errorf("asked for %v", gate.asked)
			}
		})
	}
}

func TestNoDefaultUpstream(t *testing.T) {
	t.Parallel()
	h, err := distribution.New(&fakeGate{}, []distribution.Upstream{{Host: "ghcr.io", Lister: fakeLister{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v2/acme/app/manifests/1", nil))
	if w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestUpstreamsMustBeClear(t *testing.T) {
	t.Parallel()
	l := fakeLister{}
	for name, upstreams := range map[string][]distribution.Upstream{
		"twice":          {{Host: "ghcr.io", Lister: l}, {Host: "ghcr.io", Lister: l}},
		"alias_twice":    {{Host: "ghcr.io", Alias: "a", Lister: l}, {Host: "quay.io", Alias: "a", Lister: l}},
		"alias_is_host":  {{Host: "ghcr.io", Lister: l}, {Host: "quay.io", Alias: "ghcr.io", Lister: l}},
		"two_defaults":   {{Host: "ghcr.io", Default: true, Lister: l}, {Host: "quay.io", Default: true, Lister: l}},
		"no_host":        {{Lister: l}},
		"no_lister":      {{Host: "ghcr.io"}},
		"other_spelling": {{Host: "GHCR.io", Lister: l}},
		"hub_spelling":   {{Host: "index.docker.io", Lister: l}},
		"shared_host":    {{Host: "ghcr.io", Lister: l}, {Host: "quay.io", TransparentHosts: []string{"ghcr.io:443"}, Lister: l}},
		"no_host_name":   {{Host: "ghcr.io", TransparentHosts: []string{"https://ghcr.io"}, Lister: l}},
	} {
		if _, err := distribution.New(&fakeGate{}, upstreams, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTransparent: a Host header that names an upstream wins, and then the path is the registry's own.
func TestTransparent(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		host, path string
		want       string
		status     int
	}{
		"hub":               {"registry-1.docker.io", "/v2/library/alpine/manifests/1", "docker.io/library/alpine:1", 200},
		"hub_name":          {"docker.io", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"hub_port":          {"registry-1.docker.io:443", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"final_dot":         {"registry-1.docker.io.", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"upper_case":        {"GHCR.io", "/v2/acme/app/manifests/1", "ghcr.io/acme/app:1", 200},
		"other_port":        {"ghcr.io:8443", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"further_name":      {"packages.example", "/v2/acme/app/manifests/1", "ghcr.io/acme/app:1", 200},
		"port":              {"127.0.0.1:5443", "/v2/acme/app/manifests/1", "127.0.0.1:5443/acme/app:1", 200},
		"alias_is_no_alias": {"ghcr.io", "/v2/gh/app/manifests/1", "ghcr.io/gh/app:1", 200},
		"own_name":          {"proxy.example", "/v2/gh/acme/app/manifests/1", "ghcr.io/acme/app:1", 200},
		"machine_name":      {"proxy", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"no_host":           {"", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"strange":           {"[::1%25eth0]:5", "/v2/acme/app/manifests/1", "docker.io/acme/app:1", 200},
		"ns_agrees":         {"ghcr.io", "/v2/acme/app/manifests/1?ns=ghcr.io", "ghcr.io/acme/app:1", 200},
		"ns_conflict":       {"ghcr.io", "/v2/acme/app/manifests/1?ns=docker.io", "", 400},
		"ns_unknown":        {"ghcr.io", "/v2/acme/app/manifests/1?ns=evil.example", "", 403},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := &fakeGate{release: released()}
			h, err := distribution.New(gate, []distribution.Upstream{
				{Host: "docker.io", Default: true, Lister: fakeLister{}},
				{Host: "ghcr.io", Alias: "gh", TransparentHosts: []string{"packages.example"}, Lister: fakeLister{}},
				{Host: "127.0.0.1:5443", Lister: fakeLister{}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), "GET", c.path, nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if c.status == 200 && (len(gate.asked) != 1 || gate.asked[0].String() != c.want) {
				t.Errorf("asked for %v", gate.asked)
			}
		})
	}
}

// FuzzPath: whatever the path, the gate is asked at most for something that the path spells at its end, in a
// configured registry.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/v2/", "/v2/a/manifests/x", "/v2/gh/a/b/blobs/" + hash, "/v2/a/v2/b/manifests/x", "/v2/a/%2e%2e/manifests/x",
		"/v2/a/tags/list?ns=ghcr.io&n=3", "/v2/ghcr.io/x/referrers/" + hash, "/v2/x/manifests/sha256%3a" + hash[7:],
	} {
		f.Add(seed, "proxy.example:5000")
		f.Add(seed, "registry-1.docker.io:443")
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip()
		}
		gate := &fakeGate{release: released(), err: trust.ErrNotFound}
		h, err := distribution.New(gate, []distribution.Upstream{
			{Host: "docker.io", Default: true, Lister: fakeLister{}}, {Host: "ghcr.io", Alias: "gh", Lister: fakeLister{}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: "GET", URL: u, Host: host, Header: http.Header{}, ProtoMajor: 1})
		for _, ref := range gate.asked {
			if ref.Registry != "docker.io" && ref.Registry != "ghcr.io" {
				t.Fatalf("%q asks %s", target, ref.Registry)
			}
			path := strings.NewReplacer("%3a", ":", "%3A", ":").Replace(u.EscapedPath())
			object := ref.Tag + ref.Digest.String()
			if !strings.HasSuffix(path, "/manifests/"+object) && !strings.HasSuffix(path, "/blobs/"+object) {
				t.Fatalf("%q asks for %s", target, ref)
			}
			last := ref.Repository[strings.LastIndex(ref.Repository, "/")+1:]
			if !strings.Contains(path, "/"+last+"/") || strings.Contains(ref.Repository, "..") {
				t.Fatalf("%q asks for %s", target, ref)
			}
		}
	})
}
