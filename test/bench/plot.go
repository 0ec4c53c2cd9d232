//go:build linux

package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The measures of the plot, in pixels. A panel is a row of two charts: throughput and memory.
const (
	chartWidth, chartHeight = 520, 200
	chartLeft, chartTop     = 70, 40
	panelHeight             = chartHeight + 90
	plotWidth               = 2*(chartLeft+chartWidth) + 40
)

// colours of the lines, by server: the same in all panels.
func colour(name string) string {
	switch name {
	case "safepull-proxy":
		return "#1667c9"
	case "distribution":
		return "#d2691e"
	}
	return "#3a8f3a"
}

// plot draws what was seen, or is nil when nothing was.
func (m *monitor) plot() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.panels) == 0 {
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, panelHeight*len(m.panels))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, p := range m.panels {
		p.draw(&b, chartLeft, i*panelHeight+chartTop, "MB/s", func(at point) float64 { return at.bytesPerSecond / 1e6 })
		p.draw(&b, 2*chartLeft+chartWidth, i*panelHeight+chartTop, "MiB of memory", func(at point) float64 { return float64(at.memory) / (1 << 20) })
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws one chart at x and y.
func (p *panel) draw(b *bytes.Buffer, x, y int, unit string, value func(point) float64) {
	var seconds, most float64
	for _, l := range p.lines {
		for _, at := range l.points {
			seconds, most = max(seconds, at.at.Seconds()), max(most, value(at))
		}
	}
	wide, high := axis(seconds), axis(most)
	fmt.Fprintf(b, `<g transform="translate(%d,%d)">`+"\n", x, y)
	fmt.Fprintf(b, `<text x="0" y="-22" font-weight="bold">%s: %s</text>`+"\n", html.EscapeString(p.title), unit)
	for i := range 5 {
		at := float64(i) / 4
		down, right := chartHeight*(1-at), chartWidth*at
		fmt.Fprintf(b, `<path d="M0 %.1fH%d" stroke="#ddd"/><text x="-6" y="%.1f" text-anchor="end">%s</text>`, down, chartWidth, down+4, number(high*at))
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s s</text>`+"\n", right, chartHeight+16, number(wide*at))
	}
	for i, l := range p.lines {
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour(l.name))
		for _, at := range l.points {
			fmt.Fprintf(b, "%.1f,%.1f ", chartWidth*at.at.Seconds()/wide, chartHeight*(1-value(at)/high))
		}
		fmt.Fprintf(b, `"/><text x="%d" y="-6" fill="%s">%s</text>`+"\n", i*140, colour(l.name), html.EscapeString(l.name))
	}
	b.WriteString("</g>\n")
}

// axis is the end of an axis that shows values up to most: 1, 2, 4 or 8 with noughts.
func axis(most float64) float64 {
	if most <= 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, step := range []float64{1, 2, 4, 8} {
		if most <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

func number(x float64) string {
	if x != 0 && math.Abs(x) < 10 {
		return fmt.Sprintf("%.2g", x)
	}
	return fmt.Sprintf("%.0f", x)
}
