package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fake is an engine as far as a hand-over uses its API. Its graph driver pulls for real from the loopback registry.
type fake struct {
	behaviour
	mu      sync.Mutex
	names   map[string]string // to ID
	log     []string
	auth    string
	entries map[string][]byte
}

// behaviour is what a test wants of a fake. Its functions may be nil; they run before the fake does its own part, and
// an error is the engine's.
type behaviour struct {
	contentStore bool
	pull         func(name string) error
	load         func(entries map[string][]byte) error
	tag          func(name string) error
	// swap is the ID that every image has in place of its own.
	swap string
}

// start serves the fake under an address that looks local or remote.
func (f *fake) start(t *testing.T, host string) *client.Client {
	t.Helper()
	if f.names == nil {
		f.names = map[string]string{}
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	api, err := client.New(client.WithHost(host), client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return api
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = path[strings.Index(path[1:], "/")+1:]
	}
	w.Header().Set("Api-Version", "1.48")
	w.Header().Set("Content-Type", "application/json")
	name := strings.TrimPrefix(path, "/images/")
	switch {
	case path == "/_ping":
	case path == "/version":
		answer(w, map[string]string{"Os": "linux", "Arch": "arm", "ApiVersion": "1.48"})
	case path == "/info":
		status := [][2]string{{"Backing Filesystem", "extfs"}}
		if f.contentStore {
			status = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
		}
		answer(w, map[string]any{"DriverStatus": status, "Architecture": "armv6l"})
	case name == "create":
		f.note("pull " + r.FormValue("fromImage") + "@" + r.FormValue("tag"))
		f.stream(w, f.doPull(r))
	case name == "load":
		f.note("load")
		f.stream(w, f.doLoad(r))
	case strings.HasSuffix(name, "/tag"):
		f.doTag(w, strings.TrimSuffix(name, "/tag"), r.FormValue("repo")+":"+r.FormValue("tag"))
	case strings.HasSuffix(name, "/json"):
		f.inspect(w, strings.TrimSuffix(name, "/json"))
	case r.Method == http.MethodDelete:
		f.remove(w, name)
	default:
		http.Error(w, "unknown "+path, http.StatusNotImplemented)
	}
}

func (f *fake) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, s)
}

func (f *fake) stream(w http.ResponseWriter, err error) {
	if err != nil {
		answer(w, map[string]any{"errorDetail": map[string]string{"message": err.Error()}})
		return
	}
	answer(w, map[string]any{"id": "0123456789ab", "status": "Pull complete", "progressDetail": map[string]int{}})
}

// set names an image and makes it known by its ID.
func (f *fake) set(name, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.swap != "" {
		id = f.swap
	}
	f.names[name], f.names[id] = id, id
}

func (f *fake) doPull(r *http.Request) error {
	name := r.FormValue("fromImage") + "@" + r.FormValue("tag")
	if f.pull != nil {
		if err := f.pull(name); err != nil {
			return err
		}
	}
	host, repository, _ := strings.Cut(r.FormValue("fromImage"), "/")
	if !strings.HasPrefix(repository, "safepull/") {
		f.mu.Lock()
		f.auth = r.Header.Get("X-Registry-Auth")
		f.mu.Unlock()
		return nil
	}
	base := "http://" + host + "/v2/" + repository
	var doc struct {
		Manifests []ocispec.Descriptor
		ocispec.Manifest
	}
	raw, err := get(r.Context(), base+"/manifests/"+r.FormValue("tag"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for _, child := range doc.Manifests {
		if strings.HasPrefix(r.FormValue("platform"), "linux/"+child.Platform.Architecture) {
			if raw, err = get(r.Context(), base+"/manifests/"+child.Digest.String()); err == nil {
				err = json.Unmarshal(raw, &doc)
			}
			break
		}
	}
	for _, blob := range append(doc.Layers, doc.Config) {
		if err == nil {
			_, err = get(r.Context(), base+"/blobs/"+blob.Digest.String())
		}
	}
	if err == nil {
		f.set(name, doc.Config.Digest.String())
	}
	return err
}

func (f *fake) doLoad(r *http.Request) error {
	entries := map[string][]byte{}
	for archive := tar.NewReader(r.Body); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if entries[header.Name], err = io.ReadAll(archive); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.entries = entries
	f.mu.Unlock()
	var err error
	if f.load != nil {
		err = f.load(entries)
	}
	var layout ocispec.Index
	if raw := entries["index.json"]; err == nil && raw != nil {
		if err = json.Unmarshal(raw, &layout); err == nil {
			f.set(layout.Manifests[0].Annotations["io.containerd.image.name"], layout.Manifests[0].Digest.String())
		}
	}
	var saved []struct{ Config string }
	if raw := entries["manifest.json"]; err == nil && raw != nil {
		if err = json.Unmarshal(raw, &saved); err == nil {
			id := "sha256:" + strings.TrimPrefix(saved[0].Config, "blobs/sha256/")
			f.set(id, id)
		}
	}
	return err
}

func (f *fake) doTag(w http.ResponseWriter, source, target string) {
	f.note("tag " + target)
	if f.tag != nil {
		if err := f.tag(target); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			answer(w, map[string]string{"message": err.Error()})
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[target] = f.names[source]
	w.WriteHeader(http.StatusCreated)
}

func (f *fake) inspect(w http.ResponseWriter, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.names[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]string{"message": "no such image"})
		return
	}
	answer(w, map[string]any{"Id": id})
}

func (f *fake) remove(w http.ResponseWriter, name string) {
	f.note("remove " + name)
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.names[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]string{"message": "no such image"})
		return
	}
	delete(f.names, name)
	used := false
	for other, otherID := range f.names {
		used = used || otherID == id && other != id
	}
	if !used {
		delete(f.names, id)
	}
	answer(w, []any{})
}

func answer(w io.Writer, v any) {
	b, _ := json.Marshal(v)
	_, _ = w.Write(append(b, '\n'))
}

// get fetches what must be there whole.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", resp.Status)
	}
	return body, err
}
