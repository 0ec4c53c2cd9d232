package road_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/proxy/enforce/distribution/road"
)

// agents are as the clients send them.
var agents = map[string]struct {
	agent string
	want  road.Client
}{
	"engine-20.10": {
		`docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.1.0-37-amd64 os/linux arch/amd64 UpstreamClient(Docker-Client/20.10.24+dfsg1 \(linux\))`,
		road.Client{Kind: road.Graphdriver},
	},
	"engine-29-graphdriver": {
		`docker/29.7.2 go/go1.26.0 git-commit/unsupported kernel/6.1.0 os/linux arch/amd64 UpstreamClient(Docker-Client/29.7.2 \(linux\))`,
		road.Client{Kind: road.Graphdriver},
	},
	"engine-29-containerd": {
		`docker/29.7.2 go/go1.26.0 git-commit/unsupported kernel/6.1.0 os/linux arch/amd64 containerd-client/2.3.5+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/29.7.2 \(linux\))`,
		road.Client{Kind: road.ContainerdStore, Major: 2, Minor: 3},
	},
	"engine-29.0-containerd": {
		`docker/29.0.1 go/go1.25.3 git-commit/198b5e3 kernel/6.8.0 os/linux arch/arm64 containerd-client/v2.1.5 storage-driver/overlayfs UpstreamClient(docker-compose/v2.40 \(linux\))`,
		road.Client{Kind: road.ContainerdStore, Major: 2, Minor: 1},
	},
	"engine-whose-client-lies": {
		`docker/20.10.24 go/go1.19.8 UpstreamClient(containerd-client/9.9.9 crane/1 buildkit/1)`,
		road.Client{Kind: road.Graphdriver},
	},
	"ctr-1.6":                {`containerd/1.6.20~ds1`, road.Client{Kind: road.Containerd, Major: 1, Minor: 6}},
	"containerd-2.4":         {`containerd/v2.4.2`, road.Client{Kind: road.Containerd, Major: 2, Minor: 4}},
	"containerd-unknown":     {`containerd/unknown`, road.Client{Kind: road.Containerd}},
	"library-without-engine": {`containerd-client/2.3.5`, road.Client{Kind: road.Containerd, Major: 2, Minor: 3}},
	"library":                {`containers/5.39.2 (github.com/containers/image)`, road.Client{Kind: road.ContainersImage}},
	"podman":                 {`libpod/4.3.1`, road.Client{Kind: road.ContainersImage}},
	"buildah":                {`Buildah/1.28.2`, road.Client{Kind: road.ContainersImage}},
	"skopeo":                 {`skopeo/1.9.3`, road.Client{Kind: road.ContainersImage}},
	"cri-o":                  {`cri-o/1.36.3 go/go1.26.0 os/linux arch/amd64`, road.Client{Kind: road.ContainersImage}},
	"crane":                  {`crane/0.22.1 go-containerregistry/v0.22.1`, road.Client{Kind: road.Crane}},
	"go-containerregistry":   {`go-containerregistry/v0.21.9`, road.Client{Kind: road.Crane}},
	"buildkit":               {`buildkit/v0.32.2`, road.Client{Kind: road.BuildKit}},
	"builder-in-engine":      {`docker/29.7.2 buildkit/v0.32 containerd-client/2.3.5`, road.Client{Kind: road.BuildKit, Major: 2, Minor: 3}},
	"nobody":                 {``, road.Client{Kind: road.Unknown}},
	"curl":                   {`curl/8.5.0`, road.Client{Kind: road.Unknown}},
	"go":                     {`Go-http-client/1.1`, road.Client{Kind: road.Unknown}},
	"name-inside-a-word":     {`notdocker/1 xcrane/2`, road.Client{Kind: road.Unknown}},
	"open-parenthesis":       {`x (docker/20.10`, road.Client{Kind: road.Unknown}},
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for name, c := range agents {
		if diff := cmp.Diff(c.want, road.ClientOf(c.agent)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestRoads is the table of clients × roads: whether the client may fall back, and the form of a refusal in each mode.
func TestRoads(t *testing.T) {
	t.Parallel()
	type forms struct {
		back          bool
		auto, on, off road.Form
		holds         bool // in auto
	}
	final := forms{false, road.Plain, road.Plain, road.Plain, true}
	path := func(on road.Form) forms { return forms{false, road.Plain, on, road.Plain, true} }
	stopped := func(f road.Form) forms { return forms{true, f, f, road.Plain, true} }
	for agent, want := range map[string]map[road.Named]forms{
		"engine-20.10":           {road.ByHost: final, road.ByAlias: path(road.Unnamed), road.ByNamespace: stopped(road.Unnamed), road.ByDefault: stopped(road.Unnamed)},
		"engine-29-containerd":   {road.ByHost: final, road.ByAlias: path(road.Unnamed), road.ByNamespace: stopped(road.Unnamed), road.ByDefault: final},
		"engine-29.0-containerd": {road.ByHost: final, road.ByAlias: path(road.Choices), road.ByNamespace: stopped(road.Choices), road.ByDefault: final},
		"ctr-1.6":                {road.ByHost: final, road.ByAlias: path(road.Choices), road.ByNamespace: stopped(road.Choices), road.ByDefault: final},
		"containerd-2.4":         {road.ByHost: final, road.ByAlias: path(road.Choices), road.ByNamespace: stopped(road.Choices), road.ByDefault: final},
		"podman":                 {road.ByHost: final, road.ByAlias: path(road.Tombstone), road.ByNamespace: stopped(road.Tombstone), road.ByDefault: stopped(road.Tombstone)},
		"buildkit":               {road.ByHost: final, road.ByAlias: path(road.Choices), road.ByNamespace: stopped(road.Choices), road.ByDefault: final},
		"crane":                  {road.ByHost: final, road.ByAlias: path(road.Unnamed), road.ByNamespace: {true, road.Plain, road.Unnamed, road.Plain, false}, road.ByDefault: final},
		"curl":                   {road.ByHost: final, road.ByAlias: path(road.Unnamed), road.ByNamespace: {true, road.Plain, road.Unnamed, road.Plain, false}, road.ByDefault: {true, road.Plain, road.Unnamed, road.Plain, false}},
	} {
		for named, w := range want {
			r := road.Road{Client: road.ClientOf(agents[agent].agent), Named: named}
			got := forms{r.FallsBack(), r.Form(road.Auto), r.Form(road.On), r.Form(road.Off), r.Holds(r.Form(road.Auto))}
			if got != w {
				t.Errorf("%s by %s: %+v, want %+v", agent, named, got, w)
			}
			if r.Form("") != r.Form(road.Auto) {
				t.Errorf("%s by %s: no mode is not auto", agent, named)
			}
			if r.FallsBack() && r.Holds(road.Plain) {
				t.Errorf("%s by %s: a plain refusal stops nobody who can ask elsewhere", agent, named)
			}
			r.Ambiguous = true
			alike := road.Road{Client: r.Client, Named: road.ByDefault}
			if named == road.ByAlias && (r.FallsBack() != alike.FallsBack() || r.Form(road.Auto) != alike.Form(road.Auto)) {
				t.Errorf("%s by an alias that may be none: %s, want %s", agent, r.Form(road.Auto), alike.Form(road.Auto))
			}
			r.Enrolled = true
			if r.FallsBack() || r.Form(road.On) != road.Plain || !r.Holds(road.Plain) || r.String() != "enrolled" {
				t.Errorf("%s by %s, enrolled: %s %s", agent, named, r, r.Form(road.On))
			}
		}
	}
}

func TestRoadNames(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]road.Road{
		"mirror": {Named: road.ByNamespace}, "alias": {Named: road.ByAlias}, "host": {Named: road.ByHost},
		"default": {Named: road.ByDefault, Client: road.Client{Kind: road.Crane}},
	} {
		if r.String() != want {
			t.Errorf("%+v is %s, want %s", r, r, want)
		}
	}
}

// FuzzClientOf: whatever a User-Agent says, the kind is one of the known ones, and no enrolment or road comes of it.
func FuzzClientOf(f *testing.F) {
	for _, c := range agents {
		f.Add(c.agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		c := road.ClientOf(agent)
		known := false
		for _, k := range road.Kinds() {
			known = known || k == c.Kind
		}
		if !known || c.Major < 0 || c.Minor < 0 || c.Major > 1000 || c.Minor > 1000 {
			t.Fatalf("%q: %+v", agent, c)
		}
		r := road.Road{Client: c, Named: road.ByNamespace}
		if !r.FallsBack() || r.Form(road.Off) != road.Plain {
			t.Fatalf("%q talked its way out: %+v", agent, c)
		}
	})
}
