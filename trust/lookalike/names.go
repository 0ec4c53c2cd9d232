package lookalike

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// official is who owns the official images.
const official = "Docker Official Images"

// Names are known names with their owners. They may be used by any number of goroutines.
type Names struct {
	digest     digest.Digest
	keys       *keys
	pairs      *strings.Replacer
	foreign    map[rune]rune
	registries []host
	// tenants are hosts with customers below them, and what those look like.
	tenants, tenantLooks []string
	// places are by registry; the value is what may stand for the first components.
	places map[string][]place
	// namespaces and repositories are what a namespace or the name of a repository may imitate.
	namespaces, repositories targets
	official                 targets
	honest                   map[string]bool
	claims, pretences, ends  map[string]bool
}

// host is a registry, with what is compared.
type host struct {
	registry
	skeleton, plain, dashed string
	letters                 uint64
}

// place is a namespace with an owner.
type place struct {
	components []string
	// prefix is true when the last component may go on.
	prefix   bool
	official bool
}

// target is a known name.
type target struct {
	name, plain, skeleton string
	letters               uint64
	// of is the owner, at where it publishes: both for people.
	of, at string
	// brand is true for names that nobody else has in theirs.
	brand bool
	// ordinary is true for everyday words.
	ordinary bool
}

// targets are known names of one sort.
type targets struct {
	all        []target
	byName     map[string]int
	bySkeleton map[string]int
	byPlain    map[string]int
}

func newNames(doc document, d digest.Digest) *Names {
	n := &Names{
		digest: d, keys: newKeys(), pairs: pairs(), foreign: foreign(), tenants: doc.Tenants,
		places: map[string][]place{}, honest: set(doc.Honest), claims: set(doc.Claims), pretences: set(doc.Pretences), ends: set(doc.Ends),
	}
	for _, r := range doc.Registries {
		n.registries = append(n.registries, host{r, n.skeleton(r.Host), plain(r.Host), strings.ReplaceAll(r.Host, ".", "-"), letters(r.Host)})
	}
	for _, t := range n.tenants {
		n.tenantLooks = append(n.tenantLooks, n.skeleton(t))
	}
	ordinary := set(doc.Ordinary)
	add := func(to *targets, name, of, at string, brand bool) {
		to.add(target{name, plain(name), n.skeleton(plain(name)), letters(plain(name)), of, at, brand, ordinary[name]})
	}
	for _, o := range doc.Owners {
		for _, b := range o.Brands {
			add(&n.namespaces, b, o.Of, o.At[0], true)
			add(&n.repositories, b, o.Of, o.At[0], true)
		}
		for _, p := range o.Projects {
			add(&n.namespaces, p, o.Of, o.At[0], false)
		}
		for _, r := range o.Repositories {
			add(&n.repositories, r, o.Of, o.At[0], false)
		}
		n.own(o.At, false)
	}
	for _, name := range doc.Official {
		at := "docker.io/library/" + name
		add(&n.namespaces, name, official, at, false)
		add(&n.repositories, name, official, at, false)
		add(&n.official, name, official, at, false)
	}
	n.own(doc.OfficialAt, true)
	return n
}

func (n *Names) own(at []string, official bool) {
	for _, a := range at {
		host, path, _ := strings.Cut(a, "/")
		path, prefix := strings.CutSuffix(path, "*")
		var components []string // none for a whole registry
		if path != "" {
			components = strings.Split(path, "/")
		}
		n.places[host] = append(n.places[host], place{components, prefix, official})
	}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// add keeps the first of a name.
func (t *targets) add(one target) {
	if t.byName == nil {
		t.byName, t.bySkeleton, t.byPlain = map[string]int{}, map[string]int{}, map[string]int{}
	}
	if _, twice := t.byName[one.name]; twice {
		return
	}
	i := len(t.all)
	t.all = append(t.all, one)
	t.byName[one.name] = i
	for by, key := range map[*map[string]int]string{&t.bySkeleton: one.skeleton, &t.byPlain: one.plain} {
		if _, twice := (*by)[key]; !twice {
			(*by)[key] = i
		}
	}
}

func (t *targets) has(name string) bool { _, ok := t.byName[name]; return ok }

// Digest changes whenever an answer could change.
func (n *Names) Digest() digest.Digest { return n.digest }

// Brand reports whether a repository's name is one that a known owner is known for, an official image's included.
func (n *Names) Brand(repository string) bool {
	i, ok := n.repositories.byName[repository]
	return n.official.has(repository) || ok && !n.repositories.all[i].ordinary
}

// Counts are how many names of each sort there are, for people.
func (n *Names) Counts() map[string]int {
	places := 0
	for _, at := range n.places {
		places += len(at)
	}
	return map[string]int{
		"registries": len(n.registries), "namespaces": len(n.namespaces.all), "repositories": len(n.repositories.all), "places": places,
	}
}

// owned reports whether a repository stands in a namespace with a known owner, and whether that is one of the official
// images.
func (n *Names) owned(host string, path []string) (known, officialPlace bool) {
	for _, p := range n.places[host] {
		if len(path) < len(p.components) {
			continue
		}
		last := len(p.components) - 1
		if last < 0 {
			known = true
		} else if slices.Equal(path[:last], p.components[:last]) &&
			(path[last] == p.components[last] || p.prefix && strings.HasPrefix(path[last], p.components[last])) {
			known = true
			officialPlace = officialPlace || p.official && len(path) == len(p.components)+1
		}
	}
	return known, officialPlace
}

// taken reports whether a name is one that somebody has, or an everyday word: such a name imitates no other.
func (n *Names) taken(name string) bool {
	return n.honest[name] || n.namespaces.has(name) || n.repositories.has(name)
}

// known is taken, or the plural of such a name (which no name has that ends in s), or one with the version of a program: among repositories, these are
// honest.
func (n *Names) known(name string) bool {
	if n.taken(name) {
		return true
	}
	for _, cut := range []string{strings.TrimSuffix(name, "s"), strings.TrimRight(name, "0123456789.")} {
		if cut != name && !strings.HasSuffix(name, "ss") && n.taken(cut) {
			return true
		}
	}
	return false
}

// near is the target that a name is a slip of the fingers for; false when there is none within its allowance, and at most
// of this cost.
func (n *Names) near(t *targets, name string, most int) (target, bool) {
	typed := plain(name)
	if len(typed) > maxName || len(typed) < 4 {
		return target{}, false
	}
	have := letters(typed)
	best, at := most+1, -1
	for i := range t.all {
		one := &t.all[i]
		limit := min(allowance(len(one.plain)), best-1)
		if one.ordinary {
			limit = min(limit, costNear)
		}
		if !slip(one, typed, have, limit) {
			continue
		}
		if cost := n.keys.distance(one.plain, typed, limit); cost > 0 && cost <= limit {
			best, at = cost, i
		}
	}
	if at < 0 {
		return target{}, false
	}
	if was, is := difference(t.all[at].plain, typed); isNumber(was) && isNumber(is) {
		return target{}, false // versions
	}
	if words := parts(name); wordsOf(words, parts(t.all[at].name)) || wordsOf(parts(t.all[at].name), words) {
		return target{}, false // no finger slips over a whole word
	}
	return t.all[at], true
}

// wordsOf reports whether a name of several words is another one with words left out.
func wordsOf(fewer, all []string) bool {
	if len(fewer) >= len(all) {
		return false
	}
	for _, word := range all {
		if len(fewer) > 0 && fewer[0] == word {
			fewer = fewer[1:]
		}
	}
	return len(fewer) == 0
}

// firstCounts is the length up to which a slip keeps the first letter or swaps it: most short words that differ in their
// first letter are different words.
const firstCounts = 8

// slip rules out, cheaply, what cannot be a slip of the fingers within a limit.
func slip(one *target, typed string, have uint64, limit int) bool {
	edits := limit / costNear
	if apart := len(one.plain) - len(typed); edits == 0 || apart > edits || apart < -edits {
		return false
	}
	differ := bits.OnesCount64(one.letters ^ have)
	if differ > 2*edits || one.ordinary && differ > 0 {
		return false // an edit changes at most two letters of the set; a swap or a letter doubled changes none
	}
	return len(one.plain) > firstCounts || one.plain[0] == typed[0] || one.plain[0] == typed[1] && one.plain[1] == typed[0]
}

// isNumber is also true for nothing.
func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

// byLength orders names for a choice among several: the longest is the most telling.
func byLength(a, b target) int {
	return cmp.Or(cmp.Compare(len(b.name), len(a.name)), cmp.Compare(a.name, b.name))
}
