package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnrolmentSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secrets")
	for name, c := range map[string]struct {
		body string
		want []string
		err  string
	}{
		"one":      {"0123456789abcdef", []string{"0123456789abcdef"}, ""},
		"rotation": {"# new\nnew-secret-of-today\n\nold-secret-of-today\r\n", []string{"new-secret-of-today", "old-secret-of-today"}, ""},
		"empty":    {"\n# nothing\n", nil, "holds no secret"},
		"many":     {strings.Repeat("0123456789abcdef\n", 17), nil, "more than 16"},
		"large":    {strings.Repeat("x", 65<<10), nil, "more than 65536"},
	} {
		if err := os.WriteFile(file, []byte(c.body), 0o600); err != nil {
			t.Fatal(err)
		}
		secrets, err := Enrolment{SecretFile: file}.Secrets()
		if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "0123456789")) {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, s := range secrets {
			got = append(got, s.Reveal())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if secrets, err := (Enrolment{}).Secrets(); secrets != nil || err != nil {
		t.Errorf("without a file: %v, %v", secrets, err)
	}
}

func TestMistakesAboutClients(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"upstreams: [{host: ghcr.io, hardDeny: yes}]":  `upstreams[0].hardDeny: "yes" is not known: use auto, on or off`,
		"upstreams: [{host: ghcr.io, delivery: fast}]": `upstreams[0].delivery: "fast" is not known: use sealed or hold`,
		"platforms: []": "platforms: the list needs 1 to 16 platforms",
		"platforms: [" + strings.Repeat("linux/amd64,", 17) + "]": "platforms: the list needs 1 to 16 platforms",
		"platforms: [linux/amd64, amd64]":                         `platforms[1]: "amd64" is no platform`,
		"enrolment: {secretFile: /nonexistent/s}":                 `enrolment.secretFile: cannot read "/nonexistent/s"`,
	} {
		if _, err := load(t, body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
