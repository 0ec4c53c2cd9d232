// Package metrics counts what the proxy does, for Prometheus. The names are API: they are only added to.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/safepull/safepull/trust"
)

// Metrics has a registry of its own. Its methods are what other packages' observers ask for, and safe for concurrent
// use.
type Metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	requestTime   *prometheus.HistogramVec
	decisions     *prometheus.CounterVec
	judgements    *prometheus.HistogramVec
	inFlight      prometheus.Gauge
	upstreamBytes *prometheus.CounterVec
	cache         *prometheus.CounterVec
	refusals      *prometheus.CounterVec
	escapes       *prometheus.CounterVec
	stale         *prometheus.CounterVec
	logins        *prometheus.CounterVec
}

// New makes metrics that all begin at zero.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_http_requests_total", Help: "Requests by end point, method and status.",
		}, []string{"route", "method", "code"}),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "safepull_http_request_duration_seconds", Help: "Time to the end of the answer.",
			Buckets: []float64{.005, .02, .1, .5, 1, 5, 20, 60, 300},
		}, []string{"route"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_decisions_total", Help: "Requests that a verdict answered, by its action.",
		}, []string{"action"}),
		judgements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "safepull_judgement_duration_seconds", Help: "Time of judgements, by whether a verdict was reached.",
			Buckets: []float64{.01, .1, .5, 1, 5, 20, 60, 300, 1800},
		}, []string{"outcome"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "safepull_judgements_in_flight", Help: "Judgements that run now.",
		}),
		upstreamBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_upstream_bytes_total", Help: "Bytes read from upstreams.",
		}, []string{"upstream"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_cache_requests_total", Help: "Blobs asked of the cache, by hit or miss.",
		}, []string{"result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_refusals_total", Help: "Manifests and blobs not served, by client, road and form of the refusal.",
		}, []string{"client", "road", "form"}),
		escapes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_refusals_not_binding_total", Help: "Manifests not served to clients that may get them elsewhere: deny those the way to the registry.",
		}, []string{"client"}),
		stale: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_stale_tags_total", Help: "Tags that were answered from memory because their registry was down.",
		}, []string{"upstream"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "safepull_upstream_login_refused_total", Help: "Reads that failed because the upstream refuses the configured login: renew it.",
		}, []string{"upstream"}),
	}
	m.registry.MustRegister(m.stale, m.logins, m.refusals, m.escapes)
	m.registry.MustRegister(m.requests, m.requestTime, m.decisions, m.judgements, m.inFlight, m.upstreamBytes, m.cache,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, action := range []trust.Action{trust.Allow, trust.Warn, trust.Quarantine, trust.Block} {
		m.decisions.WithLabelValues(string(action))
	}
	for _, result := range []string{"hit", "miss"} {
		m.cache.WithLabelValues(result)
	}
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request counts an answer. route must come from a fixed set; method is reduced to one.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if method != http.MethodGet && method != http.MethodHead {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.requestTime.WithLabelValues(route).Observe(took.Seconds())
}

// Decided counts a request that a verdict answered. What is no action is counted as "none".
func (m *Metrics) Decided(action trust.Action) {
	if action.Severity() > trust.Block.Severity() {
		action = "none"
	}
	m.decisions.WithLabelValues(string(action)).Inc()
}

// Judged measures a judgement; err is nil when it reached a verdict.
func (m *Metrics) Judged(took time.Duration, err error) {
	outcome := "verdict"
	if err != nil {
		outcome = "error"
	}
	m.judgements.WithLabelValues(outcome).Observe(took.Seconds())
}

// InFlight adds to the judgements that run.
func (m *Metrics) InFlight(delta int) { m.inFlight.Add(float64(delta)) }

// UpstreamBytes counts bytes read from an upstream, which must be a configured one.
func (m *Metrics) UpstreamBytes(upstream string, n int64) {
	m.upstreamBytes.WithLabelValues(upstream).Add(float64(max(n, 0)))
}

// Refused counts a manifest or blob that was not served. All three must come from fixed sets; holds is false when the
// client may get it elsewhere.
func (m *Metrics) Refused(client, road, form string, holds bool) {
	m.refusals.WithLabelValues(client, road, form).Inc()
	if !holds {
		m.escapes.WithLabelValues(client).Inc()
	}
}

// Cached counts a blob asked of the cache.
func (m *Metrics) Cached(hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cache.WithLabelValues(result).Inc()
}
