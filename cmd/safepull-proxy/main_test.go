package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/configs"
)

// run executes the command line in an environment that holds nothing of ours but env.
func run(t *testing.T, env map[string]string, args ...string) (string, error) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "SAFEPULL_") {
			t.Setenv(name, "") // so that it is restored
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestPrintDefaultIsTheShippedFileAndVerifies(t *testing.T) {
	out, err := run(t, nil, "config", "print-default")
	if err != nil || out != string(configs.DefaultProxy()) {
		t.Fatalf("%q, %v", out, err)
	}
	file := filepath.Join(t.TempDir(), "proxy.yaml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err = run(t, nil, "config", "verify", file); err != nil || !strings.Contains(out, "the configuration is good: docker.io on 127.0.0.1:5000") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestMistakesStopTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proxy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nlisten: host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"verify":        {nil, []string{"config", "verify", file}, file + `:2:9: listen: "host" has no port`},
		"verify_by_env": {map[string]string{"SAFEPULL_CONFIG": file}, []string{"config", "verify"}, file + ":2:9: listen"},
		"serve":         {nil, []string{"serve", "--config", file}, file + ":2:9: listen"},
		"serve_by_env":  {map[string]string{"SAFEPULL_CONFIG": file}, []string{"serve"}, file + ":2:9: listen"},
		"env":           {map[string]string{"SAFEPULL_LISTNE": "x"}, []string{"serve"}, "SAFEPULL_LISTNE"},
		"argument":      {nil, []string{"serve", file}, "unknown command"},
		"command":       {nil, []string{"srve"}, `unknown command "srve"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, c.env, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if out, err := run(t, nil, "version"); err != nil || !strings.HasPrefix(out, "safepull-proxy ") {
		t.Errorf("%q, %v", out, err)
	}
	if got := buildVersion("v1.2.3"); got != "v1.2.3" {
		t.Errorf("the linker said v1.2.3, the program says %q", got)
	}
	if got := buildVersion(""); got == "" || got == "(devel)" {
		t.Errorf("without the linker: %q", got)
	}
}

func TestMakesAnAuthorityForTheConfiguredHosts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "proxy.yaml")
	body := "tls: {names: [proxy.example], ca: {certFile: ca.crt, keyFile: ca.key}}\n" +
		"upstreams: [{host: docker.io, transparentHosts: [registry-1.docker.io]}]\n"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, nil, "config", "verify", file); err == nil || !strings.Contains(err.Error(), "tls.ca.certFile") {
		t.Errorf("before: %v", err)
	}
	out, err := run(t, nil, "ca", "init", "--config", file, "--dir", dir)
	if err != nil || !strings.Contains(out, "for proxy.example, registry-1.docker.io") {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := run(t, nil, "config", "verify", file); err != nil {
		t.Errorf("after: %v", err)
	}
	if _, err := run(t, nil, "ca", "init", "--config", file, "--dir", dir); err == nil {
		t.Error("an authority was overwritten")
	}
	if _, err := run(t, nil, "ca", "init", "--dir", t.TempDir()); err == nil || !strings.Contains(err.Error(), "no hosts") {
		t.Errorf("without hosts: %v", err)
	}
}

func TestEnrol(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a-secret-for-the-engines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SAFEPULL_ENROLMENT_SECRET_FILE": secret}
	out, err := run(t, env, "enrol", "--ca", "/etc/ca.pem", "https://proxy.example.com")
	if err != nil || !strings.Contains(out, `server = "https://proxy.example.com"`) || !strings.Contains(out, "a-secret-for-the-engines") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := run(t, nil, "enrol", "https://proxy.example.com"); err == nil || !strings.Contains(err.Error(), "enrolment.secretFile") {
		t.Errorf("without a secret: %q, %v", out, err)
	}
}
