package metrics

import "github.com/prometheus/client_golang/prometheus"

// Cache is how the cache of blobs fares: what it holds now, and what happened since the start.
type Cache struct {
	Entries int
	// Bytes are those of entries and of content on its way.
	Bytes int64
	// Joins are reads that followed a fetch under way; Skipped are fetches that had no room.
	Hits, Misses, Joins, Commits, Evictions, Errors, Damaged, Skipped uint64
}

// WatchCache reads the cache's state whenever somebody asks for the metrics. It is called once.
func (m *Metrics) WatchCache(read func() Cache) {
	m.registry.MustRegister(&cacheCollector{
		read:    read,
		entries: prometheus.NewDesc("safepull_cache_entries", "Entries of the cache.", nil, nil),
		bytes:   prometheus.NewDesc("safepull_cache_bytes", "Bytes of the cache's entries and of content on its way.", nil, nil),
		events:  prometheus.NewDesc("safepull_cache_events_total", "What happened in the cache.", []string{"event"}, nil),
	})
}

// StaleTag counts a tag that was answered from memory in the stead of an upstream, which must be a configured one.
func (m *Metrics) StaleTag(upstream string) { m.stale.WithLabelValues(upstream).Inc() }

// OwnLogin begins to count what LoginRefused counts at an upstream, at zero.
func (m *Metrics) OwnLogin(upstream string) { m.logins.WithLabelValues(upstream) }

// LoginRefused counts a read that failed because an upstream, which must be a configured one, refuses the configured
// login.
func (m *Metrics) LoginRefused(upstream string) { m.logins.WithLabelValues(upstream).Inc() }

// cacheCollector asks when it is asked.
type cacheCollector struct {
	read                   func() Cache
	entries, bytes, events *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *cacheCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.entries
	to <- c.bytes
	to <- c.events
}

// Collect implements prometheus.Collector.
func (c *cacheCollector) Collect(to chan<- prometheus.Metric) {
	now := c.read()
	to <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(now.Entries))
	to <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(now.Bytes))
	for event, n := range map[string]uint64{
		"hit": now.Hits, "miss": now.Misses, "join": now.Joins, "commit": now.Commits, "eviction": now.Evictions,
		"error": now.Errors, "damage": now.Damaged, "skip": now.Skipped,
	} {
		to <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(n), event)
	}
}
