package scan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/safepull/safepull/trust"
)

// How much is kept of what indicators find; else hostile content could grow memory and store without end.
const (
	// findingsPerFile and findingsPerBlob count for each check by itself, so that no check can crowd out another.
	findingsPerFile = 16
	findingsPerBlob = 512
	// pathLimit and whyLimit bound texts of a finding, in bytes.
	pathLimit = 4096
	whyLimit  = 512
)

// keep completes what a check found in the current file and keeps the weightiest. All of it stands at one path, so
// that the two findings that weigh most, as they are and if the file is run, decide; they are always kept.
func (w *worker) keep(i int, found []trust.Finding) error {
	if len(found) == 0 {
		return nil
	}
	path := trust.Sanitise(w.file.Path, pathLimit)
	done := make([]trust.Finding, 0, min(len(found), 2*findingsPerFile+1))
	for _, f := range found {
		if f.Strength < trust.Context || f.Strength > trust.Proof || f.IfRun < trust.Context || f.IfRun > trust.Proof {
			return fmt.Errorf("%w: indicator %s reports a strength that does not exist", trust.ErrUnsupported, w.scanner.checks[i].id)
		}
		f.Check, f.Kind, f.Layer, f.Path = w.scanner.checks[i].id, w.file.Kind, w.blob.digest, path
		f.Excerpt, f.Why = trust.Sanitise(f.Excerpt, trust.ExcerptLimit), trust.Sanitise(f.Why, whyLimit)
		if done = append(done, f); len(done) > 2*findingsPerFile {
			done = heaviest(done)
		}
	}
	w.blob.kept.add(heaviest(done))
	return nil
}

// heaviest cuts the findings of one check in one file down to findingsPerFile.
func heaviest(found []trust.Finding) []trust.Finding {
	sortFindings(found)
	if len(found) <= findingsPerFile {
		return found
	}
	ifRun := 0
	for i, f := range found {
		if weightIfRun(f) > weightIfRun(found[ifRun]) {
			ifRun = i
		}
	}
	if ifRun >= findingsPerFile {
		found[findingsPerFile-1] = found[ifRun]
	}
	return found[:findingsPerFile]
}

// weightIfRun is what a finding weighs when the image runs the file that it stands in.
func weightIfRun(f trust.Finding) trust.Strength { return max(f.Strength, f.IfRun) }

// keeper collects the findings of one blob, bounded for each check. Dropping must never change a verdict: a finding
// may go only if a finding of its check that stays weighs as much by itself as the dropped one could at the most.
type keeper struct {
	checks   map[string][]trust.Finding
	overflow error
}

func (k *keeper) add(found []trust.Finding) {
	if len(found) == 0 {
		return
	}
	if k.checks == nil {
		k.checks = make(map[string][]trust.Finding)
	}
	id := found[0].Check
	k.checks[id] = append(k.checks[id], found...)
	if len(k.checks[id]) > 2*findingsPerBlob {
		k.checks[id] = k.cut(k.checks[id])
	}
}

// cut leaves findingsPerBlob findings of one check.
func (k *keeper) cut(found []trust.Finding) []trust.Finding {
	if len(found) <= findingsPerBlob {
		return found
	}
	strongest := trust.Context
	for _, f := range found {
		strongest = max(strongest, f.Strength)
	}
	needed := func(f trust.Finding) bool { return weightIfRun(f) > strongest }
	// The strongest first, then what is needed, then the rest.
	sortFindings(found)
	slices.SortStableFunc(found[1:], func(a, b trust.Finding) int {
		switch {
		case needed(a) == needed(b):
			return 0
		case needed(a):
			return -1
		}
		return 1
	})
	if needed(found[findingsPerBlob]) {
		k.overflow = fmt.Errorf("%w: more than %d findings of check %s", trust.ErrLimit, findingsPerBlob, found[0].Check)
	}
	clear(found[findingsPerBlob:])
	return found[:findingsPerBlob]
}

// result is all that was kept, in an order that depends on the content alone, and an error if that is not enough.
func (k *keeper) result() ([]trust.Finding, error) {
	var all []trust.Finding
	for _, found := range k.checks {
		all = append(all, k.cut(found)...)
	}
	sortFindings(all)
	return all, k.overflow
}

// sortFindings puts the strongest first; after that the order is that of the path and the place in the file.
func sortFindings(found []trust.Finding) {
	slices.SortStableFunc(found, func(a, b trust.Finding) int {
		return cmp.Or(
			-cmp.Compare(a.Strength, b.Strength), -cmp.Compare(weightIfRun(a), weightIfRun(b)),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Check, b.Check),
			cmp.Compare(a.Excerpt, b.Excerpt), cmp.Compare(a.Why, b.Why))
	})
}
