package scan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/safepull/safepull/trust"
)

// How much is kept of what indicators find; else hostile content could grow memory and store without end.
const (
	// findingsPerFile counts for each check by itself, so that no check can crowd out another.
	findingsPerFile = 16
	// plentyPerBlob is from how many findings of a check on only those are kept that could matter.
	plentyPerBlob = 512
	// heldPerBlob bounds the findings of one blob, in bytes. Which of its files an image runs is not known here, so that
	// the weightiest of every file is kept; where they are too many, the blob is unanswered.
	heldPerBlob = 8 << 20
	// chargedAtOnce is the least that memory for findings grows by, in bytes.
	chargedAtOnce = 64 << 10
	// findingSize is about what a finding takes beside its texts, in bytes.
	findingSize = 256
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
	// The first of each class, and the first that weighs most if the file runs, come before all others.
	type sort struct {
		class trust.Class
		ifRun trust.Strength
	}
	known := make(map[sort]bool)
	kept, rest := make([]trust.Finding, 0, len(found)), make([]trust.Finding, 0, len(found))
	for _, f := range found {
		if k := (sort{f.Class, weightIfRun(f)}); !known[k] {
			known[k] = true
			kept = append(kept, f)
		} else {
			rest = append(rest, f)
		}
	}
	found = append(kept, rest...)
	return found[:findingsPerFile]
}

// weightIfRun is what a finding weighs when the image runs the file that it stands in.
func weightIfRun(f trust.Finding) trust.Strength { return max(f.Strength, f.IfRun) }

// keeper collects the findings of one blob. Dropping must never change a verdict, whichever files the image runs: a
// finding may go only where one of its check, class and file stays that weighs at least as much, as it stands and if the
// file runs, or where it is worth nothing.
type keeper struct {
	checks   map[string][]trust.Finding
	held     int
	overflow error
	// hold charges memory; charged is what was charged.
	hold    func(int64) bool
	charged int
}

func (k *keeper) add(found []trust.Finding) {
	if len(found) == 0 || k.overflow != nil {
		return
	}
	if k.checks == nil {
		k.checks = make(map[string][]trust.Finding)
	}
	id := found[0].Check
	for _, f := range found {
		k.held += sizeOf(f)
	}
	k.checks[id] = append(k.checks[id], found...)
	most, fits := k.fits()
	if fits {
		return
	}
	k.held = 0
	for id, found := range k.checks {
		k.checks[id] = needed(found)
		for _, f := range k.checks[id] {
			k.held += sizeOf(f)
		}
	}
	if k.held > most/2 { // else the next look would come too soon
		k.overflow = fmt.Errorf("%w: findings of more than %d bytes, the last of check %s", trust.ErrLimit, most/2, id)
	}
}

// fits reports whether what is held may be, and how much may.
func (k *keeper) fits() (most int, fits bool) {
	switch {
	case k.held > heldPerBlob:
		return heldPerBlob, false
	case k.hold == nil || k.held <= k.charged:
		return heldPerBlob, true
	}
	more := max(chargedAtOnce, k.held-k.charged)
	if !k.hold(int64(more)) {
		return k.charged, false
	}
	k.charged += more
	return heldPerBlob, true
}

func sizeOf(f trust.Finding) int { return findingSize + len(f.Path) + len(f.Excerpt) + len(f.Why) }

// needed leaves the findings of one check that could matter, sorted, and the first plentyPerBlob of the others.
func needed(found []trust.Finding) []trust.Finding {
	sortFindings(found)
	if len(found) <= plentyPerBlob {
		return found
	}
	type place struct {
		path  string
		class trust.Class
	}
	type weight struct{ now, ifRun trust.Strength }
	kept := make(map[place]weight)
	out := found[:0]
	for i, f := range found {
		at := place{f.Path, f.Class}
		w, known := kept[at]
		matters := (!known || f.Strength > w.now || weightIfRun(f) > w.ifRun) && (weightIfRun(f) > trust.Context || f.Class != "")
		if matters {
			kept[at] = weight{max(w.now, f.Strength), max(w.ifRun, weightIfRun(f))}
		}
		if matters || i < plentyPerBlob {
			out = append(out, f)
		}
	}
	clear(found[len(out):])
	return out
}

// result is all that was kept, in an order that depends on the content alone, and an error if that is not enough.
func (k *keeper) result() ([]trust.Finding, error) {
	var all []trust.Finding
	for _, found := range k.checks {
		all = append(all, needed(found)...)
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
