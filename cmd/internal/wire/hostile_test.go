package wire

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

const (
	// maxHeap bounds what the proxy and the registry together may have on the heap while all of them misbehave at once.
	maxHeap = 512 << 20
	// recovery bounds how long an honest registry is believed again after its lies: judgements that wait for it go on.
	recovery = time.Minute
)

// hostile is one way in which an upstream misbehaves, at an image's manifest or at its layer.
type hostile struct {
	fault registrytest.Fault
	// may are the statuses that a client may see of it; 200 with the right bytes where the proxy gets over it.
	may []int
}

// noAnswer are the statuses of an upstream that does not answer well: it may be another time, or not in time.
func noAnswer() []int { return []int{502, 503, 504} }

func denied() []int { return []int{403} }

func atManifest(elsewhere string) map[string]hostile {
	other := digest.FromString("other").String()
	header := func(name string, values ...string) registrytest.Fault {
		return registrytest.Fault{Header: http.Header{name: values}}
	}
	return map[string]hostile{
		"digest_lie":          {header("Docker-Content-Digest", other), []int{403, 404}},
		"digest_garbage":      {header("Docker-Content-Digest", "sha256:zz"), []int{200}},
		"digest_missing":      {header("Docker-Content-Digest"), []int{200}},
		"type_lie":            {header("Content-Type", ocispec.MediaTypeImageIndex), denied()},
		"type_unknown":        {header("Content-Type", "text/html"), []int{200, 403, 502}},
		"wrong_bytes":         {registrytest.Fault{Wrong: true}, denied()},
		"short":               {registrytest.Fault{Short: 3}, denied()},
		"long":                {registrytest.Fault{Extra: 3}, denied()},
		"endless":             {registrytest.Fault{Endless: true}, denied()},
		"encoded":             {header("Content-Encoding", "gzip"), noAnswer()},
		"portal":              {registrytest.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>log in"}, []int{403, 502}},
		"500":                 {registrytest.Fault{Status: 500}, noAnswer()},
		"502":                 {registrytest.Fault{Status: 502, Body: strings.Repeat("x", 1<<20)}, noAnswer()},
		"503":                 {registrytest.Fault{Status: 503}, noAnswer()},
		"503_storm_passes":    {registrytest.Fault{Status: 503, Times: 2}, []int{200}},
		"429":                 {registrytest.Fault{Status: 429}, []int{429}},
		"429_later":           {registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7200"}}}, []int{429}},
		"429_soon":            {registrytest.Fault{Status: 429, Times: 1, Header: http.Header{"Retry-After": {"1"}}}, []int{200}},
		"429_strange":         {registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"-1e99"}}}, []int{429}},
		"slow_header":         {registrytest.Fault{HeaderDelay: 20 * time.Second}, noAnswer()},
		"slow_body":           {registrytest.Fault{BodyDelay: 20 * time.Second}, noAnswer()},
		"loop":                {registrytest.Fault{Redirect: "{self}"}, noAnswer()},
		"redirect_elsewhere":  {registrytest.Fault{Redirect: elsewhere}, noAnswer()},
		"redirect_metadata":   {registrytest.Fault{Redirect: "http://169.254.169.254"}, noAnswer()},
		"redirect_file":       {registrytest.Fault{Redirect: "file:///etc/passwd?"}, noAnswer()},
		"redirect_nowhere":    {registrytest.Fault{Status: 307}, noAnswer()},
		"realm_elsewhere":     {registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + elsewhere + `/token",service="x"`}}}, []int{403, 502}},
		"realm_metadata":      {registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="http://169.254.169.254/token"`}}}, []int{403, 502}},
		"realm_garbage":       {registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="%zz`}}}, []int{403, 502}},
		"basic":               {registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {`Basic realm="x"`}}}, denied()},
		"cut_in_status":       {registrytest.Fault{Raw: "HTTP/1."}, noAnswer()},
		"cut_in_header":       {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Type: appl"}, noAnswer()},
		"cut_before_body":     {registrytest.Fault{CutAfter: -1}, noAnswer()},
		"no_http":             {registrytest.Fault{Raw: "SSH-2.0-OpenSSH_9.9\r\n"}, noAnswer()},
		"header_flood":        {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Y: z\r\n", 4096), Flood: true}, noAnswer()},
		"long_header":         {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("z", 8<<20)}, noAnswer()},
		"informational_flood": {registrytest.Fault{Raw: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 4096), Flood: true}, noAnswer()},
		"two_lengths":         {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"}, noAnswer()},
		"negative_length":     {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"}, noAnswer()},
		"huge_length":         {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Type: " + ocispec.MediaTypeImageManifest + "\r\nContent-Length: 9000000000000000000\r\n\r\n{"}, []int{403, 502, 503}},
	}
}

func atLayer(elsewhere string, size int) map[string]hostile {
	chunked := func(rest string) registrytest.Fault {
		return registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + rest}
	}
	broken := []int{403, 502, 503, 504}
	return map[string]hostile{
		"layer_wrong":            {registrytest.Fault{Wrong: true}, denied()},
		"layer_short":            {registrytest.Fault{Short: 3}, denied()},
		"layer_long":             {registrytest.Fault{Extra: 3}, denied()},
		"layer_endless":          {registrytest.Fault{Endless: true}, denied()},
		"layer_missing":          {registrytest.Fault{Status: 404}, []int{404, 503}},
		"layer_503":              {registrytest.Fault{Status: 503}, noAnswer()},
		"layer_429":              {registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}}, []int{429, 503}},
		"layer_loop":             {registrytest.Fault{Redirect: "{self}"}, noAnswer()},
		"layer_elsewhere":        {registrytest.Fault{Redirect: elsewhere}, noAnswer()},
		"layer_encoded":          {registrytest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}, noAnswer()},
		"layer_cut_status":       {registrytest.Fault{Raw: "HTTP"}, noAnswer()},
		"layer_cut_header":       {registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"}, noAnswer()},
		"layer_cut_first":        {registrytest.Fault{CutAfter: -1, Times: 1}, []int{200}},
		"layer_cut_one":          {registrytest.Fault{CutAfter: 1, Times: 1}, []int{200}},
		"layer_cut_middle":       {registrytest.Fault{CutAfter: size / 2, Times: 1}, []int{200}},
		"layer_cut_last":         {registrytest.Fault{CutAfter: size - 1, Times: 1}, []int{200}},
		"layer_cut_chunk":        {registrytest.Fault{Chunked: true, CutAfter: 2048, Times: 1}, []int{200}},
		"layer_cut_always":       {registrytest.Fault{CutAfter: -1}, noAnswer()},
		"layer_cut_in_length":    {chunked("40"), noAnswer()},
		"layer_cut_in_chunk":     {chunked("400\r\nabc"), broken},
		"layer_cut_between":      {chunked("3\r\nabc\r\n"), broken},
		"layer_chunk_garbage":    {chunked("zz\r\nabc\r\n"), noAnswer()},
		"layer_chunk_huge":       {chunked("fffffffffffffffff\r\nabc"), noAnswer()},
		"layer_resume_elsewhere": {registrytest.Fault{CutAfter: 100, RangeStart: 7}, noAnswer()},
		"layer_no_ranges":        {registrytest.Fault{CutAfter: 100, NoRange: true}, noAnswer()},
	}
}

// TestHostileUpstreams: whatever an upstream does, its clients get one clear error or the right bytes, nothing wrong is
// kept, and afterwards an honest upstream is served as if nothing had been.
//
//nolint:paralleltest // it looks at the heap and at goroutines
func TestHostileUpstreams(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("world", testHostileUpstreams)
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func testHostileUpstreams(t *testing.T) {
	r, other := registrytest.New(registrytest.Options{}), registrytest.New(registrytest.Options{})
	t.Cleanup(r.Close)
	t.Cleanup(other.Close)
	p := start(t, r, "    timeout: 2s\njudge: {holdFor: 6s, concurrent: 100, layersInWork: 16, limits: {bytes: 64MiB}}\n")
	peak := watchHeap(t)

	cases := map[string]hostile{}
	size := 0
	built := func(name string) imagetest.Built {
		noise := make([]byte, 64<<10)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(noise)
		return imagetest.Image{Layers: []imagetest.Blob{imagetest.Layer(imagetest.Binary("usr/share/"+name, noise))}}.Build()
	}
	size = len(built("size").Blobs[1].Content)
	for name, h := range atManifest(other.URL()) {
		cases[name] = h
	}
	for name, h := range atLayer(other.URL(), size) {
		cases[name] = h
	}
	// All at once, which t.Parallel would not do on a small machine: most of them wait.
	var all sync.WaitGroup
	for name, h := range cases {
		all.Go(func() {
			h.try(named{t, name}, p, r, "hostile/"+name, built(name), strings.HasPrefix(name, "layer_"))
		})
	}
	put(r, "hostile/bomb", "latest", bomb(t, 128<<20))
	if status, said, _ := decided(named{t, "bomb"}, p.url+"/v2/hostile/bomb/manifests/latest"); status != 403 || !strings.Contains(said, "quarantined") {
		t.Errorf("bomb: %d %s", status, said)
	}
	all.Wait()
	if n := len(other.Requests()); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
	if most := peak(); most > maxHeap {
		t.Errorf("the heap had %d MiB", most>>20)
	} else {
		t.Logf("the heap had %d MiB at most", most>>20)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	checkCache(t, p.stateDir)
}

// named is a test that says which case an error is about. It never ends the test, so that any goroutine may use it.
type named struct {
	t    *testing.T
	name string
}

func (n named) Errorf(format string, args ...any) {
	n.t.Helper()
	n.t.Errorf(n.name+": "+format, args...)
}

// decided asks until the answer is no longer that the inspection is running, as the answer says: a machine may be busy. took
// is the longest that one answer took.
func decided(t named, url string) (status int, said string, took time.Duration) {
	for end := time.Now().Add(recovery); ; {
		begin := time.Now()
		status, said = ask(t, url)
		took = max(took, time.Since(begin))
		if status != http.StatusServiceUnavailable || !strings.Contains(said, "inspection is running") || time.Now().After(end) {
			return status, said, took
		}
	}
}

// try has the registry misbehave, asks, and asks again when it behaves.
func (h hostile) try(t named, p *running, r *registrytest.Registry, repository string, image imagetest.Built, layer bool) {
	put(r, repository, "latest", image)
	base := "/v2/" + repository
	pattern := base + "/manifests/*"
	if layer {
		pattern = base + "/blobs/" + image.Blobs[1].Descriptor.Digest.String()
	}
	h.fault.Redirect = strings.ReplaceAll(h.fault.Redirect, "{self}", r.URL())
	r.Misbehave(pattern, h.fault)
	status, said, took := decided(t, p.url+base+"/manifests/latest")
	if took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if !slices.Contains(h.may, status) {
		t.Errorf("%d, want one of %v: %s", status, h.may, said)
	}
	if status == 200 && said != string(image.Manifest) {
		t.Errorf("wrong bytes: %q", said)
	}
	if status != 200 {
		clearError(t, said)
	}
	r.Pardon(pattern)
	for end := time.Now().Add(recovery); status != 200 && time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		status, said = ask(t, p.url+base+"/manifests/latest")
	}
	if status != 200 || said != string(image.Manifest) {
		t.Errorf("afterwards: %d %s", status, said)
		return
	}
	for _, b := range image.Blobs {
		status, said := ask(t, p.url+base+"/blobs/"+b.Descriptor.Digest.String())
		if status != 200 || said != string(b.Content) {
			t.Errorf("afterwards: blob %s: %d, %d bytes", b.Descriptor.Digest, status, len(said))
		}
	}
}

// ask returns status and body; the body's end must be a clean one.
func ask(t named, url string) (int, string) {
	resp, err := http.Get(url) //nolint:noctx,gosec // a test on loopback
	if err != nil {
		t.Errorf("%v", err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s broke off after %d bytes: %v", url, len(body), err)
	}
	return resp.StatusCode, string(body)
}

// clearError: one error with a code and a sentence that can be shown.
func clearError(t named, body string) {
	var all struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Errors) != 1 || all.Errors[0].Code == "" {
		t.Errorf("not one error: %v: %.300s", err, body)
		return
	}
	if m := all.Errors[0].Message; m == "" || len(m) > 1000 || strings.ContainsAny(m, "\x1b\r\n") {
		t.Errorf("an error that cannot be shown: %q", m)
	}
}

// bomb is an image whose layer grows to size bytes.
func bomb(t *testing.T, size int64) imagetest.Built {
	t.Helper()
	var packed strings.Builder
	plain := sha256.New()
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(z, plain))
	zero := make([]byte, 1<<20)
	if err := w.WriteHeader(&tar.Header{Name: "zero", Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	for range size >> 20 {
		if _, err := w.Write(zero); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	layer := imagetest.NewBlob(ocispec.MediaTypeImageLayerGzip, []byte(packed.String()))
	layer.DiffID = digest.NewDigest(digest.SHA256, plain)
	return imagetest.Image{Layers: []imagetest.Blob{layer}}.Build()
}

// watchHeap samples the heap until the answer is asked for.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var most uint64
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-ticker.C:
			case <-stop:
				done <- most
				return
			}
		}
	}()
	end := sync.OnceValue(func() uint64 { close(stop); return <-done })
	t.Cleanup(func() { end() })
	return end
}

// checkCache: what is kept under a digest has that digest.
func checkCache(t *testing.T, stateDir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(filepath.Join(stateDir, "cache"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		i := strings.LastIndex(path, "sha256")
		if i < 0 {
			return nil
		}
		body, err := os.ReadFile(path) //nolint:gosec // the test's own folder
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		if !strings.Contains(path, hex.EncodeToString(sum[:])) {
			return fmt.Errorf("%s holds %s bytes of another digest", path, strconv.Itoa(len(body)))
		}
		seen++
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d entries, %v", seen, err)
	}
}
