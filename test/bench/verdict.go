//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

const (
	// variants are images with the same layers and another configuration.
	variants = 20
	// verdictGoal is what judging one may take beyond asking upstream where its tag points.
	verdictGoal = 50 * time.Millisecond
)

// knownLayers measures how long a new image waits whose layers were inspected before.
func knownLayers(ctx context.Context, w *world, t table) error {
	img, err := w.large(ctx)
	if err != nil {
		return err
	}
	ours, err := w.safepullPlain(ctx, w.upstream)
	if err != nil {
		return err
	}
	defer ours.stop(w)
	note("having the layers inspected")
	if err := ours.warmUp(ctx, img); err != nil {
		return err
	}
	var taken atomic.Int64
	clients := [2]*client{}
	for i, address := range []string{w.upstream, ours.address} {
		if clients[i], err = dial(ctx, address, &taken); err != nil {
			return err
		}
		defer clients[i].close()
	}
	var asked, judged []time.Duration
	var busy time.Duration
	for i := range variants {
		tag := fmt.Sprintf("variant%d", i)
		built := imagetest.Image{Config: ocispec.ImageConfig{Cmd: []string{"/usr/bin/python3", "-m", "app"}, Env: []string{"VERSION=" + tag}}, Layers: img.layers}.Build()
		if err := (imagetest.Pusher{URL: "http://" + w.upstream}).Push(ctx, img.repository, tag, built); err != nil {
			return err
		}
		before, err := clients[0].timed("HEAD", "/v2/"+img.repository+"/manifests/"+tag)
		if err != nil {
			return err
		}
		var took time.Duration
		_, cpu, err := ours.spent(func() (err error) {
			took, err = clients[1].timed("GET", ours.path(img.repository, "manifests", tag))
			return err
		})
		if err != nil {
			return err
		}
		busy += cpu
		asked, judged = append(asked, before), append(judged, took)
		w.samples.add("Verdict/known-layers", took, metric{before.Seconds() * 1000, "upstream-head-ms/op"})
	}
	t.row("verdict of known layers: upstream HEAD", inMilliseconds(median(asked)), "-", true)
	t.row("verdict of known layers: GET of the new image", inMilliseconds(median(judged)), "-", true)
	t.row("verdict of known layers: CPU of safepull-proxy for one", inMilliseconds(busy/variants), "-", true)
	over := median(judged) - median(asked)
	t.row("verdict of known layers, over the upstream HEAD", inMilliseconds(over), "<= "+inMilliseconds(verdictGoal), over <= verdictGoal)
	return nil
}

// timed makes a request that must succeed.
func (c *client) timed(method, path string) (time.Duration, error) {
	begin := time.Now()
	a, err := c.do(method, path, nil)
	if err != nil || a.status != 200 {
		return 0, errors.Join(err, fmt.Errorf("%s %s: %d", method, path, a.status))
	}
	return time.Since(begin), nil
}
