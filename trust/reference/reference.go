// Package reference turns what people and clients write into a trust.Reference: one spelling for every image, so that
// "alpine", "docker.io/alpine" and "index.docker.io/library/alpine:latest" are judged, remembered and matched as one.
//
// The grammar is that of github.com/distribution/reference. Where that grammar lets two spellings of one registry
// stand, or one spelling mean two images, this package picks one or refuses: a second name for a denied image would be
// a way around the denial.
package reference

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const (
	// inputLimit bounds what is looked at: host, repository, tag and digest at their longest fit, with room to spare.
	inputLimit = 1024
	// repositoryLimit is that of distribution: registries refuse longer names.
	repositoryLimit = reference.RepositoryNameTotalLengthMax
	// quoteLimit bounds how much of bad input an error repeats.
	quoteLimit = 100

	defaultTag   = "latest"
	officialPath = "library/"
)

var (
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	sha256Pattern = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// Parse reads what a person writes after "docker pull". A reference with neither tag nor digest means the tag
// "latest"; one with both keeps both, and the digest is what counts.
func Parse(s string) (trust.Reference, error) {
	ref, err := parse(s)
	if err != nil {
		return trust.Reference{}, fmt.Errorf("invalid image reference %s: %w", quote(s), err)
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = defaultTag
	}
	return ref, nil
}

// New builds a reference from parts that are already apart, as in the path of a registry request. The repository of an
// official image may lack its "library/". tagOrDigest is a digest when it holds a colon; when it is empty, the
// reference has neither.
func New(registry, repository, tagOrDigest string) (trust.Reference, error) {
	ref, err := build(registry, repository)
	if err == nil && tagOrDigest != "" {
		if strings.Contains(tagOrDigest, ":") {
			ref.Digest, err = parseDigest(tagOrDigest)
		} else {
			ref.Tag, err = parseTag(tagOrDigest)
		}
	}
	if err != nil {
		return trust.Reference{}, fmt.Errorf("invalid image %s in registry %s: %w", quote(join(repository, tagOrDigest)), quote(registry), err)
	}
	return ref, nil
}

// Familiar is the reference as docker prints it: Docker Hub and its official namespace go without saying. What would
// read back as another image without its registry (such as docker.io/ghcr.io/x) keeps it.
func Familiar(ref trust.Reference) string {
	if ref.Registry != trust.DockerHub {
		return ref.String()
	}
	short := ref
	short.Registry = ""
	if rest, ok := strings.CutPrefix(ref.Repository, officialPath); ok && !strings.Contains(rest, "/") {
		short.Repository = rest
	}
	back, err := parse(short.String())
	if err != nil || back != ref {
		return ref.String()
	}
	return short.String()
}

// parse does not add the default tag.
func parse(s string) (trust.Reference, error) {
	switch {
	case s == "":
		return trust.Reference{}, errors.New("it is empty")
	case len(s) > inputLimit:
		return trust.Reference{}, fmt.Errorf("it is longer than %d bytes", inputLimit)
	case strings.Contains(s, "://"):
		return trust.Reference{}, errors.New("it is a URL: leave out everything up to \"://\"")
	case sha256Pattern.MatchString(s):
		return trust.Reference{}, errors.New("it is an image ID: name the image by its repository")
	}
	name, dgst, hasDigest := strings.Cut(s, "@")
	name, tag, hasTag := cutTag(name)
	registry, repository := splitRegistry(name)
	ref, err := build(registry, repository)
	if err == nil && hasTag {
		ref.Tag, err = parseTag(tag)
	}
	if err == nil && hasDigest {
		ref.Digest, err = parseDigest(dgst)
	}
	return ref, err
}

// cutTag takes off what follows the last colon, unless that colon belongs to the registry.
func cutTag(name string) (rest, tag string, found bool) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.Contains(name[i:], "/") {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// splitRegistry follows docker: the first component is a registry when it has a dot or a colon, is "localhost", or has
// upper case letters, which a repository cannot have.
func splitRegistry(name string) (registry, repository string) {
	first, rest, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first) {
		return first, rest
	}
	return trust.DockerHub, name
}

func build(registry, repository string) (trust.Reference, error) {
	host, err := Host(registry)
	if err != nil {
		return trust.Reference{}, err
	}
	if host == trust.DockerHub && !strings.Contains(repository, "/") {
		repository = officialPath + repository
	}
	if err := checkRepository(host, repository); err != nil {
		return trust.Reference{}, err
	}
	return trust.Reference{Registry: host, Repository: repository}, nil
}

func checkRepository(host, repository string) error {
	switch {
	case repository == "" || repository == officialPath:
		return errors.New("the repository is missing")
	case len(repository) > repositoryLimit:
		return fmt.Errorf("the repository is longer than %d characters", repositoryLimit)
	case strings.ToLower(repository) != repository:
		return fmt.Errorf("the repository must be lower case: write %s", quote(strings.TrimPrefix(strings.ToLower(repository), officialPath)))
	}
	named, err := reference.WithName(host + "/" + repository)
	if err != nil || reference.Domain(named) != host || reference.Path(named) != repository {
		return fmt.Errorf("the repository %s must be components of a-z and 0-9, with single \".\", \"_\", \"__\" or dashes inside, parted by \"/\"", quote(repository))
	}
	return nil
}

func parseTag(tag string) (string, error) {
	if !tagPattern.MatchString(tag) {
		return "", fmt.Errorf("the tag %s must be 1 to 128 of A-Z, a-z, 0-9, \"_\", \".\" and \"-\", and not begin with \".\" or \"-\"", quote(tag))
	}
	return tag, nil
}

func parseDigest(s string) (digest.Digest, error) {
	algorithm, encoded, found := strings.Cut(s, ":")
	switch {
	case !found:
		return "", fmt.Errorf("the digest %s must be \"sha256:\" and 64 hexadecimal digits", quote(s))
	case algorithm != "sha256":
		return "", fmt.Errorf("the digest algorithm %s is not supported: only sha256 is", quote(algorithm))
	case !sha256Pattern.MatchString(encoded):
		return "", fmt.Errorf("the digest %s must have 64 lower case hexadecimal digits after \"sha256:\"", quote(s))
	}
	return digest.Digest(s), nil
}

func join(repository, tagOrDigest string) string {
	switch {
	case tagOrDigest == "":
		return repository
	case strings.Contains(tagOrDigest, ":"):
		return repository + "@" + tagOrDigest
	}
	return repository + ":" + tagOrDigest
}

// quote makes outside text safe and short enough for an error.
func quote(s string) string {
	if len(s) > quoteLimit {
		return fmt.Sprintf("%q…", s[:quoteLimit])
	}
	return fmt.Sprintf("%q", s)
}
