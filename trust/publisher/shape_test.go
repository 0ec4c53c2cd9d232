package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// image is what a configuration says.
type image struct {
	entrypoint, command, env []string
	labels                   map[string]string
	history, layers          []string
}

func (i image) shape() Shape {
	var layers []digest.Digest
	for _, l := range i.layers {
		layers = append(layers, digest.FromString(l))
	}
	return NewShape(i.entrypoint, i.command, i.env, i.labels, i.history, layers)
}

// web is an honest service.
func web() image {
	return image{
		entrypoint: []string{"/usr/bin/tini", "--", "/docker-entrypoint.sh"}, command: []string{"node", "/app/server.js"},
		env:    []string{"PATH=/usr/bin", "NODE_VERSION=22.1", "APP_PORT=8080", "APP_HOME=/app", "LANG=C.UTF-8"},
		labels: map[string]string{"org.opencontainers.image.source": "https://example.com", "maintainer": "acme"},
		history: []string{
			"ADD debian-12.tar /", "ENV NODE_VERSION=22.1", "RUN apt-get install -y node", "COPY app /app", "ENTRYPOINT [\"/docker-entrypoint.sh\"]",
		},
		layers: []string{"debian 12", "node 22.1", "app 1"},
	}
}

// dao is what the tag became in an attack: nothing of it was there before.
func dao() image {
	return image{
		entrypoint: []string{"python3", "/opt/dao.py"}, env: []string{"PATH=/usr/bin", "PYTHON_VERSION=3.9"},
		history: []string{"ADD alpine.tar /", "RUN apk add python3 tor", "COPY dao.py /opt/dao.py"}, layers: []string{"alpine", "python", "dao"},
	}
}

// builtOn says what an image stands on.
func builtOn(i image, base string) image {
	i.labels = maps.Clone(i.labels)
	i.labels["org.opencontainers.image.base.name"] = base
	return i
}

func changed(i image, change func(*image)) image { change(&i); return i }

// TestTag: what a tag may become without a word, and what not.
func TestTag(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first, then image
		want        string // the strength and the verb
	}{
		"another-image": {web(), dao(), "weak is a wholly different image than"},
		"hardly-known": {
			image{entrypoint: []string{"/server"}, layers: []string{"a"}}, image{entrypoint: []string{"/xmr"}, history: []string{"COPY x /"}, layers: []string{"b"}}, "context is a wholly different image than",
		},
		"another-start-on-the-same-image": {web(), changed(web(), func(i *image) {
			i.entrypoint, i.command, i.layers = []string{"/usr/lib/x/svc"}, nil, append(slices.Clone(i.layers), "added")
		}), "context starts something else than"},
		"another-base-for-the-same-start": {web(), changed(web(), func(i *image) {
			i.layers, i.history, i.env, i.labels = []string{"busybox", "a", "b"}, []string{"ADD busybox.tar /", "COPY all /"}, nil, nil
		}), "context stands on another base than"},
		"another-base-by-its-word": {builtOn(web(), "docker.io/library/debian:12"), builtOn(changed(web(), func(i *image) {
			i.layers = []string{"alpine", "node", "app"}
		}), "docker.io/library/alpine:3@sha256:x"), "context stands on another base than"},
		"twin-the-same": {web(), web(), ""},
		"twin-next-version": {web(), changed(web(), func(i *image) {
			i.layers, i.history = []string{"debian 12", "node 22.1", "app 2"}, append(slices.Clone(i.history[:4]), "COPY app2 /app")
		}), ""},
		"twin-debian-12-to-13": {web(), changed(web(), func(i *image) {
			i.layers = []string{"debian 13", "node 24.1", "app 2"}
			i.history = []string{"ADD debian-13.tar /", "ENV NODE_VERSION=24.1", "RUN apt-get install -y nodejs", "COPY app /app2", "ENTRYPOINT [\"/run.sh\"]"}
			i.env = []string{"PATH=/usr/bin", "NODE_VERSION=24.1", "APP_PORT=8080", "APP_HOME=/app"}
		}), ""},
		"debian-to-alpine-and-another-start": {web(), changed(web(), func(i *image) {
			i.layers, i.history = []string{"alpine", "go", "app 9"}, []string{"ADD alpine.tar /", "COPY server /server"}
			i.entrypoint, i.command = []string{"/server"}, nil
		}), "context starts something else than"}, // its variables and labels stayed
		"twin-patch-of-the-base": {builtOn(web(), "docker.io/library/debian:12.1"), builtOn(changed(web(), func(i *image) {
			i.layers, i.history = []string{"debian 12.2", "node 22.1 on 12.2", "app 1 on 12.2"}, append([]string{"ADD debian-12.2.tar /"}, i.history[1:]...)
		}), "docker.io/library/debian:12.2@sha256:x"), ""},
		"twin-start-elsewhere": {web(), changed(web(), func(i *image) {
			i.entrypoint, i.layers = []string{"/sbin/tini", "--", "/usr/local/bin/docker-entrypoint.sh"}, []string{"debian 12", "node 22.1", "app 2"}
		}), ""},
		"twin-no-history-of-a-builder": {
			image{entrypoint: []string{"/app"}, env: []string{"A=1", "B=1"}, layers: []string{"base 1", "app 1"}},
			image{entrypoint: []string{"/app"}, env: []string{"A=1", "B=1"}, layers: []string{"base 2", "app 2"}}, "",
		},
		"without-a-shell": {web(), changed(web(), func(i *image) {
			i.layers, i.history, i.env, i.labels = []string{"distroless", "app 9"}, []string{"COPY app /app"}, nil, nil
			i.entrypoint, i.command = []string{"/nodejs/bin/node", "server.js"}, nil
		}), "context stands on another base than"},
		"twin-other-folder": {web(), changed(web(), func(i *image) {
			i.layers, i.history, i.env, i.labels = []string{"x"}, nil, nil, nil
			i.entrypoint, i.command = nil, []string{"/bin/sh", "-c", "exec /opt/node/bin/node /srv/main.js"}
		}), ""},
		"twin-starts-nothing":   {web(), image{layers: []string{"x"}, history: []string{"y"}}, ""},
		"twin-no-layers":        {web(), image{entrypoint: []string{"x"}}, ""},
		"shared-base":           {web(), changed(dao(), func(i *image) { i.layers = []string{"debian 12", "python", "tool"} }), "context starts something else than"},
		"twin-nothing-at-first": {image{}, dao(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, ref := digest.FromString("old"), trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "latest", Digest: digest.FromString("new")}
			tag := Tag{}.Point(old, tt.first.shape(), on("2026-01-01")).Point(ref.Digest, tt.then.shape(), on("2026-03-01"))
			got := ""
			for _, f := range tag.Signs(ref) {
				how, _, _ := strings.Cut(strings.TrimPrefix(f.Why, `"latest" `), " sha256:")
				got = f.Strength.String() + " " + how
				if f.Check != Check || f.Path != "publisher:tag" || f.Excerpt != old.String() || !strings.Contains(f.Why, "2026-01-01") {
					t.Errorf("%+v", f)
				}
			}
			if got != tt.want || strings.HasPrefix(name, "twin-") && got != "" {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if len(tag.Signs(ref.WithDigest(old))) > 0 {
				t.Error("the first image is a sign")
			}
			body, err := json.Marshal(tag)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseTag(body); err != nil || len(back.Signs(ref)) != len(tag.Signs(ref)) {
				t.Errorf("%v, %+v", err, back)
			}
		})
	}
}

// TestTagOverTime: an image stays what it was; one that is unlike those before it is no measure for the next, until it has
// been there for a while; a tag that goes back is quiet, and so is one that was deleted meanwhile.
func TestTagOverTime(t *testing.T) {
	t.Parallel()
	name := func(d string) trust.Reference {
		return trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "latest", Digest: digest.FromString(d)}
	}
	var tag Tag
	for _, step := range []struct {
		digest string
		image  image
		day    string
		signs  int
	}{
		{"good 1", web(), "2026-01-01", 0},
		{"bad 1", dao(), "2026-01-02", 1},
		{"bad 1", dao(), "2026-03-02", 1},
		{"bad 2", changed(dao(), func(i *image) { i.layers = []string{"alpine", "python", "dao 2"} }), "2026-01-03", 1},
		{"good 1", web(), "2026-01-04", 0},
		{"good 2", changed(web(), func(i *image) { i.layers = []string{"debian 12", "node 22.2", "app 2"} }), "2026-01-05", 0},
		{"other", changed(dao(), func(i *image) { i.entrypoint = []string{"/own/server"} }), "2026-01-06", 1},
		{"other 2", changed(dao(), func(i *image) { i.entrypoint, i.layers = []string{"/own/server"}, []string{"z"} }), "2026-03-06", 0}, // it is theirs now
	} {
		tag = tag.Point(digest.FromString(step.digest), step.image.shape(), on(step.day))
		if got := tag.Signs(name(step.digest)); len(got) != step.signs {
			t.Errorf("%s on %s: %+v, want %d", step.digest, step.day, got, step.signs)
		}
	}
}

// TestTagForgets: neither odd configurations nor many images make a tag's memory large.
func TestTagForgets(t *testing.T) {
	t.Parallel()
	var tag Tag
	many := func(s string) []string {
		var out []string
		for i := range 500 {
			out = append(out, fmt.Sprint(s, i, strings.Repeat("\x1b[2J ", 200), "=1"))
		}
		return out
	}
	labels := map[string]string{}
	for _, l := range many("label") {
		labels[l] = l
	}
	var layers []digest.Digest
	for _, l := range many("layer") {
		layers = append(layers, digest.FromString(l))
	}
	for i := range 40 {
		s := NewShape(many("start"), many("cmd"), many("env"), labels, many("step"), layers)
		tag = tag.Point(digest.FromString(fmt.Sprint(i)), s, on("2026-01-01").Add(time.Duration(i)*time.Hour))
	}
	body, err := json.Marshal(tag)
	if err != nil || len(body) > maxTagBytes || len(tag.Images) != maxTagged || strings.Contains(string(body), `\u001b`) {
		t.Errorf("%d bytes, %d images, %v", len(body), len(tag.Images), err)
	}
	if _, err := ParseTag(body); err != nil {
		t.Error(err)
	}
	if _, err := ParseTag(append(body, make([]byte, maxTagBytes)...)); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	if _, err := ParseTag([]byte("[]")); !errors.Is(err, trust.ErrMalformed) {
		t.Error(err)
	}
}

func FuzzParseTag(f *testing.F) {
	tag := Tag{}.Point(digest.FromString("a"), web().shape(), on("2026-01-01")).Point(digest.FromString("b"), dao().shape(), on("2026-01-02"))
	body, err := json.Marshal(tag)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"images":[{"digest":"x","moved":"\u001b"},{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		tag, err := ParseTag(body)
		if err != nil {
			return
		}
		d := digest.FromString("new")
		for _, f := range tag.Point(d, dao().shape(), on("2026-06-01")).Signs(trust.Reference{Registry: "r", Repository: "a", Tag: "t", Digest: d}) {
			if len(f.Why) > 400 || strings.Contains(f.Why, "\x1b") || f.Strength > trust.Weak {
				t.Errorf("%+v", f)
			}
		}
	})
}
