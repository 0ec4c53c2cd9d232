package credential_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/upstream/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check asks for host and compares; an error must hold wantErr and never the secret.
func check(t *testing.T, ask auth.CredentialFunc, host string, want auth.Credential, wantErr string) {
	t.Helper()
	got, err := ask(t.Context(), host)
	if (err == nil) != (wantErr == "") || (err != nil && !strings.Contains(err.Error(), wantErr)) {
		t.Errorf("%s: error %v, want %q", host, err, wantErr)
	}
	if err != nil && strings.Contains(err.Error(), "hush") {
		t.Errorf("%s: the secret is in %q", host, err)
	}
	if got != want {
		t.Errorf("%s: %+v, want %+v", host, got, want)
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

var login = auth.Credential{Username: "u", Password: "hush"}

func TestStatic(t *testing.T) {
	t.Parallel()
	check(t, credential.Static("u", "hush"), "any.test", login, "")
}

func TestFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		content string
		want    auth.Credential
		wantErr string
	}{
		"plain":         {content: "u:hush", want: login},
		"lines":         {content: "u:hush\r\nhush\n", want: login},
		"colons":        {content: "u:hu:sh\n", want: auth.Credential{Username: "u", Password: "hu:sh"}},
		"spaces":        {content: "u: hush \n", want: auth.Credential{Username: "u", Password: " hush "}},
		"empty":         {wantErr: "user:password"},
		"no-colon":      {content: "hush", wantErr: "user:password"},
		"no-user":       {content: ":hush", wantErr: "user:password"},
		"no-password":   {content: "u:\nhush", wantErr: "user:password"},
		"largest":       {content: "u:" + strings.Repeat("x", 64<<10-2), want: auth.Credential{Username: "u", Password: strings.Repeat("x", 64<<10-2)}},
		"one-too-large": {content: "u:hush" + strings.Repeat("x", 64<<10-5), wantErr: "more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, credential.File(write(t, "login", tt.content, 0o600)), "x.test", tt.want, tt.wantErr)
		})
	}
	t.Run("missing-then-there-then-changed", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "login")
		ask := credential.File(path)
		check(t, ask, "x.test", auth.Credential{}, "no such file")
		for _, password := range []string{"one", "two"} {
			if err := os.WriteFile(path, []byte("u:"+password), 0o600); err != nil {
				t.Fatal(err)
			}
			check(t, ask, "x.test", auth.Credential{Username: "u", Password: password}, "")
		}
	})
}

// helper writes a credential helper that answers for one host.
func helper(t *testing.T, name, host, answer string) string {
	t.Helper()
	return write(t, name, fmt.Sprintf(`#!/bin/sh
read -r asked
[ "$1" = get ] || exit 9
if [ "$asked" = %q ]; then echo '%s'; exit 0; fi
if [ "$asked" = broken.test ]; then echo hush; exit 3; fi
if [ "$asked" = odd.test ]; then echo hush; exit 0; fi
if [ "$asked" = endless.test ]; then while :; do echo hushhushhushhushhushhushhush; done; fi
if [ "$asked" = slow.test ]; then sleep 60; fi
echo credentials not found in native keychain; exit 1
`, host, answer), 0o755)
}

// Tests that run helpers are not parallel: a program that was just written cannot be run while another fork still has it
// open.
func TestHelper(t *testing.T) {
	ask := credential.Helper(helper(t, "helper", "x.test", `{"ServerURL":"x.test","Username":"u","Secret":"hush"}`))
	check(t, ask, "x.test", login, "")
	check(t, ask, "unknown.test", auth.Credential{}, "")
	check(t, ask, "broken.test", auth.Credential{}, "exit status 3")
	check(t, ask, "odd.test", auth.Credential{}, "not understood")
	check(t, ask, "endless.test", auth.Credential{}, "printed more than")
	check(t, credential.Helper("no-such-helper"), "x.test", auth.Credential{}, "docker-credential-no-such-helper")
	check(t, credential.Helper(filepath.Join(t.TempDir(), "none")), "x.test", auth.Credential{}, "no such file")

	token := credential.Helper(helper(t, "helper", "https://index.docker.io/v1/", `{"Username":"<token>","Secret":"hush"}`))
	for _, host := range []string{"docker.io", "index.docker.io", "registry-1.docker.io"} {
		check(t, token, host, auth.Credential{RefreshToken: "hush"}, "")
	}
}

func TestHelperEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := credential.Helper(helper(t, "helper", "x.test", "{}"))(ctx, "slow.test"); err == nil {
		t.Error("no error")
	}
}

func TestDockerConfig(t *testing.T) {
	t.Parallel()
	const encoded = "dTpodXNo" // u:hush
	tests := map[string]struct {
		config  string
		host    string
		want    auth.Credential
		wantErr string
	}{
		"auth":           {config: `{"auths":{"x.test":{"auth":"` + encoded + `"}}}`, host: "x.test", want: login},
		"port":           {config: `{"auths":{"x.test:5000":{"auth":"` + encoded + `"}}}`, host: "x.test:5000", want: login},
		"other-port":     {config: `{"auths":{"x.test:5000":{"auth":"` + encoded + `"}}}`, host: "x.test"},
		"url-key":        {config: `{"auths":{"https://x.test/v1/":{"auth":"` + encoded + `"}}}`, host: "x.test", want: login},
		"docker-hub":     {config: `{"auths":{"https://index.docker.io/v1/":{"auth":"` + encoded + `"}}}`, host: "registry-1.docker.io", want: login},
		"other-host":     {config: `{"auths":{"https://index.docker.io/v1/":{"auth":"` + encoded + `"}}}`, host: "x.test"},
		"identity-token": {config: `{"auths":{"x.test":{"auth":"` + encoded + `","identitytoken":"id"}}}`, host: "x.test", want: auth.Credential{RefreshToken: "id"}},
		"registry-token": {config: `{"auths":{"x.test":{"registrytoken":"rt"}}}`, host: "x.test", want: auth.Credential{AccessToken: "rt"}},
		"empty-object":   {config: `{}`, host: "x.test"},
		"no-json":        {config: `{"auths":hush`, host: "x.test", wantErr: "not JSON at byte"},
		"bad-base64":     {config: `{"auths":{"x.test":{"auth":"hush!"}}}`, host: "x.test", wantErr: "cannot be read"},
		"wrong-type":     {config: `{"auths":"hush"}`, host: "x.test", wantErr: "cannot be read"},
		"no-helper":      {config: `{"credsStore":"no-such"}`, host: "x.test", wantErr: "executable file not found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "config.json", tt.config, 0o600)
			check(t, credential.DockerConfig(path), tt.host, tt.want, tt.wantErr)
			check(t, credential.DockerConfig(filepath.Dir(path)), tt.host, tt.want, tt.wantErr)
		})
	}
	t.Run("no-file", func(t *testing.T) {
		t.Parallel()
		check(t, credential.DockerConfig(t.TempDir()), "x.test", auth.Credential{}, "")
		check(t, credential.DockerConfig(filepath.Join(t.TempDir(), "none.json")), "x.test", auth.Credential{}, "")
	})
}

// Helpers of docker's configuration are found in PATH, so this test cannot be parallel.
func TestDockerConfigWithHelpers(t *testing.T) {
	program := helper(t, "docker-credential-fake", "x.test", `{"ServerURL":"x.test","Username":"u","Secret":"hush"}`)
	t.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
	store := credential.DockerConfig(write(t, "config.json", `{"credsStore":"fake"}`, 0o600))
	check(t, store, "x.test", login, "")
	check(t, store, "unknown.test", auth.Credential{}, "")
	check(t, store, "broken.test", auth.Credential{}, "exit status 3")
	check(t, store, "odd.test", auth.Credential{}, "not understood")
	helpers := credential.DockerConfig(write(t, "config.json", `{"credHelpers":{"x.test":"fake"}}`, 0o600))
	check(t, helpers, "x.test", login, "")
	check(t, helpers, "broken.test", auth.Credential{}, "")

	slow := helper(t, "docker-credential-slow", "x.test", "{}")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nexec sleep 0.5\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(slow)+":"+os.Getenv("PATH"))
	hanging := credential.DockerConfig(write(t, "config.json", `{"credsStore":"slow"}`, 0o600))
	for range 3 { // the first waits for the helper, the others for their turn
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := hanging(ctx, "x.test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		cancel()
	}
	_, _ = hanging(t.Context(), "x.test") // its turn comes when the helper ended
}
