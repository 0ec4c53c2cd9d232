package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOrganization(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"org.yaml": "version: 1\n", "key": "x", "users": "anna:$2y$05$eDLcCmiqZ2IQvnYaEkmjUeeZMEFO1LqV1R7QJPhPVg5Qxwcu7Vtqy\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	door := "door: {htpasswd: users, url: 'https://p.example'}\n"
	two := "door: {htpasswd: users, url: 'https://p.example', oidc: {issuer: 'https://i.example', audience: safepull}}\n"
	for text, says := range map[string]string{
		"":                                 "",
		"organization: {list: org.yaml}\n": "",
		"organization: {list: org.yaml, name: Acme, signingKeyFile: key, maxAge: 7d}\n": `"7d" is no duration`,
		"organization: {list: org.yaml, name: Acme, signingKeyFile: key, maxAge: 3h}\n": "",
		"organization: {list: org.yaml, maxAge: 1h}\n":                                  "organization.maxAge: 1h0m0s is not from",
		"organization: {list: org.yaml, maxAge: 10000h}\n":                              "organization.maxAge: ",
		"organization: {list: none.yaml}\n":                                             "organization.list: cannot read",
		"organization: {name: Acme}\n":                                                  "organization.list: without a list",
		"organization: {list: org.yaml, signingKeyFile: key}\n":                         "organization.name: people see who signs",
		"organization: {list: org.yaml, name: a, signingKeyFile: none}\n":               "organization.signingKeyFile: cannot read",
		"trustLists: [org.yaml]\norganization: {list: org.yaml}\n":                      "stands among trustLists too",
		"organization: {list: org.yaml, admins: [anna]}\n":                              "organization.admins: nobody can prove",
		door + "organization: {list: org.yaml, admins: [anna]}\n":                       "",
		door + "organization: {list: org.yaml, admins: ['']}\n":                         "organization.admins: one of them is empty",
		two + "organization: {list: org.yaml, admins: [anna]}\n":                        `"anna" may be several people's name, since the door has htpasswd and oidc: write "htpasswd:anna"`,
		two + "organization: {list: org.yaml, admins: ['oidc:anna']}\n":                 "",
		two + "organization: {list: org.yaml, admins: ['mtls:anna']}\n":                 "the door has no mtls",
		door + "organization: {list: org.yaml, admins: ['htpasswd:anna']}\n":            "",
		"signatures: {trustedRoot: none.json}\n":                                        "signatures.trustedRoot: cannot read",
		"organization: {list: org.yaml, admin: anna}\n":                                 "organization.admin",
	} {
		file := filepath.Join(dir, "proxy.yaml")
		if err := os.WriteFile(file, []byte("version: 1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, nil)
		if says == "" && err == nil {
			if c.Organization.MaxAge < 3*time.Hour || c.Organization.List != "" && !filepath.IsAbs(c.Organization.List) {
				t.Errorf("%s: %+v", text, c.Organization)
			}
			continue
		}
		if err == nil || says == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
