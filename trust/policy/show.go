package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// maxFrom bounds the name of a file in a comment.
const maxFrom = 300

// YAML is the whole policy as a file that Load reads, with the same digest. Comments say which file each section is of, and
// each rule where that is another one.
func (p *Policy) YAML() ([]byte, error) { return p.doc.text(true) }

// Own are the sections that are of the policy's own file, not of the one that it overrides.
func (p *Policy) Own() []string {
	own := []string{}
	for section, file := range p.doc.from {
		if file == p.name {
			own = append(own, section)
		}
	}
	if p.doc.from["rules"] != p.name && slices.ContainsFunc(p.doc.Rules, func(r rule) bool { return r.from == p.name }) {
		own = append(own, "moreRules")
	}
	slices.Sort(own)
	return own
}

// text is the document as YAML, commented or bare. It is the same for documents that decide the same.
func (d document) text(commented bool) ([]byte, error) {
	d.Modes = append([]scope{}, d.Modes...)
	var top yaml.Node
	if err := top.Encode(d); err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		layOut(value, 0, key.Value == "rules")
		if commented && key.Value != "version" {
			key.HeadComment = "\n# " + trust.Sanitise(cmp.Or(d.from[key.Value], "not said"), maxFrom)
		}
		if commented && key.Value == "rules" {
			d.signed(value)
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&top); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return out.Bytes(), enc.Close()
}

// signed notes of rules which file they are of, where that changes.
func (d document) signed(rules *yaml.Node) {
	from := d.from["rules"]
	for i, r := range d.Rules {
		if r.from != from && i < len(rules.Content) {
			from = r.from
			rules.Content[i].HeadComment = "# " + trust.Sanitise(from, maxFrom)
		}
	}
}

// layOut puts what is small on one line: of what a section holds, lists and keys without others in them; of rules, signs.
func layOut(n *yaml.Node, depth int, rule bool) {
	if n.Kind == yaml.ScalarNode {
		return
	}
	small := depth > 0 && (!rule || depth > 2)
	for _, c := range n.Content {
		layOut(c, depth+1, rule)
		small = small && (c.Kind == yaml.ScalarNode || c.Style&yaml.FlowStyle != 0)
	}
	if small || len(n.Content) == 0 {
		n.Style |= yaml.FlowStyle
	}
}
