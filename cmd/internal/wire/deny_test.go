package wire

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/proxy/identity"
	"github.com/safepull/safepull/test/registrytest"
)

// TestDenialsCountAtOnce: an administrator denies what was allowed and served a moment ago, and no route gives any of it
// from then on; when the denial goes, all of them do again. Nobody else can edit or read the list's history.
func TestDenialsCountAtOnce(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	image := clean()
	put(r, "acme/app", "latest", image)
	dir := t.TempDir()
	logins := map[string]string{}
	tokens := ""
	for _, name := range []string{"ops", "bob"} {
		token, line, err := identity.NewToken(name)
		if err != nil {
			t.Fatal(err)
		}
		logins[name], tokens = "Authorization: Bearer "+token, tokens+line+"\n"
	}
	for name, text := range map[string]string{"tokens": tokens, "org.yaml": "version: 1\nentries: []\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, r, "    alias: hub\ndoor: {url: 'http://proxy.example', anonymous: true, tokens: "+filepath.Join(dir, "tokens")+"}\n"+
		"organization: {name: Acme, list: "+filepath.Join(dir, "org.yaml")+", admins: [ops]}\n")
	edit := func(method, query, body, login string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+"/safepull/v1/admin/trust"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(login, ": ")
		req.Header.Set(name, value)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	all := func(when string, served bool) {
		t.Helper()
		for way := range ways {
			for _, q := range routes(image) {
				resp := p.ask(t, way, "acme/app", q, nobody)
				if ok := resp.StatusCode < http.StatusBadRequest; ok != served || !served && resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s, %s, %s: %s", when, way, q.name, resp.Status)
				}
			}
		}
	}
	const denial = `{"entries":[{"pattern":"docker.io/acme/app","action":"deny","reason":"taken over"}]}`
	all("before", true)
	for who, login := range map[string]string{"bob": logins["bob"], "nobody": nobody} {
		if status := edit("POST", "", denial, login); status != http.StatusForbidden {
			t.Errorf("%s denies: %d", who, status)
		}
		for _, path := range []string{"/safepull/v1/admin/trust", "/safepull/v1/admin/trust/history"} {
			if resp := p.as(t, "GET", path, login); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s reads %s: %s", who, path, resp.Status)
			}
		}
	}
	all("before, still", true)
	if status := edit("POST", "", denial, logins["ops"]); status != http.StatusOK {
		t.Fatalf("ops denies: %d", status)
	}
	all("denied", false)
	if status := edit("DELETE", "?pattern=docker.io/acme/app", "", logins["ops"]); status != http.StatusOK {
		t.Fatalf("ops takes it back: %d", status)
	}
	all("afterwards", true)
}
