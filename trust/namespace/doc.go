// Package namespace matches references against trust lists: YAML files of entries that allow or deny images by a
// glob over registry, namespace and repository. A list looks like this:
//
//	version: 1
//	entries:
//	  - pattern: ghcr.io/acme/**
//	    action: allow
//	    reason: built by our own CI
//	    owner: platform@acme.example
//	    expires: 2027-01-31
//	  - pattern: docker.io/azurenql/**
//	    action: deny
//
// # Patterns
//
// A pattern is a repository, optionally with ":tag" or "@sha256:…". "?" is one character and "*" any run of
// characters within one component; "**" is a whole component that stands for any number of components, and for at
// least one where it ends the pattern. The tag may hold "?" and "*", the digest may not. Patterns are normalised as
// references are: "alpine" is docker.io/library/alpine and "acme/*" is docker.io/acme/*; any registry is "**/". Port
// 443 goes without saying.
//
// # Precedence
//
// The most specific pattern that matches decides. A pattern with a digest is more specific than one without; then one
// that names a whole repository more than one with wildcards. Between two with wildcards, what counts is the longer
// literal text before the first wildcard, then more fixed characters, then fewer "**", fewer "*" and fewer "?". What
// is still equal is told apart by the tag: an exact one, then one with wildcards, then none. At equal specificity deny
// beats allow, and an allow that keeps the inspection beats one that waives it.
//
// An expired entry has no effect. A date means the beginning of that day, UTC. "inspect: false", which also waives
// the inspection of layers, goes with allow only and needs reason, owner and expires.
package namespace
