package upstream

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func reachOf(t *testing.T, base string, o Reach) *reach {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return newReach(u, o)
}

func TestWhereRegistriesMayLead(t *testing.T) {
	t.Parallel()
	const hub, corp = "https://registry-1.docker.io", "https://registry.corp.example:5443"
	listed := Reach{RedirectHosts: []string{"cdn*.corp.example", "10.0.0.9:9000", "s3.corp.example:9000"}, TokenHosts: []string{"login.corp.example"}}
	for name, c := range map[string]struct {
		base            string
		reach           Reach
		to              string
		redirect, realm bool
	}{
		"hub_token":            {hub, Reach{}, "https://auth.docker.io/token", false, true},
		"hub_content":          {hub, Reach{}, "https://production.cloudflare.docker.com/x?sig=1", true, false},
		"hub_content_r2":       {hub, Reach{}, "https://docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com/x", true, false},
		"hub_other_port":       {hub, Reach{}, "https://auth.docker.io:8443/token", false, false},
		"hub_look_alike":       {hub, Reach{}, "https://auth.docker.io.evil.example/token", false, false},
		"hub_suffix":           {hub, Reach{}, "https://evil-r2.cloudflarestorage.com/x", false, false},
		"hub_other":            {hub, Reach{}, "https://ghcr.io/token", false, false},
		"ghcr_own":             {"https://ghcr.io", Reach{}, "https://ghcr.io/token", true, true},
		"ghcr_content":         {"https://ghcr.io", Reach{}, "https://pkg-containers.githubusercontent.com/x", true, false},
		"quay_content":         {"https://quay.io", Reach{}, "https://cdn01.quay.io/x", true, false},
		"ecr_content":          {"https://1234.dkr.ecr.eu-west-1.amazonaws.com", Reach{}, "https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com/x", true, false},
		"own":                  {corp, Reach{}, "https://registry.corp.example:5443/x", true, true},
		"own_case_and_dot":     {corp, Reach{}, "https://Registry.Corp.Example.:5443/x", true, true},
		"own_https":            {corp, Reach{}, "https://registry.corp.example/x", true, true},
		"own_other_port":       {corp, Reach{}, "https://registry.corp.example:22/x", false, false},
		"subdomain":            {corp, Reach{}, "https://cdn.registry.corp.example/x", false, false},
		"listed_pattern":       {corp, listed, "https://cdn7.corp.example/x", true, false},
		"listed_token":         {corp, listed, "https://login.corp.example/x", false, true},
		"listed_port":          {corp, listed, "https://s3.corp.example:9000/x", true, false},
		"listed_without_port":  {corp, listed, "https://s3.corp.example/x", false, false},
		"listed_address":       {corp, listed, "https://10.0.0.9:9000/x", true, false},
		"other_address":        {corp, listed, "https://10.0.0.9/x", false, false},
		"any_host_private":     {corp, Reach{RedirectHosts: []string{"*"}}, "https://10.0.0.9/x", false, false},
		"any_host_public":      {corp, Reach{RedirectHosts: []string{"*"}}, "https://9.9.9.9/x", true, false},
		"any_host_permitted":   {corp, Reach{RedirectHosts: []string{"*"}, AllowPrivate: true}, "https://10.0.0.9/x", true, false},
		"metadata_permitted":   {corp, Reach{RedirectHosts: []string{"*"}, AllowPrivate: true}, "http://169.254.169.254/x", false, false},
		"anywhere":             {corp, Reach{Anywhere: true}, "https://cdn.example/x", true, true},
		"anywhere_private":     {corp, Reach{Anywhere: true}, "https://10.0.0.9/x", true, true},
		"anywhere_loopback":    {corp, Reach{Anywhere: true}, "https://127.0.0.1/x", false, false},
		"anywhere_metadata":    {corp, Reach{Anywhere: true}, "https://[fd00:ec2::254]/x", false, false},
		"other_scheme":         {corp, Reach{Anywhere: true}, "file:///etc/passwd", false, false},
		"loopback_other_port":  {"http://127.0.0.1:5000", Reach{}, "http://127.0.0.1:6379/x", false, false},
		"pattern_no_userinfo":  {corp, listed, "https://cdn1.corp.example@evil.example/x", false, false},
		"pattern_crosses_dots": {corp, Reach{RedirectHosts: []string{"*.corp.example"}}, "https://a.b.corp.example/x", true, false},
	} {
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(name, err)
		}
		r := reachOf(t, c.base, c.reach)
		if err := r.redirect(to); (err == nil) != c.redirect {
			t.Errorf("%s: redirect %v", name, err)
		}
		if err := r.realm(to); (err == nil) != c.realm {
			t.Errorf("%s: realm %v", name, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]class{
		"9.9.9.9": public, "2606:4700::1": public, "64:ff9b::909:909": public,
		"10.1.2.3": private, "172.16.0.1": private, "192.168.1.1": private, "100.64.0.1": private, "127.0.0.1": private, "::1": private,
		"fd12::1": private, "::ffff:10.0.0.1": private, "64:ff9b::a00:1": private, "2002:a00:1::1": private, "198.18.0.1": private, "240.0.0.1": private,
		"169.254.169.254": never, "fe80::1%eth0": never, "224.0.0.1": never, "ff02::1": never, "0.0.0.0": never, "::": never,
		"::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "100.100.100.200": never, "fd00:ec2::254": never, "168.63.129.16": never,
		"::169.254.169.254": never, "::ffff:0:169.254.169.254": never, "::ffff:0:10.0.0.1": private, "64:ff9b:1::a00:1": private,
		"2001:0:a00:1::1": private, "3fff::1": private,
	} {
		if got := classOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is of class %d, want %d", addr, got, want)
		}
	}
}

// TestDial: a name counts by the address that is connected to, whatever it was before.
func TestDial(t *testing.T) {
	t.Parallel()
	l := listener(t)
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	for name, c := range map[string]struct {
		reach *reach
		to    string
		want  string
	}{
		"nobody_asks":   {nil, "127.0.0.1:" + port, "no public address"},
		"name":          {reachOf(t, "https://registry.example", Reach{}), "localhost:" + port, "no public address: if it is meant to be there, say allowPrivate"},
		"permitted":     {reachOf(t, "https://registry.example", Reach{AllowPrivate: true}), "localhost:" + port, ""},
		"own_address":   {reachOf(t, "http://127.0.0.1:"+port, Reach{}), "127.0.0.1:" + port, ""},
		"own_localhost": {reachOf(t, "http://localhost:"+port, Reach{}), "localhost:" + port, ""},
		"own_name":      {reachOf(t, "http://registry.example:"+port, Reach{}), "127.0.0.1:" + port, "no public address"},
		"unspecified":   {reachOf(t, "http://localhost:"+port, Reach{AllowPrivate: true}), "0.0.0.0:" + port, "no public address"},
		"no_port":       {nil, "127.0.0.1", "missing port"},
	} {
		ctx := t.Context()
		if c.reach != nil {
			ctx = withReach(ctx, c.reach)
		}
		conn, err := newDialer(0).DialContext(ctx, "tcp", c.to)
		if err == nil {
			_ = conn.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDialProxy: the operator's HTTP proxy may be anywhere.
func TestDialProxy(t *testing.T) {
	l := listener(t)
	t.Setenv("HTTPS_PROXY", "http://"+l.Addr().String())
	conn, err := newDialer(0).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestRedirectsLeaveTheLoginBehind(t *testing.T) {
	t.Parallel()
	policy := redirectPolicy(reachOf(t, "https://registry.example", Reach{}))
	for _, to := range []string{"https://registry.example/again", "https://sub.registry.example/x", "https://evil.example/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer hush")
		_ = policy(req, []*http.Request{req})
		if req.Header.Get("Authorization") != "" {
			t.Errorf("%s is sent the login", to)
		}
	}
}

// TestLoginsAreNotRedirected: a request with a body is one for a token, and the body is the login.
func TestLoginsAreNotRedirected(t *testing.T) {
	t.Parallel()
	policy := redirectPolicy(reachOf(t, "https://registry-1.docker.io", Reach{}))
	for method, want := range map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodPost: false} {
		req, err := http.NewRequestWithContext(t.Context(), method, "https://production.cloudflare.docker.com/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := policy(req, nil); (err == nil) != want {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// TestTokensComeByHTTPS where the registry does.
func TestTokensComeByHTTPS(t *testing.T) {
	t.Parallel()
	for realm, want := range map[string]bool{"https://auth.docker.io/token": true, "http://auth.docker.io/token": false, "http://registry-1.docker.io:443/token": false} {
		u, err := url.Parse(realm)
		if err != nil {
			t.Fatal(err)
		}
		if err := reachOf(t, "https://registry-1.docker.io", Reach{}).realm(u); (err == nil) != want {
			t.Errorf("%s: %v", realm, err)
		}
	}
}

// FuzzReach: whatever a registry names, what may be followed is a configured host with http or https.
func FuzzReach(f *testing.F) {
	for _, seed := range []string{"https://auth.docker.io/", "https://[::ffff:127.0.0.1]/", "http://x@auth.docker.io:443/", "//auth.docker.io", "https://AUTH.docker.io.:443", "https://auth.docker.io%00.evil/"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://registry-1.docker.io")
	if err != nil {
		f.Fatal(err)
	}
	r := newReach(base, Reach{})
	f.Fuzz(func(t *testing.T, to string) {
		u, err := url.Parse(to)
		if err != nil || r.realm(u) != nil {
			return
		}
		host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		if host != "auth.docker.io" && host != "registry-1.docker.io" || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("%q may be followed", to)
		}
	})
}
