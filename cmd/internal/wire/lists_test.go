package wire

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/namespace/signed"
	"github.com/safepull/safepull/trust/reference"
)

// newOwn is a proxy's list in a folder, with its key's public half.
func newOwn(t *testing.T) (*organizationList, config.Config, string) {
	t.Helper()
	dir := t.TempDir()
	private, public, err := signed.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"key": string(private), "org.yaml": "version: 1\nentries:\n  # ours\n  - {pattern: 'ghcr.io/acme/**', action: allow}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Config{Organization: config.Organization{Name: "Acme", List: filepath.Join(dir, "org.yaml"), SigningKeyFile: filepath.Join(dir, "key"), MaxAge: 24 * time.Hour}}
	from := judgedFrom(cfg)
	lists, err := loadLists(from)
	if err != nil {
		t.Fatal(err)
	}
	own, err := newOrganizationList(cfg, inForce{from: from, lists: newLiveLists(lists)})
	if err != nil {
		t.Fatal(err)
	}
	return own, cfg, signed.Public(public)
}

func TestOrganizationList(t *testing.T) {
	t.Parallel()
	own, cfg, key := newOwn(t)
	public, err := signed.ParsePublic(key)
	if err != nil {
		t.Fatal(err)
	}
	open := func() signed.Statement {
		text, err := own.Signed()
		if err != nil {
			t.Fatal(err)
		}
		s, err := signed.Open(text, public)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open()
	ref, err := reference.Parse("quay.io/evil/x")
	if err != nil {
		t.Fatal(err)
	}
	before := own.live.Match(ref, time.Now())
	if n, err := own.Import("anna", []trust.Entry{{Pattern: "quay.io/evil/**", Action: "deny", Locked: true}}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	after := own.live.Match(ref, time.Now())
	if before.Denied() || !after.Denied() || after.Decided.Level != namespace.Organization || before.Lists == after.Lists || own.live.Digest() != after.Lists {
		t.Errorf("before %+v, after %+v", before, after)
	}
	second := open()
	if second.Sequence <= first.Sequence || !strings.Contains(second.List, "quay.io/evil") || !strings.Contains(second.List, "# ours") || len(own.Entries()) != 2 {
		t.Errorf("%+v, then %+v", first, second)
	}
	if _, err := own.Import("anna", []trust.Entry{{Pattern: "quay.io/**x", Action: "deny"}}); err == nil || !strings.Contains(err.Error(), "invalid pattern") {
		t.Error(err)
	}
	again, err := newOrganizationList(cfg, inForce{from: own.from, lists: own.live})
	if err != nil || again.at.UnixMilli() != own.at.UnixMilli() {
		t.Errorf("another start gives the list another number: %v", err)
	}
	if n, err := own.Remove("bo", "quay.io/evil/**"); err != nil || n != 1 || own.live.Match(ref, time.Now()).Denied() {
		t.Error(n, err)
	}
	edits, err := own.History()
	if e, ok := edits.([]namespace.Edit); err != nil || !ok || len(e) != 2 || e[0].By != "bo" || e[1].By != "anna" {
		t.Errorf("%+v, %v", edits, err)
	}
	// A file that somebody broke stays as it is, and what counted counts on.
	if err := os.WriteFile(cfg.Organization.List, []byte("version: 1\nentries: no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Import("anna", []trust.Entry{{Pattern: "quay.io/evil/**", Action: "deny"}}); err == nil || len(own.Entries()) != 1 {
		t.Error(err)
	}
	if open().List == "" {
		t.Error("the last good list is not given out")
	}
}

// TestLiveListsTogether: whoever matches while lists are edited gets an answer of one of them, with its digest.
func TestLiveListsTogether(t *testing.T) {
	t.Parallel()
	own, _, _ := newOwn(t)
	ref, err := reference.Parse("quay.io/evil/x")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	seen := map[string]bool{}
	wg.Go(func() {
		for {
			s := own.live.Match(ref, time.Now())
			if denied, known := seen[s.Lists.String()]; known && denied != s.Denied() {
				t.Error("one digest, two answers")
			}
			seen[s.Lists.String()] = s.Denied()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 10 {
		if _, err := own.Import("a", []trust.Entry{{Pattern: "quay.io/evil/**", Action: "deny"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := own.Remove("a", "quay.io/evil/**"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestListHandler(t *testing.T) {
	t.Parallel()
	own, cfg, _ := newOwn(t)
	w := httptest.NewRecorder()
	own.handler(cfg, logrus.New()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, listPath, nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "payload") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var none *organizationList
	if none.handler(cfg, logrus.New()) != nil {
		t.Error("a handler without a list")
	}
	own.key = nil
	if _, err := own.Signed(); err == nil {
		t.Error("signed without a key")
	}
}

func TestListAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://proxy.example":           "https://proxy.example/safepull/v1/trust-list",
		"https://proxy.example:5000/":     "https://proxy.example:5000/safepull/v1/trust-list",
		"https://a.example/lists/org.sig": "https://a.example/lists/org.sig",
		"http://127.0.0.1:5000":           "http://127.0.0.1:5000/safepull/v1/trust-list",
		"http://localhost/x":              "http://localhost/x",
		"oci://ghcr.io/acme/list:1":       "oci://ghcr.io/acme/list:1",
		"http://proxy.example":            "",
		"https://u:p@proxy.example":       "",
		"ftp://proxy.example":             "",
		"proxy.example":                   "",
		"oci://ghcr.io/A/B":               "",
		"https://":                        "",
		"https://a.example/#x":            "",
		"http://127.0.0.1.example.com":    "",
	} {
		got, err := listAddress(in)
		if got != want && want != "" || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}

// TestOrganizationList_noHistory: an edit that is made counts, also where its history cannot be written, and the error says so.
func TestOrganizationList_noHistory(t *testing.T) {
	t.Parallel()
	own, cfg, _ := newOwn(t)
	if err := os.Mkdir(cfg.Organization.List+".history", 0o700); err != nil {
		t.Fatal(err)
	}
	n, err := own.Import("anna", []trust.Entry{{Pattern: "quay.io/evil/**", Action: "deny"}})
	if n != 1 || err == nil || !strings.Contains(err.Error(), "the trust list is changed, but its history is not written") {
		t.Error(n, err)
	}
	ref, err := reference.Parse("quay.io/evil/x")
	if err != nil {
		t.Fatal(err)
	}
	if !own.live.Match(ref, time.Now()).Denied() {
		t.Error("the edit does not count")
	}
}
