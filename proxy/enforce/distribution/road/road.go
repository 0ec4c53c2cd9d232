// Package road says by which road a request came: which client asks, how it named the upstream, and whether it could
// get elsewhere what is refused here. That selects the form of a refusal, never whether there is one: nothing that a
// client says about itself exempts it from judgement.
//
// The forms and the clients that they stop were measured on the real clients; they rest on behaviour that no
// specification promises. Only clients that cannot reach the registry themselves are bound for certain.
package road

// Named is how a request named its upstream.
type Named string

// The ways to name an upstream.
const (
	// ByHost is the Host header: the client believes that it speaks to the upstream itself.
	ByHost Named = "host"
	// ByNamespace is the query ns, which clients add when they ask another host than the registry of the reference.
	ByNamespace Named = "ns"
	// ByAlias is an alias that the repository begins with: the reference itself names the proxy.
	ByAlias Named = "alias"
	// ByDefault is no name at all.
	ByDefault Named = "default"
)

// Mode says where refusals take a form that keeps clients from falling back.
type Mode string

// The modes.
const (
	// Auto does it where the client is one for which it is known to work. The zero Mode means the same.
	Auto Mode = "auto"
	// On does it for every client that could fall back, and for names that begin with an alias too, which may come from
	// a list of mirrors.
	On Mode = "on"
	// Off never does it.
	Off Mode = "off"
)

// Form is the form of a refusal.
type Form string

// The forms.
const (
	// Plain is the status that the refusal means, with its reason: what clients show best.
	Plain Form = "plain"
	// Unnamed answers HEAD with 200 and neither digest nor length, so that a client must GET, and that with a status
	// and a reason phrase at which engines give up.
	Unnamed Form = "unnamed"
	// Choices answers HEAD with 300 and the reason; a client that does not follow it ends there.
	Choices Form = "choices"
	// Tombstone answers GET with a manifest of ours whose config is refused with the reason.
	Tombstone Form = "tombstone"
)

// Road is how a request came.
type Road struct {
	Client Client
	Named  Named
	// Ambiguous is true for ByAlias where the alias could as well be the first part of a repository's name: a client that
	// uses the proxy as a mirror of the default upstream may ask for that.
	Ambiguous bool
	// Enrolled is true when the request carries the secret of a configuration that knows no other host.
	Enrolled bool
}

// FallsBack reports whether the client may ask another host for what is refused here. What cannot be known counts as
// yes.
func (r Road) FallsBack() bool {
	if r.Enrolled {
		return false
	}
	switch r.Named {
	case ByHost:
		return false
	case ByAlias:
		if !r.Ambiguous {
			return false
		}
		fallthrough
	case ByDefault:
		// Without ns these named the proxy itself: one has no mirrors, the others send ns to every mirror.
		switch r.Client.Kind {
		case Crane, Containerd, ContainerdStore, BuildKit:
			return false
		case Graphdriver, ContainersImage, Unknown:
		}
	case ByNamespace:
	}
	return true
}

// Form is how a manifest is refused on this road.
func (r Road) Form(mode Mode) Form {
	forced := mode == On && r.Named == ByAlias && !r.Enrolled
	if mode == Off || !r.FallsBack() && !forced {
		return Plain
	}
	switch r.Client.Kind {
	case Graphdriver:
		return Unnamed
	case ContainerdStore:
		if r.Client.AtLeast(2, 3) { // the status of the GET counts since then
			return Unnamed
		}
		return Choices
	case Containerd, BuildKit:
		return Choices
	case ContainersImage:
		return Tombstone
	case Crane, Unknown:
	}
	if mode == On {
		return Unnamed
	}
	return Plain
}

// Holds reports whether a manifest refused in the form stays refused: the client has no other road, or it was measured
// that the form stops it.
func (r Road) Holds(form Form) bool {
	if !r.FallsBack() {
		return true
	}
	switch r.Client.Kind {
	case Graphdriver:
		return form == Unnamed
	case ContainerdStore, Containerd:
		return form == Choices || form == Unnamed && r.Client.AtLeast(2, 3)
	case BuildKit: // the one in an engine
		return form == Choices
	case ContainersImage:
		return form == Tombstone
	case Crane, Unknown:
	}
	return false
}

// String names the road for logs and metrics: "enrolled", "mirror" for those that may fall back, else how the upstream
// was named.
func (r Road) String() string {
	switch {
	case r.Enrolled:
		return "enrolled"
	case r.FallsBack():
		return "mirror"
	}
	return string(r.Named)
}
