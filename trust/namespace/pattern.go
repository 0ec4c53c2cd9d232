package namespace

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// patternLimit bounds the work of one comparison: matching is polynomial in it.
const patternLimit = 512

const wildcards = "*?"

// pattern is a checked and normalised pattern, taken apart for matching.
type pattern struct {
	// name is the normalised glob without tag and digest; glob is name as doublestar must see it.
	name, glob string
	// prefix and suffix are the literal text before the first and after the last wildcard of name.
	prefix, suffix string
	// within is the longest literal text between wildcards, which every match holds.
	within string
	// below is true when the only wildcard is a ** at the end.
	below bool
	// tagPrefix and tagSuffix are the literal text around the tag's wildcards.
	tagPrefix, tagSuffix string
	tag                  string
	digest               digest.Digest
	rank                 rank
}

// rank orders patterns by specificity, field by field, larger is more specific.
type rank struct {
	digest, whole                int
	prefix, fixed                int
	globstars, stars, questions  int
	tagKind, tagPrefix, tagFixed int
}

func (a rank) compare(b rank) int {
	return cmp.Or(
		cmp.Compare(a.digest, b.digest), cmp.Compare(a.whole, b.whole),
		cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.fixed, b.fixed),
		cmp.Compare(a.globstars, b.globstars), cmp.Compare(a.stars, b.stars), cmp.Compare(a.questions, b.questions),
		cmp.Compare(a.tagKind, b.tagKind), cmp.Compare(a.tagPrefix, b.tagPrefix), cmp.Compare(a.tagFixed, b.tagFixed),
	)
}

// parsePattern normalises s; what it cannot read is refused with what to write instead.
func parsePattern(s string) (pattern, error) {
	switch {
	case s == "":
		return pattern{}, errors.New("it is empty: write a repository such as ghcr.io/acme/app, or ** for every image")
	case len(s) > patternLimit:
		return pattern{}, fmt.Errorf("it is longer than %d bytes: shorten it", patternLimit)
	case strings.Contains(s, "://"):
		return pattern{}, errors.New(`it is a URL: leave out everything up to "://"`)
	}
	name, dgst, hasDigest := strings.Cut(s, "@")
	name, tag, hasTag := cutTag(name)
	switch {
	case hasTag && hasDigest:
		return pattern{}, errors.New("it has both a tag and a digest: keep the digest alone")
	case hasTag:
		if err := checkTag(tag); err != nil {
			return pattern{}, err
		}
	case hasDigest:
		if _, err := reference.New("docker.io", "x", "sha256:"+strings.TrimPrefix(dgst, "sha256:")); err != nil || !strings.HasPrefix(dgst, "sha256:") {
			return pattern{}, errors.New("its digest must be sha256: and 64 lower case hexadecimal digits, without wildcards")
		}
	}
	name, err := normaliseName(name)
	if err != nil {
		return pattern{}, err
	}
	return newPattern(name, tag, digest.Digest(dgst)), nil
}

// Normalise is a pattern as lists have it.
func Normalise(pattern string) (string, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return "", fmt.Errorf("invalid pattern %s: %w", quote(pattern), err)
	}
	return p.String(), nil
}

func newPattern(name, tag string, dgst digest.Digest) pattern {
	p := pattern{name: name, glob: name, prefix: name, suffix: name, tag: tag, digest: dgst}
	if i := strings.IndexAny(name, wildcards); i >= 0 {
		p.prefix = name[:i]
		last := strings.LastIndexAny(name, wildcards) + 1
		p.suffix = name[last:]
		if strings.HasSuffix(name[:last], "**") {
			// "**" may stand for nothing, and the slash behind it is then the one before it.
			p.suffix = strings.TrimPrefix(p.suffix, "/")
		}
		for fragment := range strings.FieldsFuncSeq(name[i:last], func(r rune) bool { return strings.ContainsRune(wildcards, r) }) {
			if fragment = strings.Trim(fragment, "/"); len(fragment) > len(p.within) {
				p.within = fragment
			}
		}
	}
	p.below = name == p.prefix+"**"
	if i := strings.IndexAny(tag, wildcards); i >= 0 {
		p.tagPrefix, p.tagSuffix = tag[:i], tag[strings.LastIndexAny(tag, wildcards)+1:]
	}
	// doublestar lets "a/**" match "a" itself, which no reader of a list expects; and brackets are classes to it.
	if strings.HasSuffix(name, "**") {
		p.glob += "/*"
	}
	p.glob = strings.ReplaceAll(p.glob, "[", `\[`)
	p.rank = p.specificity()
	return p
}

func (p *pattern) specificity() rank {
	var r rank
	if p.digest != "" {
		r.digest = 1
	}
	if !strings.ContainsAny(p.name, wildcards) {
		r.whole = 1
	}
	globstars := strings.Count(p.name, "**")
	stars := strings.Count(p.name, "*") - 2*globstars
	r.prefix = len(p.prefix)
	r.fixed = len(p.name) - 2*globstars - stars
	r.globstars, r.stars, r.questions = -globstars, -stars, -strings.Count(p.name, "?")
	if p.tag != "" {
		r.tagKind = 2
		if i := strings.IndexAny(p.tag, wildcards); i >= 0 {
			r.tagKind, r.tagPrefix, r.tagFixed = 1, i, len(p.tag)-strings.Count(p.tag, "*")
		}
	}
	return r
}

// String is the normalised spelling.
func (p *pattern) String() string {
	s := p.name
	if p.tag != "" {
		s += ":" + p.tag
	}
	if p.digest != "" {
		s += "@" + p.digest.String()
	}
	return s
}

func (p *pattern) literal() bool { return p.rank.whole == 1 }

// component is the longest component without wildcards that stands behind one with some, "" when there is none.
func (p *pattern) component() string {
	longest := ""
	for part := range strings.SplitSeq(p.name[strings.LastIndexByte(p.prefix, '/')+1:], "/") {
		if !strings.ContainsAny(part, wildcards) && len(part) > len(longest) {
			longest = part
		}
	}
	if p.literal() {
		return ""
	}
	return longest
}

func (p *pattern) matchName(name string) bool {
	if p.literal() {
		return p.name == name
	}
	if p.below {
		return len(name) > len(p.prefix) && strings.HasPrefix(name, p.prefix)
	}
	return len(name) >= len(p.prefix)+len(p.suffix) && strings.HasPrefix(name, p.prefix) && strings.HasSuffix(name, p.suffix) &&
		strings.Contains(name, p.within) && doublestar.MatchUnvalidated(p.glob, name)
}

// matchTarget compares tag and digest.
func (p *pattern) matchTarget(ref trust.Reference) bool {
	if p.digest != "" {
		return p.digest == ref.Digest || p.digest == ref.Index
	}
	if p.tag == "" || ref.Tag == "" {
		return p.tag == ""
	}
	return strings.HasPrefix(ref.Tag, p.tagPrefix) && strings.HasSuffix(ref.Tag, p.tagSuffix) && doublestar.MatchUnvalidated(p.tag, ref.Tag)
}

// matchable is the name of a reference as patterns spell it: port 443 goes without saying.
func matchable(ref trust.Reference) string {
	return strings.TrimSuffix(ref.Registry, ":443") + "/" + ref.Repository
}

// cutTag takes off what follows the last colon, unless that colon belongs to the registry.
func cutTag(name string) (rest, tag string, found bool) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.Contains(name[i:], "/") {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func checkTag(tag string) error {
	if strings.Contains(tag, "**") {
		return errors.New("its tag holds **: write * there, a tag has no components")
	}
	// The widest thing that a wildcard can stand for at any place of a tag is a letter.
	sample := strings.NewReplacer("*", "a", "?", "a").Replace(tag)
	if _, err := reference.New("docker.io", "x", sample); err != nil || tag == "" || strings.Contains(tag, ":") {
		return errors.New("its tag must be 1 to 128 of A-Z, a-z, 0-9, _, . and -, with * and ? as wildcards: leave out the colon to mean every tag")
	}
	return nil
}
