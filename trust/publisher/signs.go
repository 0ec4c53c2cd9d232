package publisher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
)

// Name and Version are those of the check, and Check is both, as findings have it. Part begins the paths of findings.
// Version grows whenever the same records and shapes could give another answer.
const (
	Name    = "publisher"
	Version = 2
	Check   = "publisher@2"
	Part    = "publisher:"
)

// The parts that findings are about.
const (
	partAccount    = "account"
	partRepository = "repository"
	partTag        = "tag"
)

// The numbers of signs. Each is far from what honest publishers come to.
const (
	// youngAccount and newAccount are ages at which so many pulls are no matter of people who found an image useful.
	youngAccount, youngPulls = 30 * 24 * time.Hour, 100_000
	newAccount, newPulls     = 90 * 24 * time.Hour, 1_000_000
	// A repository that was known for quietAge and then has suddenPulls more within suddenWithin, suddenTimes as many as
	// before, while at most fewStars people more gave it a star.
	quietAge     = 60 * 24 * time.Hour
	suddenPulls  = 500_000
	suddenTimes  = 20
	suddenWithin = 31 * 24 * time.Hour
	fewStars     = 5
	// brandRepositories of a new account, and at least half of all, that are called as what others are known for.
	brandRepositories = 3
	// changesCount is how long a change is a sign.
	changesCount = 365 * 24 * time.Hour
)

// VouchedFor is how long a registry's word for somebody counts where nobody asks it again.
const VouchedFor = 90 * 24 * time.Hour

// Known is what is known of an image's publisher: records of what the registry told; zero where it was not asked.
type Known struct {
	// Title is what people call the registry.
	Title      string `json:"registry"`
	Account    Record `json:"account,omitzero"`
	Repository Record `json:"repository,omitzero"`
	Listing    Record `json:"repositories,omitzero"`
}

// Add files a record under its kind.
func (k *Known) Add(r Record) {
	switch kind, _, _ := strings.Cut(r.Key, " "); Kind(kind) {
	case KindAccount:
		k.Account = r
	case KindRepository:
		k.Repository = r
	case KindListing:
		k.Listing = r
	}
}

// Signs are the findings in what is known at a time. Brand says of a repository's name whether others are known for it; nil
// is that nobody is.
func (k Known) Signs(now time.Time, brand func(string) bool) []trust.Finding {
	var out []trust.Finding
	for _, sign := range []func(time.Time) (trust.Finding, bool){k.replaced, k.returned, k.badgeLost, k.younger, k.popular, k.sudden} {
		if f, ok := sign(now); ok {
			out = append(out, f)
		}
	}
	if f, ok := k.brands(now, brand); ok {
		out = append(out, f)
	}
	return out
}

// Vouched are facts that speak for the publisher, one sentence each. Only the registry's own word for who it is counts,
// not older than 90 days, and only while the account is the one that was first seen.
func (k Known) Vouched(now time.Time) []string {
	r := k.Account
	if r.Key == "" { // official images have no account
		r = k.Repository
	}
	if _, another := r.last(changeReplaced, now); another || r.Now.Missing || !r.Now.Badged() || r.age(now) > VouchedFor {
		return nil
	}
	return []string{trust.Sanitise(fmt.Sprintf("%s says that %q is %s", k.Title, short(r.name()), badge(*r.Now.Badge)), 200)}
}

// finding is a sign about a part; why is a sentence without its subject, which is the name.
func finding(part, name string, s trust.Strength, excerpt, why string, args ...any) trust.Finding {
	return trust.Finding{
		Check: Check, Strength: s, Reach: trust.ReachPresent, Path: Part + part, Excerpt: trust.Sanitise(excerpt, trust.ExcerptLimit),
		Why: trust.Sanitise(fmt.Sprintf("%q ", short(name))+fmt.Sprintf(why, args...), 400),
	}
}

// age is how long ago the registry was asked; a time that is still to come is as far away as one that is past.
func (r Record) age(now time.Time) time.Duration { return now.Sub(r.Asked).Abs() }

func (r Record) name() string { _, name, _ := strings.Cut(r.Key, " "); return name }

// short is a name without its registry.
func short(name string) string {
	if _, rest, ok := strings.Cut(name, "/"); ok {
		return rest
	}
	return name
}

// last is the latest change of a sort that still counts.
func (r Record) last(what string, now time.Time) (Change, bool) {
	for _, c := range slices.Backward(r.Changes) {
		if c.What == what && now.Sub(c.At) < changesCount {
			return c, true
		}
	}
	return Change{}, false
}

// replaced: the account was deleted and its name taken anew, or the repository was. The latter is what people do who tidy up.
func (k Known) replaced(now time.Time) (trust.Finding, bool) {
	if c, ok := k.Account.last(changeReplaced, now); ok {
		return finding(partAccount, k.Account.name(), trust.Weak, "made "+c.From+", then "+c.To,
			"is another account at %s than the one first seen on %s: that one was made %s, this one %s", k.Title, day(k.Account.Seen), c.From, c.To), true
	}
	if c, ok := k.Repository.last(changeReplaced, now); ok {
		return finding(partRepository, k.Repository.name(), trust.Context, "made "+c.From+", then "+c.To,
			"was deleted at %s and made anew on %s; the one before was made %s", k.Title, c.To, c.From), true
	}
	return trust.Finding{}, false
}

// returned: it was gone for a while, and the registry does not tell whether it is the same again.
func (k Known) returned(now time.Time) (trust.Finding, bool) {
	for _, r := range []Record{k.Account, k.Repository} {
		if c, ok := r.last(changeReturned, now); ok {
			kind, name, _ := strings.Cut(r.Key, " ")
			return finding(kind, name, trust.Context, "gone "+c.From+", back "+day(c.At),
				"was not to be found at %s on %s and is there again since %s: %s does not tell whether it is the same", k.Title, c.From, day(c.At), k.Title), true
		}
	}
	return trust.Finding{}, false
}

// badgeLost: the registry vouched for the account, and does no longer.
func (k Known) badgeLost(now time.Time) (trust.Finding, bool) {
	c, ok := k.Account.last(changeBadgeLost, now)
	if !ok {
		return trust.Finding{}, false
	}
	was := ""
	if !c.Since.IsZero() {
		was = " on " + day(c.Since)
	}
	return finding(partAccount, k.Account.name(), trust.Weak, c.From, "was %s at %s%s, and on %s no longer", badge(c.From), k.Title, was, day(c.At)), true
}

func badge(word string) string {
	switch word {
	case BadgeOfficial:
		return "an official image"
	case BadgeVerified:
		return "a verified publisher"
	case BadgeOpenSource:
		return "a sponsored open source project"
	}
	return "vouched for (" + word + ")"
}

// younger: the account was made after its images, so that the name has changed hands.
func (k Known) younger(time.Time) (trust.Finding, bool) {
	joined := k.Account.Now.Created
	oldest, what := k.Repository.Now.Created, "repository "+short(k.Repository.name())
	if o := k.Listing.Now.Oldest; !o.IsZero() && (oldest.IsZero() || o.Before(oldest)) {
		oldest, what = o, "oldest repository"
	}
	if joined.IsZero() || oldest.IsZero() || joined.Sub(oldest) <= slack || k.Account.Now.Missing {
		return trust.Finding{}, false
	}
	strength := trust.Weak
	if k.Account.Now.Badged() { // the registry says who it is now
		strength = trust.Context
	}
	return finding(partAccount, k.Account.name(), strength, "account "+day(joined)+", repository "+day(oldest),
		"was made at %s on %s, and its %s on %s: the name may have changed hands", k.Title, day(joined), what, day(oldest)), true
}

// popular: an account that was made days ago has pulls as only automation brings.
func (k Known) popular(now time.Time) (trust.Finding, bool) {
	joined, pulls := k.Account.Now.Created, k.Repository.Now.Pulls
	if joined.IsZero() || pulls == nil || k.Account.Now.Badged() {
		return trust.Finding{}, false
	}
	age := now.Sub(joined)
	if age < -slack { // this machine's clock is wrong
		return trust.Finding{}, false
	}
	age = max(0, age)
	if !(age < youngAccount && *pulls >= youngPulls || age < newAccount && *pulls >= newPulls) {
		return trust.Finding{}, false
	}
	return finding(partAccount, k.Account.name(), trust.Weak, fmt.Sprintf("%d pulls, account %s", *pulls, day(joined)),
		"was made at %s on %s, %d days ago, and its repository %s has %d pulls already", k.Title, day(joined), int(age/(24*time.Hour)), short(k.Repository.name()), *pulls), true
}

// sudden: a repository that hardly anybody pulled is pulled as if a machine did, and nobody likes it better than before.
func (k Known) sudden(time.Time) (trust.Finding, bool) {
	if k.Account.Now.Badged() {
		return trust.Finding{}, false
	}
	made, all := k.Repository.Now.Created, k.Repository.Samples
	for i, from := range all {
		if made.IsZero() || from.At.Sub(made) < quietAge {
			continue
		}
		for _, to := range all[i+1:] {
			grown, stars := to.Pulls-from.Pulls, to.Stars-from.Stars
			if within := to.At.Sub(from.At); within > 0 && within <= suddenWithin && grown >= suddenPulls && grown >= suddenTimes*max(from.Pulls, 1) && stars <= fewStars {
				return finding(partRepository, k.Repository.name(), trust.Weak, fmt.Sprintf("%d pulls, then %d", from.Pulls, to.Pulls),
					"had %d pulls at %s on %s and %d on %s, and %d stars more", from.Pulls, k.Title, day(from.At), to.Pulls, day(to.At), max(stars, 0)), true
			}
		}
	}
	return trust.Finding{}, false
}

// brands: an account that was made lately publishes little but what others are known for.
func (k Known) brands(now time.Time, brand func(string) bool) (trust.Finding, bool) {
	joined := k.Account.Now.Created
	if brand == nil || joined.IsZero() || k.Account.Now.Badged() || now.Sub(joined) >= newAccount || now.Sub(joined) < -slack {
		return trust.Finding{}, false
	}
	names := slices.Sorted(slices.Values(k.Listing.Now.Names))
	names = slices.Compact(names)
	all := len(names)
	names = slices.DeleteFunc(names, func(n string) bool { return !brand(n) })
	if len(names) < brandRepositories || 2*len(names) < all {
		return trust.Finding{}, false
	}
	return finding(partAccount, k.Account.name(), trust.Weak, strings.Join(names, ", "),
		"was made at %s on %s, and %d of its %d repositories are called as what others are known for: %s", k.Title, day(joined), len(names), all,
		strings.Join(names[:min(len(names), 5)], ", ")), true
}
