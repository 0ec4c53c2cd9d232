package judge

import (
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// nameHiding says of hidden findings which layer hides their files: the first above theirs that has the same path, a file
// in place of a folder above it, or a whiteout of either. Where links are on the way it is not known.
func (c *inquiry) nameHiding() {
	type place struct{ finding, layer int }
	exact, below := map[string][]place{}, map[string][]place{}
	for i, f := range c.evidence.Findings {
		if f.Reach != trust.ReachHidden {
			continue
		}
		file, _, _ := strings.Cut(f.Path, trust.Nested)
		p := place{i, c.layerOf(f.Layer)}
		exact[file] = append(exact[file], p)
		for dir := path.Dir(file); dir != "." && dir != "/"; dir = path.Dir(dir) {
			below[dir] = append(below[dir], p)
		}
	}
	if len(exact) == 0 {
		return
	}
	for i := range c.manifest.Layers {
		hide := func(places []place) {
			for _, p := range places {
				if f := &c.evidence.Findings[p.finding]; p.layer < i && f.HiddenBy == 0 {
					f.HiddenBy = i + 1
				}
			}
		}
		tree := c.trees.of[i]
		for e := range tree.All() {
			dir, base := path.Split(e.Path)
			dir = strings.TrimSuffix(dir, "/")
			switch gone, whiteout := strings.CutPrefix(base, ".wh."); {
			case base == ".wh..wh..opq":
				hide(below[dir])
			case whiteout:
				hide(exact[path.Join(dir, gone)])
				hide(below[path.Join(dir, gone)])
			case e.Type == trust.TypeDir:
			default:
				hide(exact[e.Path])
				hide(below[e.Path])
			}
		}
	}
}

// steps are how the image comes to what was found, with the words of the configuration where they say it themselves.
func (c *inquiry) steps(followed []trust.Step) []trust.Step {
	for i, s := range followed {
		for _, first := range c.evidence.Steps {
			if s.By == "config:command" && s.Path == first.Path {
				followed[i].By = first.By
				break
			}
		}
	}
	return append(followed, c.evidence.Steps...)
}
