// Package wire introduces the parts to each other: it is the only place that names concrete stores, sources and
// indicators. It decides nothing.
package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust/campaign"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/indicator/yara"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
	wrappers "github.com/safepull/safepull/trust/unwrap/all"
)

// sources say where a judgement's data come from; an empty path means what is shipped.
type sources struct {
	policy string
	rules  string
	lists  []listFile
	// organization is a list that was fetched; nil where there is none.
	organization *namespace.List
	// yara are files and folders of the user's own YARA rules.
	yara []string
	// shippedList is true when the shipped trust list counts beside lists.
	shippedList bool
	limits      scan.Limits
	layers      int
	// inflate names what undoes gzip; empty means the default.
	inflate string
	// image bounds what all layers of an image unpack to, in bytes; zero means the judge's default.
	image int64
	// artifact bounds the blobs of an artifact, in bytes; zero means the judge's default.
	artifact int64
	// clamd is where ClamAV is asked; nobody is with an empty address.
	clamd clamav.Options
}

// listFile is a trust list of a level.
type listFile struct{ level, path string }

func listFiles(level string, paths ...string) []listFile {
	files := make([]listFile, len(paths))
	for i, path := range paths {
		files[i] = listFile{level, path}
	}
	return files
}

// inForce is what the files of sources hold.
type inForce struct {
	from   sources
	rules  *ruleset.Ruleset
	policy *policy.Policy
	lists  *liveLists
	yara   *yara.Indicator   // nil without YARA rules
	clamav *clamav.Indicator // nil unless configured
	// signatures checks who signed an image; nil where nobody can.
	signatures judge.Signatures
}

func loadFiles(from sources) (l inForce, err error) {
	l.from = from
	lists, err := loadLists(from)
	if err != nil {
		return l, err
	}
	l.lists = newLiveLists(lists)
	if l.rules, err = loadRules(from.rules); err != nil {
		return l, err
	}
	if l.yara, err = loadYARA(from.yara); err != nil {
		return l, err
	}
	if from.clamd.Address != "" {
		if l.clamav, err = clamav.New(from.clamd); err != nil {
			return l, err
		}
	}
	l.policy, err = loadPolicy(from.policy)
	return l, err
}

// indicators are all of them, with their rules, and the user's own.
func (l inForce) indicators() ([]indicator.Indicator, error) {
	var own []indicator.Indicator
	if l.yara != nil {
		own = append(own, l.yara)
	}
	indicators, err := all.New(l.rules, own...)
	if err != nil {
		return nil, fmt.Errorf("rules %s: %w", cmp.Or(l.from.rules, "as shipped"), err)
	}
	if l.clamav != nil {
		indicators = append(indicators, l.clamav)
	}
	return indicators, nil
}

func (l inForce) scanner(indicators []indicator.Indicator) (*scan.Scanner, error) {
	limits := l.from.limits
	var err error
	if limits.Layer.Inflate, err = layer.NewInflate(l.from.inflate); err != nil {
		return nil, err
	}
	return scan.New(indicators, wrappers.New(), l.rules.Digest(), limits)
}

// judge assembles a judge over a memory. Publishers may be nil.
func (l inForce) judge(memory judge.Memory, publishers judge.Publishers) (*judge.Judge, error) {
	indicators, err := l.indicators()
	if err != nil {
		return nil, err
	}
	scanner, err := l.scanner(indicators)
	if err != nil {
		return nil, err
	}
	names, err := loadNames()
	if err != nil {
		return nil, err
	}
	campaigns, _ := memory.(campaign.Memory) // a memory that keeps nothing knows of no campaign
	return judge.New(judge.Options{
		Scanner: l.asking(scanner), Policy: l.policy, Lists: l.lists, Memory: memory, Names: names, Publishers: publishers, Signatures: l.signatures, Campaigns: campaigns,
		LayersInWork: l.from.layers, Limits: l.from.limits.Layer, ImageBytes: l.from.image, ArtifactBytes: l.from.artifact,
	})
}

// fields name the files and the digests of what they hold, for a log: files that change later count at the next start.
func (l inForce) fields() map[string]any {
	var lists []string
	for _, list := range l.from.lists {
		lists = append(lists, list.path)
	}
	if l.from.shippedList {
		lists = append(lists, "as shipped")
	}
	fields := map[string]any{
		"policy": cmp.Or(l.from.policy, "as shipped"), "policyDigest": l.policy.Digest().String(),
		"rules": cmp.Or(l.from.rules, "as shipped"), "rulesDigest": l.rules.Digest().String(),
		"trustLists": strings.Join(lists, ", "), "trustListsDigest": l.lists.Digest().String(),
		"trustEntries": len(l.lists.Entries()), "clamd": l.from.clamd.Address,
	}
	if l.yara != nil {
		fields["yara"], fields["yaraDigest"] = strings.Join(l.from.yara, ", "), l.yara.RulesDigest().String()
		fields["yaraRules"] = len(l.yara.Rules().Names())
	}
	return fields
}

func loadRules(path string) (*ruleset.Ruleset, error) {
	if path != "" {
		rules, err := ruleset.Load(os.DirFS(path))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return rules, nil
	}
	shipped, err := configs.Rules()
	if err != nil {
		return nil, err
	}
	return ruleset.Load(shipped)
}

// loadPolicy reads a shipped policy by its name, or a file.
func loadPolicy(path string) (*policy.Policy, error) {
	shipped, err := policy.Load("shipped policy", bytes.NewReader(configs.DefaultPolicy()))
	if path == "" || path == "default" || err != nil {
		return shipped, err
	}
	if body, ok := configs.Policy(path); ok {
		return shipped.Override("shipped policy "+path, bytes.NewReader(body))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	loaded, err := shipped.Override(path, f)
	return loaded, errors.Join(err, f.Close())
}

// loadLists reads the trust lists. A file that does not exist is an error, so that a mistyped path is not an empty list.
func loadLists(from sources) (*namespace.Lists, error) {
	var lists []*namespace.List
	add := func(level, name string, r io.Reader) error {
		list, err := namespace.Load(name, r)
		if err == nil {
			lists = append(lists, list.At(level))
		}
		return err
	}
	if from.shippedList {
		if err := add(namespace.Shipped, "shipped trust list", bytes.NewReader(configs.DefaultTrust())); err != nil {
			return nil, err
		}
	}
	if from.organization != nil {
		lists = append(lists, from.organization)
	}
	for _, list := range from.lists {
		f, err := os.Open(list.path)
		if err != nil {
			return nil, fmt.Errorf("trust list: %w", err)
		}
		if err := errors.Join(add(list.level, list.path, f), f.Close()); err != nil {
			return nil, err
		}
	}
	return namespace.Combine(lists...), nil
}

// existing keeps the paths that exist; files of the user's own folder are optional.
func existing(paths ...string) []string {
	var found []string
	for _, p := range paths {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, p)
		}
	}
	return found
}
