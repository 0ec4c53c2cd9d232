// Package campaign remembers what blocked images have: wallets, files, pools, publishers. An image that shares one with
// them is found by that, however new the account is.
//
// A wallet is one that its indicator found to be somebody's: addresses of projects that take donations are context there,
// and no edge. A file is one that signs stand in, or that starts. A pool is the host of a Stratum URL, unless it is one of
// the known public ones, which anybody may use. A publisher is a namespace that nobody vouches for.
package campaign

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Name is what findings are made by, without the version.
const (
	Name  = "campaign"
	check = Name + "@1"
)

// The kinds of edges.
const (
	Wallet    = "wallet"
	Payload   = "payload"
	Pool      = "pool"
	Publisher = "publisher"
)

// maxValue bounds the value of an edge, in bytes.
const maxValue = 512

// most bounds the edges of one image by their kind, so that one with thousands of wallets does not fill the memory, nor hide
// its files behind them.
func most(kind string) int {
	switch kind {
	case Wallet:
		return 24
	case Payload:
		return 32
	case Pool:
		return 7
	}
	return 1
}

// File is a file of an image that may be a payload.
type File struct {
	// Finding has its place.
	Finding trust.Finding
	// ID names the content: two files with one ID are alike, and the same where it is exact.
	ID    string
	Exact bool
	// Own is the weightiest sign that the file shows by its bytes alone, wherever it is and whether or not it runs. Files
	// with the same bytes have the same.
	Own trust.Strength
}

// Memory keeps edges. trust/store/sqlite implements it.
type Memory interface {
	KeepEdges(ctx context.Context, edges []Edge) error
	Shared(ctx context.Context, wanted []Edge) ([]Edge, error)
}

// place is an edge of an image, with where it was seen.
type place struct {
	edge Edge
	at   trust.Finding
	// faint is true for a program that merely begins as another one does: without a strong sign in its own bytes it is
	// another file.
	faint bool
}

// places are what an image may share with others, each once, at most as many of a kind as most says: the weightiest, so that
// no number of other wallets hides one.
func places(e trust.Evidence, files []File) []place {
	var out []place
	count := map[string]int{}
	add := func(kind, value string, at trust.Finding, faint bool) {
		if value == "" || len(value) > maxValue || count[kind] >= most(kind) || slices.ContainsFunc(out, func(p place) bool { return p.edge.Kind == kind && p.edge.Value == value }) {
			return
		}
		count[kind]++
		out = append(out, place{Edge{Kind: kind, Value: value}, at, faint})
	}
	public := publicPools(e.Findings)
	for _, f := range weightiest(e.Findings) {
		switch name, _, _ := strings.Cut(f.Check, "@"); name {
		case "wallet":
			if w := strings.TrimSpace(f.Excerpt); !strings.ContainsAny(w, " \t…") {
				add(Wallet, w, f, false)
			}
		case "stratum":
			if host := hostOf(f.Excerpt); host != "" && !slices.ContainsFunc(public, func(text string) bool { return strings.Contains(text, host) || strings.HasSuffix(host, "."+text) }) {
				add(Pool, host, f, false)
			}
		}
	}
	for _, f := range files {
		add(Payload, f.ID, f.Finding, !f.Exact && f.Own < trust.Strong)
	}
	if !vouched(e) && e.Reference.Registry != "" && strings.Contains(e.Reference.Repository, "/") {
		add(Publisher, e.Reference.Namespace(), trust.Finding{Path: "name:namespace", Reach: trust.ReachPresent}, false)
	}
	return out
}

// vouched reports whether a list or a registry vouches for an image's name.
func vouched(e trust.Evidence) bool { return e.Standing.Allowed() || len(e.Vouched) > 0 }

// weightiest are the findings that can be an edge, the weightiest first; in their order otherwise.
func weightiest(findings []trust.Finding) []trust.Finding {
	var out []trust.Finding
	for _, f := range findings {
		if name, _, _ := strings.Cut(f.Check, "@"); f.Strength >= trust.Weak && (name == "wallet" || name == "stratum") {
			out = append(out, f)
		}
	}
	runs := func(f trust.Finding) int {
		if f.Reach == trust.ReachRuns || f.Kind == trust.KindConfig {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b trust.Finding) int {
		return cmp.Or(cmp.Compare(b.Strength, a.Strength), cmp.Compare(runs(b), runs(a)))
	})
	return out
}

// publicPools are texts that name pools which anybody may use.
func publicPools(findings []trust.Finding) []string {
	var out []string
	for _, f := range findings {
		if name, _, _ := strings.Cut(f.Check, "@"); name == "pool" && len(f.Excerpt) > 3 {
			out = append(out, strings.ToLower(f.Excerpt))
		}
	}
	return out
}

// hostOf is the host of a URL, in lower case; empty where there is none, or one that says nothing.
func hostOf(text string) string {
	at, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return ""
	}
	host := strings.ToLower(at.Hostname())
	if !strings.Contains(host, ".") || strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "192.168.") || strings.HasPrefix(host, "10.") || host == "0.0.0.0" {
		return ""
	}
	return host
}

// Find asks what the image shares with images that were blocked. An image shares nothing with itself, under whatever tag,
// nor with others of its own repository.
func Find(ctx context.Context, memory Memory, e trust.Evidence, files []File) ([]trust.Finding, error) {
	mine := places(e, files)
	if len(mine) == 0 {
		return nil, nil
	}
	wanted := make([]Edge, len(mine))
	for i, p := range mine {
		wanted[i] = p.edge
	}
	others, err := memory.Shared(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var out []trust.Finding
	for _, p := range mine {
		if f, ok := finding(p, others, e); ok {
			out = append(out, f)
		}
	}
	return out, nil
}

// finding says what a place shares. What an image has that somebody vouches for and that was served belongs to nobody's
// campaign. It is a weak sign where another publisher's served image has it as well, where the image itself has a name that
// somebody vouches for, and where a program merely begins as the other: anybody can copy what others have into an image that
// will be blocked.
func finding(p place, others []Edge, e trust.Evidence) (trust.Finding, bool) {
	var blocked []Edge
	for _, o := range others {
		switch {
		case o.Kind != p.edge.Kind || o.Value != p.edge.Value || o.Name == e.Reference.Name() && (o.Manifest == e.Manifest || o.Kind == Publisher):
		case o.Action == trust.Block:
			blocked = append(blocked, o)
		case o.Action.Serves() && o.Vouched:
			return trust.Finding{}, false
		}
	}
	if len(blocked) == 0 {
		return trust.Finding{}, false
	}
	// Who has a blocked image with it cannot clear it with another one.
	served := slices.ContainsFunc(others, func(o Edge) bool {
		return o.Kind == p.edge.Kind && o.Value == p.edge.Value && o.Action.Serves() && (o.Name != e.Reference.Name() || o.Manifest != e.Manifest) &&
			!slices.ContainsFunc(blocked, func(b Edge) bool { return b.Publisher == o.Publisher })
	})
	newest := slices.MaxFunc(blocked, func(a, b Edge) int { return a.At.Compare(b.At) })
	f := p.at
	f.Check, f.IfRun, f.Class, f.Excerpt = check, 0, "", trust.Sanitise(p.edge.Value, trust.ExcerptLimit)
	if f.Strength = trust.Weak; (p.edge.Kind == Wallet || p.edge.Kind == Payload) && !served && !p.faint && !vouched(e) {
		f.Strength = trust.Strong
	}
	what := words(p.edge.Kind)
	if p.faint {
		what = "beginning of a program"
	}
	f.Why = fmt.Sprintf("shares the %s with %s, blocked on %s (%s)", what, trust.Sanitise(newest.Name, 120), newest.At.UTC().Format("2006-01-02"), trust.Sanitise(newest.Verdict, 20))
	if n := len(blocked) - 1; n > 0 {
		f.Why += fmt.Sprintf(", and %d more", n)
	}
	return f, true
}

func words(kind string) string {
	switch kind {
	case Payload:
		return "file"
	case Pool:
		return "mining pool"
	}
	return kind
}

// Keep remembers what a judged image has. Of images that were not blocked, what they have keeps others from being found by
// it. An image of which nothing was asked has nothing.
func Keep(ctx context.Context, memory Memory, v trust.Verdict, called trust.Action, files []File) error {
	if v.Evidence.Standing.Denied() || v.Passing {
		return nil
	}
	var edges []Edge
	for _, p := range places(v.Evidence, files) {
		if called == trust.Block && p.edge.Kind == Payload && (p.at.Strength < trust.Strong || p.faint) {
			continue // what merely starts there is no payload
		}
		if called != trust.Block && p.edge.Kind == Publisher {
			continue
		}
		e := p.edge
		e.Name, e.Manifest, e.Verdict, e.Action, e.At = v.Reference.Name(), v.Manifest, v.ID, called, v.At
		e.Publisher, e.Vouched = publisherOf(v.Reference), vouched(v.Evidence)
		edges = append(edges, e)
	}
	return memory.KeepEdges(ctx, edges)
}

// publisherOf is who answers for an image: its namespace; a file answers for itself.
func publisherOf(ref trust.Reference) string {
	if ref.Registry == "" {
		return ref.Name()
	}
	return ref.Namespace()
}
