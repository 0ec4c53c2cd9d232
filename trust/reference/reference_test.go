package reference

import (
	"strings"
	"testing"

	dreference "github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	sha256 = "sha256:" + hex64
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want, familiar string }{
		{"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
		{"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"registry-1.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"registry-1.docker.io:443/azurenql/x", "docker.io/azurenql/x:latest", "azurenql/x:latest"},
		{"registry.hub.docker.com/azurenql/x", "docker.io/azurenql/x:latest", "azurenql/x:latest"},
		{"DOCKER.io/acme/x", "docker.io/acme/x:latest", "acme/x:latest"},
		{"docker.io:5000/x", "docker.io:5000/x:latest", "docker.io:5000/x:latest"},
		{"library/alpine/x", "docker.io/library/alpine/x:latest", "library/alpine/x:latest"},
		{"alpine@" + sha256, "docker.io/library/alpine@" + sha256, "alpine@" + sha256},
		{"alpine:3@" + sha256, "docker.io/library/alpine:3@" + sha256, "alpine:3@" + sha256},
		{"ghcr.io/acme/team/x:V1_a.b-c", "ghcr.io/acme/team/x:V1_a.b-c", "ghcr.io/acme/team/x:V1_a.b-c"},
		{"GHCR.io/acme/x", "ghcr.io/acme/x:latest", "ghcr.io/acme/x:latest"},
		{"ghcr.io:443/acme/x", "ghcr.io:443/acme/x:latest", "ghcr.io:443/acme/x:latest"},
		{"localhost/x", "localhost/x:latest", "localhost/x:latest"},
		{"LOCALHOST/x", "localhost/x:latest", "localhost/x:latest"},
		{"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
		{"registry:5000/x", "registry:5000/x:latest", "registry:5000/x:latest"},
		{"127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"},
		{"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
		{"[0:0:0:0:0:0:0:1]/a", "[::1]/a:latest", "[::1]/a:latest"},
		{"[2001:DB8::0:1]:5000/a@" + sha256, "[2001:db8::1]:5000/a@" + sha256, "[2001:db8::1]:5000/a@" + sha256},
		{"docker.io/ghcr.io/x", "docker.io/ghcr.io/x:latest", "docker.io/ghcr.io/x:latest"},
		{"docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"},
		{"docker.io/library/library", "docker.io/library/library:latest", "library:latest"},
		{"a__b/c---d/e.f", "docker.io/a__b/c---d/e.f:latest", "a__b/c---d/e.f:latest"},
		{hex64 + ":latest", "docker.io/library/" + hex64 + ":latest", hex64 + ":latest"},
		{"x:" + strings.Repeat("a", 128), "docker.io/library/x:" + strings.Repeat("a", 128), "x:" + strings.Repeat("a", 128)},
		{"ghcr.io/" + strings.Repeat("a", 255) + ":1", "ghcr.io/" + strings.Repeat("a", 255) + ":1", "ghcr.io/" + strings.Repeat("a", 255) + ":1"},
	} {
		t.Run(tc.in, func(t *testing.T) {
			t.Parallel()
			ref, err := Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, ref.String()); diff != "" {
				t.Errorf("String (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.familiar, Familiar(ref)); diff != "" {
				t.Errorf("Familiar (-want +got):\n%s", diff)
			}
			checkProperties(t, ref)
		})
	}
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	got, err := Parse("[::1]:5000/a/b:c@" + sha256)
	if err != nil {
		t.Fatal(err)
	}
	want := trust.Reference{Registry: "[::1]:5000", Repository: "a/b", Tag: "c", Digest: digest.Digest(sha256)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, says string }{
		"empty":               {"", "empty"},
		"space":               {"alp ine", "components"},
		"newline":             {"alpine\n", "components"},
		"newline in tag":      {"alpine:1\n", "tag"},
		"url":                 {"https://ghcr.io/a/b", "URL"},
		"image id":            {hex64, "image ID"},
		"upper repository":    {"ghcr.io/Acme/x", `write "acme/x"`},
		"upper only":          {"Alpine", `write "alpine"`},
		"upper namespace":     {"Acme/x", "needs a dot or a port"},
		"no repository":       {"ghcr.io/", "missing"},
		"no repository hub":   {"docker.io/", "missing"},
		"only tag":            {":1", "missing"},
		"leading slash":       {"/alpine", "components"},
		"double slash":        {"a//b", "components"},
		"dots":                {"ghcr.io/../x", "components"},
		"empty tag":           {"alpine:", "tag"},
		"long tag":            {"alpine:" + strings.Repeat("a", 129), "1 to 128"},
		"tag with dash":       {"alpine:-a", "tag"},
		"sha512":              {"alpine@sha512:" + strings.Repeat("a", 128), `algorithm "sha512" is not supported: only sha256`},
		"upper digest":        {"alpine@sha256:" + strings.ToUpper(hex64), "lower case"},
		"short digest":        {"alpine@sha256:" + hex64[1:], "64"},
		"long digest":         {"alpine@" + sha256 + "0", "64"},
		"no algorithm":        {"alpine@" + hex64, "sha256:"},
		"two digests":         {"alpine@" + sha256 + "@" + sha256, "64"},
		"long repository":     {"ghcr.io/" + strings.Repeat("a", 256), "255"},
		"library makes it so": {strings.Repeat("a", 250), "255"},
		"long host":           {strings.Repeat("a.", 127) + "io/x", "253"},
		"very long":           {strings.Repeat("a", 1025), "1024"},
		"port zero":           {"ghcr.io:0/x", "port"},
		"port leading zero":   {"ghcr.io:0443/x", "port"},
		"port too big":        {"ghcr.io:65536/x", "port"},
		"port empty":          {"ghcr.io:/x", "port"},
		"host dash":           {"-a.io/x", "host name"},
		"host dot at end":     {"docker.io./x", "host name"},
		"host underscore":     {"a_b.io/x", "host name"},
		"host unicode":        {"gh\u0441r.io/x", "host name"},
		"kelvin sign":         {"doc\u212Aer.io/x", "host name"},
		"user":                {"user:pw@ghcr.io/x", "sha256:"},
		"bare ipv6":           {"::1/x", "host name"},
		"broken ipv6":         {"[::1:5000/x", "IPv6"},
		"bad ipv6":            {"[:::]/x", "IPv6"},
		"ipv4 in brackets":    {"[127.0.0.1]/x", "IPv6"},
		"mapped":              {"[::ffff:102:304]/x", "IPv4"},
		"zone":                {"[fe80::1%25eth0]/x", "zone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, err := Parse(tc.in)
			if err == nil {
				t.Fatalf("accepted as %q", ref)
			}
			if !strings.Contains(err.Error(), tc.says) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("error %q does not say %q in one short line", err, tc.says)
			}
			if ref != (trust.Reference{}) {
				t.Errorf("an error came with %q", ref)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ registry, repository, target, want string }{
		{"docker.io", "alpine", "", "docker.io/library/alpine"},
		{"registry-1.docker.io", "library/alpine", "3", "docker.io/library/alpine:3"},
		{"GHCR.io", "a/b", sha256, "ghcr.io/a/b@" + sha256},
		{"127.0.0.1:5000", "x", "latest", "127.0.0.1:5000/x:latest"},
		{"docker.io", "ghcr.io/x", "", "docker.io/ghcr.io/x"},
	} {
		got, err := New(tc.registry, tc.repository, tc.target)
		if err != nil || got.String() != tc.want {
			t.Errorf("New(%q, %q, %q) = %q, %v; want %q", tc.registry, tc.repository, tc.target, got, err, tc.want)
		}
	}
	for name, tc := range map[string][3]string{
		"no registry":       {"", "a", ""},
		"word":              {"registry", "a", ""},
		"no repository":     {"ghcr.io", "", ""},
		"repository slash":  {"ghcr.io", "/a", ""},
		"repository tag":    {"ghcr.io", "a:1", ""},
		"repository digest": {"ghcr.io", "a@" + sha256, ""},
		"upper":             {"ghcr.io", "A", ""},
		"path in registry":  {"ghcr.io/a", "b", ""},
		"dot dot":           {"ghcr.io", "a/../b", ""},
		"tag":               {"ghcr.io", "a", "a/b"},
		"sha512":            {"ghcr.io", "a", "sha512:" + hex64 + hex64},
		"both":              {"ghcr.io", "a", "1@" + sha256},
	} {
		if got, err := New(tc[0], tc[1], tc[2]); err == nil || got != (trust.Reference{}) {
			t.Errorf("%s: New(%q, %q, %q) = %q, %v; want an error alone", name, tc[0], tc[1], tc[2], got, err)
		}
	}
}

func TestFamiliarWithoutTag(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{
		{"docker.io", "library/alpine", "alpine"},
		{"docker.io", "library/" + hex64, "docker.io/library/" + hex64},
		{"ghcr.io", "a/b", "ghcr.io/a/b"},
	} {
		if got := Familiar(trust.Reference{Registry: tc[0], Repository: tc[1]}); got != tc[2] {
			t.Errorf("Familiar(%s/%s) = %q, want %q", tc[0], tc[1], got, tc[2])
		}
	}
}

// checkProperties holds for everything that Parse accepts.
func checkProperties(t *testing.T, ref trust.Reference) {
	t.Helper()
	for _, spelling := range []string{ref.String(), Familiar(ref)} {
		if back, err := Parse(spelling); err != nil || back != ref {
			t.Errorf("Parse(%q) = %q, %v; want %q", spelling, back, err, ref)
		}
	}
	for _, target := range []string{ref.Tag, ref.Digest.String()} {
		want := trust.Reference{Registry: ref.Registry, Repository: ref.Repository}
		if target == ref.Tag {
			want.Tag = ref.Tag
		} else {
			want.Digest = ref.Digest
		}
		if got, err := New(ref.Registry, ref.Repository, target); err != nil || got != want {
			t.Errorf("New(%q, %q, %q) = %q, %v; want %q", ref.Registry, ref.Repository, target, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"alpine", "docker.io/library/alpine:3@" + sha256, "[::1]:5000/a", "[0::0]/a:b", "Foo/bar", "localhost/x", hex64,
		"index.docker.io/ghcr.io/x", "a.b:1/c:d", "x@sha512:" + hex64 + hex64, "a//b", "REGISTRY-1.docker.io:443/a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s)
		if err != nil {
			if ref != (trust.Reference{}) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q with %q", err, ref)
			}
			return
		}
		checkProperties(t, ref)
		named, err := dreference.ParseNormalizedNamed(s)
		if err != nil {
			t.Fatalf("docker refuses %q, which was taken as %q: %v", s, ref, err)
		}
		if !strings.EqualFold(dreference.Domain(named), ref.Registry) && ref.Registry != trust.DockerHub && !strings.HasPrefix(ref.Registry, "[") {
			t.Errorf("%q: docker asks %q, not %q", s, dreference.Domain(named), ref.Registry)
		}
		if path := dreference.Path(named); path != ref.Repository && "library/"+path != ref.Repository {
			t.Errorf("%q: docker reads repository %q, not %q", s, path, ref.Repository)
		}
	})
}
