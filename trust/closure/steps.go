package closure

import (
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// starter is what leads to a file: another one, or a part of the configuration.
type starter struct {
	file *rootfs.File
	part string // "config:command" and the like, where file is nil
}

// maxTold bounds the steps of one image: they go into its verdict.
const maxTold = 256

// Steps are how the image comes to the files that findings were made in, each step once. A file that only words of the
// configuration name has none.
func (c *Closure) Steps(findings []trust.Finding) []trust.Step {
	var steps []trust.Step
	told := map[*rootfs.File]bool{}
	tell := func(f *rootfs.File) {
		for f != nil && !told[f] && len(steps) < maxTold {
			told[f] = true
			by, known := c.by[f]
			if !known {
				return
			}
			step := trust.Step{By: by.part, Path: trust.Sanitise(f.Path, maxPath), Layer: f.Layer}
			if by.file != nil {
				step.By = trust.Sanitise(by.file.Path, maxPath)
			}
			steps = append(steps, step)
			f = by.file
		}
	}
	if c.view == nil || c.all != "" {
		return nil
	}
	for _, finding := range findings {
		if finding.Reach != trust.ReachRuns {
			continue
		}
		name := finding.Path
		if script, ok := strings.CutPrefix(name, "closure:"); ok {
			name = script
		}
		for outer := range outers(name) {
			for _, f := range c.view.Files(finding.Layer, outer) {
				if c.reached[f] {
					tell(f)
				}
			}
		}
	}
	return steps
}
