//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
)

// road is how a client comes to the proxy.
type road string

const (
	// mirror: the client knows the proxy as a mirror of docker.io, and may turn to docker.io itself.
	mirror road = "mirror"
	// enrolled: the client's hosts.toml, written by safepull, leaves it no other road.
	enrolled road = "enrolled"
	// path: the proxy's address is the registry in the name, or the client's configuration rewrites names so.
	path road = "path"
)

// how an image is asked for.
type how string

const (
	byTag    how = "tag"
	byDigest how = "digest"
	// byLayer asks for the layer alone that belongs to no other image.
	byLayer how = "layer"
)

func hows() []how { return []how{byTag, byDigest, byLayer} }

// question is one image, asked for in one way.
type question struct {
	// repository is the same at the upstream and at the stand-in, and nobody else asks for it. It also has an image that
	// everybody may have, under the tag "friend".
	repository, tag string
	how             how
	state           state
	image           image
	// home is an empty folder for the client.
	home string
}

const friend = "friend"

// reference is the image's name below a registry: "a/b:tag" or "a/b@digest".
func (q question) reference() string {
	if q.how == byTag {
		return q.repository + ":" + q.tag
	}
	return q.repository + "@" + q.image.built.Root.Digest.String()
}

// blob is the digest of the layer that is asked for alone.
func (q question) blob() string { return q.image.own().Descriptor.Digest.String() }

// ask has the client ask, and returns what it said. An error means that the client failed.
type ask func(ctx context.Context, q question) (said string, err error)

// lane is a client on a road.
type lane struct {
	client string
	road   road
	// pull asks for an image, layer for a layer alone; nil where the client cannot.
	pull, layer ask
	// stores are the folders where the client puts what it pulls, besides its home.
	stores []string
}

// goal is what must happen.
type goal string

const (
	arrives goal = "arrives"
	refused goal = "refused"
	// either: it arrives when the verdict is there, or the client is told to come back.
	either goal = "arrives or refused"
	// open: nothing that the proxy can answer stops it.
	open goal = "needs egress deny"
)

// goal follows from what clients were measured to do. In mirror mode a client that asks containerd's resolver for a
// layer alone takes every failure for a reason to ask the next host.
func (l lane) goal(h how, s state) goal {
	switch {
	case s == allowed:
		return arrives
	case l.road == mirror && h == byLayer && strings.HasPrefix(l.client, "containerd"):
		return open
	case s == late:
		return either
	}
	return refused
}

// name of a row.
func (l lane) name(h how, s state) string {
	return fmt.Sprintf("%s, %s, %s, %s", l.client, l.road, h, s)
}

// where the image is found on this road, as the client names it.
func (w *world) where(r road, reference string) string {
	if r == path {
		return w.proxy + "/docker.io/" + reference
	}
	return "docker.io/" + reference
}
