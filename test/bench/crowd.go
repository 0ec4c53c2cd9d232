//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

const (
	crowdImages, crowdPulls = 50, 500
	// crowdBase is the size of the layer that all the images share, crowdOwn that of each of an image's two others.
	crowdBase, crowdOwn = 8 << 20, 2 << 20
	// crowdLimit is the memory that the proxy may take for them.
	crowdLimit = 512 << 20
	// crowdTime bounds the wait for one pull.
	crowdTime = 10 * time.Minute
)

// crowd has very many clients pull at one time what the proxy has never seen.
func crowd(ctx context.Context, w *world, t table) error {
	images, pulls := crowdImages, crowdPulls
	if w.short {
		images, pulls = images/10, pulls/10
	}
	all, err := w.crowdImages(ctx, images)
	if err != nil {
		return err
	}
	ours, err := w.safepullPlain(ctx, w.upstream)
	if err != nil {
		return err
	}
	defer ours.stop(w)
	note("%d pulls of %d images at one time", pulls, images)
	var taken, told atomic.Int64
	stop := w.monitor.follow(fmt.Sprintf("%d pulls of %d images", pulls, images), ours.name, ours.server, taken.Load)
	var failed []error
	var mu sync.Mutex
	took, busy, err := ours.spent(func() error {
		return each(pulls, func(i int) error {
			if err := crowdPull(ctx, ours, all[i%images], &taken, &told); err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
			return nil
		})
	})
	stop()
	if err != nil {
		return err
	}
	for _, err := range failed[:min(len(failed), 3)] {
		note("%v", err)
	}
	most, err := peak(ours.server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	log, err := w.upstreamLog()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d pulls of %d images", pulls, images)
	digests, again := fetchedTwice(log, all)
	t.count(name+": errors", len(failed), 0)
	t.row(name+": answers that the inspection is still running", fmt.Sprint(told.Load()), "-", true)
	t.count(fmt.Sprintf("%s: of %d digests, fetched more than once or never", name, digests), again, 0)
	t.memory(name+": peak memory", most, crowdLimit)
	t.seconds(name+": until all had all", took)
	t.seconds(name+": CPU", busy)
	w.samples.add("Crowd", took, metric{float64(most) / (1 << 20), "peak-MiB"}, metric{busy.Seconds(), "server-cpu-s/op"})
	return nil
}

// crowdPull pulls and verifies one image, as long as it is told to come back.
func crowdPull(ctx context.Context, p peer, img image, taken, told *atomic.Int64) error {
	c, err := dial(ctx, p.address, taken)
	if err != nil {
		return err
	}
	defer c.close()
	var manifest ocispec.Manifest
	err = c.patiently(told, func() (answer, error) {
		a, err := c.get(p.path(img.repository, "manifests", img.tag))
		if err == nil && a.status == 200 {
			if a.digest != digest.FromBytes(a.body).String() {
				return a, fmt.Errorf("%s: the manifest is not that of its digest", img.repository)
			}
			err = json.Unmarshal(a.body, &manifest)
		}
		return a, err
	})
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", img.repository, err)
	}
	for _, d := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		err := c.patiently(told, func() (answer, error) {
			h := digest.SHA256.Digester()
			a, err := c.do("GET", p.path(img.repository, "blobs", d.Digest.String()), h.Hash())
			if err == nil && a.status == 200 && h.Digest() != d.Digest {
				err = fmt.Errorf("%d bytes of %s", a.length, h.Digest())
			}
			return a, err
		})
		if err != nil {
			return fmt.Errorf("blob %s of %s: %w", d.Digest, img.repository, err)
		}
	}
	return nil
}

// patiently repeats a request that is answered with 503, after the pause that the answer asks for.
func (c *client) patiently(told *atomic.Int64, ask func() (answer, error)) error {
	for end := time.Now().Add(crowdTime); ; {
		a, err := ask()
		switch {
		case err != nil:
			return err
		case a.status == http.StatusOK:
			return nil
		case a.status != http.StatusServiceUnavailable || time.Now().After(end):
			return fmt.Errorf("answer %d", a.status)
		}
		told.Add(1)
		time.Sleep(max(a.retryAfter, time.Second))
	}
}

// crowdImages makes images of two layers each on one that all share.
func (w *world) crowdImages(ctx context.Context, n int) ([]image, error) {
	return w.made.get(ctx, fmt.Sprintf("crowd of %d from %d", n, w.seed), func(ctx context.Context) ([]image, error) { return w.makeCrowd(ctx, n) })
}

func (w *world) makeCrowd(ctx context.Context, n int) ([]image, error) {
	note("making %d images", n)
	all, contents := make([]image, n), [2]*content{newContent(w.seed+2, 0), newContent(w.seed+2, 1)}
	base, _, err := upload(ctx, w.upstream, "crowd/base", newContent(w.seed+2, 2), crowdBase)
	if err != nil {
		return nil, err
	}
	return all, each(len(contents), func(k int) error {
		for i := k; i < n; i += len(contents) {
			img := image{repository: fmt.Sprintf("crowd/%d-of-%d", i, n), tag: "1", layers: []imagetest.Blob{base}}
			if err := mount(ctx, w.upstream, img.repository, "crowd/base", base.Descriptor.Digest); err != nil {
				return err
			}
			for range 2 {
				own, _, err := upload(ctx, w.upstream, img.repository, contents[k], crowdOwn)
				if err != nil {
					return err
				}
				img.layers = append(img.layers, own)
			}
			built := imagetest.Image{Config: ocispec.ImageConfig{Cmd: []string{"/usr/bin/app", fmt.Sprint(i)}}, Layers: img.layers}.Build()
			if err := (imagetest.Pusher{URL: "http://" + w.upstream}).Push(ctx, img.repository, img.tag, built); err != nil {
				return err
			}
			img.layers = append(img.layers, imagetest.Blob{Descriptor: ocispec.Descriptor{Digest: built.Config}})
			all[i] = img
		}
		return nil
	})
}

// mount puts a blob of another repository into one.
func mount(ctx context.Context, registry, repository, from string, d digest.Digest) error {
	query := url.Values{"mount": {d.String()}, "from": {from}}
	to, err := url.Parse("http://" + registry + "/v2/" + repository + "/blobs/uploads/?" + query.Encode())
	if err != nil {
		return err
	}
	_, err = send(ctx, http.MethodPost, to, nil, http.StatusCreated)
	return err
}

// upstreamLog reads what upstream has answered, once it stands still: a line comes a little later than its answer.
func (w *world) upstreamLog() (b []byte, err error) {
	for last := -1; last < len(b); time.Sleep(100 * time.Millisecond) {
		last = len(b)
		if b, err = os.ReadFile(filepath.Join(w.dir, "upstream.log")); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// fetchedTwice counts the blobs of images, and those of them that the log has not exactly once.
func fetchedTwice(log []byte, images []image) (blobs, wrong int) {
	times := map[digest.Digest]int{}
	for _, img := range images {
		for _, l := range img.layers {
			times[l.Descriptor.Digest] = 0
		}
	}
	for l := range bytes.Lines(log) {
		_, path, ok := strings.Cut(string(l), `"GET /v2/crowd/`)
		if !ok {
			continue
		}
		path, _, _ = strings.Cut(path, " ")
		d := digest.Digest(path[strings.LastIndexByte(path, '/')+1:])
		if _, ok := times[d]; ok {
			times[d]++
		}
	}
	for _, n := range times {
		if n != 1 {
			wrong++
		}
	}
	return len(times), wrong
}
