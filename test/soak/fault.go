//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/safepull/safepull/test/registrytest"
)

// upstreamTimeout is how long the proxies wait for an upstream; a stalled answer costs a pull that much.
const upstreamTimeout = 3 * time.Second

// fault is one way in which an upstream misbehaves, once or a few times.
func fault(rng *rand.Rand) registrytest.Fault {
	times := 1 + rng.IntN(4)
	at := 1 + rng.IntN(300<<10)
	switch rng.IntN(14) {
	case 0:
		return registrytest.Fault{Times: times, Status: http.StatusInternalServerError, Body: "broken"}
	case 1:
		return registrytest.Fault{Times: times, Status: http.StatusServiceUnavailable}
	case 2:
		return registrytest.Fault{Times: times, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}
	case 3:
		return registrytest.Fault{Times: times, Status: http.StatusNotFound, Body: `{"errors":[{"code":"NAME_UNKNOWN"}]}`}
	case 4:
		return registrytest.Fault{Times: times, Wrong: true}
	case 5:
		return registrytest.Fault{Times: times, Short: 1 + rng.IntN(1000)}
	case 6:
		return registrytest.Fault{Times: times, Extra: 1 + rng.IntN(1000)}
	case 7:
		return registrytest.Fault{Times: times, Chunked: true}
	case 8:
		return registrytest.Fault{Times: times, CutAfter: at}
	case 9:
		return registrytest.Fault{Times: times, CutAfter: -1}
	case 10:
		return registrytest.Fault{Times: 1, StallAfter: at}
	case 11:
		return registrytest.Fault{Times: times, HeaderDelay: time.Duration(rng.IntN(4000)) * time.Millisecond}
	case 12:
		return registrytest.Fault{Times: times, NoRange: true, CutAfter: at}
	}
	return registrytest.Fault{Times: times, RangeStart: int64(at), CutAfter: at}
}

// misbehave arms faults, some two a second, until ctx ends. Now and then one upstream is well again.
func misbehave(ctx context.Context, g *gallery, rng *rand.Rand, armed *atomic.Int64) {
	for pause(ctx, time.Duration(50+rng.IntN(700))*time.Millisecond) {
		u := g.upstreams[rng.IntN(len(g.upstreams))]
		if rng.IntN(20) == 0 {
			u.registry.Behave()
			continue
		}
		i, pattern := g.pick(rng), ""
		switch rng.IntN(4) {
		case 0: // whatever comes next
		case 1:
			pattern = "/v2/" + i.repository + "/*"
		case 2:
			pattern = "/v2/" + i.repository + "/blobs/*"
		case 3:
			pattern = "/v2/" + i.repository + "/manifests/*"
		}
		i.upstream.registry.Misbehave(pattern, fault(rng))
		armed.Add(1)
	}
}

// pause waits, and reports false when ctx ends meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
