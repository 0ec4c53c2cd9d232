// Package scan drives indicators over the content of an image: every file of a layer, a blob that is no layer, or a
// string of the image's configuration. It owns buffers, limits and failures, so that indicators stay small: one pass
// finds the literals of all of them, and an indicator that fails leaves the blob unanswered, never clean.
package scan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/match"
	"github.com/safepull/safepull/trust/unwrap"
)

// version grows whenever the same indicators could find something else, or be asked differently, in the same content.
const version = 15

// Check is the name under which the scanner itself reports.
const Check = "scan@1"

// Scanner asks a set of indicators about content. It is safe for concurrent use.
type Scanner struct {
	checks []check
	set    *match.Set
	// wakes[p] are the literals that pattern p of set stands for, lengths[p] is its length.
	wakes [][]wake
	// names[p] is the interpreter that pattern p gives away, mostly none.
	names    []string
	lengths  []int
	wrappers []unwrap.Wrapper
	// tail is how much of the end of a file is kept for wrappers that look at it.
	tail    int
	limits  Limits
	key     digest.Digest
	workers sync.Pool
}

type check struct {
	indicator.Indicator
	idler indicator.Idler // nil unless it is one
	id    string
}

// wake is one literal of one indicator.
type wake struct{ check, literal int }

// New makes a Scanner. Indicators need distinct names; ruleset is the digest of all their rules but for those that an
// indicator.Ruled brings itself. Content that wrappers take for their own is inspected as it stands and unwrapped.
func New(indicators []indicator.Indicator, wrappers []unwrap.Wrapper, ruleset digest.Digest, limits Limits) (*Scanner, error) {
	s := &Scanner{wrappers: wrappers, limits: limits.WithDefaults()}
	for _, in := range indicators {
		idler, _ := in.(indicator.Idler)
		s.checks = append(s.checks, check{Indicator: in, idler: idler, id: fmt.Sprintf("%s@%d", in.Name(), in.Version())})
	}
	// The order in which they were named has no say in anything.
	slices.SortStableFunc(s.checks, func(a, b check) int { return cmp.Compare(a.Name(), b.Name()) })
	for i, c := range s.checks {
		if c.Name() == "" || i > 0 && s.checks[i-1].Name() == c.Name() {
			return nil, fmt.Errorf("scan: indicator name %q is empty or used twice", c.Name())
		}
	}
	if err := s.merge(); err != nil {
		return nil, err
	}
	var names []string
	for _, u := range wrappers {
		names = append(names, u.Name())
		if _, ok := u.(unwrap.Ender); ok {
			s.tail = unwrap.TailBytes
		}
	}
	key, err := json.Marshal(struct {
		Version  int
		Checks   []string
		Wrappers []string
		Unwraps  int
		Ruleset  digest.Digest
		Limits   Limits
		Bounds   []int
		Ruled    map[string]digest.Digest `json:",omitempty"`
	}{version, s.Checks(), names, unwrap.Version, ruleset, s.limits, []int{findingsPerFile, plentyPerBlob, heldPerBlob, hitsPerFile, hitsPerBlob, bytesPerHit}, s.ruled()})
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	s.key = digest.FromBytes(key)
	s.workers.New = func() any { return s.newWorker() }
	return s, nil
}

// ruled are the digests of rules that indicators bring themselves, by check.
func (s *Scanner) ruled() map[string]digest.Digest {
	out := map[string]digest.Digest{}
	for _, c := range s.checks {
		if r, ok := c.Indicator.(indicator.Ruled); ok {
			out[c.id] = r.RulesDigest()
		}
	}
	return out
}

// merge makes one set of patterns out of all literals; a literal that several indicators have is one pattern.
func (s *Scanner) merge() error {
	var patterns []match.Pattern
	known := make(map[indicator.Literal]int)
	for i, c := range s.checks {
		for k, literal := range c.Literals() {
			p, ok := known[literal]
			if !ok {
				p = len(patterns)
				known[literal] = p
				pattern := match.Pattern{Bytes: []byte(literal.Text), Fold: literal.Fold, Sampled: literal.Sampled}
				if err := pattern.Check(); err != nil {
					return fmt.Errorf("scan: indicator %s: literal %d: %w", c.id, k, err)
				}
				patterns = append(patterns, pattern)
				s.wakes, s.lengths, s.names = append(s.wakes, nil), append(s.lengths, len(literal.Text)), append(s.names, "")
			}
			s.wakes[p] = append(s.wakes[p], wake{check: i, literal: k})
		}
	}
	for _, own := range append(programs(), program{discMagic, discName}, program{shcMark(), shcName}) {
		patterns = append(patterns, match.Pattern{Bytes: []byte(own.holds)})
		s.wakes, s.lengths, s.names = append(s.wakes, nil), append(s.lengths, len(own.holds)), append(s.names, own.name)
	}
	set, err := match.New(patterns)
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	s.set = set
	return nil
}

// Key is what an answer depends on besides the content: checks and their versions, all rules and limits.
func (s *Scanner) Key() digest.Digest { return s.key }

// Checks are the indicators with their versions, sorted: "stratum@1".
func (s *Scanner) Checks() []string {
	ids := make([]string, len(s.checks))
	for i, c := range s.checks {
		ids[i] = c.id
	}
	return ids
}

// Layer inspects the layer that desc describes. Errors are those of layer.Walk; besides, an indicator that fails is
// trust.ErrUnsupported, and content that makes more hits or findings than can be kept is trust.ErrLimit. With any of
// trust.ErrLimit, ErrMalformed and ErrUnsupported the findings so far are returned; after other errors there is no
// answer.
func (s *Scanner) Layer(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	return s.blob(ctx, r, desc, layer.Walk)
}

// Data inspects a blob that is no layer, such as an attestation. If it is compressed or a tar archive it is read as a
// layer, else as one file. Errors are those of Layer.
func (s *Scanner) Data(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	return s.blob(ctx, r, desc, layer.WalkData)
}

type walker func(context.Context, io.Reader, ocispec.Descriptor, layer.Limits, layer.Visitor) (layer.Summary, error)

func (s *Scanner) blob(ctx context.Context, r io.Reader, desc ocispec.Descriptor, walk walker) (trust.Inspection, error) {
	w := s.worker(desc.Digest)
	defer s.release(w)
	summary, err := walk(ctx, r, desc, s.limits.Layer, w)
	if err == nil && w.blob.fault != nil {
		err = fmt.Errorf("blob %s: %w", desc.Digest, w.blob.fault)
	}
	found, overflow := w.blob.kept.result()
	if err == nil && overflow != nil {
		err = fmt.Errorf("blob %s: %w", desc.Digest, overflow)
	}
	if err != nil && !unanswered(err) {
		return trust.Inspection{}, err
	}
	tree, cut := w.blob.tree.result()
	return trust.Inspection{Findings: found, DiffID: summary.DiffID, Tree: tree, TreeCut: cut, TOC: summary.TOC, Files: summary.Files, Bytes: summary.Bytes}, err
}

// unanswered reports whether err is about the content, so that what was found in it counts all the same.
func unanswered(err error) bool {
	return errors.Is(err, trust.ErrLimit) || errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrUnsupported)
}

// Text inspects a string of the image's configuration, named by blob and path. It cannot say that it failed: where
// Snippet has an error, Text has a finding of strength proof, so that the string never passes for clean.
func (s *Scanner) Text(blob digest.Digest, path string, kind trust.Kind, body []byte) []trust.Finding {
	found, err := s.Snippet(blob, path, kind, body)
	if err != nil {
		found = append(found, trust.Finding{
			Check: Check, Strength: trust.Proof, Kind: kind, Layer: blob, Path: trust.Sanitise(path, pathLimit),
			Why: trust.Sanitise(fmt.Sprintf("this text could not be inspected: %v", err), whyLimit),
		})
		sortFindings(found)
	}
	return found
}

// Snippet is Text with an error, which wraps trust.ErrUnsupported or trust.ErrLimit: what was found is returned too.
func (s *Scanner) Snippet(blob digest.Digest, path string, kind trust.Kind, body []byte) ([]trust.Finding, error) {
	return s.one(context.Background(), blob, subject{path: path, name: path, kind: kind, size: int64(len(body))}, bytes.NewReader(body), nil, false)
}

// File inspects one file of a layer again, with passwords for archives in it that were found elsewhere in the image.
// Errors are those of Snippet, and those of ctx and r, with which there is no answer.
func (s *Scanner) File(ctx context.Context, blob digest.Digest, e layer.Entry, r io.Reader, passwords []string) ([]trust.Finding, error) {
	return s.one(ctx, blob, subject{path: e.Path, name: e.Path, mode: e.Mode, size: e.Size}, r, passwords, true)
}

func (s *Scanner) one(ctx context.Context, blob digest.Digest, what subject, r io.Reader, passwords []string, again bool) ([]trust.Finding, error) {
	w := s.worker(blob)
	defer s.release(w)
	w.blob.nested.passwords, w.blob.nested.again = passwords, again
	w.blob.nested.beginFile()
	if err := w.follow(ctx, what, &clock{r: r, nested: &w.blob.nested}); err != nil {
		return nil, err
	}
	found, overflow := w.blob.kept.result()
	return found, cmp.Or(w.blob.fault, overflow)
}

// worker is ready for one blob, and nobody else's until it is released.
func (s *Scanner) worker(digest digest.Digest) *worker {
	w := s.workers.Get().(*worker)
	w.blob, w.depth, w.peels = &blob{digest: digest, nested: nested{limits: s.limits}}, 0, 0
	w.blob.kept.hold, w.blob.tree.hold = w.blob.nested.hold, w.blob.nested.hold
	return w
}

func (s *Scanner) release(w *worker) {
	w.blob, w.file = nil, indicator.File{}
	clear(w.watches)
	w.n, w.base, w.fresh, w.hits, w.pending = 0, 0, 0, 0, w.pending[:0]
	s.workers.Put(w)
}
