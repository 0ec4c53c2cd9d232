// Package campaign remembers what blocked images have: wallets, files, pools, publishers. An image that shares one with
// them is found by that, however new the account is.
//
// A wallet is one that its indicator found to be somebody's: addresses of projects that take donations are context there,
// and no edge. A file is one that signs stand in, or that starts. A pool is the host of a Stratum URL, unless it is one of
// the known public ones, which anybody may use. A publisher is a namespace that nobody vouches for.
package campaign

import (
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

// maxEdges bounds the edges of one image, so that one with thousands of wallets does not fill the memory.
const maxEdges = 64

// File is a file of an image that may be a payload.
type File struct {
	// Finding has its place.
	Finding trust.Finding
	// ID names the content: two files with one ID are alike.
	ID string
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
}

// places are what an image may share with others, each once, at most maxEdges.
func places(e trust.Evidence, files []File) []place {
	var out []place
	add := func(kind, value string, at trust.Finding) {
		if value != "" && len(out) < maxEdges && !slices.ContainsFunc(out, func(p place) bool { return p.edge.Kind == kind && p.edge.Value == value }) {
			out = append(out, place{Edge{Kind: kind, Value: value}, at})
		}
	}
	public := publicPools(e.Findings)
	for _, f := range e.Findings {
		if f.Strength < trust.Weak {
			continue
		}
		switch name, _, _ := strings.Cut(f.Check, "@"); name {
		case "wallet":
			if w := strings.TrimSpace(f.Excerpt); !strings.ContainsAny(w, " \t…") {
				add(Wallet, w, f)
			}
		case "stratum":
			if host := hostOf(f.Excerpt); host != "" && !slices.ContainsFunc(public, func(text string) bool { return strings.Contains(text, host) || strings.Contains(host, text) }) {
				add(Pool, host, f)
			}
		}
	}
	for _, f := range files {
		add(Payload, f.ID, f.Finding)
	}
	if vouched := e.Standing.Allowed() || len(e.Vouched) > 0; !vouched && e.Reference.Registry != "" && strings.Contains(e.Reference.Repository, "/") {
		add(Publisher, e.Reference.Namespace(), trust.Finding{Path: "name:namespace", Reach: trust.ReachPresent})
	}
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
// campaign; what another served image has as well is a weak sign.
func finding(p place, others []Edge, e trust.Evidence) (trust.Finding, bool) {
	var blocked []Edge
	served := false
	for _, o := range others {
		if o.Kind != p.edge.Kind || o.Value != p.edge.Value || o.Name == e.Reference.Name() && (o.Manifest == e.Manifest || o.Kind == Publisher) {
			continue
		}
		switch {
		case o.Action == trust.Block:
			blocked = append(blocked, o)
		case o.Action.Serves() && o.Vouched:
			return trust.Finding{}, false
		case o.Action.Serves():
			served = true
		}
	}
	if len(blocked) == 0 {
		return trust.Finding{}, false
	}
	newest := slices.MaxFunc(blocked, func(a, b Edge) int { return a.At.Compare(b.At) })
	f := p.at
	f.Check, f.IfRun, f.Class, f.Excerpt = check, 0, "", trust.Sanitise(p.edge.Value, trust.ExcerptLimit)
	if f.Strength = trust.Weak; (p.edge.Kind == Wallet || p.edge.Kind == Payload) && !served {
		f.Strength = trust.Strong
	}
	f.Why = fmt.Sprintf("shares the %s with %s, blocked on %s (%s)", words(p.edge.Kind), trust.Sanitise(newest.Name, 120), newest.At.UTC().Format("2006-01-02"), trust.Sanitise(newest.Verdict, 20))
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
		if called == trust.Block && p.edge.Kind == Payload && p.at.Strength < trust.Strong {
			continue // what merely starts there is no payload
		}
		if called != trust.Block && p.edge.Kind == Publisher {
			continue
		}
		e := p.edge
		e.Name, e.Manifest, e.Verdict, e.Action, e.At = v.Reference.Name(), v.Manifest, v.ID, called, v.At
		e.Vouched = v.Evidence.Standing.Allowed() || len(v.Evidence.Vouched) > 0
		edges = append(edges, e)
	}
	return memory.KeepEdges(ctx, edges)
}
