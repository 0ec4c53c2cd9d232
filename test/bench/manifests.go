//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

const (
	manifestClients = 16
	// manifestTime is how long one kind of request is repeated, manifestShort that of a short run.
	manifestTime, manifestShort = 2 * time.Second, 300 * time.Millisecond
	manifestGoal                = 1.5
	// tagsFor is how long tags are believed in the rows that say so; distribution has nothing like it.
	tagsFor = "1m"
)

// request is a kind of request for a manifest.
type request struct {
	name, method string
	byTag        bool
}

func requests() []request {
	return []request{{"HEAD by tag", "HEAD", true}, {"GET by tag", "GET", true}, {"HEAD by digest", "HEAD", false}, {"GET by digest", "GET", false}}
}

// pace is how fast one kind of request was answered.
type pace struct{ perSecond, cpu []float64 } // requests a second; the server's microseconds for one

// manifests compares how many requests for a manifest are answered that both proxies have. Both ask upstream for every
// request by tag, and remember its challenge and token; both write a line for each.
func manifests(ctx context.Context, w *world, t table) error {
	const repository, tag = "bench/small", "1"
	layers := []imagetest.Blob{imagetest.Layer(imagetest.Text("etc/motd", "hello")), imagetest.Layer(imagetest.Text("srv/a", "a")), imagetest.Layer(imagetest.Text("srv/b", "b"))}
	built := imagetest.Image{Config: ocispec.ImageConfig{Cmd: []string{"sh"}}, Layers: layers}.Build()
	upstream, err := newStill(ctx, repository, tag, built)
	if err != nil {
		return err
	}
	defer upstream.close()
	ours, cncf, err := w.mirrors(ctx, upstream.address, "")
	if err != nil {
		return err
	}
	defer cncf.stop(w)
	img := image{repository: repository, tag: tag, layers: layers}
	digest := built.Root.Digest.String()
	rates := map[string]*pace{}
	measure := func(p peer, label string, kinds []request) error {
		for _, r := range kinds {
			reference := digest
			if r.byTag {
				reference = tag
			}
			key := label + r.name
			if rates[key] == nil {
				rates[key] = &pace{}
			}
			if err := rates[key].take(ctx, w, p, r.method, p.path(repository, "manifests", reference), key); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range []peer{cncf, ours} {
		if err := p.warmUp(ctx, img); err != nil {
			ours.stop(w)
			return err
		}
	}
	for run := range w.runs {
		note("requests for manifests, %d of %d", run+1, w.runs)
		if err := errors.Join(measure(cncf, "distribution: ", requests()), measure(ours, "safepull-proxy: ", requests())); err != nil {
			ours.stop(w)
			return err
		}
	}
	ours.stop(w)
	if ours, err = w.safepullProxy(ctx, upstream.address, "cache: {tagTTL: "+tagsFor+"}\n"); err != nil {
		return err
	}
	defer ours.stop(w)
	if err := ours.warmUp(ctx, img); err != nil {
		return err
	}
	for range w.runs {
		if err := measure(ours, "safepull-proxy, tagTTL "+tagsFor+": ", requests()[:2]); err != nil {
			return err
		}
	}
	rateRows(t, rates)
	return nil
}

// take repeats one request on all connections for a while.
func (r *pace) take(ctx context.Context, w *world, p peer, method, path, name string) error {
	var taken, answers atomic.Int64
	clients := make([]*client, manifestClients)
	for i := range clients {
		c, err := dial(ctx, p.address, &taken)
		if err != nil {
			return err
		}
		defer c.close()
		clients[i] = c
	}
	length := manifestTime
	if w.short {
		length = manifestShort
	}
	took, busy, err := p.spent(func() error {
		end := time.Now().Add(length)
		return each(manifestClients, func(i int) error {
			for time.Now().Before(end) {
				a, err := clients[i].do(method, path, nil)
				if err == nil && a.status != 200 {
					err = fmt.Errorf("%s %s: %d", method, path, a.status)
				}
				if err != nil {
					return err
				}
				answers.Add(1)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	n := float64(answers.Load())
	r.perSecond, r.cpu = append(r.perSecond, n/took.Seconds()), append(r.cpu, busy.Seconds()*1e6/n)
	w.samples.add("Manifest/"+underscored(name), took/time.Duration(answers.Load()), metric{n / took.Seconds(), "requests/s"}, metric{busy.Seconds() * 1e6 / n, "server-cpu-us/op"})
	return nil
}

func rateRows(t table, rates map[string]*pace) {
	for _, r := range requests() {
		ours, cncf := rates["safepull-proxy: "+r.name], rates["distribution: "+r.name]
		name := "warm manifests: " + r.name
		for _, p := range []struct {
			name string
			rate *pace
		}{{"distribution", cncf}, {"safepull-proxy", ours}} {
			t.row(name+", "+p.name, fmt.Sprintf("%.0f/s, %.0f µs CPU", middle(p.rate.perSecond), middle(p.rate.cpu)), "-", true)
		}
		t.atLeast(name+", safepull-proxy / distribution", middle(ours.perSecond)/middle(cncf.perSecond), manifestGoal)
		if remembering := rates["safepull-proxy, tagTTL "+tagsFor+": "+r.name]; remembering != nil {
			t.row(name+", safepull-proxy with cache.tagTTL "+tagsFor+" / distribution", fmt.Sprintf("%.2f", middle(remembering.perSecond)/middle(cncf.perSecond)), "-", true)
		}
	}
}

// middle is the median.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
