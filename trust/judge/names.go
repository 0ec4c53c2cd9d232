package judge

import (
	"fmt"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// fromEngine begins the repository of an image that an engine has under a name.
const fromEngine = "engine:"

// askLookAlike asks whom the name resembles. It costs no network, and its answer depends on nothing in the image.
func (c *inquiry) askLookAlike() {
	names := c.judge.Names
	if names == nil {
		return // not configured is no question
	}
	ref, named := nameOf(c.ref)
	switch standing := c.evidence.Standing; {
	case !named:
		c.evidence.NotAsked[askLookAlike] = "the image has no name of a registry"
		return
	case standing.Trusted():
		c.evidence.NotAsked[askLookAlike] = fmt.Sprintf("the trust lists allow %s", trust.Sanitise(standing.Decided.Pattern, 200))
		return
	}
	c.found(askLookAlike, names.Findings(ref))
	c.answered(askLookAlike)
}

// nameOf is the name of an image as somebody could pull it; false where it has none: files have paths, and engines know
// images by their IDs too.
func nameOf(ref trust.Reference) (trust.Reference, bool) {
	if ref.Registry != "" {
		return ref, true
	}
	name, ok := strings.CutPrefix(ref.Repository, fromEngine)
	if !ok {
		return ref, false
	}
	named, err := reference.Parse(name)
	return named, err == nil
}

// namesKey is what the memory of verdicts must tell apart by what is known of names.
func (j *Judge) namesKey() string {
	if j.Names == nil {
		return ""
	}
	return j.Names.Digest().String()
}
