package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/e2e/engines"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

// story is what one script has started.
type story struct {
	env   *testscript.Env
	tools tools
	start startEngine

	engine   *engines.Engine
	upstream *registrytest.Registry
	proxy    *server
	hub      *hub
	road     *hub
	bucket   *httptest.Server
	signing  *signing
}

// close stops everything, last started first.
func (s *story) close() {
	if s.engine != nil {
		// What is left mounted would keep the folder: say so.
		if err := s.engine.Stop(); err != nil {
			s.env.T().Log("stop the engine:", err)
		}
	}
	if s.proxy != nil {
		s.proxy.kill()
	}
	if s.upstream != nil {
		s.upstream.Close()
	}
	if s.road != nil {
		s.road.close()
	}
	if s.hub != nil {
		s.hub.close()
	}
	if s.bucket != nil {
		s.bucket.Close()
	}
	if s.signing != nil {
		s.signing.registry.Close()
	}
}

// fill puts images into a misbehaving registry.
func fill(r *registrytest.Registry, samples []corpus.Sample) {
	for _, s := range samples {
		put(r, s.Repository, s.Tag, s.Image)
	}
}

func put(r *registrytest.Registry, repository, tag string, b imagetest.Built) {
	for _, c := range b.Children {
		put(r, repository, "", c)
	}
	for _, blob := range b.Blobs {
		r.PutBlob(repository, blob.Content)
	}
	r.PutManifest(repository, tag, b.Root.MediaType, b.Manifest)
}

// residue lists what an engine keeps of images (layers, configurations, half of either), and what programs left in temporary folders.
func (s *story) residue(tmp string) ([]string, error) {
	folders := []string{tmp}
	if s.engine != nil {
		root := s.engine.DataRoot
		folders = append(folders, filepath.Join(root, "tmp"))
		for _, pattern := range []string{"image/*/layerdb/sha256", "image/*/imagedb/content/sha256"} {
			found, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				return nil, err
			}
			folders = append(folders, found...)
		}
		// The containerd image store of a current engine.
		folders = append(folders, filepath.Join(s.engine.Dir, "containerd", "io.containerd.content.v1.content", "blobs", "sha256"),
			filepath.Join(s.engine.Dir, "containerd", "io.containerd.content.v1.content", "ingest"))
	}
	var left []string
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if name := filepath.Join(folder, e.Name()); !harmless(name) {
				left = append(left, name)
			}
		}
	}
	return left, nil
}

// proxyConfig is the configuration of a proxy in front of one registry, as a person would write it.
func proxyConfig(listen, state, host, url string, extra ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nlisten: %s\nstateDir: %s\nupstreams:\n  - host: %s\n    plainHTTP: true\n    default: true\n", listen, state, host)
	if url != "" {
		fmt.Fprintf(&b, "    url: %s\n", url)
	}
	for _, line := range extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// harmless is an index in containerd's content store, which names images and holds none of them: a proxy serves it
// before the platform is known. So is a download that was refused before its first byte.
func harmless(name string) bool {
	switch filepath.Base(filepath.Dir(name)) {
	case "ingest":
		info, err := os.Stat(filepath.Join(name, "data"))
		return err == nil && info.Size() == 0
	case "sha256":
		b, err := os.ReadFile(name)
		var index struct{ Manifests []json.RawMessage }
		return err == nil && json.Unmarshal(b, &index) == nil && index.Manifests != nil
	}
	return false
}
