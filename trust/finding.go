package trust

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Strength says how much one finding weighs. The zero value is Context: worth showing, worth nothing by itself.
type Strength int

// The strengths, from least to most. Their points are the policy's business (trust/policy).
const (
	Context Strength = iota
	Weak
	Strong
	Proof
)

var strengthNames = [...]string{Context: "context", Weak: "weak", Strong: "strong", Proof: "proof"}

// String is the word that JSON, rule files and people use.
func (s Strength) String() string {
	if s < 0 || int(s) >= len(strengthNames) {
		return fmt.Sprintf("strength(%d)", int(s))
	}
	return strengthNames[s]
}

// MarshalText writes the word.
func (s Strength) MarshalText() ([]byte, error) {
	if s < 0 || int(s) >= len(strengthNames) {
		return nil, fmt.Errorf("unknown strength %d", int(s))
	}
	return []byte(strengthNames[s]), nil
}

// UnmarshalText reads the word; anything else is an error.
func (s *Strength) UnmarshalText(text []byte) error {
	for i, name := range strengthNames {
		if name == string(text) {
			*s = Strength(i)
			return nil
		}
	}
	return fmt.Errorf("unknown strength %q", text)
}

// Kind says what sort of content a finding was made in, as far as its first bytes, name and mode tell.
type Kind string

// The kinds of content.
const (
	// KindConfig is a string of the image's own configuration or history: entrypoint, command, environment, labels.
	KindConfig Kind = "config"
	// KindExecutable is machine code or byte code: ELF, PE, Mach-O, WebAssembly.
	KindExecutable Kind = "executable"
	// KindScript is text that something may run: a shebang, the execute bit, or an interpreter's file name suffix.
	KindScript Kind = "script"
	// KindText is any other text: documentation, data, rule sets.
	KindText Kind = "text"
	// KindData is everything else.
	KindData Kind = "data"
)

// Reach says whether an image runs the content that a finding was made in. It is a fact about an image, not about a
// blob: whoever inspects one blob leaves it empty.
type Reach string

// How far content is reached, from most to least.
const (
	// ReachRuns is what starting the image leads to: its configuration, and every file that the entrypoint closure names.
	ReachRuns Reach = "runs"
	// ReachPresent is a file of the merged file system that nothing known runs.
	ReachPresent Reach = "present"
	// ReachHidden is a file that a later layer replaces or removes. It still arrives on the host.
	ReachHidden Reach = "hidden"
)

// Class marks findings that a policy weighs as a group of their own.
type Class string

// The classes; most findings have none.
const (
	// ClassNode is the algorithm of a coin in software that verifies blocks, such as a node or a wallet.
	ClassNode Class = "node"
	// ClassOpaque is content that hides what it holds and could not be unpacked: encrypted, mangled or unknown packing.
	ClassOpaque Class = "opaque"
)

// Nested separates, in Finding.Path, a file from the path of what was found wrapped in it: "app.tar.gz!/bin/x".
const Nested = "!/"

// ExcerptLimit bounds Finding.Excerpt, in bytes, so that hostile content cannot grow the memory of verdicts.
const ExcerptLimit = 256

// Finding is one sign of mining, seen at one place.
type Finding struct {
	// Check is the indicator that made it, with its version: "stratum@1".
	Check string `json:"check"`
	// Strength is what the finding weighs at the place where it stands.
	Strength Strength `json:"strength"`
	// IfRun is what it weighs when the image's configuration names the file as something to run; zero means no change.
	IfRun Strength `json:"ifRun,omitempty"`
	// Kind is the sort of content.
	Kind Kind `json:"kind,omitempty"`
	// Class is empty for most findings.
	Class Class `json:"class,omitempty"`
	// Reach is filled in by the judge, for the image that it judges.
	Reach Reach `json:"reach,omitempty"`
	// HiddenBy is the number of the layer, counted from 1, that replaces or removes a hidden file; 0 when not known.
	HiddenBy int `json:"hiddenBy,omitempty"`
	// Layer is the digest of the blob: a layer as the manifest names it, or the config.
	Layer digest.Digest `json:"layer,omitempty"`
	// Path is the file's path in the layer without a leading slash, with what Nested separates, or "config:entrypoint"
	// and the like.
	Path string `json:"path"`
	// Offset is in bytes from the start of the file.
	Offset int64 `json:"offset"`
	// Excerpt is the evidence itself, printable, at most ExcerptLimit bytes.
	Excerpt string `json:"excerpt,omitempty"`
	// Why is one sentence for a person.
	Why string `json:"why"`
}
