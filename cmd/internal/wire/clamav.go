package wire

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
)

// asking is the scanner, with its answers bound to the signatures of ClamAV where that is asked.
func (l inForce) asking(scanner *scan.Scanner) judge.Scanner {
	if l.clamav == nil {
		return scanner
	}
	return asksClamAV{scanner, l.clamav}
}

// asksClamAV is a scanner one of whose indicators is ClamAV: what it answers depends on signatures that change while we
// run, and on a daemon that may be away.
type asksClamAV struct {
	*scan.Scanner
	clamav *clamav.Indicator
}

// Key implements judge.Scanner: with other signatures, every question is another one.
func (s asksClamAV) Key() digest.Digest {
	return digest.FromString(s.Scanner.Key().String() + "\n" + s.clamav.Database())
}

// Layer implements judge.Scanner.
func (s asksClamAV) Layer(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	return s.passing(func() (trust.Inspection, error) { return s.Scanner.Layer(ctx, r, desc) })
}

// Data implements judge.Scanner.
func (s asksClamAV) Data(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	return s.passing(func() (trust.Inspection, error) { return s.Scanner.Data(ctx, r, desc) })
}

// File implements judge.Opener.
func (s asksClamAV) File(ctx context.Context, blob digest.Digest, e layer.Entry, r io.Reader, passwords []string) ([]trust.Finding, error) {
	found, err := s.passing(func() (trust.Inspection, error) {
		found, err := s.Scanner.File(ctx, blob, e, r, passwords)
		return trust.Inspection{Findings: found}, err
	})
	return found.Findings, err
}

// passing marks what stays unanswered while clamd fails, here or for another blob: asking again may answer it.
func (s asksClamAV) passing(ask func() (trust.Inspection, error)) (trust.Inspection, error) {
	before := s.clamav.Failures()
	found, err := ask()
	if err != nil && s.clamav.Failures() != before {
		err = fmt.Errorf("%w%.0w", err, trust.ErrUnavailable)
	}
	return found, err
}

// aboutClamAV explains the check that has no rule file.
func aboutClamAV() ruleset.About {
	return ruleset.About{
		Sign: "files that ClamAV knows, asked through clamd",
		Means: "ClamAV has a signature for the file, whose name is the excerpt. Names of miners are proof, other malware is strong, " +
			"and what ClamAV itself calls potentially unwanted is weak.",
		Matters:    "Its signatures are made by others, every day, and know more than mining.",
		LookAlikes: []string{"False alarms of ClamAV: report them there; until then, an entry in a trust list for the digest releases the image."},
	}
}

// aboutYARA explains the check whose rules users bring.
func aboutYARA() ruleset.About {
	return ruleset.About{
		Sign:       "what your own YARA rules describe",
		Means:      "One of the YARA rules that were given to safepull fits the file. How strong that is, the rule says itself, in its meta section.",
		Matters:    "You know what you look for.",
		LookAlikes: []string{"What the rule's author did not think of: the excerpt names the rule."},
	}
}

// clamdFrom is where the environment says that clamd is, in the same words as for the proxy.
func clamdFrom(env func(string) string) (clamav.Options, error) {
	o := clamav.Options{Address: env("SAFEPULL_CLAMD_ADDRESS")}
	if s := env("SAFEPULL_CLAMD_TIMEOUT"); s != "" {
		var err error
		if o.Timeout, err = time.ParseDuration(s); err != nil || o.Timeout < time.Second || o.Timeout > time.Hour {
			return o, fmt.Errorf("SAFEPULL_CLAMD_TIMEOUT is %q: write a time from 1s to 1h", s)
		}
	}
	if s := env("SAFEPULL_CLAMD_MAX_STREAM"); s != "" {
		var err error
		if o.MaxStream, err = strconv.ParseInt(s, 10, 64); err != nil || o.MaxStream < 0 {
			return o, fmt.Errorf("SAFEPULL_CLAMD_MAX_STREAM is %q: write a number of bytes", s)
		}
	}
	return o, nil
}
