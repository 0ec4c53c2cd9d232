package wire

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/store/memory"
)

// TestReputationOf: who is asked, and why one is not.
func TestReputationOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		// want has, for each registry that is known to tell something, whether it is asked.
		want map[string]bool
		says string
	}{
		"as-shipped":       {"version: 1\n", map[string]bool{"docker.io": true, "ghcr.io": true, "public.ecr.aws": true, "quay.io": true}, ""},
		"read-elsewhere":   {"version: 1\nupstreams: [{host: docker.io, url: 'https://10.0.0.1:5000'}]\n", map[string]bool{"docker.io": false, "ghcr.io": true, "public.ecr.aws": true, "quay.io": true}, "docker.io is read at 10.0.0.1:5000 here"},
		"read-there":       {"version: 1\nupstreams: [{host: ghcr.io}, {host: quay.io, url: 'https://quay.io'}]\n", map[string]bool{"docker.io": true, "ghcr.io": true, "public.ecr.aws": true, "quay.io": true}, ""},
		"elsewhere-but-on": {"version: 1\nupstreams: [{host: docker.io, url: 'https://10.0.0.1:5000'}]\nreputation: {ask: on}\n", map[string]bool{"docker.io": true, "ghcr.io": true, "public.ecr.aws": true, "quay.io": true}, ""},
		"elsewhere-api-too": {
			"version: 1\nupstreams: [{host: docker.io, url: 'https://10.0.0.1:5000'}]\nreputation: {dockerHubURL: 'https://10.0.0.1/hub'}\n",
			map[string]bool{"docker.io": true, "ghcr.io": true, "public.ecr.aws": true, "quay.io": true}, "",
		},
		"some":      {"version: 1\nreputation: {registries: [quay.io]}\n", map[string]bool{"quay.io": true}, ""},
		"none":      {"version: 1\nreputation: {registries: []}\n", map[string]bool{}, ""},
		"off":       {"version: 1\nreputation: {ask: off}\n", map[string]bool{"docker.io": false, "ghcr.io": false, "public.ecr.aws": false, "quay.io": false}, "reputation is off"},
		"plainHTTP": {"version: 1\nupstreams: [{host: quay.io, plainHTTP: true}]\n", map[string]bool{"docker.io": true, "ghcr.io": true, "public.ecr.aws": true, "quay.io": false}, "quay.io is read at quay.io here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "proxy.yaml")
			if err := os.WriteFile(file, []byte(tt.text+"stateDir: state\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			sources, err := reputationOf(cfg).sources(http.DefaultTransport)
			if err != nil {
				t.Fatal(err)
			}
			got, all := map[string]bool{}, ""
			for _, s := range sources {
				got[s.Host()] = s.Silent == ""
				all += s.Silent
			}
			if len(got) != len(tt.want) || !strings.Contains(all, tt.says) {
				t.Errorf("%v, %q", got, all)
			}
			for host, asked := range tt.want {
				if got[host] != asked {
					t.Errorf("%s asked: %v, want %v (%s)", host, got[host], asked, all)
				}
			}
			asker, end, err := publishers(t.Context(), cfg, memory.New())
			if err != nil {
				t.Fatal(err)
			}
			end()
			if (asked(asker) == nil) != (name == "off") {
				t.Errorf("asked: %v", asked(asker))
			}
		})
	}
}

// TestReputationFrom: the plugin's environment, in the words of the proxy's configuration.
func TestReputationFrom(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env map[string]string
		bad string
	}{
		"nothing":     {},
		"all":         {env: map[string]string{"ASK": "on", "DOCKER_HUB_URL": "http://127.0.0.1:1", "GITHUB_URL": "https://a", "QUAY_URL": "https://b", "ECR_PUBLIC_URL": "https://c/d", "TIMEOUT": "5s"}},
		"ask":         {map[string]string{"ASK": "yes"}, `"yes" is not known`},
		"timeout":     {map[string]string{"TIMEOUT": "soon"}, "TIMEOUT"},
		"too-long":    {map[string]string{"TIMEOUT": "1h"}, "not between"},
		"clear":       {map[string]string{"QUAY_URL": "http://quay.example.com"}, "not encrypted"},
		"no-url":      {map[string]string{"QUAY_URL": "quay.io"}, "no URL"},
		"other":       {map[string]string{"QUAY_URL": "ftp://quay.io"}, "no URL"},
		"with-a-pass": {map[string]string{"QUAY_URL": "https://a:secret@quay.io"}, "a login"},
		"not-a-url":   {map[string]string{"QUAY_URL": "https://a:secret@%zz"}, "cannot be parsed"},
	} {
		r, err := reputationFrom(func(key string) string { return tt.env[strings.TrimPrefix(key, reputationEnv)] }, "x")
		switch {
		case tt.bad == "" && err != nil, tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v", name, err)
		case name == "all" && (r.Ask != "on" || r.url("docker.io") != "http://127.0.0.1:1" || r.url("ghcr.io") != "https://a" || r.url("quay.io") != "https://b" || r.url("public.ecr.aws") != "https://c/d" || r.url("x") != "" || r.Timeout.Seconds() != 5):
			t.Errorf("%+v", r)
		}
	}
}

// TestSnapshotOfProxy: a snapshot that cannot be read stops the start, with its name.
func TestSnapshotOfProxy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.json":    `{"version": 1, "records": [{"key": "account docker.io/a", "seen": "2026-01-01T00:00:00Z", "asked": "` + time.Now().UTC().Format(time.RFC3339) + `", "now": {"badge": "verified publisher"}}]}`,
		"broken.json":  `{"version": 1, "records": [{}]}`,
		"missing.json": "",
	} {
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg := config.Default()
		cfg.Reputation.Ask, cfg.Reputation.Snapshot = "off", path
		asker, end, err := publishers(t.Context(), cfg, memory.New())
		checked := checkSnapshot(path)
		if bad := name != "good.json"; (err != nil) != bad || (checked != nil) != bad || bad && (!strings.Contains(err.Error(), name) || !strings.Contains(checked.Error(), name)) {
			t.Errorf("%s: %v, %v", name, err, checked)
		}
		if err == nil {
			answer, err := asker.Ask(t.Context(), trust.Reference{Registry: "docker.io", Repository: "a/b"})
			if err != nil || len(answer.Vouched) != 1 || answer.NotAsked == "" {
				t.Errorf("%+v, %v", answer, err)
			}
			end()
		}
	}
}
