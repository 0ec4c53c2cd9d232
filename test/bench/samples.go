//go:build linux

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// samples are single measurements in Go's benchmark format, so that benchstat compares two runs of this program.
type samples struct{ lines bytes.Buffer }

// metric is a number with its unit.
type metric struct {
	value float64
	unit  string
}

// add notes one measurement. The name has no spaces; parts are separated by slashes.
func (s *samples) add(name string, took time.Duration, more ...metric) {
	fmt.Fprintf(&s.lines, "Benchmark%s\t1\t%d ns/op", name, took.Nanoseconds())
	for _, m := range more {
		fmt.Fprintf(&s.lines, "\t%.6g %s", m.value, m.unit)
	}
	s.lines.WriteByte('\n')
}

// text is the file.
func (s *samples) text() []byte {
	return append(fmt.Appendf(nil, "goos: %s\ngoarch: %s\npkg: github.com/safepull/safepull/test/bench\n", runtime.GOOS, runtime.GOARCH), s.lines.Bytes()...)
}

// underscored makes a part of a benchmark's name of a row's.
func underscored(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', ',':
			return '_'
		case ':':
			return '/'
		}
		return r
	}, strings.ReplaceAll(strings.ReplaceAll(name, ": ", "/"), ", ", "_"))
}
