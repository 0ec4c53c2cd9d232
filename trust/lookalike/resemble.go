package lookalike

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Name and Version are those of the check, and Check is both, as findings have it. Part begins the paths of findings.
// Version grows whenever the same file and reference could give another answer.
const (
	Name    = "look-alike"
	Version = 2
	Check   = "look-alike@2"
	Part    = "name:"
)

// The parts of a reference that can resemble something.
const (
	partRegistry   = "registry"
	partNamespace  = "namespace"
	partRepository = "repository"
)

// maxComponents bounds the components of a repository that are looked at.
const maxComponents = 16

// Resemblance says that a part of a reference looks like a name that others know.
type Resemblance struct {
	// Part is "registry", "namespace" or "repository", and Name what stands there.
	Part string `json:"part"`
	Name string `json:"name"`
	// Like is the known name, Of its owner, and At where the owner publishes.
	Like string `json:"like"`
	Of   string `json:"of"`
	At   string `json:"at"`
	// Strength is strong where nobody comes by such a name by chance, context where many honest people have one.
	Strength trust.Strength `json:"strength"`
	// Why is one sentence without its subject, for a person to check: `"ngnix" resembles "nginx", …`.
	Why string `json:"why"`
}

// Finding is the resemblance as evidence.
func (r Resemblance) Finding() trust.Finding {
	return trust.Finding{
		Check: Check, Strength: r.Strength, Reach: trust.ReachPresent, Path: Part + r.Part,
		Excerpt: trust.Sanitise(r.Name, trust.ExcerptLimit), Why: trust.Sanitise(r.Why, 300),
	}
}

// Findings are those of Resembles.
func (n *Names) Findings(ref trust.Reference) []trust.Finding {
	var out []trust.Finding
	for _, r := range n.Resembles(ref) {
		out = append(out, r.Finding())
	}
	return out
}

// Resembles is whom a reference resembles: at most one resemblance for each of its parts. Tag and digest do not matter.
// A reference without a registry names nothing that could be compared.
func (n *Names) Resembles(ref trust.Reference) []Resemblance {
	host := hostOf(ref.Registry)
	path := strings.Split(ref.Repository, "/")
	if host == "" || ref.Repository == "" || len(path) > maxComponents {
		return nil
	}
	if r, ok := n.registry(host); ok {
		return []Resemblance{r}
	}
	shared, listed := n.listed(host)
	known, officialPlace := n.owned(host, path)
	name := path[len(path)-1]
	switch {
	case officialPlace:
		return some(n.officialName(name))
	case known, listed && !shared, !listed && !strings.Contains(host, "."):
		return nil
	}
	var out []Resemblance
	if len(path) > 1 {
		out = append(out, some(n.library(path[0]))...)
		if len(out) == 0 {
			out = append(out, some(n.namespace(path[0], listed))...)
		}
	}
	return append(out, some(n.repository(name, listed))...)
}

func some(r Resemblance, ok bool) []Resemblance {
	if !ok {
		return nil
	}
	return []Resemblance{r}
}

// listed reports whether a registry is one of those in the file, and whether anybody can publish there.
func (n *Names) listed(host string) (shared, listed bool) {
	for _, r := range n.registries {
		if r.Host == host {
			return r.Shared, true
		}
	}
	return false, false
}

func resembles(part, name string, t target, s trust.Strength, how string) (Resemblance, bool) {
	of := t.of
	if t.at != "" {
		of += " (" + t.at + ")"
	}
	return Resemblance{
		Part: part, Name: name, Like: t.name, Of: t.of, At: t.at, Strength: s,
		Why: fmt.Sprintf("%s resembles %s of %s: %s", quote(name), quote(t.name), of, how),
	}, true
}

// library is a namespace that imitates the one of the official images.
func (n *Names) library(ns string) (Resemblance, bool) {
	const library = "library"
	t := target{name: library, of: official, at: trust.DockerHub + "/library"}
	if ns == library || n.taken(ns) {
		return Resemblance{}, false
	}
	switch cost := n.keys.distance(library, plain(ns), costOther); {
	case n.skeleton(plain(ns)) == n.skeleton(library):
		return resembles(partNamespace, ns, t, trust.Strong, "it looks the same, with "+change(library, ns))
	case cost > 0 && cost <= costOther && ns != "libraries":
		return resembles(partNamespace, ns, t, trust.Strong, "with "+change(library, plain(ns)))
	}
	for _, rest := range parts(strings.Replace(ns, library, "-", 1)) {
		if strings.Contains(ns, library) && n.pretences[rest] {
			return resembles(partNamespace, ns, t, trust.Weak, "with "+quote(rest)+" added")
		}
	}
	return Resemblance{}, false
}

// namespace is a namespace that imitates that of a known owner. In a registry that is not listed, names are its
// operator's own business: only what cannot be chance counts there.
func (n *Names) namespace(ns string, listed bool) (Resemblance, bool) {
	t := &n.namespaces
	if i, ok := t.byName[ns]; ok {
		return resembles(partNamespace, ns, t.all[i], trust.Context, "it is the same name, in a place that is not known to be theirs")
	}
	if n.taken(ns) {
		return Resemblance{}, false
	}
	if r, ok := n.sameLook(t, partNamespace, ns); ok || !listed {
		return r, ok
	}
	if i, ok := t.byPlain[plain(ns)]; ok {
		return resembles(partNamespace, ns, t.all[i], trust.Weak, "it differs in separators alone")
	}
	if one, ok := n.near(t, ns, costOther*2); ok {
		return resembles(partNamespace, ns, one, trust.Weak, "it looks mistyped, with "+change(one.plain, plain(ns)))
	}
	if r, ok := n.added(ns); ok {
		return r, ok
	}
	return n.mistypedPart(t, partNamespace, ns)
}

// sameLook is a name that looks like a known one, as a whole or in one of its parts.
func (n *Names) sameLook(t *targets, part, name string) (Resemblance, bool) {
	whole := plain(name)
	for i, p := range append([]string{whole}, parts(name)...) {
		at, ok := t.bySkeleton[n.skeleton(p)]
		if !ok || len(p) < 4 || n.known(p) {
			continue
		}
		one := t.all[at]
		if one.plain == p || i > 0 && (len(p) < 5 || one.ordinary) {
			continue
		}
		return resembles(part, name, one, trust.Strong, "it looks the same, with "+change(one.plain, p))
	}
	return Resemblance{}, false
}

// mistypedPart is a name one of whose parts is a small slip away from a known one.
func (n *Names) mistypedPart(t *targets, part, name string) (Resemblance, bool) {
	all := parts(name)
	if len(all) < 2 {
		return Resemblance{}, false
	}
	for _, p := range all[:min(len(all), maxComponents)] {
		if len(p) < 5 || n.known(p) {
			continue
		}
		if one, ok := n.near(t, p, costNear); ok && !one.ordinary {
			return resembles(part, name, one, trust.Weak, quote(p)+" looks mistyped, with "+change(one.plain, p))
		}
	}
	return Resemblance{}, false
}

// repository is the name of a repository that imitates a known one.
func (n *Names) repository(name string, listed bool) (Resemblance, bool) {
	t := &n.repositories
	if n.known(name) {
		return Resemblance{}, false
	}
	if r, ok := n.sameLook(t, partRepository, name); ok || !listed {
		return r, ok
	}
	if i, ok := t.byPlain[plain(name)]; ok && len(name) > firstCounts {
		return resembles(partRepository, name, t.all[i], trust.Weak, "it differs in separators alone")
	}
	if one, ok := n.near(t, name, costOther*2); ok {
		return resembles(partRepository, name, one, trust.Weak, "it looks mistyped, with "+change(one.plain, plain(name)))
	}
	if r, ok := n.pretends(name); ok {
		return r, ok
	}
	return n.mistypedPart(t, partRepository, name)
}

// pretends is the name of a repository that is a known one with a word that says that it is the real one, or that
// carries two brands of one owner, as only the owner's own would.
func (n *Names) pretends(name string) (Resemblance, bool) {
	all := parts(name)
	if len(all) < 2 {
		return Resemblance{}, false
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return n.pretences[p] })
	if i, ok := n.repositories.byPlain[strings.Join(rest, "")]; ok && len(rest) < len(all) && len(rest) > 0 {
		return resembles(partRepository, name, n.repositories.all[i], trust.Weak, "it says that it is the real one")
	}
	var first target
	for _, p := range all {
		i, ok := n.repositories.byName[p]
		switch {
		case !ok || !n.repositories.all[i].brand:
		case first.name == "":
			first = n.repositories.all[i]
		case first.name != p && first.of == n.repositories.all[i].of:
			return resembles(partRepository, name, first, trust.Weak, "with "+quote(p)+" it has two names of the same owner")
		}
	}
	return Resemblance{}, false
}

// officialName is a name that stands among the official images and is none of them.
func (n *Names) officialName(name string) (Resemblance, bool) {
	t := &n.official
	if t.has(name) || n.honest[name] {
		return Resemblance{}, false
	}
	if r, ok := n.sameLook(t, partRepository, name); ok {
		return r, ok
	}
	if i, ok := t.byPlain[plain(name)]; ok {
		return resembles(partRepository, name, t.all[i], trust.Weak, "it differs in separators alone")
	}
	if one, ok := n.near(t, name, costOther*2); ok {
		return resembles(partRepository, name, one, trust.Weak, "it looks mistyped, with "+change(one.plain, plain(name)))
	}
	for i := range t.all {
		if rest, ok := strings.CutPrefix(plain(name), t.all[i].plain); ok && len(t.all[i].plain) > 2 && (isNumber(rest) || n.claims[rest]) {
			return resembles(partRepository, name, t.all[i], trust.Weak, "with "+quote(rest)+" added")
		}
	}
	return Resemblance{}, false
}
