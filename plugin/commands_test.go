package plugin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

func known1(tag, id string) trust.Verdict {
	v := verdict(trust.Block, trust.Reference{Registry: "docker.io", Repository: "library/x", Tag: tag, Digest: digest.FromString(tag)})
	v.ID = id
	if tag == "2" {
		v.Reference.Index = digest.FromString("index")
	}
	return v
}

func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.memory = fakeMemory{known1("2", "SP-2222222222"), known1("1", "SP-1111111111")}
	for _, tt := range []struct {
		arg, say string
		status   int
	}{
		{"SP-1111111111", "blocked: docker.io/library/x:1", 0},
		{"x:1", "SP-1111111111", 0},
		{"x:2", "SP-2222222222", 0},
		{"x@" + digest.FromString("1").String(), "SP-1111111111", 0},
		{"x@" + digest.FromString("index").String(), "SP-2222222222", 0},
		{"x:3", "docker safepull check x:3", 1},
		{"y", "not found", 1},
		{"SP-3333333333", "--proxy URL", 1},
		{"SP-3", "no verdict's ID", 1},
	} {
		if r := w.run("explain", tt.arg); r.status != tt.status || !strings.Contains(r.out+r.err, tt.say) {
			t.Errorf("%s: %+v", tt.arg, r)
		}
	}
	r := w.run("explain", "--format=json", "x:1")
	var doc struct {
		ID         string `json:"id"`
		ExitStatus int    `json:"exitStatus"`
	}
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || doc.ID != "SP-1111111111" || doc.ExitStatus != 2 || r.status != 0 {
		t.Errorf("%v %+v", err, r)
	}
}

func TestExplainFromProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/safepull/v1/verdicts":
			if r.URL.Query().Get("reference") == "docker.io/library/x" {
				fmt.Fprint(rw, `{"schema":1,"verdicts":[`)
				_ = json.NewEncoder(rw).Encode(known1("2", "SP-2222222222"))
				fmt.Fprint(rw, ",")
				_ = json.NewEncoder(rw).Encode(known1("1", "SP-1111111111"))
				fmt.Fprint(rw, `]}`)
				return
			}
			fmt.Fprint(rw, `{"schema":1,"verdicts":[`) // about something else
			_ = json.NewEncoder(rw).Encode(known1("latest", "SP-1111111111"))
			fmt.Fprint(rw, `]}`)
		case "/safepull/v1/verdicts/SP-1111111111":
			_ = json.NewEncoder(rw).Encode(known1("1", "SP-1111111111"))
		case "/safepull/v1/verdicts/SP-0THER00000":
			_ = json.NewEncoder(rw).Encode(known1("1", "SP-1111111111"))
		case "/safepull/v1/verdicts/SP-1ARGE00000":
			for range maxVerdict/1024 + 1 {
				fmt.Fprint(rw, strings.Repeat(" ", 1024))
			}
		case "/safepull/v1/verdicts/SP-N0JS0N0000":
			fmt.Fprint(rw, "<html>")
		case "/safepull/v1/verdicts/SP-BR0KEN0000":
			rw.WriteHeader(http.StatusBadGateway)
		default:
			http.NotFound(rw, r)
		}
	}))
	defer proxy.Close()
	defer http.DefaultClient.CloseIdleConnections()
	ask := func(configure func(*world), args ...string) result {
		w := newWorld(t)
		configure(w)
		return w.run(append([]string{"explain"}, args...)...)
	}
	none := func(*world) {}
	for name, r := range map[string]result{
		"flag":   ask(none, "--proxy", proxy.URL, "SP-1111111111"),
		"env":    ask(func(w *world) { w.env["SAFEPULL_PROXY"] = proxy.URL + "/" }, "SP-1111111111"),
		"config": ask(func(w *world) { w.config.SetPluginConfig("safepull", "proxy", proxy.URL) }, "SP-1111111111"),
		"image":  ask(none, "--proxy", proxy.URL, "x:1"),
	} {
		if r.status != 0 || !strings.Contains(r.out, "docker.io/library/x:1") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	secret := strings.Replace(proxy.URL, "http://", "http://user:s3cret@", 1)
	for id, say := range map[string]string{
		"SP-0THER00000": "another verdict", "SP-1ARGE00000": "limit", "SP-N0JS0N0000": "malformed",
		"SP-BR0KEN0000": "502", "SP-G0NE000000": "not found",
	} {
		r := ask(none, "--proxy", secret, id)
		if r.status != 1 || !strings.Contains(r.err, say) || strings.Contains(r.err, "s3cret") {
			t.Errorf("%s: %+v", id, r)
		}
	}
	for _, unknown := range []string{"x:3", "y"} {
		if r := ask(none, "--proxy", proxy.URL, unknown); r.status != 1 || !strings.Contains(r.err, "nor at the proxy") {
			t.Errorf("%s: %+v", unknown, r)
		}
	}
	for _, bad := range []string{"http://u:s3cret@127.0.0.1:1", "ftp://u:s3cret@x", "http://u:s3cret@%zz", "x"} {
		if r := ask(none, "--proxy", bad, "SP-1111111111"); r.status != 1 || strings.Contains(r.err, "s3cret") {
			t.Errorf("%s: %+v", bad, r)
		}
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run("trust", "allow", "docker.io/acme/x", "--reason", "ours", "--expires", "2999-01-31"); r.status != 0 ||
		r.out != "Added to mine.yaml: allow docker.io/acme/x\n" {
		t.Errorf("%+v", r)
	}
	if r := w.run("trust", "deny", "docker.io/evil/x"); r.status != 0 {
		t.Errorf("%+v", r)
	}
	want := []trust.Entry{
		{Pattern: "docker.io/acme/x", Action: "allow", Reason: "ours", Expires: time.Date(2999, 2, 1, 0, 0, 0, 0, time.UTC)},
		{Pattern: "docker.io/evil/x", Action: "deny"},
	}
	if diff := cmp.Diff(want, w.lists.entries); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		args   string
		status int
		say    string
	}{
		{"trust ls", 0, "docker.io/acme/x"},
		{"trust ls --format json", 0, `"pattern": "docker.io/evil/x"`},
		{"trust test acme/x", 0, "allowed: docker.io/acme/x:latest"},
		{"trust test evil/x", 0, "denied: docker.io/evil/x:latest"},
		{"trust test other", 0, "no entry matches"},
		{"trust test rnicrosoft/x", 0, "- namespace it resembles microsoft/x (strong)"},
		{"trust test rnicrosoft/x --format json", 0, `"like": "microsoft/x"`},
		{"trust test other --format json", 0, `"resembles": []`},
		{"trust test evil/x --format json", 0, `"action": "deny"`},
		{"trust rm docker.io/evil/x", 0, "Removed from mine.yaml: docker.io/evil/x (1)"},
		{"trust rm docker.io/evil/x --format json", 0, `"removed": 1`},
		{"trust rm docker.io/none", 1, "not found"},
		{"trust allow x --skip-inspection", 1, "needs --reason, --owner and --expires"},
		{"trust allow x --signed-by a@b.example", 1, "--signed-by and --issuer go together"},
		{"trust allow x --issuer https://b.example", 1, "--signed-by and --issuer go together"},
		{"trust allow x --expires yesterday", 1, "2027-01-31"},
		{"trust allow x --expires 2001-01-01", 1, "past"},
		{"trust allow", 1, "Usage:"},
		{"trust ls x", 1, "got 1"},
		{"trust bogus", 1, "unknown command"},
		{"trust", 0, "Usage:"},
	} {
		if r := w.run(strings.Fields(tt.args)...); r.status != tt.status || !strings.Contains(r.out+r.err, tt.say) {
			t.Errorf("%s: %+v", tt.args, r)
		}
	}
	w.lists.fail = fmt.Errorf("read-only")
	if r := w.run("trust", "allow", "y"); r.status != 1 || !strings.Contains(r.err, "read-only") {
		t.Errorf("%+v", r)
	}
}

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"":                          {},
		"2026-11-23":                time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		"30d":                       now.AddDate(0, 0, 30),
		"12h":                       now.Add(12 * time.Hour),
		"2026-11-23T14:00:00+01:00": now.Add(time.Hour),
	} {
		if got, err := parseExpiry(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"0d", "-1h", "d", "2026-11-22", "2026-13-01", "99999999999d", "x"} {
		if got, err := parseExpiry(in, now); err == nil {
			t.Errorf("%q is %v", in, got)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run("version"); r.status != 0 || !strings.HasPrefix(r.out, "docker-safepull v1.2.3\ncommit   abc\n") {
		t.Errorf("%+v", r)
	}
	if r := w.run("version", "--format", "json"); !strings.Contains(r.out, `"version": "v1.2.3"`) {
		t.Errorf("%+v", r)
	}
	for _, path := range []string{"", "pull", "image", "check", "explain", "trust", "trust ls", "trust allow", "trust deny", "trust rm", "trust test", "trust lint", "trust diff", "trust export", "trust import", "trust history", "trust keygen", "trust sign", "trust verify", "trust enrol", "trust refresh", "trust status", "trust leave", "version"} {
		r := w.run(append(strings.Fields(path), "--help")...)
		if r.status != 0 || !strings.HasSuffix(r.out, exitStatuses+"\n") {
			t.Errorf("%q: its help does not end with the exit statuses: %+v", path, r)
		}
		if help := w.run(append([]string{"help"}, strings.Fields(path)...)...); help.out != r.out {
			t.Errorf("help %s differs from --help", path)
		}
	}
	if w.closed == 0 || w.run("help", "bogus").status != 1 {
		t.Error("help for what does not exist")
	}
}

// TestMissingDeps: a build without a dependency says so instead of crashing.
func TestMissingDeps(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"alpine", "check alpine", "explain x", "explain SP-1111111111", "trust ls", "check engine:x"} {
		w := newWorld(t)
		w.without = true
		if r := w.run(strings.Fields(args)...); r.status != 1 || !strings.Contains(r.err, errMissing.Error()) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestStandaloneArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                   "safepull",
		"alpine":                             "safepull alpine",
		"-q alpine":                          "safepull -q alpine",
		"--config /c alpine":                 "--config /c safepull alpine",
		"--config=/c alpine":                 "--config=/c safepull alpine",
		"-H tcp://x -D alpine":               "-H tcp://x -D safepull alpine",
		"-Htcp://x alpine":                   "-Htcp://x safepull alpine",
		"--context c --tls check x":          "--context c --tls safepull check x",
		"--host":                             "--host safepull",
		"safepull alpine":                    "safepull alpine",
		"--config /c safepull alpine":        "--config /c safepull alpine",
		"image safepull":                     "safepull image safepull",
		"--platform linux/arm64 -H x alpine": "safepull --platform linux/arm64 -H x alpine",
		"--help":                             "safepull --help",
		"- alpine":                           "safepull - alpine",
	} {
		if got := StandaloneArgs(strings.Fields(in)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	d := func(platform string) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(platform), Size: 1}
		parts := append(strings.Split(platform, "/"), "", "", "")
		if platform != "" {
			desc.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		}
		return desc
	}
	attestation := d("linux/amd64")
	attestation.Digest = digest.FromString("attestation")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	for name, tt := range map[string]struct {
		want     string
		children []ocispec.Descriptor
		chosen   string
	}{
		"exact":            {"linux/amd64", []ocispec.Descriptor{d("linux/arm64"), d("linux/amd64")}, "linux/amd64"},
		"best-variant":     {"linux/arm/v7", []ocispec.Descriptor{d("linux/arm/v5"), d("linux/arm/v6"), d("linux/arm/v8")}, "linux/arm/v6"},
		"same-variant":     {"linux/arm/v7", []ocispec.Descriptor{d("linux/arm/v6"), d("linux/arm/v7")}, "linux/arm/v7"},
		"arm64-v8":         {"linux/arm64", []ocispec.Descriptor{d("linux/arm/v7"), d("linux/arm64/v8")}, "linux/arm64/v8"},
		"amd64-on-v1":      {"linux/amd64", []ocispec.Descriptor{d("linux/amd64/v3"), d("linux/386")}, "linux/386"},
		"first-of-equals":  {"linux/amd64", []ocispec.Descriptor{d("linux/amd64"), attestation}, "linux/amd64"},
		"no-attestation":   {"linux/amd64", []ocispec.Descriptor{attestation, d("linux/amd64")}, "linux/amd64"},
		"unnamed-last":     {"linux/amd64", []ocispec.Descriptor{d(""), d("linux/386")}, "linux/386"},
		"unnamed-alone":    {"linux/amd64", []ocispec.Descriptor{d("")}, ""},
		"none":             {"linux/s390x", []ocispec.Descriptor{d("linux/amd64")}, "error"},
		"nothing":          {"linux/amd64", nil, "error"},
		"other-os":         {"linux/amd64", []ocispec.Descriptor{d("windows/amd64")}, "error"},
		"only-attestation": {"linux/amd64", []ocispec.Descriptor{attestation}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := append(strings.Split(tt.want, "/"), "")
			got, err := choose(tt.children, ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]})
			if (err != nil) != (tt.chosen == "error") || err == nil && got.Digest != d(tt.chosen).Digest {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
