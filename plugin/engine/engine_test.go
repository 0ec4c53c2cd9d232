package engine

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/system"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

func TestPlatformOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		os, arch, machine string
		want              ocispec.Platform
	}{
		{"linux", "amd64", "x86_64", ocispec.Platform{OS: "linux", Architecture: "amd64"}},
		{"linux", "arm64", "aarch64", ocispec.Platform{OS: "linux", Architecture: "arm64"}},
		{"linux", "arm", "armv7l", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{"linux", "arm", "armv6l", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{"linux", "arm", "armv5tel", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v5"}},
		{"linux", "arm", "aarch64", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{"windows", "amd64", "x86_64", ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}},
	} {
		got, err := platformOf(c.os, c.arch, system.Info{Architecture: c.machine, OSVersion: "10.0.1"})
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%v %v: %v\n%s", c.arch, c.machine, err, diff)
		}
	}
	if _, err := platformOf("", "amd64", system.Info{}); err == nil {
		t.Error("an engine without an operating system")
	}
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	got, err := New((&fake{}).start(t, there), Options{}).Platform(t.Context())
	if diff := cmp.Diff(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"1.48": true, "1.50": true, "2.0": true, "1.47": false, "1.9": false, "": false, "new": false} {
		if got := atLeast(version, 1, 48); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"unix:///var/run/docker.sock": true, "npipe:////./pipe/docker_engine": true, "tcp://127.0.0.1:2375": true,
		"tcp://[::1]:2375": true, "tcp://localhost:2375": true, "tcp://10.0.0.7:2376": false, "tcp://engine:2375": false,
		"http://docker.example.com": false, "ssh://me@engine": false, "": false, "::": false,
	} {
		if got := local(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	r := trust.Reference{Registry: "docker.io", Repository: "library/alpine"}
	for want, r := range map[string]trust.Reference{
		"docker.io/library/alpine:latest":         r,
		"docker.io/library/alpine:3":              {Registry: r.Registry, Repository: r.Repository, Tag: "3"},
		"docker.io/library/alpine@" + someDigest:  r.WithDigest(someDigest),
		"docker.io/library/alpine2@" + someDigest: {Registry: r.Registry, Repository: "library/alpine2", Tag: "3", Digest: someDigest},
	} {
		if got := under(r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	const want, other = digest.Digest(someDigest), "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for _, c := range []struct {
		name        string
		ref         trust.Reference
		repoDigests []string
		recorded    bool
	}{
		{"none", ref, nil, true},
		{"it", ref, []string{"registry.example/acme/app@" + someDigest}, true},
		{"it among others", ref, []string{"registry.example/acme/app" + other, "registry.example/acme/app@" + someDigest}, true},
		{"an older one", ref, []string{"registry.example/acme/app" + other}, false},
		{"of another repository", ref, []string{"registry.example/acme/app2" + other}, true},
		{"Docker Hub, official", trust.Reference{Registry: "docker.io", Repository: "library/alpine"}, []string{"alpine" + other}, false},
		{"Docker Hub", trust.Reference{Registry: "docker.io", Repository: "acme/app"}, []string{"acme/app" + other}, false},
		{"not Docker Hub", ref, []string{"acme/app" + other}, true},
	} {
		if got := recorded(c.repoDigests, c.ref, want); got != c.recorded {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestHas: only the same image under the same name counts, and no layer is read to know.
func TestHas(t *testing.T) {
	t.Parallel()
	s := newSample(t, "has")
	name, child := "registry.example/acme/app:1", s.children["amd64"]
	config := s.parts["amd64"].Config.Digest.String()
	for _, c := range []struct {
		name  string
		store bool
		id    string
		top   ocispec.Descriptor
		want  bool
	}{
		{"graph driver, nothing", false, "", s.index, false},
		{"graph driver, it", false, config, s.index, true},
		{"graph driver, another", false, s.parts["arm64"].Config.Digest.String(), s.index, false},
		{"graph driver, manifest digest", false, child.Digest.String(), s.index, false},
		{"containerd store, nothing", true, "", s.index, false},
		{"containerd store, another", true, someDigest, s.index, false},
		{"containerd store, children unknown", true, s.index.Digest.String(), s.index, false},
	} {
		f := &fake{behaviour: behaviour{contentStore: c.store}, names: map[string]string{}}
		if c.id != "" {
			f.set(name, c.id)
		}
		got, err := New(f.start(t, there), Options{}).Has(t.Context(), ref, c.top, child, s)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if read := s.took(); s.layersAmong(read) > 0 || slices.Contains(read, s.parts["amd64"].Config.Digest) {
		t.Errorf("read %v", read)
	}
}

func TestSaveUnknown(t *testing.T) {
	t.Parallel()
	if _, err := New((&fake{}).start(t, there), Options{}).Save(t.Context(), "none"); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
