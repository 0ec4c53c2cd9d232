package policy

import (
	"fmt"
	"sort"
	"strings"

	"github.com/safepull/safepull/trust"
)

// sentences say each finding with its place.
func sentences(findings []trust.Finding) []string {
	out := make([]string, 0, len(findings))
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s (%s)", f.Why, place(f)))
	}
	return out
}

// place is where a finding stands: "usr/bin/x in layer sha256:0123456789ab", or the part of the configuration.
func place(f trust.Finding) string {
	path := trust.Sanitise(f.Path, 120)
	if f.Kind == trust.KindConfig || strings.HasPrefix(f.Path, "config:") || strings.HasPrefix(f.Path, "manifest:") {
		return path
	}
	return path + " in layer " + short(f.Layer.String())
}

// short cuts a digest to what people compare: the algorithm and twelve characters.
func short(d string) string {
	if algorithm, hex, ok := strings.Cut(d, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return d
}

func denial(e trust.Entry) string {
	s := fmt.Sprintf("trust list denies %s", e.Pattern)
	if e.List != "" {
		s += fmt.Sprintf(" (%s, line %d)", e.List, e.Line)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func unanswered(questions map[string]string) []string {
	out := make([]string, 0, len(questions))
	for question, reason := range questions {
		out = append(out, fmt.Sprintf("unanswered: %s: %s", question, reason))
	}
	sort.Strings(out)
	return out
}
