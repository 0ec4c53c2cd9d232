//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/test/registrytest"
)

func TestOutcomeAndGoal(t *testing.T) {
	t.Parallel()
	atMirror, atPath := lane{client: "containerd 1.6", road: mirror}, lane{client: "containerd 1.6", road: path}
	for _, c := range []struct {
		name    string
		r       result
		outcome string
		ok      bool
	}{
		{"an allowed image arrives", result{lane: atPath, how: byTag, state: allowed, layers: []int{0}}, "arrived", true},
		{"an allowed image that is nowhere", result{lane: atPath, how: byTag, state: allowed}, "arrived, but is not found", false},
		{"a store that nobody can read", result{lane: atPath, how: byTag, state: blocked, failed: true, unread: errors.New("no")}, "not measured, the client's store cannot be read: no", false},
		{"an allowed image does not", result{lane: atPath, how: byTag, state: allowed, failed: true}, "refused", false},
		{"an allowed image from elsewhere", result{lane: atMirror, how: byTag, state: allowed, asked: 3, given: 2}, "went around", false},
		{"asked elsewhere, for nothing", result{lane: atMirror, how: byTag, state: allowed, asked: 1, layers: []int{0}}, "arrived", true},
		{"a blocked image arrives", result{lane: atPath, how: byTag, state: blocked, layers: []int{1}}, "arrived", false},
		{"from elsewhere", result{lane: atMirror, how: byTag, state: blocked, asked: 2, given: 2}, "went around", false},
		{"refused", result{lane: atMirror, how: byDigest, state: quarantined, failed: true}, "refused", true},
		{"refused there too", result{lane: atMirror, how: byDigest, state: quarantined, failed: true, asked: 1}, "refused, asked docker.io in vain", true},
		{"a layer stays", result{lane: atPath, how: byTag, state: undecided, failed: true, layers: []int{0}}, "refused, but layers [0] stay", false},
		{"may come back", result{lane: atPath, how: byTag, state: late, failed: true}, "refused", true},
		{"late, from elsewhere", result{lane: atMirror, how: byTag, state: late, given: 1}, "went around", false},
		{"nothing stops it", result{lane: atMirror, how: byLayer, state: blocked, given: 1}, "went around", true},
		{"and on a road of its own", result{lane: atPath, how: byLayer, state: blocked, given: 1}, "went around", false},
		{"shows nothing", result{lane: atPath, how: byTag, state: blocked, failed: true, broken: true}, "refused", false},
	} {
		c.r.goal = c.r.lane.goal(c.r.how, c.r.state)
		if got := c.r.outcome(); got != c.outcome || c.r.ok() != c.ok {
			t.Errorf("%s: %q, ok %v; want %q, %v", c.name, got, c.r.ok(), c.outcome, c.ok)
		}
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	l := lane{client: "docker 20.10", road: path}
	r := result{lane: l, how: byTag, state: blocked, goal: refused, failed: true, said: strings.Repeat("x", 500)}
	fields := strings.Split(r.row(), "\t")
	if len(fields) != 4 || fields[0] != "docker 20.10, path, tag, blocked" || fields[2] != "refused" || fields[3] != "ok" || len(fields[1]) > 450 {
		t.Errorf("got %q", fields)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	l := lane{client: "c", road: path}
	got := markdown([]result{
		{lane: l, how: byTag, state: blocked, failed: true, said: "no | never"},
		{lane: l, how: byDigest, state: blocked, layers: []int{0}},
		{lane: l, how: byTag, state: allowed, layers: []int{0}},
		{lane: l, how: byDigest, state: allowed, layers: []int{0}},
	})
	if want := "| c, path | tag, digest | tag refused; digest arrived |  |  | arrived | `no ¦ never` |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	text := "before\n" + begin + "old\n" + end + "after\n"
	got, err := within(text, "| new |\n")
	if want := "before\n" + begin + "\n| new |\n\n" + end + "after\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"", begin, "before\n" + end} {
		if _, err := within(bad, "x"); err == nil {
			t.Errorf("%q has no place, and that is no error", bad)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	w := &world{proxy: "127.0.0.1:5000", hub: &hub{address: "127.0.0.1:6000"}}
	q := question{repository: "contoso/q0001", image: image{mark: "q0001"}, home: "/tmp/h"}
	for said, want := range map[string]string{
		"Pulling\nError response from daemon: denied at 127.0.0.1:5000\n (SP-AAAAAAAAAA)": "Error response from daemon: denied at PROXY (SP-…)",
		"fetching\nlast contoso/q0001@sha256:" + strings.Repeat("0", 64):                  "last contoso/app@sha256:…",
		`time="2024-01-01T00:00:00Z" level=fatal msg="after 1.5s"`:                        `level=fatal msg="after …s"`,
		"level=error msg=\"active check failed\"\nctr: refused":                           "ctr: refused",
		"": "",
	} {
		if got := w.plain(said, q); got != want {
			t.Errorf("plain(%q) = %q, want %q", said, got, want)
		}
	}
}

// TestImages: an image is the same each time, and no two share a layer.
func TestImages(t *testing.T) {
	t.Parallel()
	a, again, other := makeImage("a", blocked), makeImage("a", blocked), makeImage("b", blocked)
	if a.built.Root.Digest != again.built.Root.Digest {
		t.Error("the same mark makes another image")
	}
	for n := range a.layers {
		if a.layers[n].Descriptor.Digest == other.layers[n].Descriptor.Digest {
			t.Errorf("layer %d is shared", n)
		}
		if size := a.layers[n].Descriptor.Size; size < 128<<10 {
			t.Errorf("layer %d has %d bytes, too few to flow before the verdict", n, size)
		}
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	i, dir := makeImage("m", allowed), t.TempDir()
	for name, content := range map[string][]byte{
		"whatever":         i.layers[0].Content,
		"other":            []byte("m"),
		"deep/m-1.txt":     nil,
		"part":             i.layers[1].Content[:1000],
		"deep/m-1.txt.old": nil,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := i.found(dir, filepath.Join(dir, "none"))
	if want := []int{0, 1}; err != nil || !slices.Equal(got, want) {
		t.Errorf("found %v, %v; want %v", got, err, want)
	}
	for name, folder := range map[string]string{"no folder": filepath.Join(dir, "other", "x"), "endless": endless(t)} {
		if got, err := i.found(dir, folder); err == nil {
			t.Errorf("%s: found %v, and no error", name, got)
		}
	}
	if err := os.Remove(filepath.Join(dir, "deep", "m-1.txt")); err != nil {
		t.Fatal(err)
	}
	if got, err := i.found(dir); err != nil || !slices.Equal(got, []int{0}) {
		t.Errorf("found %v, %v; want the first alone", got, err)
	}
}

// endless is a path that cannot be looked at, whoever asks.
func endless(t *testing.T) string {
	t.Helper()
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(loop, "x")
}

func TestDelay(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	i := makeImage("d", undecided)
	i.put(r, "contoso/d", "1")
	i.delay(r, "contoso/d")
	resp, err := r.Client().Get(r.URL() + "/v2/contoso/d/manifests/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Docker-Content-Digest") != i.built.Root.Digest.String() {
		t.Errorf("the registry has %q", resp.Header.Get("Docker-Content-Digest"))
	}
}
