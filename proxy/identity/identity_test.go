package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a file of lines.
func write(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hashed(t testing.TB, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + string(hash)
}

func newDoor(t testing.TB, o identity.Options) *identity.Door {
	t.Helper()
	d, err := identity.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// ask is a request for target with headers "Name: value".
func ask(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

const (
	image    = "/v2/acme/app/manifests/1"
	mirrored = image + "?ns=docker.io"
	address  = "https://proxy.example"
	wanted   = `Bearer realm="https://proxy.example/safepull/v1/token",service="safepull"`
)

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	token, line, err := identity.NewToken("ci")
	if err != nil {
		t.Fatal(err)
	}
	htpasswd := write(t, "# people", hashed(t, "ada", "lovelace"), "", hashed(t, "colon", "a:b"))
	tokens := write(t, line)
	doors := map[string]*identity.Door{}
	for name, o := range map[string]identity.Options{
		"open":     {},
		"closed":   {HTPasswd: htpasswd, Tokens: tokens},
		"both":     {HTPasswd: htpasswd, Tokens: tokens, Anonymous: true},
		"pass":     {PassThrough: []string{"docker.io", "ghcr.io"}, BasicIsFor: "docker.io"},
		"pass-own": {HTPasswd: htpasswd, Anonymous: true, PassThrough: []string{"docker.io"}, BasicIsFor: "docker.io"},
		"handed":   {HTPasswd: htpasswd, PassThrough: []string{"ghcr.io"}},
		"taken": {
			PassThrough: []string{"docker.io", "ghcr.io"}, BasicIsFor: "docker.io",
			Hosts: map[string]string{"ghcr.io": "ghcr.io", "registry-1.docker.io": "docker.io", "docker.io": "docker.io", "quay.io:443": "quay.io"},
		},
		"taken, closed": {HTPasswd: htpasswd, Hosts: map[string]string{"ghcr.io": "ghcr.io"}},
	} {
		o.URL = address
		doors[name] = newDoor(t, o)
	}
	anonymous := caller.Caller{Logins: map[string]caller.Login{}}
	asked := caller.Caller{Logins: map[string]caller.Login{}, Challenge: wanted}
	inItsName, withoutTLS := asked, asked
	inItsName.Challenge = `Bearer realm="https://ghcr.io/safepull/v1/token",service="safepull"`
	withoutTLS.Challenge = `Basic realm="safepull"`
	ada := caller.Caller{Identity: "ada", Method: "htpasswd", Logins: map[string]caller.Login{}}
	ci := caller.Caller{Identity: "ci", Method: "token", Logins: map[string]caller.Login{}}
	with := func(c caller.Caller, registry string, l caller.Login) caller.Caller {
		c.Logins, c.Challenge = map[string]caller.Login{registry: l}, ""
		return c
	}
	hub := caller.Login{Username: "bob", Password: "hub-password"}
	const handed = identity.Header + ": "
	for name, c := range map[string]struct {
		door, target string
		headers      []string
		want         caller.Caller
		refused      string // a part of the reason
		challenge    string
	}{
		"open, nothing":                     {door: "open", want: anonymous},
		"open, volunteered":                 {door: "open", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: anonymous},
		"open, volunteered bearer":          {door: "open", headers: []string{"Authorization: Bearer x"}, want: anonymous},
		"open, handed over":                 {door: "open", headers: []string{handed + "docker.io " + basic("bob", "p")}, want: anonymous},
		"closed, nothing":                   {door: "closed", refused: "log in at the proxy", challenge: wanted},
		"closed, nothing, mirror":           {door: "closed", target: mirrored, refused: "log in at the proxy"},
		"closed, empty login":               {door: "closed", headers: []string{"Authorization: Basic Og=="}, refused: "log in at the proxy", challenge: wanted},
		"closed, right":                     {door: "closed", headers: []string{"Authorization: " + basic("ada", "lovelace")}, want: ada},
		"closed, right, mirror":             {door: "closed", target: mirrored, headers: []string{"Authorization: " + basic("ada", "lovelace")}, want: ada},
		"closed, lower-case scheme":         {door: "closed", headers: []string{"Authorization: basic " + strings.TrimPrefix(basic("ada", "lovelace"), "Basic ")}, want: ada},
		"closed, colon":                     {door: "closed", headers: []string{"Authorization: " + basic("colon", "a:b")}, want: caller.Caller{Identity: "colon", Method: "htpasswd", Logins: map[string]caller.Login{}}},
		"closed, through the engine":        {door: "closed", headers: []string{handed + basic("ada", "lovelace")}, want: ada},
		"closed, wrong":                     {door: "closed", headers: []string{"Authorization: " + basic("ada", "hush")}, refused: "does not know this login", challenge: wanted},
		"closed, wrong, mirror":             {door: "closed", target: mirrored, headers: []string{"Authorization: " + basic("ada", "hush")}, refused: "does not know this login"},
		"closed, nobody":                    {door: "closed", headers: []string{"Authorization: " + basic("eve", "hush")}, refused: "does not know this login", challenge: wanted},
		"closed, right and more than that":  {door: "closed", headers: []string{"Authorization: " + basic("ada", "lovelace"+strings.Repeat("x", 72))}, refused: "does not know", challenge: wanted},
		"closed, token":                     {door: "closed", headers: []string{"Authorization: Bearer " + token}, want: ci},
		"closed, token as password":         {door: "closed", headers: []string{"Authorization: " + basic("whoever", token)}, want: ci},
		"closed, wrong token":               {door: "closed", headers: []string{"Authorization: Bearer " + token + "x"}, refused: "does not know", challenge: wanted},
		"closed, foreign bearer":            {door: "closed", headers: []string{"Authorization: Bearer hush"}, refused: "does not know", challenge: wanted},
		"closed, two":                       {door: "closed", headers: []string{"Authorization: " + basic("ada", "lovelace"), "Authorization: " + basic("eve", "hush")}, refused: "more than one"},
		"closed, two ways":                  {door: "closed", headers: []string{"Authorization: " + basic("ada", "lovelace"), handed + basic("eve", "hush")}, refused: "more than one"},
		"closed, too long":                  {door: "closed", headers: []string{"Authorization: Bearer " + strings.Repeat("x", 33<<10)}, refused: "longer"},
		"closed, not base64":                {door: "closed", headers: []string{"Authorization: Basic ???"}, refused: "log in", challenge: wanted},
		"both, nothing":                     {door: "both", want: asked},
		"both, nothing, mirror":             {door: "both", target: mirrored, want: anonymous},
		"both, right":                       {door: "both", headers: []string{"Authorization: " + basic("ada", "lovelace")}, want: ada},
		"both, wrong":                       {door: "both", headers: []string{"Authorization: " + basic("ada", "hush")}, refused: "does not know", challenge: wanted},
		"both, nobody":                      {door: "both", headers: []string{"Authorization: " + basic("eve", "hush")}, refused: "does not know", challenge: wanted},
		"pass, nothing":                     {door: "pass", want: asked},
		"pass, nothing, mirror":             {door: "pass", target: mirrored, want: anonymous},
		"pass, login":                       {door: "pass", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: with(anonymous, "docker.io", hub)},
		"pass, login, mirror":               {door: "pass", target: mirrored, headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: with(anonymous, "docker.io", hub)},
		"pass, bearer":                      {door: "pass", headers: []string{"Authorization: Bearer abc"}, want: with(anonymous, "docker.io", caller.Login{Token: "abc"})},
		"pass, handed over":                 {door: "pass", headers: []string{handed + "ghcr.io Bearer abc"}, want: caller.Caller{Logins: map[string]caller.Login{"ghcr.io": {Token: "abc"}}, Challenge: wanted}},
		"pass, handed over, other spelling": {door: "pass", headers: []string{handed + "Index.Docker.io " + basic("bob", "hub-password")}, want: caller.Caller{Logins: map[string]caller.Login{"docker.io": hub}, Challenge: wanted}},
		"pass, handed over, not ours":       {door: "pass", headers: []string{handed + "quay.io Bearer abc"}, want: asked},
		"pass, handed over, nonsense":       {door: "pass", headers: []string{handed + "what is this thing"}, refused: "cannot read"},
		"pass, handed over, no registry":    {door: "pass", headers: []string{handed + "a/b Bearer hush"}, refused: "cannot read"},
		"pass, handed over, nine":           {door: "pass", headers: strings.Split(strings.Repeat(handed+"ghcr.io Bearer hush|", 8)+handed+"ghcr.io Bearer hush", "|"), refused: "more logins"},
		"pass-own, ours":                    {door: "pass-own", headers: []string{"Authorization: " + basic("ada", "lovelace")}, want: ada},
		"pass-own, ours but wrong":          {door: "pass-own", headers: []string{"Authorization: " + basic("ada", "hush")}, refused: "does not know", challenge: wanted},
		"pass-own, upstream's":              {door: "pass-own", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: with(anonymous, "docker.io", hub)},
		"taken, the registry's":             {door: "taken", target: "https://ghcr.io/v2/a/manifests/1", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: with(anonymous, "ghcr.io", hub)},
		"taken, another spelling":           {door: "taken", target: "https://GHCR.io.:443/v2/a/manifests/1", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: with(anonymous, "ghcr.io", hub)},
		"taken, the hub's":                  {door: "taken", target: "https://registry-1.docker.io/v2/a/manifests/1", headers: []string{"Authorization: Bearer abc"}, want: with(anonymous, "docker.io", caller.Login{Token: "abc"})},
		"taken, not passed through":         {door: "taken", target: "https://quay.io/v2/a/manifests/1", headers: []string{"Authorization: " + basic("bob", "hub-password")}, want: anonymous},
		"taken, nothing":                    {door: "taken", target: "https://ghcr.io/v2/a/manifests/1", want: inItsName},
		"taken, nothing, a mirror's":        {door: "taken", target: "https://ghcr.io/v2/a/manifests/1?ns=ghcr.io", want: anonymous},
		"taken, ping":                       {door: "taken", target: "https://ghcr.io/v2/", want: inItsName},
		"taken, ping, a mirror's":           {door: "taken", target: "https://ghcr.io/v2/?ns=ghcr.io", want: anonymous},
		"taken, nothing, without TLS":       {door: "taken", target: "http://ghcr.io/v2/a/manifests/1", want: withoutTLS},
		"taken, ping, without TLS":          {door: "taken", target: "http://ghcr.io/v2/", want: anonymous},
		"taken, an old token":               {door: "taken", target: "https://ghcr.io/v2/", headers: []string{"Authorization: Bearer safepull-session_AAAA"}, refused: "expired", challenge: inItsName.Challenge},
		"taken, closed":                     {door: "taken, closed", target: "https://ghcr.io/v2/", headers: []string{"Authorization: " + basic("ada", "lovelace")}, refused: "log in"},
		"taken, closed, through the engine": {door: "taken, closed", target: "https://ghcr.io/v2/", headers: []string{handed + basic("ada", "lovelace")}, want: ada},
		"handed, both":                      {door: "handed", headers: []string{"Authorization: " + basic("ada", "lovelace"), handed + "ghcr.io Bearer abc"}, want: with(ada, "ghcr.io", caller.Login{Token: "abc"})},
		"handed, not let in":                {door: "handed", headers: []string{handed + "ghcr.io Bearer abc"}, refused: "log in", challenge: wanted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, target := doors[c.door], c.target
			if target == "" {
				target = image
			}
			got, err := d.Enter(ask(target, c.headers...))
			var refused *caller.Refused
			switch {
			case c.refused == "" && err != nil:
				t.Fatal(err)
			case c.refused != "" && !errors.As(err, &refused):
				t.Fatalf("let in as %+v, %v", got, err)
			case c.refused != "":
				if !strings.Contains(refused.Reason, c.refused) || refused.Challenge != c.challenge || refused.Busy || strings.Contains(refused.Reason, "hush") {
					t.Errorf("%+v", refused)
				}
			default:
				if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(caller.Caller{}, "Again")); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// given is the token that a door answers a request with, as the header that shows it; "" where it answers another status.
func given(t *testing.T, d *identity.Door, r *http.Request, status int) string {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	var got struct {
		Token  string `json:"token"`
		Expire int    `json:"expires_in"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status || (got.Token != "") != (status == 200) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "hub-password") || strings.Contains(w.Body.String(), "lovelace") {
		t.Errorf("the password is in %s", w.Body)
	}
	return "Authorization: Bearer " + got.Token
}

// forLogin and forPull are the questions of "docker login" and of a pull.
const (
	forLogin = identity.TokenPath + "?service=safepull&account=x"
	forPull  = forLogin + "&scope=repository:a:pull"
)

// TestTokensForClients: who logs in for a token is who asks with it; who gets one without a login is not asked again.
func TestTokensForClients(t *testing.T) {
	t.Parallel()
	htpasswd := write(t, hashed(t, "ada", "lovelace"))
	pass := newDoor(t, identity.Options{PassThrough: []string{"docker.io"}, BasicIsFor: "docker.io", URL: address + "/"})
	closed := newDoor(t, identity.Options{HTPasswd: htpasswd, URL: address})
	other := newDoor(t, identity.Options{HTPasswd: htpasswd})
	get := func(d *identity.Door, headers ...string) string { return given(t, d, ask(forPull, headers...), 200) }
	if c, err := pass.Enter(ask(image)); err != nil || c.Challenge != wanted || c.Again != wanted {
		t.Errorf("%+v, %v", c, err)
	}
	login := get(pass, "Authorization: "+basic("bob", "hub-password"))
	if c, err := pass.Enter(ask(image, login)); err != nil || c.Logins["docker.io"].Username != "bob" || c.Logins["docker.io"].Password.Reveal() != "hub-password" || c.Challenge != "" || c.Again != wanted {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := pass.Enter(ask(image, get(pass))); err != nil || len(c.Logins) != 0 || c.Challenge != "" {
		t.Errorf("without a login: %+v, %v", c, err)
	}
	token := get(closed, "Authorization: "+basic("ada", "lovelace"))
	if c, err := closed.Enter(ask(image, token)); err != nil || c.Identity != "ada" || c.Method != "htpasswd" {
		t.Errorf("%+v, %v", c, err)
	}
	for name, r := range map[string]*http.Request{
		"another door's": ask(image, token), "nonsense": ask(image, "Authorization: Bearer safepull-session_AAAA"), "cut": ask(image, token[:len(token)-2]),
	} {
		var refused *caller.Refused
		if _, err := other.Enter(r); !errors.As(err, &refused) || refused.Challenge != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokensInARegistrysName: a token that was got under a registry's name holds the login for that registry, and no other.
func TestTokensInARegistrysName(t *testing.T) {
	t.Parallel()
	d := newDoor(t, identity.Options{
		PassThrough: []string{"docker.io", "ghcr.io"}, BasicIsFor: "docker.io", URL: address, Hosts: map[string]string{"ghcr.io": "ghcr.io", "registry-1.docker.io": "docker.io"},
	})
	token := given(t, d, ask("https://ghcr.io"+forPull, "Authorization: "+basic("bob", "hub-password")), 200)
	for _, target := range []string{"https://ghcr.io" + image, "https://ghcr.io/v2/", "https://ghcr.io" + image + "?ns=ghcr.io", "https://registry-1.docker.io" + image, address + image} {
		c, err := d.Enter(ask(target, token))
		if err != nil || len(c.Logins) != 1 || c.Logins["ghcr.io"].Password.Reveal() != "hub-password" || c.Challenge != "" {
			t.Errorf("%s: %+v, %v", target, c, err)
		}
	}
	nobody := given(t, d, ask("https://ghcr.io"+forPull), 200)
	if c, err := d.Enter(ask("https://ghcr.io"+image, nobody)); err != nil || len(c.Logins) != 0 || c.Challenge != "" || !strings.HasPrefix(c.Again, "Bearer ") {
		t.Errorf("without a login: %+v, %v", c, err)
	}
}

// TestNobodyIsAskedForAPassword: a challenge names where tokens are given out, or there is none.
func TestNobodyIsAskedForAPassword(t *testing.T) {
	t.Parallel()
	d := newDoor(t, identity.Options{HTPasswd: write(t, hashed(t, "ada", "lovelace"))})
	r := ask("https://proxy.corp:8443" + image)
	for host, want := range map[string]string{
		// Over TLS, the name that the client used is our address; a name that is none is not repeated.
		"proxy.corp:8443": `Bearer realm="https://proxy.corp:8443/safepull/v1/token",service="safepull"`,
		`x",realm="evil`:  "", "": "",
	} {
		r.Host = host
		var refused *caller.Refused
		if c, err := d.Enter(r); !errors.As(err, &refused) || refused.Challenge != want {
			t.Errorf("%s: %+v, %v", host, c, err)
		}
	}
	r.TLS, r.Host = nil, "proxy.corp:8443"
	var refused *caller.Refused
	if c, err := d.Enter(r); !errors.As(err, &refused) || refused.Challenge != "" {
		t.Errorf("without TLS: %+v, %v", c, err)
	}
}

// TestTokensForNobody: an engine that uses the proxy as a mirror goes around it when it gets no token. So it gets one,
// which opens nothing and says why; a client that only logs in learns that it did not.
func TestTokensForNobody(t *testing.T) {
	t.Parallel()
	d := newDoor(t, identity.Options{HTPasswd: write(t, hashed(t, "ada", "lovelace")), URL: address})
	for name, c := range map[string]struct{ header, want string }{
		"nothing":       {"X: x", "log in at the proxy"},
		"another login": {"Authorization: " + basic("bob", "hub-password"), "does not know this login"},
		"an old token":  {"Authorization: Bearer safepull-session_AAAA", "expired"},
	} {
		given(t, d, ask(forLogin, c.header), 401)
		token := given(t, d, ask(forPull, c.header), 200)
		for _, target := range []string{image, mirrored, "/v2/"} {
			var refused *caller.Refused
			if got, err := d.Enter(ask(target, token)); !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.want) || refused.Challenge != "" {
				t.Errorf("%s, %s: %+v, %v", name, target, got, err)
			}
		}
	}
}

// TestTokensByForm: clients that would rather send a form get the same.
func TestTokensByForm(t *testing.T) {
	t.Parallel()
	d := newDoor(t, identity.Options{HTPasswd: write(t, hashed(t, "ada", "lovelace")), URL: address})
	form := func(values string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, identity.TokenPath, strings.NewReader(values))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	const pull = "&service=safepull&scope=repository:a:pull"
	if c, err := d.Enter(ask(image, given(t, d, form("grant_type=password&username=ada&password=lovelace"+pull), 200))); err != nil || c.Identity != "ada" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, values := range []string{"grant_type=refresh_token&refresh_token=hubs" + pull, "grant_type=password&username=ada&password=x" + pull, pull} {
		if c, err := d.Enter(ask(image, given(t, d, form(values), 200))); err == nil {
			t.Errorf("%s: let in as %+v", values, c)
		}
	}
	given(t, d, form("grant_type=password&username=ada&password=x"), 401)
	given(t, d, form("%zz"), 400)
	given(t, d, form("grant_type=password&username=ada&password=lovelace&x="+strings.Repeat("x", 70<<10)+pull), 400)
	put := ask(forPull)
	put.Method = http.MethodPut
	given(t, d, put, 405)
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	path := write(t, hashed(t, "ada", "one"))
	d := newDoor(t, identity.Options{HTPasswd: path})
	enter := func(user, password string) bool {
		_, err := d.Enter(ask(image, "Authorization: "+basic(user, password)))
		return err == nil
	}
	until := func(what string, want bool, user, password string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); enter(user, password) != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	until("the first password", true, "ada", "one")
	change := func(content string) {
		t.Helper()
		// As editors do it: another file, moved over the old one.
		next := path + ".next"
		if err := errors.Join(os.WriteFile(next, []byte(content), 0o600), os.Rename(next, path)); err != nil {
			t.Fatal(err)
		}
	}
	change(hashed(t, "ada", "two") + "\n")
	until("the new password", true, "ada", "two")
	until("the old password goes on to work", false, "ada", "one")
	change("ada:plain\n")
	time.Sleep(1100 * time.Millisecond)
	until("a broken file locks everyone out", true, "ada", "two")
	change("# nobody\n")
	until("who was removed is let in", false, "ada", "two")
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	costly := "ada:$2y$15$" + strings.Repeat("a", 53)
	for name, c := range map[string]struct {
		o    identity.Options
		want string
	}{
		"no file":        {identity.Options{HTPasswd: filepath.Join(t.TempDir(), "none")}, "no such file"},
		"md5":            {identity.Options{HTPasswd: write(t, "# x", "ada:$apr1$hush$hush")}, `logins:2: the hash of "ada" is not bcrypt`},
		"plain":          {identity.Options{HTPasswd: write(t, "ada:hush")}, "is not bcrypt"},
		"costly":         {identity.Options{HTPasswd: write(t, costly)}, "has cost 15"},
		"no colon":       {identity.Options{HTPasswd: write(t, "hush")}, "must be NAME:HASH"},
		"no name":        {identity.Options{HTPasswd: write(t, ":hush")}, "must be NAME:HASH"},
		"twice":          {identity.Options{HTPasswd: write(t, hashed(t, "a", "b"), hashed(t, "a", "c"))}, `"a" stands in the file twice`},
		"too large":      {identity.Options{HTPasswd: write(t, strings.Repeat("#", 4<<20))}, "more than 4194304 bytes"},
		"folder":         {identity.Options{Tokens: t.TempDir()}, "is a directory"},
		"token in clear": {identity.Options{Tokens: write(t, "ci:safepull_hush")}, "is no SHA-256"},
		"upper case":     {identity.Options{Tokens: write(t, "ci:"+strings.Repeat("A", 64))}, "is no SHA-256"},
		"elsewhere":      {identity.Options{BasicIsFor: "docker.io", PassThrough: []string{"ghcr.io"}}, "must be one that is read with callers' logins"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := identity.New(c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	one, line, err := identity.NewToken("ci")
	two, _, _ := identity.NewToken("ci")
	if err != nil || one == two || len(one) < 50 || strings.Contains(line, one) || !strings.HasPrefix(line, "ci:") {
		t.Errorf("%q, %q, %v", one, line, err)
	}
	for _, bad := range []string{"", "a:b", "a\nb", " a", "#a", strings.Repeat("x", 256)} {
		if _, _, err := identity.NewToken(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestGuessingIsBounded: many wrong passwords at one time do not take the machine, and end with their requests.
func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), 12) // about 200 ms
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(t, identity.Options{HTPasswd: write(t, "ada:"+string(hash))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for i := range 8 {
		go func() {
			_, err := d.Enter(ask(image, "Authorization: "+basic("ada", fmt.Sprint(i))).WithContext(ctx))
			done <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	gaveUp := 0
	for range 8 {
		if errors.Is(<-done, context.Canceled) {
			gaveUp++
		}
	}
	if gaveUp < 6 {
		t.Errorf("%d of 8 waited for their turn", gaveUp)
	}
}

func FuzzLogins(f *testing.F) {
	f.Add("Basic "+base64.StdEncoding.EncodeToString([]byte("a:b")), "docker.io Bearer x")
	f.Add("Bearer a.b.c", "ghcr.io basic Og==")
	f.Add("Digest x", "x y z")
	d := newDoor(f, identity.Options{PassThrough: []string{"docker.io"}, BasicIsFor: "docker.io"})
	f.Fuzz(func(t *testing.T, authorization, handed string) {
		r := ask(image)
		r.Header.Set("Authorization", authorization)
		r.Header.Set(identity.Header, handed)
		c, err := d.Enter(r)
		var refused *caller.Refused
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		for registry := range c.Logins {
			if registry != "docker.io" {
				t.Errorf("a login for %q was kept", registry)
			}
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add("ada:" + strings.Repeat("a", 64))
	f.Add("#\n\na:b:c\n")
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, o := range []identity.Options{{Tokens: path}, {HTPasswd: path}} {
			if d, err := identity.New(o); err == nil {
				d.Close()
			}
		}
	})
}
