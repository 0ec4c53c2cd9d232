package wire

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/config"
)

func secretFile(t *testing.T, body string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Enrolment.SecretFile = file
	return cfg
}

func TestHostsTOML(t *testing.T) {
	t.Parallel()
	cfg := secretFile(t, "first-secret-of-them-all\nsecond-secret-of-them-all\n")
	got, err := HostsTOML(cfg, "https://proxy.example.com:5000/", "/etc/safepull/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	// Both the root and the table of the same host: older readers need the one, newer ones use the other.
	for _, want := range []string{
		"\nserver = \"https://proxy.example.com:5000\"\n", "\nca = \"/etc/safepull/ca.pem\"\n",
		"\n[header]\n  X-Safepull-Enrolment = \"first-secret-of-them-all\"\n",
		"\n[host.\"https://proxy.example.com:5000\"]\n", "\n  ca = \"/etc/safepull/ca.pem\"\n",
		"  [host.\"https://proxy.example.com:5000\".header]\n    X-Safepull-Enrolment = \"first-secret-of-them-all\"\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "second-secret") {
		t.Error("the file has the other secret")
	}
	if plain, err := HostsTOML(cfg, "http://127.0.0.1:5000", ""); err != nil || strings.Contains(plain, "ca =") {
		t.Errorf("%s, %v", plain, err)
	}
}

func TestHostsTOMLNeedsAnAddressAndASecret(t *testing.T) {
	t.Parallel()
	good := secretFile(t, "first-secret-of-them-all")
	for name, c := range map[string]struct {
		cfg         config.Config
		address, ca string
		want        string
	}{
		"no-secret":    {config.Default(), "https://p", "", "is not configured"},
		"missing-file": {config.Config{Enrolment: config.Enrolment{SecretFile: "/nonexistent/s"}}, "https://p", "", "cannot read"},
		"short-secret": {secretFile(t, "short"), "https://p", "", "secret 1: an enrolment secret needs 16 characters"},
		"odd-secret":   {secretFile(t, "with a space in the middle"), "https://p", "", "printable ASCII"},
		"no-scheme":    {good, "proxy:5000", "", "the address must be"},
		"path":         {good, "https://proxy/v2", "", "the address must be"},
		"login":        {good, "https://me:hunter2@proxy", "", "the address must be"},
		"odd-ca":       {good, "https://proxy", "/a\"\nserver=", "cannot stand in the file"},
	} {
		if got, err := HostsTOML(c.cfg, c.address, c.ca); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	want := []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}}
	if diff := cmp.Diff(want, platforms([]string{"linux/amd64", "linux/arm/v7"})); diff != "" {
		t.Error(diff)
	}
}
