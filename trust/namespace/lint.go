package namespace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/safepull/safepull/trust"
)

// Problem is what is questionable about an entry that Load accepts.
type Problem struct {
	// Kind is "expired", "locked", "shadowed", "redundant", "over-broad" or "unowned".
	Kind  string      `json:"kind"`
	Entry trust.Entry `json:"entry"`
	// Why is a sentence for a person, with what to do.
	Why string `json:"why"`
}

// Lint finds entries that have no effect, or more than somebody may have meant, at a time. What is shipped is not
// blamed for being redundant.
func (l *Lists) Lint(now time.Time) []Problem {
	var problems []Problem
	live := make([]*rule, 0, len(l.rules))
	for i := range l.rules {
		if r := &l.rules[i]; expired(r.entry, now) {
			problems = append(problems, Problem{"expired", r.entry, fmt.Sprintf("it ended on %s and does nothing: renew or remove it", r.entry.Expires.UTC().Format(time.DateOnly))})
		} else {
			live = append(live, r)
		}
	}
	others := newIndex(l.rules)
	for _, r := range live {
		if why := broad(r); why != "" {
			problems = append(problems, Problem{"over-broad", r.entry, why})
		}
		if e := r.entry; e.Action == allow && e.Reason == "" && e.Owner == "" {
			problems = append(problems, Problem{"unowned", e, "it has neither reason nor owner: say who to ask"})
		}
		if p, found := l.powerless(r, &others, now); found {
			problems = append(problems, p)
		}
	}
	return problems
}

// powerless finds an entry that keeps r from ever deciding, or makes it needless.
func (l *Lists) powerless(r *rule, others *index, now time.Time) (p Problem, found bool) {
	var next *rule // what would decide without r, where it covers all that r matches
	others.candidates(samples(r.pattern.name)[1], func(i int32) {
		o := &l.rules[i]
		if o == r || found || expired(o.entry, now) || !o.pattern.covers(&r.pattern) {
			return
		}
		var limit ceiling
		if o.entry.Locked && o.height < r.height {
			limit.lower(o)
		}
		// A locked entry that never decides still keeps others from deciding, unless another lock does that.
		needed := r.entry.Locked && !(o.entry.Locked && o.height <= r.height)
		switch {
		case needed:
		case limit.forbids(r):
			p, found = Problem{"locked", r.entry, fmt.Sprintf("it never decides: %s of the %s list is locked (%s), and this is more lenient", o.entry.Pattern, o.entry.Level, place(o.entry))}, true
		case o.place < r.place:
			p, found = Problem{"shadowed", r.entry, fmt.Sprintf("it never decides: %s %s always does (%s)", o.entry.Action, o.entry.Pattern, place(o.entry))}, true
		case next == nil || o.place < next.place:
			next = o
		}
	})
	if !found && next != nil && r.entry.Level != Shipped && sameTerms(r.entry, next.entry) && l.alone(r, next, now) {
		p, found = Problem{"redundant", r.entry, fmt.Sprintf("%s says so already (%s)", next.entry.Pattern, place(next.entry))}, true
	}
	return p, found
}

// alone reports whether no entry stands between r and the one that would decide without it: r may be there to overrule
// such an entry. It may err on the careful side.
func (l *Lists) alone(r, next *rule, now time.Time) bool {
	for i := range l.rules {
		o := &l.rules[i]
		if o != r && o.place > r.place && o.place < next.place && !expired(o.entry, now) && (strings.HasPrefix(r.pattern.prefix, o.pattern.prefix) || strings.HasPrefix(o.pattern.prefix, r.pattern.prefix)) {
			return false
		}
	}
	return true
}

func sameTerms(a, b trust.Entry) bool {
	return a.Action == b.Action && leniency(a) == leniency(b) && conditions(a) == 0 && conditions(b) == 0 && a.Locked == b.Locked
}

func place(e trust.Entry) string {
	if e.List == "" {
		return "the same list"
	}
	return fmt.Sprintf("%s:%d", e.List, e.Line)
}

// shared are registries in which anybody may publish.
const shared = " docker.io ghcr.io quay.io gcr.io us.gcr.io eu.gcr.io asia.gcr.io public.ecr.aws registry.gitlab.com docker.pkg.github.com "

// tenants are domains in which anybody gets a registry of their own.
const tenants = " .azurecr.io .amazonaws.com .jfrog.io .aliyuncs.com .ocir.io "

// broad says in what way an allow entry takes in strangers.
func broad(r *rule) string {
	if r.entry.Action != allow || r.pattern.digest != "" || len(r.entry.Digests) > 0 {
		return ""
	}
	if s := r.entry.RequireSignature; s != nil {
		return broadIdentity(s.Identity)
	}
	host, path, _ := strings.Cut(r.pattern.name, "/")
	namespace, _, _ := strings.Cut(path, "/")
	domain := host[strings.LastIndexAny(host, wildcards)+1:]
	anyone := strings.Contains(shared, " "+host+" ") || strings.HasSuffix(host, ".pkg.dev")
	switch {
	case strings.IndexAny(host, wildcards) == 0 && strings.Contains(tenants, " "+domain+" "):
		return fmt.Sprintf("it allows every registry of %s, where anybody gets one: name the registry", strings.TrimPrefix(domain, "."))
	case host == "**", domain != host && strings.Count(domain, ".") < 2:
		return "it allows images of any registry: name the registry"
	case anyone && strings.Trim(namespace, wildcards+"-_.") == "":
		return fmt.Sprintf("it allows every account of %s, where anybody can publish: name the namespace", host)
	}
	return ""
}

// broadIdentity says in what way an identity takes in strangers: at a forge, the account is the first part of the path.
func broadIdentity(identity string) string {
	fixed, _, globbed := strings.Cut(identity, "*")
	if !globbed || !strings.HasPrefix(identity, "https://") || strings.Count(fixed, "/") >= 4 {
		return ""
	}
	return fmt.Sprintf("%s is the identity of every account that is called so or begins so: name the account, and end it with a slash", identity)
}

// stand are what samples put in the place of wildcards: characters that no pattern has as literal text.
const stand = "~"

// samples are names that a pattern matches, each with its wildcards standing for something else.
func samples(name string) []string {
	middle := strings.ReplaceAll(name, "**/", "\x00")
	end := strings.TrimSuffix(middle, "**")
	deep := end != middle
	var out []string
	for _, with := range []struct{ middle, end, star, question string }{
		{"", stand, "", stand}, {stand + "/", stand, stand, stand}, {stand + "/" + stand + "/", stand + "/" + stand, stand + stand, stand},
	} {
		s := strings.ReplaceAll(end, "\x00", with.middle)
		if deep {
			s += with.end
		}
		s = strings.NewReplacer("*", with.star, "?", with.question).Replace(s)
		if !slices.Contains(strings.Split(s, "/"), "") {
			out = append(out, s)
		}
	}
	if len(out) < 2 { // a component that is a wildcard alone
		out = append(out, out...)
	}
	return out
}

// covers reports whether p matches whatever other matches, as far as samples tell.
func (p *pattern) covers(other *pattern) bool {
	for _, s := range samples(other.name) {
		if !p.matchName(s) {
			return false
		}
	}
	switch {
	case p.digest != "":
		return p.digest == other.digest
	case p.tag == "":
		return true
	case other.tag == "":
		return false
	}
	for _, with := range []string{"", stand, stand + stand} {
		tag := strings.NewReplacer("*", with, "?", stand).Replace(other.tag)
		if tag != "" && !doublestar.MatchUnvalidated(p.tag, tag) {
			return false
		}
	}
	return true
}
