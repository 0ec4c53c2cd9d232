//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

const (
	// patience bounds one request, and one crane.
	patience = 90 * time.Second
	// maxManifest bounds what is read of a manifest.
	maxManifest = 4 << 20
)

// puller is one of those who pull.
type puller struct {
	rng     *rand.Rand
	ledger  *ledger
	gallery *gallery
	proxies []*proxy
	client  *http.Client
	crane   string
	dir     string
	// who is who asks.
	who who
}

// run pulls until ctx ends.
func (p *puller) run(ctx context.Context) {
	for ctx.Err() == nil {
		i, at := p.gallery.pick(p.rng), p.proxies[p.rng.IntN(len(p.proxies))]
		p.ledger.count("pulls", 1)
		p.who = pickWho(p.rng, i)
		switch p.rng.IntN(12) {
		case 0:
			p.byCrane(ctx, at, i)
		case 1, 2:
			p.parts(ctx, at, i)
		case 3:
			p.heads(ctx, at, i)
			p.elsewhere(ctx, at, i)
		case 4, 5:
			p.cancelled(ctx, at, i)
		default:
			p.whole(ctx, at, i)
		}
		pause(ctx, time.Duration(p.rng.IntN(150))*time.Millisecond)
	}
}

// whole asks for everything, as an engine does, and reports whether all of it came.
func (p *puller) whole(ctx context.Context, at *proxy, i image) bool {
	reference := i.tag
	if p.rng.IntN(3) == 0 {
		reference = i.built.Root.Digest.String()
	}
	manifest, ok := p.manifest(ctx, at, i, reference, i.built.Manifest)
	if ok {
		for _, d := range children(manifest) {
			_, came := p.manifest(ctx, at, i, d.String(), i.manifests()[d])
			ok = ok && came
		}
	}
	if !ok && p.rng.IntN(4) > 0 { // the others ask for blobs all the same
		p.ledger.count("not whole", 1)
		return false
	}
	for _, b := range i.blobs() {
		got, status := p.blob(ctx, at, i, b, 0, -1)
		ok = ok && status == http.StatusOK && got == b.Descriptor.Size
	}
	if ok {
		p.ledger.count("whole", 1)
	} else {
		p.ledger.count("not whole", 1)
	}
	return ok
}

// manifest asks for a manifest, and compares it.
func (p *puller) manifest(ctx context.Context, at *proxy, i image, reference string, want []byte) ([]byte, bool) {
	resp, err := p.ask(ctx, http.MethodGet, at, i, i.path("manifests", reference), "")
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	if resp.StatusCode != http.StatusOK {
		return nil, false
	}
	p.ledger.compare(i.repository+" manifest "+reference, body, want, 0)
	p.theirs(i, "manifest "+reference, len(body))
	if err == nil && len(body) != len(want) {
		p.ledger.odd(fmt.Sprintf("%s manifest %s: a complete answer of %d bytes, not %d", i.repository, reference, len(body), len(want)))
	}
	return body, err == nil && len(body) == len(want)
}

// blob asks for bytes from..to of a blob, to the end when to is negative, and compares what comes.
func (p *puller) blob(ctx context.Context, at *proxy, i image, b imagetest.Blob, from, to int64) (int64, int) {
	header, end := "", b.Descriptor.Size
	if to >= 0 {
		header, end = fmt.Sprintf("bytes=%d-%d", from, to), min(to+1, end)
	} else if from > 0 {
		header = fmt.Sprintf("bytes=%d-", from)
	}
	resp, err := p.ask(ctx, http.MethodGet, at, i, i.path("blobs", b.Descriptor.Digest.String()), header)
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		from, end = 0, b.Descriptor.Size
	case http.StatusPartialContent:
		if want := fmt.Sprintf("bytes %d-%d/%d", from, end-1, b.Descriptor.Size); resp.Header.Get("Content-Range") != want {
			p.ledger.odd(fmt.Sprintf("%s: asked for %s, got %q", b.Descriptor.Digest, header, resp.Header.Get("Content-Range")))
		}
	default:
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxManifest))
		return 0, resp.StatusCode
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, b.Descriptor.Size+1))
	where := fmt.Sprintf("%s blob %s %s", i.repository, b.Descriptor.Digest, header)
	p.ledger.compare(where, body, b.Content, from)
	p.theirs(i, where, len(body))
	if err == nil && int64(len(body)) != end-from {
		p.ledger.odd(fmt.Sprintf("%s: a complete answer of %d bytes, not %d", where, len(body), end-from))
	}
	if i.mining && b.Descriptor.Digest == i.own().Descriptor.Digest {
		p.ledger.part(where, b.Descriptor.Digest, from, int64(len(body)), b.Descriptor.Size)
	}
	return int64(len(body)), resp.StatusCode
}

// parts asks for pieces of a blob, the last ones above all.
func (p *puller) parts(ctx context.Context, at *proxy, i image) {
	p.manifest(ctx, at, i, i.tag, i.built.Manifest)
	blobs := i.blobs()
	b := blobs[p.rng.IntN(len(blobs))]
	if p.rng.IntN(2) == 0 {
		b = i.own()
	}
	for range 1 + p.rng.IntN(4) {
		size := b.Descriptor.Size
		from := p.rng.Int64N(size)
		to := from + p.rng.Int64N(size-from)
		switch p.rng.IntN(4) {
		case 0:
			from, to = max(0, size-64<<10+p.rng.Int64N(1024)), size-1
		case 1:
			to = -1
		}
		p.blob(ctx, at, i, b, from, to)
	}
}

// heads asks for lengths.
func (p *puller) heads(ctx context.Context, at *proxy, i image) {
	resp, err := p.ask(ctx, http.MethodHead, at, i, i.path("manifests", i.tag), "")
	if err != nil {
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		p.theirs(i, "HEAD of the manifest", 0)
	}
	if d := resp.Header.Get("Docker-Content-Digest"); resp.StatusCode == http.StatusOK && d != i.built.Root.Digest.String() {
		p.ledger.odd(fmt.Sprintf("HEAD of %s says %q", i.repository, d))
	}
	b := i.own()
	if resp, err = p.ask(ctx, http.MethodHead, at, i, i.path("blobs", b.Descriptor.Digest.String()), ""); err != nil {
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		p.theirs(i, "HEAD of a blob", 0)
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength != b.Descriptor.Size {
		p.ledger.odd(fmt.Sprintf("HEAD of %s says %d bytes, not %d", b.Descriptor.Digest, resp.ContentLength, b.Descriptor.Size))
	}
}

// cancelled is a pull whose user does not wait.
func (p *puller) cancelled(ctx context.Context, at *proxy, i image) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.rng.IntN(400))*time.Millisecond)
	defer cancel()
	p.whole(ctx, at, i)
}

// byOthers asks for the image in every way as everybody who may not have it.
func (p *puller) byOthers(ctx context.Context, at *proxy, i image) {
	for _, p.who = range everybody() {
		if p.who.mayRead(i) {
			continue
		}
		p.manifest(ctx, at, i, i.tag, i.built.Manifest)
		p.manifest(ctx, at, i, i.built.Root.Digest.String(), i.built.Manifest)
		p.blob(ctx, at, i, i.own(), 0, -1)
		p.parts(ctx, at, i)
		p.heads(ctx, at, i)
	}
}

// elsewhere asks for the image's own layer in the repository of another image: no manifest there names it.
func (p *puller) elsewhere(ctx context.Context, at *proxy, i image) {
	other := p.gallery.pick(p.rng)
	d := i.own().Descriptor.Digest
	if other.own().Descriptor.Digest == d {
		return
	}
	resp, err := p.ask(ctx, http.MethodGet, at, other, other.path("blobs", d.String()), "")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	n, _ := io.Copy(io.Discard, io.LimitReader(resp.Body, maxManifest))
	if resp.StatusCode == http.StatusOK {
		p.theirs(i, "in "+other.repository, int(n))
		p.ledger.odd(fmt.Sprintf("%s: the layer of %s is served there", other.repository, i.repository))
	}
}

// theirs notes an answer with content that only another may have.
func (p *puller) theirs(i image, where string, n int) {
	if !p.who.mayRead(i) {
		p.ledger.stranger(direction(i.owner, p.who), i.repository+" "+where, int64(n))
	}
}

// ask sends one request. What is no answer is counted.
func (p *puller) ask(ctx context.Context, method string, at *proxy, i image, path, rng string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+at.address+path, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, imagetest.DockerManifest, imagetest.DockerIndex} {
		req.Header.Add("Accept", t)
	}
	if !p.who.mayRead(i) {
		p.ledger.count("asked for "+direction(i.owner, p.who), 1)
	}
	p.who.show(req.Header, p.gallery.upstreams)
	if rng != "" {
		req.Header.Set("Range", rng)
	}
	resp, err := p.client.Do(req)
	p.ledger.count("requests", 1)
	switch {
	case err != nil:
		p.ledger.count("no answer", 1)
	default:
		p.ledger.count(fmt.Sprintf("status %d", resp.StatusCode), 1)
	}
	if err == nil && resp.StatusCode == http.StatusInternalServerError {
		p.broke(method+" "+path+" "+rng, at, resp)
	}
	return resp, err
}

// broke keeps what an answer said that is nobody's fault but the proxy's. There is nothing left of its body then.
func (p *puller) broke(where string, at *proxy, resp *http.Response) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	p.ledger.broken(fmt.Sprintf("%s as %s: %s %v; %s logged: %s", where, p.who, body, err, filepath.Base(at.dir), at.logged(resp.Header.Get("X-Request-Id"))))
}

// byCrane pulls with a foreign client into a folder and looks at what lies there.
func (p *puller) byCrane(ctx context.Context, at *proxy, i image) {
	dir, err := os.MkdirTemp(p.dir, "crane-")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := at.address + "/" + i.upstream.host + "/" + i.repository + ":" + i.tag
	config, err := p.login(at)
	if err != nil {
		p.ledger.odd(err.Error())
		return
	}
	cmd := exec.CommandContext(ctx, p.crane, "pull", "--insecure", "--format=oci", name, dir)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+config)
	err = cmd.Run()
	p.ledger.count("crane", 1)
	_ = os.RemoveAll(config)
	p.layout(i, dir, err == nil)
}

// login writes what "docker login" at the proxy would have, and returns its folder.
func (p *puller) login(at *proxy) (string, error) {
	dir, err := os.MkdirTemp(p.dir, "login-")
	if err != nil {
		return "", err
	}
	text := "{}"
	if p.who.name != nobody {
		text = fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, at.address, p.who.name, p.who.password)
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600)
}

// layout compares what lies in an OCI layout with the image.
func (p *puller) layout(i image, dir string, complete bool) {
	truth := i.manifests()
	for _, b := range i.blobs() {
		truth[b.Descriptor.Digest] = b.Content
	}
	found := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs", "sha256"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := digest.NewDigestFromEncoded(digest.SHA256, d.Name())
		want, ok := truth[name]
		if !ok {
			return nil // half of one, under a name of crane's
		}
		found++
		p.theirs(i, "crane "+d.Name(), len(content))
		p.ledger.compare("crane "+i.repository+" "+d.Name(), content, want, 0)
		if own := i.own().Descriptor; i.mining && name == own.Digest {
			p.ledger.part("crane "+i.repository, name, 0, int64(len(content)), own.Size)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.ledger.odd(err.Error())
	}
	if complete && found < len(i.blobs()) {
		p.ledger.odd(fmt.Sprintf("crane says it has all of %s, and has %d files", i.repository, found))
	}
}
