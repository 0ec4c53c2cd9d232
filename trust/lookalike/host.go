package lookalike

import (
	"math/bits"
	"net/netip"
	"strings"

	"github.com/safepull/safepull/trust"
)

// hostOf is the host of a registry without its port, empty for addresses: they imitate nothing.
func hostOf(registry string) string {
	if i := strings.LastIndexByte(registry, ':'); i >= 0 && !strings.HasSuffix(registry, "]") {
		registry = registry[:i]
	}
	if strings.HasPrefix(registry, "[") {
		return ""
	}
	if _, err := netip.ParseAddr(registry); err == nil {
		return ""
	}
	return registry
}

// registry is a host that imitates a known registry. All of these are strong: hosts are registered one by one.
func (n *Names) registry(host string) (Resemblance, bool) {
	if _, listed := n.listed(host); listed || len(host) > maxHost || !strings.Contains(host, ".") {
		return Resemblance{}, false
	}
	for _, t := range n.tenants {
		if host == t || strings.HasSuffix(host, "."+t) {
			return Resemblance{}, false
		}
	}
	seen := n.seen(host)
	look, bare, have := n.skeleton(seen), plain(seen), letters(seen)
	for i := range n.registries {
		r := &n.registries[i]
		how := r.imitated(seen, look, bare)
		if seen != host && seen == r.Host {
			how = "letters of another script look the same: it is shown as " + quote(seen)
		}
		if how != "" {
			return resembles(partRegistry, host, target{name: r.Host, of: r.Of}, trust.Strong, how)
		}
	}
	for i := range n.registries {
		r := &n.registries[i]
		limit := hostAllowance(r.Host)
		if bits.OnesCount64(r.letters^have) > 2*limit/costNear {
			continue
		}
		if n.keys.distance(r.Host, seen, limit) <= limit {
			return resembles(partRegistry, host, target{name: r.Host, of: r.Of}, trust.Strong, "it looks mistyped, with "+change(r.Host, seen))
		}
	}
	return n.tenant(host, seen)
}

// customers is who is imitated by a host that passes for one below which customers have names of their own.
const customers = "a registry of many customers"

// tenant is a host that passes for a customer's own below a known one: its last labels are compared.
func (n *Names) tenant(host, seen string) (Resemblance, bool) {
	labels := strings.Split(seen, ".")
	for i, t := range n.tenants {
		one := target{name: t, of: customers}
		if strings.HasPrefix(seen, t+".") || strings.Contains(seen, "."+t+".") {
			return resembles(partRegistry, host, one, trust.Strong, "it has that name in it and belongs to whoever has "+quote(domain(seen)))
		}
		count := strings.Count(t, ".") + 1
		if len(labels) < count {
			continue
		}
		tail := strings.Join(labels[len(labels)-count:], ".")
		first, _, _ := strings.Cut(t, ".")
		switch {
		case tail == t: // of another script
			return resembles(partRegistry, host, one, trust.Strong, "letters of another script look the same: it is shown as "+quote(seen))
		case n.skeleton(tail) == n.tenantLooks[i]:
			return resembles(partRegistry, host, one, trust.Strong, "it looks the same, with "+change(t, tail))
		case len(first) > minGlued && n.keys.distance(t, tail, costLess) <= costLess:
			return resembles(partRegistry, host, one, trust.Strong, "it looks mistyped, with "+change(t, tail))
		}
	}
	return Resemblance{}, false
}

// maxHost bounds what is compared; names of hosts have at most 253 characters.
const maxHost = 255

// imitated says how a host imitates the registry, except by a slip. The host comes as it is seen, with its skeleton and
// without separators.
func (h *host) imitated(seen, look, bare string) string {
	switch {
	case look == h.skeleton:
		return "it looks the same, with " + change(h.Host, seen)
	case len(seen) > len(h.Host) && strings.HasPrefix(seen, h.Host) && seen[len(h.Host)] == '.', strings.Contains(seen, "."+h.Host+"."):
		return "it has that name in it and belongs to whoever has " + quote(domain(seen))
	case strings.HasPrefix(seen, h.Host+"-"), strings.HasSuffix(seen, "-"+h.Host):
		return "its own domain " + quote(domain(seen)) + " has that name in it"
	case bare == h.plain:
		return "it differs in separators alone"
	}
	labels := strings.Split(seen, ".")
	if len(labels) < 2 {
		return ""
	}
	label := labels[len(labels)-2]
	first, ending, _ := strings.Cut(h.Host, ".")
	switch {
	case label == h.dashed, label == h.plain, strings.HasPrefix(label, h.dashed+"-"), strings.HasSuffix(label, "-"+h.dashed):
		return "its own domain " + quote(domain(seen)) + " is made of that name"
	case len(labels) == 2 && label == first && len(first) > 3 && !strings.Contains(ending, "."):
		return "it has another ending"
	}
	return ""
}

// domain is about what somebody registered: the last two labels.
func domain(host string) string {
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(len(labels)-2, 0):], ".")
}

// hostAllowance is as allowance, for hosts, whose shortest are a matter of three letters.
func hostAllowance(host string) int {
	label, _, _ := strings.Cut(host, ".")
	switch {
	case len(label) < 4 && len(host) < 9:
		return costNear
	case len(host) < 12:
		return costOther
	}
	return costOther + costNear
}
