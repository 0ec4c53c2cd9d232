package publisher

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/safepull/safepull/trust"
)

// Limits on a record: what one account can make us remember.
const (
	maxChanges = 16
	maxSamples = 16
	maxRecord  = 256 << 10
	// sampleEvery is how far apart samples are.
	sampleEvery = 20 * time.Hour
	// slack is how far apart two times of one thing may be told: registries round, move data, and keep clocks.
	slack = 48 * time.Hour
	// returnedAfter is how long something is gone at least that counts as deleted: registries have bad days.
	returnedAfter = 24 * time.Hour
)

// What can change.
const (
	// changeReplaced: the name belongs to something else than before.
	changeReplaced = "replaced"
	// changeBadgeLost: the registry vouched for the account and does no longer.
	changeBadgeLost = "badge lost"
	// changeGone: the registry knows it no longer.
	changeGone = "gone"
	// changeReturned: the registry knows it again, and does not tell whether it is the same.
	changeReturned = "returned"
)

// Record is what is known of one account, repository or listing, since it was first seen.
type Record struct {
	Key string `json:"key"`
	// First is what was told at first sight, which was at Seen; Now is what holds as of Asked.
	First Facts     `json:"first"`
	Seen  time.Time `json:"seen"`
	Now   Facts     `json:"now"`
	Asked time.Time `json:"asked"`
	// Badge is the last one that was told, until the registry says that there is none. It outlives answers without a word
	// about badges, which are no loss, and vouches for nobody.
	Badge string `json:"badge,omitempty"`
	// ETag and Modified make the next question a conditional one.
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	// Changes are what changed meanwhile, oldest first; Samples are counts over time, oldest first.
	Changes []Change `json:"changes,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
}

// Change is one thing that is no longer what it was.
type Change struct {
	What string    `json:"what"`
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
	// Since is when it was asked last before At, so that it happened in between; zero where that is not known.
	Since time.Time `json:"since,omitzero"`
}

// Sample is what a repository's counts were at one time.
type Sample struct {
	At    time.Time `json:"at"`
	Pulls int64     `json:"pulls"`
	Stars int64     `json:"stars"`
}

// Observe is the record after the registry told f at a time. The zero record begins one.
func (r Record) Observe(key string, f Facts, at time.Time) Record {
	at = at.UTC()
	f = f.toldAt(at)
	r.Changes, r.Samples = slices.Clone(r.Changes), slices.Clone(r.Samples)
	if r.Seen.IsZero() {
		r = Record{Key: key, First: f, Seen: at}
		if f.Badged() {
			r.Badge = *f.Badge
		}
	} else {
		r.compare(f, at)
	}
	r.Now = f.over(r.Now)
	r.sample(f, at)
	if r.Changes = r.Changes[max(0, len(r.Changes)-maxChanges):]; len(r.Changes) == 0 {
		r.Changes = nil
	}
	return r.asked(at)
}

// Confirm is the record after the registry said that nothing changed.
func (r Record) Confirm(at time.Time) Record { return r.asked(at.UTC()) }

// asked notes when. A clock that went back leaves no first sight in the future, which nobody would ask after.
func (r Record) asked(at time.Time) Record {
	r.Asked = at
	if at.Before(r.Seen) {
		r.Seen = at
	}
	return r
}

// sample keeps counts, not too close to each other. What a wrong clock dated in the future is left out.
func (r *Record) sample(f Facts, at time.Time) {
	r.Samples = slices.DeleteFunc(r.Samples, func(s Sample) bool { return s.At.After(at.Add(slack)) })
	if len(r.Samples) == 0 {
		r.Samples = nil
	}
	if f.Pulls == nil || len(r.Samples) > 0 && at.Sub(r.Samples[len(r.Samples)-1].At) < sampleEvery {
		return
	}
	s := Sample{At: at, Pulls: *f.Pulls}
	if f.Stars != nil {
		s.Stars = *f.Stars
	}
	r.Samples = append(r.Samples, s)
	r.Samples = r.Samples[max(0, len(r.Samples)-maxSamples):]
}

// compare notes what changed.
func (r *Record) compare(f Facts, at time.Time) {
	was := r.Now
	note := func(what, from, to string) {
		r.Changes = append(r.Changes, Change{What: what, From: from, To: to, At: at, Since: r.Asked})
	}
	switch {
	case f.Missing && !was.Missing:
		note(changeGone, madeOn(was), "")
	case f.Missing:
	case another(was, f):
		note(changeReplaced, madeOn(was), madeOn(f))
	case was.Missing && !tellsApart(was, f):
		if gone := r.goneSince(); !gone.IsZero() && at.Sub(gone) >= returnedAfter {
			note(changeReturned, day(gone), "")
		}
	}
	if f.Missing || f.Badge == nil {
		return
	}
	if *f.Badge != "" { // it came back, or was only away for a moment
		r.Changes = slices.DeleteFunc(r.Changes, func(c Change) bool { return c.What == changeBadgeLost })
	} else if r.Badge != "" {
		note(changeBadgeLost, r.Badge, "")
	}
	r.Badge = *f.Badge
}

// tellsApart reports whether enough is told of two to see whether they are the same.
func tellsApart(was, now Facts) bool {
	return !was.Created.IsZero() && !now.Created.IsZero() || was.ID != "" && now.ID != ""
}

// goneSince is when it was first told that what was known is gone; zero when it never was.
func (r *Record) goneSince() time.Time {
	for _, c := range slices.Backward(r.Changes) {
		if c.What == changeGone {
			return c.At
		}
	}
	return time.Time{}
}

// another reports whether a name belongs to something that was made later than what it named before. The registry's own
// number counts only where times are not told: a user who becomes an organization may get another one.
func another(was, now Facts) bool {
	if was.Created.IsZero() || now.Created.IsZero() {
		return was.ID != "" && now.ID != "" && was.ID != now.ID
	}
	return now.Created.Sub(was.Created) > slack
}

func madeOn(f Facts) string {
	switch {
	case !f.Created.IsZero():
		return day(f.Created)
	case f.ID != "":
		return "number " + f.ID
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Merge joins what two memories know of one thing: the later answer counts, from the earlier first sight on.
func Merge(a, b Record) Record {
	if a.Asked.Before(b.Asked) {
		a, b = b, a
	}
	if b.Seen.IsZero() {
		return a
	}
	if b.Seen.Before(a.Seen) {
		// What b knew first may have changed before a began.
		early := Record{Now: b.Now, Badge: b.Badge, Asked: b.Asked, Changes: slices.Clone(b.Changes)}
		if a.Seen.After(b.Asked) {
			early.compare(a.First, a.Seen)
		}
		a.First, a.Seen, a.Changes = b.First, b.Seen, append(early.Changes, a.Changes...)
		a.Now = a.Now.over(b.Now)
		if a.Now.Badge == nil {
			a.Badge = cmp.Or(a.Badge, early.Badge)
		}
		if !a.Now.Missing {
			a.Samples = append(slices.Clone(b.Samples), a.Samples...)
		}
	}
	slices.SortStableFunc(a.Changes, func(x, y Change) int { return x.At.Compare(y.At) })
	a.Changes = slices.Compact(a.Changes)
	a.Changes = a.Changes[max(0, len(a.Changes)-maxChanges):]
	slices.SortStableFunc(a.Samples, func(x, y Sample) int { return x.At.Compare(y.At) })
	a.Samples = a.Samples[max(0, len(a.Samples)-maxSamples):]
	return a
}

// ParseRecord reads a record as JSON. Errors wrap trust.ErrMalformed or trust.ErrLimit.
func ParseRecord(body []byte) (Record, error) {
	if len(body) > maxRecord {
		return Record{}, fmt.Errorf("a record of %d bytes, more than %d: %w", len(body), maxRecord, trust.ErrLimit)
	}
	var r Record
	if err := json.Unmarshal(body, &r); err != nil {
		return Record{}, fmt.Errorf("%w: record: %s", trust.ErrMalformed, describe(err))
	}
	return r, r.check()
}

// check refuses what Observe could not have made.
func (r *Record) check() error {
	if _, _, err := parseKey(r.Key); err != nil {
		return fmt.Errorf("%w: %w", trust.ErrMalformed, err)
	}
	if r.Seen.IsZero() || r.Asked.Before(r.Seen) {
		return fmt.Errorf("%w: record %q was asked at %s and first seen at %s", trust.ErrMalformed, r.Key, r.Asked, r.Seen)
	}
	for _, t := range []time.Time{r.Seen, r.Asked} {
		if year := t.UTC().Year(); year < firstYear || year > 9998 {
			return fmt.Errorf("%w: record %q has a time in the year %d", trust.ErrMalformed, r.Key, year)
		}
	}
	r.First, r.Now, r.Badge = r.First.bounded(), r.Now.bounded(), trust.Sanitise(r.Badge, maxText)
	if r.Badge == "" && r.Now.Badged() {
		r.Badge = *r.Now.Badge
	}
	r.ETag, r.Modified = header(r.ETag), header(r.Modified)
	r.Changes = r.Changes[max(0, len(r.Changes)-maxChanges):]
	r.Samples = r.Samples[max(0, len(r.Samples)-maxSamples):]
	for i, c := range r.Changes {
		r.Changes[i].What, r.Changes[i].From, r.Changes[i].To = trust.Sanitise(c.What, maxText), trust.Sanitise(c.From, maxText), trust.Sanitise(c.To, maxText)
	}
	for i, s := range r.Samples {
		r.Samples[i].Pulls, r.Samples[i].Stars = min(max(s.Pulls, 0), maxCount), min(max(s.Stars, 0), maxCount)
	}
	return nil
}

// header is a value that may be sent back in a header; what is long or odd is not worth a saved answer.
func header(s string) string {
	if len(s) > maxText {
		return ""
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return s
}

// Tagged is the record with the validators of the answer that it came from.
func (r Record) Tagged(etag, modified string) Record {
	r.ETag, r.Modified = header(etag), header(modified)
	return r
}
