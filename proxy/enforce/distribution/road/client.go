package road

import (
	"strconv"
	"strings"
)

// Kind is a family of clients that behave alike when they are refused.
type Kind string

// The kinds.
const (
	// Graphdriver is Docker Engine with its own image store.
	Graphdriver Kind = "docker-graphdriver"
	// ContainerdStore is Docker Engine with the containerd image store.
	ContainerdStore Kind = "docker-containerd"
	// Containerd is containerd itself: ctr, nerdctl, a Kubernetes node.
	Containerd Kind = "containerd"
	// ContainersImage is Podman, Buildah, Skopeo, CRI-O.
	ContainersImage Kind = "containers-image"
	// Crane is crane and other programs on go-containerregistry.
	Crane Kind = "crane"
	// BuildKit is a builder, in Docker Engine or beside it.
	BuildKit Kind = "buildkit"
	// Unknown is everything else.
	Unknown Kind = "unknown"
)

// Kinds are all of them, for metrics that begin at zero.
func Kinds() []Kind {
	return []Kind{Graphdriver, ContainerdStore, Containerd, ContainersImage, Crane, BuildKit, Unknown}
}

// Client is what a User-Agent says.
type Client struct {
	Kind Kind
	// Major and Minor are the version of the containerd library, where it names one; else both are zero.
	Major, Minor int
}

// AtLeast compares the version of the containerd library. An unknown version is not.
func (c Client) AtLeast(major, minor int) bool {
	return c.Major > major || c.Major == major && c.Minor >= minor
}

// maxAgent bounds how much of a User-Agent is read. Engines repeat their own client's in it.
const maxAgent = 1024

// kindOf knows the products that stand in User-Agents, in lower case.
func kindOf(product string) Kind {
	switch product {
	case "buildkit":
		return BuildKit
	case "docker":
		return Graphdriver
	case "containerd-client":
		return ContainerdStore
	case "containerd":
		return Containerd
	case "containers", "libpod", "podman", "buildah", "skopeo", "cri-o":
		return ContainersImage
	case "crane", "gcrane", "krane", "go-containerregistry":
		return Crane
	}
	return Unknown
}

// ClientOf reads a User-Agent. What stands in parentheses, such as the client of an engine, does not count.
func ClientOf(userAgent string) Client {
	c := Client{Kind: Unknown}
	for _, word := range words(userAgent[:min(len(userAgent), maxAgent)]) {
		product, version, _ := strings.Cut(word, "/")
		kind := kindOf(strings.ToLower(product))
		if kind == ContainerdStore || kind == Containerd {
			c.Major, c.Minor = versionOf(version)
		}
		c.Kind = stronger(c.Kind, kind)
	}
	return c
}

// stronger is the kind that a product's name adds to what is known. An engine names itself first and its store later;
// a builder in an engine names both.
func stronger(known, kind Kind) Kind {
	switch {
	case known == BuildKit || kind == BuildKit:
		return BuildKit
	case known == Graphdriver && kind == ContainerdStore:
		return ContainerdStore
	case known == Unknown && kind == ContainerdStore:
		return Containerd // the library without an engine
	case known == Unknown:
		return kind
	}
	return known
}

// words are those outside parentheses.
func words(s string) []string {
	depth := 0
	return strings.Fields(strings.Map(func(r rune) rune {
		switch r {
		case '(':
			depth++
			return ' '
		case ')':
			depth = max(0, depth-1)
			return ' '
		}
		if depth > 0 {
			return ' '
		}
		return r
	}, s))
}

// versionOf reads "v2.3.5", "2.3.5+unknown" or "1.6.20~ds1". What it cannot read is 0.0.
func versionOf(s string) (major, minor int) {
	s = strings.TrimPrefix(s, "v")
	first, rest, _ := strings.Cut(s, ".")
	second := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		second = rest[:end]
	}
	major, err := strconv.Atoi(first)
	if err != nil || major < 0 || major > 1000 {
		return 0, 0
	}
	if minor, err = strconv.Atoi(second); err != nil || minor > 1000 {
		return 0, 0
	}
	return major, minor
}
