package distribution

import (
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
)

// kind is one of the specification's end points.
type kind string

const (
	kindBase      kind = "base"
	kindManifest  kind = "manifest"
	kindBlob      kind = "blob"
	kindTags      kind = "tags"
	kindReferrers kind = "referrers"
)

// target is a request path, read once.
type target struct {
	kind kind
	// name is the repository as the path spells it, which may begin with an upstream's alias.
	name string
	// object is the tag or digest behind the name; of blobs and referrers, always a digest.
	object string
	// naming is how the request named its upstream; router.find fills it in.
	naming Naming
}

const (
	// maxPath bounds a request path: the longest name, tag and digest fit well.
	maxPath = 1024
	// maxName bounds a repository name, alias included.
	maxName = 384
)

// reserved words inside a repository name would let two readers of one path see two repositories.
var reserved = map[string]bool{"manifests": true, "blobs": true, "tags": true, "referrers": true}

// parsePath reads an escaped request path. It is anchored at both ends and reads the end point from the right, so that
// a path has one meaning or none. Nothing but the colon of a digest may come percent-encoded.
func parsePath(escaped string) (target, *problem) {
	if len(escaped) > maxPath {
		return target{}, badName("the path is longer than %d bytes", maxPath)
	}
	path := strings.NewReplacer("%3A", ":", "%3a", ":").Replace(escaped)
	if strings.ContainsAny(path, "%\\") {
		return target{}, badName("the path %q has encoded characters, which names, tags and digests never need", escaped)
	}
	if path == "/v2" || path == "/v2/" {
		return target{kind: kindBase}, nil
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return target{}, unknownPath(escaped)
	}
	parts := strings.Split(rest, "/")
	n := len(parts)
	if n < 3 {
		return target{}, unknownPath(escaped)
	}
	t := target{name: strings.Join(parts[:n-2], "/"), object: parts[n-1]}
	switch parts[n-2] {
	case "manifests":
		t.kind = kindManifest
	case "blobs":
		t.kind = kindBlob
	case "referrers":
		t.kind = kindReferrers
	case "tags":
		if t.kind = kindTags; t.object != "list" {
			return target{}, unknownPath(escaped)
		}
		t.object = ""
	default:
		return target{}, unknownPath(escaped)
	}
	if bad := checkName(parts[:n-2]); bad != nil {
		return target{}, bad
	}
	return t, t.checkObject()
}

// checkName refuses what reference parsing might repair or two parsers might read differently. The exact grammar is
// trust/reference's.
func checkName(parts []string) *problem {
	name := strings.Join(parts, "/")
	if len(name) > maxName {
		return badName("the repository name is longer than %d bytes", maxName)
	}
	for i, part := range parts {
		switch {
		case part == "", part == ".", part == "..":
			return badName("the repository name %q has an empty or dot component", name)
		case reserved[part], part == "v2" && i < len(parts)-1:
			return badName("the repository name %q has the component %q, which makes the path ambiguous", name, part)
		}
	}
	return nil
}

func (t target) checkObject() *problem {
	if t.kind == kindTags {
		return nil
	}
	if t.kind == kindManifest && !strings.Contains(t.object, ":") {
		if !isTag(t.object) {
			return fail(400, errcode.ErrorCodeTagInvalid, "%q is no tag", t.object)
		}
		return nil
	}
	if digest.Digest(t.object).Validate() != nil {
		return fail(400, errcode.ErrorCodeDigestInvalid, "%q is no digest", t.object)
	}
	return nil
}

// isTag follows the specification: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func isTag(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		word := c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}

func badName(format string, args ...any) *problem {
	return fail(400, errcode.ErrorCodeNameInvalid, format, args...)
}

func unknownPath(path string) *problem {
	return fail(404, errcode.ErrorCodeUnsupported, "safepull serves the pull half of the distribution specification; %q is no part of it", path)
}
