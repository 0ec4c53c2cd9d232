//go:build linux

package main

import (
	"slices"
	"sync"
	"time"
)

const (
	// sampleEvery is how often throughput and memory are looked at.
	sampleEvery = 100 * time.Millisecond
	// maxSamples bounds a line of the plot: a measurement that takes longer is drawn up to there.
	maxSamples = 20_000
)

// monitor remembers throughput and memory over time, for the plot. Of several runs it keeps the first.
type monitor struct {
	mu     sync.Mutex
	panels []*panel
}

// panel is one measurement, with a line for each server that was measured.
type panel struct {
	title string
	lines []*line
}

type line struct {
	name   string
	points []point
}

// point is what was seen at one time since the beginning.
type point struct {
	at             time.Duration
	bytesPerSecond float64
	memory         int64
}

// follow looks at a server until the returned function is called. bytes are those that were transferred so far.
func (m *monitor) follow(title, name string, s *server, bytes func() int64) (stop func()) {
	l := m.line(title, name)
	if l == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		begin, last, before := time.Now(), time.Now(), bytes()
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for len(l.points) < maxSamples {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			now, n := time.Now(), bytes()
			l.points = append(l.points, point{now.Sub(begin), perSecond(n-before, now.Sub(last)), s.resident()})
			last, before = now, n
		}
		<-done
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

// line is a new one, or nil when that was measured before.
func (m *monitor) line(title, name string) *line {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.panels, func(p *panel) bool { return p.title == title })
	if i < 0 {
		i = len(m.panels)
		m.panels = append(m.panels, &panel{title: title})
	}
	p := m.panels[i]
	if slices.ContainsFunc(p.lines, func(l *line) bool { return l.name == name }) {
		return nil
	}
	l := &line{name: name}
	p.lines = append(p.lines, l)
	return l
}
