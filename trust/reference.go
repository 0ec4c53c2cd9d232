package trust

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// DockerHub is the registry that a reference without a registry means, in its normalised spelling.
const DockerHub = "docker.io"

// Reference names an image, normalised by trust/reference: registries are lower case, Docker Hub is always
// "docker.io", and its official images always carry their namespace ("library/alpine").
type Reference struct {
	// Registry is a host with an optional port, such as "docker.io" or "127.0.0.1:5000".
	Registry string `json:"registry"`
	// Repository is the path below the registry, such as "library/alpine".
	Repository string `json:"repository"`
	// Tag points at a digest and may be empty.
	Tag string `json:"tag,omitempty"`
	// Digest is what is judged and may be empty until the tag is resolved.
	Digest digest.Digest `json:"digest,omitempty"`
	// Index is the digest of the index that led to Digest, where one did: people pin images by it, so that trust
	// entries for it hold for the manifests below it.
	Index digest.Digest `json:"index,omitempty"`
}

// Name is the registry and the repository, without tag and digest: what trust entries and memory are keyed by.
func (r Reference) Name() string {
	if r.Registry == "" {
		return r.Repository
	}
	return r.Registry + "/" + r.Repository
}

// Namespace is the registry and everything of the repository before its last component: who publishes the image.
func (r Reference) Namespace() string {
	name := r.Name()
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}

// String is the full spelling: registry/repository[:tag][@digest].
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// WithDigest is r pointing at d; the tag stays, so that explanations can name it.
func (r Reference) WithDigest(d digest.Digest) Reference {
	r.Digest = d
	return r
}
