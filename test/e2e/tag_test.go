package e2e

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/imagetest"
)

// service is a harmless image that is built in steps, one layer each; words make its layers other ones.
func service(entrypoint []string, base string, steps []string, env ...string) imagetest.Built {
	image := imagetest.Image{Config: ocispec.ImageConfig{Entrypoint: entrypoint, Env: append([]string{"PATH=/usr/bin"}, env...)}}
	created := imagetest.Epoch.Add(time.Minute)
	for _, step := range steps {
		image.Layers = append(image.Layers, imagetest.Layer(imagetest.Text("srv/"+digest.FromString(base + step).Encoded()[:8], step)))
		image.History = append(image.History, ocispec.History{Created: &created, CreatedBy: step})
	}
	return image.Build()
}

// becomings are what the image of a tag becomes, by name.
func becomings() map[string]imagetest.Built {
	env := []string{"APP_PORT=8080", "APP_HOME=/srv", "APP_MODE=web"}
	steps := []string{"ADD debian-12.tar /", "RUN apt-get install -y node", "COPY app /srv", "RUN chown -R app /srv"}
	start := []string{"/usr/bin/tini", "--", "/usr/bin/webserver"}
	return map[string]imagetest.Built{
		"first":         service(start, "", steps, env...),
		"patched-base":  service(start, "12.2", append([]string{"ADD debian-12.2.tar /"}, steps[1:]...), env...),
		"moved-start":   service([]string{"/sbin/tini", "--", "/usr/local/bin/webserver"}, "", append(steps[:3:3], "RUN mv"), env...),
		"another-start": service([]string{"/usr/lib/x/svc"}, "", append(steps[:4:4], "COPY svc /usr/lib/x/svc"), env...),
		"another-base":  service(start, "bare", []string{"ADD busybox.tar /", "COPY all /"}),
		"another-image": service([]string{"/opt/agent"}, "other", []string{"ADD alpine.tar /", "RUN apk add python3", "COPY agent /opt/agent"}, "PYTHON_VERSION=3.9"),
	}
}

// cmdBecomes makes an image of $UPSTREAM, name:tag, another one.
func cmdBecomes(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 || s.upstream == nil {
		ts.Fatalf("usage: becomes REPOSITORY TAG WHAT, after upstream")
	}
	built, ok := becomings()[args[2]]
	if !ok {
		ts.Fatalf("%q is nothing that an image becomes", args[2])
	}
	put(s.upstream, args[0], args[1], built)
}
