package namespace

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const (
	allow       = "allow"
	deny        = "deny"
	tierTrusted = "trusted"
)

// The levels of lists, from the lowest. A list may be stricter than those of lower levels, and more lenient where no
// entry of theirs is locked.
const (
	Shipped      = "shipped"
	Organization = "organization"
	User         = "user"
	CommandLine  = "command line"
)

// height is the place of a level; a list without one stands with the shipped one.
func height(level string) int {
	return max(slices.Index([]string{Shipped, Organization, User, CommandLine}, level), 0)
}

// List is one loaded trust list. It does not change.
type List struct {
	rules []rule
}

// rule is an entry with its pattern taken apart.
type rule struct {
	entry   trust.Entry
	pattern pattern
	height  int
	// place is the rule's place in the order of precedence among all rules of the lists. It depends on no reference.
	place int32
}

// At is the list as one of a level.
func (l *List) At(level string) *List {
	at := &List{rules: slices.Clone(l.rules)}
	for i := range at.rules {
		at.rules[i].entry.Level, at.rules[i].height = level, height(level)
	}
	return at
}

// Entries are the entries in the order of the file.
func (l *List) Entries() []trust.Entry { return entriesOfRules(l.rules) }

// Lists are several trust lists as one set, indexed for matching. It does not change, so that it may be used by any
// number of goroutines.
type Lists struct {
	rules  []rule
	index  index
	digest digest.Digest
}

// Combine makes several lists one set. Their order decides nothing.
func Combine(lists ...*List) *Lists {
	var l Lists
	for _, list := range lists {
		if list != nil {
			l.rules = append(l.rules, list.rules...)
		}
	}
	lines := make([]string, len(l.rules))
	for i := range l.rules {
		lines[i] = content(l.rules[i].entry)
	}
	arrange(l.rules, lines)
	l.index = newIndex(l.rules)
	l.digest = contentDigest(lines)
	return &l
}

// Digest names the content of all entries: it stays when entries change their place and changes when anything else
// about them does.
func (l *Lists) Digest() digest.Digest { return l.digest }

// Entries are all entries in the order of the files, expired ones too.
func (l *Lists) Entries() []trust.Entry { return entriesOfRules(l.rules) }

func entriesOfRules(rules []rule) []trust.Entry {
	entries := make([]trust.Entry, len(rules))
	for i := range rules {
		entries[i] = rules[i].entry
	}
	return entries
}

// arrange gives the rules their places. What is equal in all that precedence looks at is told apart by its text, so
// that the order of entries and lists has no say.
func arrange(rules []rule, lines []string) {
	order := make([]int, len(rules))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int {
		a, b := &rules[i], &rules[k]
		return cmp.Or(precedence(a, b), cmp.Compare(lines[i], lines[k]), cmp.Compare(a.entry.List, b.entry.List), cmp.Compare(a.entry.Line, b.entry.Line))
	})
	for place, i := range order {
		rules[i].place = int32(place)
	}
}

// contentDigest sorts lines.
func contentDigest(lines []string) digest.Digest {
	slices.Sort(lines)
	hash := digest.SHA256.Digester()
	for _, line := range lines {
		_, _ = hash.Hash().Write([]byte(line + "\n"))
	}
	return hash.Digest()
}

// content is an entry as text, without where it stands.
func content(e trust.Entry) string {
	e.List, e.Line = "", 0
	e.Expires = e.Expires.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		// Load keeps years within what JSON can carry; if that ever failed, the entries' own text still differs.
		return e.Pattern + "\x00" + e.Action + "\x00" + e.Expires.String()
	}
	return string(line)
}
