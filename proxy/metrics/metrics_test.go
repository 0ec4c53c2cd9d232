package metrics_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/trust"
)

func TestNamesAndLabelsAreAPI(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	m.Request("manifest", "GET", 200, time.Second)
	m.Request("manifest", "BREW", 405, time.Second)
	m.Decided(trust.Block)
	m.Decided("nonsense")
	m.Judged(time.Second, nil)
	m.Judged(time.Second, errors.New("broken"))
	m.InFlight(2)
	m.InFlight(-1)
	m.UpstreamBytes("docker.io", 100)
	m.UpstreamBytes("docker.io", -5)
	m.Refused("unknown", "mirror", "plain", false)
	m.Refused("containerd", "mirror", "choices", true)
	m.Cached(true)
	m.Cached(false)

	m.StaleTag("docker.io")
	m.OwnLogin("quay.io")
	m.LoginRefused("docker.io")
	m.WatchCache(func() metrics.Cache { return metrics.Cache{Entries: 3, Bytes: 1000, Joins: 4, Evictions: 5} })

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, line := range []string{
		`safepull_http_requests_total{code="200",method="GET",route="manifest"} 1`,
		`safepull_http_requests_total{code="405",method="other",route="manifest"} 1`,
		`safepull_http_request_duration_seconds_count{route="manifest"} 2`,
		`safepull_decisions_total{action="allow"} 0`,
		`safepull_decisions_total{action="block"} 1`,
		`safepull_decisions_total{action="none"} 1`,
		`safepull_judgement_duration_seconds_count{outcome="verdict"} 1`,
		`safepull_judgement_duration_seconds_count{outcome="error"} 1`,
		`safepull_judgements_in_flight 1`,
		`safepull_upstream_bytes_total{upstream="docker.io"} 100`,
		`safepull_cache_requests_total{result="hit"} 1`,
		`safepull_cache_requests_total{result="miss"} 1`,
		`safepull_refusals_total{client="unknown",form="plain",road="mirror"} 1`,
		`safepull_refusals_total{client="containerd",form="choices",road="mirror"} 1`,
		`safepull_refusals_not_binding_total{client="unknown"} 1`,
		`safepull_cache_entries 3`,
		`safepull_cache_bytes 1000`,
		`safepull_cache_events_total{event="join"} 4`,
		`safepull_cache_events_total{event="eviction"} 5`,
		`safepull_cache_events_total{event="hit"} 0`,
		`safepull_stale_tags_total{upstream="docker.io"} 1`,
		`safepull_upstream_login_refused_total{upstream="docker.io"} 1`,
		`safepull_upstream_login_refused_total{upstream="quay.io"} 0`,
		`go_goroutines`,
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("metrics lack %q", line)
		}
	}
}

func TestTwoInstancesShareNothing(t *testing.T) {
	t.Parallel()
	one, two := metrics.New(), metrics.New()
	one.Decided(trust.Allow)
	w := httptest.NewRecorder()
	two.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), `safepull_decisions_total{action="allow"} 0`) {
		t.Error("the second instance counts what the first saw")
	}
}
