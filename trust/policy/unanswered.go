package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// publisherQuestion names the question about the reputation of a publisher; parts of it follow a colon. All other
// questions are about content.
const publisherQuestion = "publisher"

// unanswered says what happens when questions stay open, by what they are about.
type unanswered struct {
	Content    trust.Action `yaml:"content"`
	Reputation trust.Action `yaml:"reputation"`
}

// UnmarshalYAML also takes one word, which is about content.
func (u *unanswered) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&u.Content)
	}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != "content" && key.Value != "reputation" {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: field %s not found in type unanswered", key.Line, trust.Sanitise(key.Value, 40))}}
		}
	}
	type plain unanswered
	return n.Decode((*plain)(u))
}

func (u unanswered) validate(f *faults) {
	if u.Content != trust.Quarantine && u.Content != trust.Block {
		f.at([]string{"unanswered", "content"}, "unanswered: content is %q: use quarantine or block, because unknown is not clean", u.Content)
	}
	if u.Reputation == "" || u.Reputation == trust.Allow {
		f.at([]string{"unanswered", "reputation"}, "unanswered: reputation is %q: use warn, quarantine or block, because no answer is no good name", u.Reputation)
	}
}

// questions are those of one class, with what happens when they stay open.
type questions struct {
	action     trust.Action
	reputation bool
}

func (u unanswered) classes() [2]questions {
	return [2]questions{{u.Content, false}, {u.Reputation, true}}
}

// of is one sentence for each open question of the class.
func (q questions) of(open map[string]string) []string {
	var out []string
	for _, question := range slices.Sorted(maps.Keys(open)) {
		if q.about(question) {
			why := open[question]
			if question == signatureQuestion { // nothing is wrong with content
				why = strings.TrimSuffix(why, ": "+trust.ErrUnsupported.Error())
			}
			out = append(out, fmt.Sprintf("unanswered: %s: %s", question, why))
		}
	}
	return out
}

// about reports whether a question is of the class.
func (q questions) about(question string) bool {
	name, _, _ := strings.Cut(question, ":")
	return (name == publisherQuestion) == q.reputation
}

// nameUnknown reports whether an image has a name in a registry that no trust entry and no registry says anything good
// about. What files call an image is no name.
func nameUnknown(e trust.Evidence) bool {
	return e.Reference.Registry != "" && e.Standing.Decided == nil && len(e.Vouched) == 0
}

func unknownName(e trust.Evidence, to trust.Action) string {
	return fmt.Sprintf("nobody here knows %s: no trust list has an entry for it, and no registry vouches for it: unknown name, %s",
		trust.Sanitise(e.Reference.Namespace(), 160), to)
}
