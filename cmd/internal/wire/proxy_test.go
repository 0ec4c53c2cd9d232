package wire

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

// running is a proxy in this process before a registry.
type running struct {
	url, stateDir string
	config        config.Config
	log           *strings.Builder // read it after stop only
	stop          func() error
}

// addresses sends where the proxy serves.
type addresses chan string

func (addresses) Levels() []logrus.Level { return logrus.AllLevels }

func (a addresses) Fire(e *logrus.Entry) error {
	if address, ok := e.Data["address"].(string); ok && e.Message == "serving" {
		a <- address
	}
	return nil
}

// load reads a configuration as a file, without the test's own environment.
func load(t *testing.T, yaml string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "proxy.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs a proxy of docker.io, which is r.
func start(t *testing.T, r *registrytest.Registry, more string) *running {
	t.Helper()
	p := &running{stateDir: t.TempDir(), log: &strings.Builder{}}
	p.config = load(t, "listen: 127.0.0.1:0\nstateDir: "+p.stateDir+"\nstopGrace: 0s\nlog: {level: debug}\n"+
		"upstreams:\n  - host: docker.io\n    url: "+r.URL()+"\n    plainHTTP: true\n    default: true\n"+more)
	log := logrus.New()
	log.SetLevel(logrus.DebugLevel)
	log.SetOutput(p.log)
	at := make(addresses, 1)
	log.AddHook(at)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Proxy(ctx, p.config, nil, nil, log) }()
	select {
	case address := <-at:
		p.url = "http://" + address
	case err := <-done:
		cancel()
		t.Fatalf("the proxy did not start: %v", err)
	}
	stopped := false
	p.stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-done
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *running) get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.Get(p.url + path) //nolint:noctx // a test on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// put stores what was built as repository:latest.
func put(r *registrytest.Registry, repository, tag string, b imagetest.Built) {
	for _, child := range b.Children {
		put(r, repository, "", child)
	}
	for _, blob := range b.Blobs {
		r.PutBlob(repository, blob.Content)
	}
	r.PutManifest(repository, tag, b.Root.MediaType, b.Manifest)
}

func clean() imagetest.Built {
	return imagetest.Image{Layers: []imagetest.Blob{imagetest.Layer(imagetest.Text("hello", "hello"))}}.Build()
}

func mining(t *testing.T) imagetest.Built {
	t.Helper()
	for _, s := range corpus.Generate(corpus.Seed) {
		if s.Mining {
			return s.Image
		}
	}
	t.Fatal("no mining sample")
	return imagetest.Built{}
}

func TestProxyServesWhatIsAllowedAndExplainsTheRest(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	good, bad := clean(), mining(t)
	put(r, "acme/good", "latest", good)
	put(r, "acme/bad", "latest", bad)
	p := start(t, r, "")

	layer := "/v2/acme/good/blobs/" + good.Blobs[1].Descriptor.Digest.String()
	if resp, _ := p.get(t, layer); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a blob before its manifest: %s", resp.Status)
	}
	if resp, body := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK || string(body) != string(good.Manifest) {
		t.Errorf("clean image: %s %s", resp.Status, body)
	}
	if resp, body := p.get(t, layer); resp.StatusCode != http.StatusOK || string(body) != string(good.Blobs[1].Content) {
		t.Errorf("its layer: %s", resp.Status)
	}
	if n := r.Count(http.MethodGet, layer); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}

	resp, body := p.get(t, "/v2/acme/bad/manifests/latest")
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"DENIED"`) {
		t.Fatalf("mining image: %s %s", resp.Status, body)
	}
	_, id, _ := strings.Cut(string(body), "[SP-")
	id, _, _ = strings.Cut("SP-"+id, "]")
	for _, spelt := range []string{id, "SP-" + strings.ToLower(strings.TrimPrefix(id, "SP-"))} {
		resp, body = p.get(t, "/safepull/v1/verdicts/"+spelt)
		var v trust.Verdict // as the plugin reads it
		if err := json.Unmarshal(body, &v); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("explain %s: %s, %v", spelt, resp.Status, err)
		}
		if v.ID != id || v.Action != trust.Block || v.Manifest != bad.Root.Digest || len(v.Evidence.Findings) == 0 {
			t.Errorf("explain %s: %+v", spelt, v)
		}
	}
	for _, b := range bad.Blobs {
		if resp, _ := p.get(t, "/v2/acme/bad/blobs/"+b.Descriptor.Digest.String()); resp.StatusCode == http.StatusOK {
			t.Errorf("blob %s of a refused image was served", b.Descriptor.Digest)
		}
	}
}

func TestProxyHandsOnWhenToComeBack(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	put(r, "acme/good", "latest", clean())
	p := start(t, r, "")
	for _, c := range []struct {
		pattern string
		status  int
		want    int
	}{
		{"/v2/acme/good/manifests/*", 429, 429},
		{"/v2/acme/good/blobs/*", 429, 503}, // no verdict, so not the client's fault
		{"/v2/acme/good/blobs/*", 503, 503},
	} {
		r.Misbehave(c.pattern, registrytest.Fault{Status: c.status, Header: http.Header{"Retry-After": {"77"}}})
		resp, body := p.get(t, "/v2/acme/good/manifests/latest")
		if resp.StatusCode != c.want || resp.Header.Get("Retry-After") != "77" {
			t.Errorf("%d at %s: %s, Retry-After %q, %s", c.status, c.pattern, resp.Status, resp.Header.Get("Retry-After"), body)
		}
		r.Behave()
	}
	if resp, _ := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// TestSecretsStayInTheirFile: with a login that is right, one that is wrong, and errors that quote what was sent.
func TestSecretsStayInTheirFile(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery"
	for name, auth := range map[string]string{"basic": "basic", "bearer": "bearer", "wrong": "basic"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := registrytest.Options{Auth: auth, User: "robot", Password: secret}
			if name == "wrong" {
				o.Password = "another"
			}
			r := registrytest.Start(t, o)
			put(r, "acme/good", "latest", clean())
			put(r, "other/good", "latest", clean())
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := start(t, r, "    credentials: {kind: static, username: robot, passwordFile: "+file+", shareWithEveryone: [\"acme/**\"]}\n")
			want := map[string]int{"basic": 200, "bearer": 200, "wrong": 403}[name]
			if resp, body := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != want || strings.Contains(string(body), secret) {
				t.Errorf("%s, want %d: %s", resp.Status, want, body)
			}
			if resp, _ := p.get(t, "/v2/other/good/manifests/latest"); resp.StatusCode != http.StatusForbidden {
				t.Errorf("a repository that is not shared: %s", resp.Status)
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("the log has the password: %s", p.log)
			}
			err := filepath.WalkDir(p.stateDir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				body, err := os.ReadFile(path)
				if strings.Contains(string(body), secret) {
					t.Errorf("%s has the password", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOneProxyForOneStateDir(t *testing.T) {
	t.Parallel()
	p := start(t, registrytest.Start(t, registrytest.Options{}), "")
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	if err := Proxy(t.Context(), p.config, nil, nil, silent); err == nil || !strings.Contains(err.Error(), "in use by another safepull-proxy") {
		t.Errorf("the second one: %v", err)
	}
}

func TestVerifyMakesWhatProxyWould(t *testing.T) {
	t.Parallel()
	rules := t.TempDir()
	if err := os.WriteFile(filepath.Join(rules, "stratum.yaml"), []byte("indicator: stratum\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"defaults": {"", ""},
		"rules":    {"rules: " + rules, rules},
		"helper": {"upstreams: [{host: a.example, credentials: {kind: helper, helper: no-such-program, shareWithEveryone: ['**']}}]",
			"upstream a.example: credentials: the program docker-credential-no-such-program cannot be run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Verify(load(t, "version: 1\nstateDir: x\n"+c.yaml+"\n"), nil)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestMemoryIsBounded is not parallel: the limit is the process's.
func TestMemoryIsBounded(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for env, want := range map[string]int64{"": 208 << 20, "1GiB": math.MaxInt64} {
		debug.SetMemoryLimit(math.MaxInt64)
		t.Setenv("GOMEMLIMIT", env)
		undo := boundMemory(4)
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("GOMEMLIMIT %q: the limit is %d, want %d", env, got, want)
		}
		undo()
		if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
			t.Errorf("GOMEMLIMIT %q: afterwards the limit is %d", env, got)
		}
	}
}

// TestOddManifestsAreRefused: a few bytes of JSON that would be hundreds in memory.
func TestOddManifestsAreRefused(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.PutManifest("acme/bomb", "latest", ocispec.MediaTypeImageIndex,
		[]byte(`{"schemaVersion":2,"manifests":[`+strings.Repeat("{},", 1_390_000)+`{}]}`))
	p := start(t, r, "")
	if resp, body := p.get(t, "/v2/acme/bomb/manifests/latest"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s", resp.Status, body)
	}
}
