package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var route = regexp.MustCompile(`^/v2/([a-z0-9._/-]+?)/(manifests|blobs|referrers|tags)/([^/]+)$`)

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, Request{
		Method: req.Method, Path: req.URL.Path, Query: req.URL.Query(), Header: req.Header.Clone(),
	})
	r.mu.Unlock()

	f := r.fault(req.Method, req.URL.Path)
	if !r.pause(f.HeaderDelay) {
		return
	}
	if f.Raw != "" {
		r.writeRaw(w, f)
		return
	}
	if f.Redirect != "" {
		http.Redirect(w, req, f.Redirect+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	}
	if f.Status != 0 {
		for k, v := range f.Header {
			w.Header()[http.CanonicalHeaderKey(k)] = v
		}
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
		return
	}
	if r.servePublisher(w, req, f) {
		return
	}
	if req.URL.Path == "/token" {
		r.serveToken(w, req)
		return
	}
	if !r.authorised(w, req) {
		return
	}
	if req.URL.Path == "/v2/" || req.URL.Path == "/v2" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
		return
	}
	m := route.FindStringSubmatch(req.URL.Path)
	if m == nil || (req.Method != http.MethodGet && req.Method != http.MethodHead) {
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such route")
		return
	}
	switch m[2] {
	case "manifests":
		r.serveManifest(w, req, f, m[1], m[3])
	case "blobs":
		r.serveBlob(w, req, f, m[1], m[3])
	case "referrers":
		r.serveReferrers(w, req, f, m[1], digest.Digest(m[3]))
	case "tags":
		r.serveTags(w, req, f, m[1])
	}
}

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, f Fault, repo, ref string) {
	r.mu.Lock()
	at := r.repo(repo)
	d := digest.Digest(ref)
	if tagged, ok := at.tags[ref]; ok {
		d = tagged
	}
	m, ok := at.manifests[d]
	r.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	r.serveContent(w, req, f, m.mediaType, d, m.body)
}

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, f Fault, repo, ref string) {
	r.mu.Lock()
	body, ok := r.repo(repo).blobs[digest.Digest(ref)]
	r.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	r.serveContent(w, req, f, "application/octet-stream", digest.Digest(ref), body)
}

func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, f Fault, repo string) {
	r.mu.Lock()
	tags := make([]string, 0)
	for tag := range r.repo(repo).tags {
		tags = append(tags, tag)
	}
	r.mu.Unlock()
	sort.Strings(tags)
	last := req.URL.Query().Get("last")
	tags = slices.DeleteFunc(tags, func(t string) bool { return last != "" && t <= last })
	n, err := strconv.Atoi(req.URL.Query().Get("n"))
	if err != nil || n <= 0 {
		n = r.options.PageSize
	}
	if n > 0 && len(tags) > n {
		tags = tags[:n]
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}}
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", req.URL.Path, next.Encode()))
	}
	body, err := json.Marshal(map[string]any{"name": repo, "tags": tags})
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	r.serveContent(w, req, f, "application/json", "", body)
}

func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, f Fault, repo string, subject digest.Digest) {
	r.mu.Lock()
	list := slices.Clone(r.repo(repo).referrers[subject])
	r.mu.Unlock()
	q := req.URL.Query()
	if want := q.Get("artifactType"); want != "" {
		list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool { return d.ArtifactType != want })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	skip, err := strconv.Atoi(q.Get("skip"))
	if err != nil || skip > len(list) {
		skip = 0
	}
	list = list[skip:]
	if n := r.options.PageSize; n > 0 && len(list) > n {
		list = list[:n]
		q.Set("skip", strconv.Itoa(skip+n))
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", req.URL.Path, q.Encode()))
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list}
	if index.Manifests == nil {
		index.Manifests = []ocispec.Descriptor{}
	}
	body, err := json.Marshal(index)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	r.serveContent(w, req, f, ocispec.MediaTypeImageIndex, "", body)
}

// serveContent answers HEAD, GET and GET with Range, with whatever the fault does to them.
func (r *Registry) serveContent(w http.ResponseWriter, req *http.Request, f Fault, mediaType string, d digest.Digest, body []byte) {
	body = f.spoil(body)
	h := w.Header()
	h.Set("Content-Type", mediaType)
	if d != "" {
		h.Set("Docker-Content-Digest", d.String())
		h.Set("Etag", strconv.Quote(d.String()))
	}
	for k, v := range f.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	if f.NoRange {
		req.Header.Del("Range")
	}
	if f.RangeStart > 0 && req.Header.Get("Range") != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", f.RangeStart))
	}
	if !f.streams() || req.Method == http.MethodHead {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
		return
	}
	r.stream(w, req, f, body)
}

// stream writes the body in small chunks, and stops, slows down or goes on for ever as the fault says.
func (r *Registry) stream(w http.ResponseWriter, req *http.Request, f Fault, body []byte) {
	status := http.StatusOK
	if from, ok := rangeStart(req.Header.Get("Range"), len(body)); ok {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		body = body[from:]
	}
	if !f.Chunked && !f.Endless {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	sent := 0
	for f.Endless || sent < len(body) {
		if f.StallAfter != 0 && sent >= f.StallAfter {
			_ = control.Flush()
			select {
			case <-r.stop:
			case <-req.Context().Done():
			}
			return
		}
		if f.CutAfter != 0 && sent >= f.CutAfter {
			break
		}
		chunk := make([]byte, 1<<10)
		if sent < len(body) {
			chunk = body[sent:min(len(body), sent+len(chunk))]
		}
		for _, stop := range []int{f.StallAfter, f.CutAfter} {
			if stop > sent {
				chunk = chunk[:min(len(chunk), stop-sent)]
			}
		}
		if !r.pause(f.BodyDelay) {
			return
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		sent += len(chunk)
	}
	_ = control.Flush()
	if f.CutAfter != 0 {
		if conn, _, err := control.Hijack(); err == nil {
			_ = conn.Close()
		}
	}
}

// writeRaw breaks the protocol as the fault says.
func (r *Registry) writeRaw(w http.ResponseWriter, f Fault) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // it ends in the middle of an answer anyway
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-r.stop:
			_ = conn.Close() // ends a write that nobody reads
		case <-done:
		}
	}()
	for _, err = conn.Write([]byte(f.Raw)); err == nil && f.Flood; {
		_, err = conn.Write([]byte(f.Raw))
	}
}

// pause waits, and reports false when the registry is closed meanwhile.
func (r *Registry) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-r.stop:
		return false
	}
}

func rangeStart(header string, size int) (int, bool) {
	from, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
	return n, err == nil && n < size
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
