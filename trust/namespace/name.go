package namespace

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// sampleHost stands for the registry while a repository is checked.
const sampleHost = "example.com"

// normaliseName gives a name with wildcards the spelling that references have.
func normaliseName(s string) (string, error) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{}\!^`, r) }); i >= 0 {
		return "", fmt.Errorf("it holds %q: only *, ** and ? are wildcards, everything else is a-z, 0-9 and ._-/:, without spaces", []rune(s[i:])[0])
	}
	host, path, err := splitHost(s)
	if err != nil {
		return "", err
	}
	if s == "**" {
		return s, nil
	}
	if host, err = normaliseHost(host); err != nil {
		return "", err
	}
	if host == trust.DockerHub && !strings.Contains(path, "/") && path != "**" {
		path = "library/" + path
	}
	if err := checkPath(path); err != nil {
		return "", err
	}
	if strings.HasPrefix(host+"/"+path, "**/**") {
		return "", errors.New("it has ** next to **: one is enough")
	}
	return strings.TrimSuffix(host, ":443") + "/" + path, nil
}

// splitHost finds the registry as docker does, and refuses a leading wildcard that could mean a registry or a
// namespace of Docker Hub: the one who wrote it may have meant the other.
func splitHost(s string) (host, path string, err error) {
	first, rest, found := strings.Cut(s, "/")
	switch {
	case first == "**":
		return first, rest, nil
	case first != "" && strings.Trim(first, wildcards) == "":
		return "", "", fmt.Errorf("it begins with %q, which could be a registry or a namespace: write **/… for any registry or docker.io/%s for Docker Hub", first, s)
	case found && (strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first):
		return first, rest, nil
	}
	return trust.DockerHub, s, nil
}

func normaliseHost(host string) (string, error) {
	if host == "**" {
		return host, nil
	}
	if strings.Contains(host, "**") {
		return "", errors.New("it has ** inside a component: ** must stand alone between slashes, * is for part of a component")
	}
	if !strings.ContainsAny(host, wildcards) {
		return reference.Host(host)
	}
	// The sample has a letter or a digit for every wildcard, whichever may stand there.
	name, port, hasPort := strings.Cut(host, ":")
	sample := strings.NewReplacer("*", "a", "?", "a").Replace(name)
	if hasPort {
		sample += ":" + strings.NewReplacer("*", "1", "?", "1").Replace(port)
	}
	if strings.Contains(host, "[") {
		return "", errors.New("it has a wildcard in an IPv6 registry: write the address out, or ** for any registry")
	}
	if port == "443" {
		return "", errors.New("it names port 443 of several registries: leave the port out, it is the default")
	}
	if _, err := reference.Host(sample); err != nil {
		return "", fmt.Errorf("its registry %q cannot match any host name with an optional port", host)
	}
	return strings.ToLower(host), nil
}

func checkPath(path string) error {
	if strings.ToLower(path) != path {
		return fmt.Errorf("its repository must be lower case: write %s", strings.ToLower(path))
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch {
		case part == "":
			return errors.New("it has an empty component: leave out the extra slash, and end with /** to mean everything below")
		case part == "**" && i > 0 && parts[i-1] == "**":
			return errors.New("it has ** next to **: one is enough")
		case part != "**" && strings.Contains(part, "**"):
			return errors.New("it has ** inside a component: ** must stand alone between slashes, * is for part of a component")
		}
	}
	fixed := slices.DeleteFunc(parts, func(part string) bool { return part == "**" })
	if len(fixed) == 0 {
		return nil
	}
	// A letter is what may stand at any place of a component, so that a pattern whose sample is no repository can
	// match none.
	sample := strings.NewReplacer("*", "a", "?", "a").Replace(strings.Join(fixed, "/"))
	if _, err := reference.New(sampleHost, sample, ""); err != nil {
		return fmt.Errorf("its repository %q can match no repository: components are a-z and 0-9 with single . _ __ or dashes inside", path)
	}
	return nil
}
