package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

const account = "account docker.io/acme"

func on(day string) time.Time {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	return t
}

func whats(r Record) []string {
	var out []string
	for _, c := range r.Changes {
		out = append(out, c.What)
	}
	return out
}

func TestObserve(t *testing.T) {
	t.Parallel()
	old := Facts{ID: "1", Created: on("2015-01-01"), Badge: new(BadgeVerified)}
	with := func(change func(*Facts)) Facts { f := old; change(&f); return f }
	gone := Facts{Missing: true}
	for name, tt := range map[string]struct {
		told []Facts
		want []string
	}{
		"nothing-changes":                   {[]Facts{old, old, old}, nil},
		"other-account":                     {[]Facts{old, with(func(f *Facts) { f.ID, f.Created = "2", on("2026-01-01") })}, []string{changeReplaced}},
		"other-account-of-this-id":          {[]Facts{old, with(func(f *Facts) { f.Created = on("2026-01-01") })}, []string{changeReplaced}},
		"deleted-and-another":               {[]Facts{old, gone, with(func(f *Facts) { f.ID, f.Created = "2", on("2026-01-01") })}, []string{changeGone, changeReplaced}},
		"another-by-its-number":             {[]Facts{{ID: "1"}, {ID: "2"}}, []string{changeReplaced}},
		"badge-lost":                        {[]Facts{old, with(func(f *Facts) { f.Badge = new("") })}, []string{changeBadgeLost}},
		"gone-and-back-and-nothing-told":    {[]Facts{{Pulls: new(int64(1))}, gone, {Pulls: new(int64(1))}}, []string{changeGone, changeReturned}},
		"made-in-the-future":                {[]Facts{old, with(func(f *Facts) { f.Created = on("2031-01-01") })}, nil},
		"gone-and-back-is-no-other":         {[]Facts{old, gone, gone, old}, []string{changeGone}},
		"user-becomes-organization":         {[]Facts{old, with(func(f *Facts) { f.ID = "2" })}, nil},
		"registry-rounds":                   {[]Facts{old, with(func(f *Facts) { f.Created = on("2015-01-02") })}, nil},
		"registry-says-earlier":             {[]Facts{old, with(func(f *Facts) { f.Created = on("2014-01-02") })}, nil},
		"badge-not-told":                    {[]Facts{old, with(func(f *Facts) { f.Badge = nil }), old}, nil},
		"badge-not-told-and-then-lost":      {[]Facts{old, with(func(f *Facts) { f.Badge = nil }), with(func(f *Facts) { f.Badge = new("") })}, []string{changeBadgeLost}},
		"badge-lost-and-back":               {[]Facts{old, with(func(f *Facts) { f.Badge = new("") }), old}, nil},
		"another-badge":                     {[]Facts{old, with(func(f *Facts) { f.Badge = new(BadgeOpenSource) })}, nil},
		"never-had-one":                     {[]Facts{{Badge: new("")}, {Badge: new("")}}, nil},
		"gone-from-the-first":               {[]Facts{gone, gone}, nil},
		"gone-from-the-first-and-then-made": {[]Facts{gone, old}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Record
			for i, f := range tt.told {
				r = r.Observe(account, f, on("2026-02-01").AddDate(0, 0, i))
			}
			if diff := cmp.Diff(tt.want, whats(r)); diff != "" {
				t.Error(diff)
			}
			if r.Key != account || !r.Seen.Equal(on("2026-02-01")) || !r.Asked.Equal(on("2026-02-01").AddDate(0, 0, len(tt.told)-1)) {
				t.Errorf("%+v", r)
			}
			body, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseRecord(body); err != nil || !cmp.Equal(back, r) {
				t.Errorf("%v\n%s", err, cmp.Diff(r, back))
			}
		})
	}
}

// TestObserveTimes: what registries tell of the future, or of before there were any, is not believed; a day of a bad clock is
// no first sight that lasts.
func TestObserveTimes(t *testing.T) {
	t.Parallel()
	for day, want := range map[string]bool{"1970-01-01": false, "1999-12-31": false, "2013-03-01": true, "2026-02-02": true, "2026-02-09": false, "9998-01-01": false} {
		r := Record{}.Observe(account, Facts{Created: on(day), Updated: on(day), Oldest: on(day)}, on("2026-02-01"))
		if got := !r.Now.Created.IsZero() && !r.Now.Updated.IsZero() && !r.Now.Oldest.IsZero(); got != want {
			t.Errorf("%s: %+v", day, r.Now)
		}
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64, maxCount + 1} {
		if r := (Record{}).Observe(account, Facts{Pulls: &n, Stars: &n, Repositories: &n}, on("2026-02-01")); r.Now.Pulls != nil || r.Now.Stars != nil || r.Now.Repositories != nil || len(r.Samples) > 0 {
			t.Errorf("%d: %+v", n, r)
		}
	}
	r := Record{}.Observe(account, Facts{Pulls: new(int64(5))}, on("2046-02-01")).Observe(account, Facts{Pulls: new(int64(6))}, on("2026-02-01")).Confirm(on("2025-02-01"))
	if !r.Seen.Equal(r.Asked) || len(r.Samples) != 1 || r.Samples[0].Pulls != 6 || r.check() != nil {
		t.Errorf("%+v, %v", r, r.check())
	}
	far := time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("west", -12*3600))
	if _, err := json.Marshal(Record{}.Observe(account, Facts{Created: far, Updated: far.UTC(), Oldest: far}, on("2026-02-01"))); err != nil {
		t.Error(err)
	}
}

// TestObserveForgets: a registry that tells something else every day cannot make us remember more and more.
func TestObserveForgets(t *testing.T) {
	t.Parallel()
	var r Record
	huge := strings.Repeat("\x1b\u202e!", 1000)
	for i := range 200 {
		names := slices.Repeat([]string{huge}, 300)
		r = r.Observe(account, Facts{ID: huge, Type: huge, Created: on("2000-01-01").AddDate(0, i, 0), Badge: &huge, Pulls: new(int64(i)), Stars: new(int64(-i - 1)), Names: names}, on("2020-01-01").AddDate(0, 0, i))
		r = r.Tagged(huge, "a\nb")
	}
	body, err := json.Marshal(r)
	if err != nil || len(body) > maxRecord || strings.Contains(string(body), `\u001b`) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if len(r.Changes) != maxChanges || len(r.Samples) != maxSamples || r.ETag != "" || r.Modified != "" || r.Now.Stars != nil {
		t.Errorf("%d changes, %d samples, %q %q", len(r.Changes), len(r.Samples), r.ETag, r.Modified)
	}
	if _, err := ParseRecord(body); err != nil {
		t.Error(err)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	old := Record{}.Observe(account, Facts{ID: "1", Created: on("2015-01-01"), Badge: new(BadgeVerified), Pulls: new(int64(5))}, on("2024-01-01"))
	now := Record{}.Observe(account, Facts{ID: "2", Created: on("2025-12-01"), Badge: new(""), Pulls: new(int64(9))}, on("2026-01-01"))
	for name, r := range map[string]Record{"theirs-is-older": Merge(now, old), "ours-is-older": Merge(old, now)} {
		if diff := cmp.Diff([]string{changeReplaced, changeBadgeLost}, whats(r)); diff != "" || !r.Seen.Equal(old.Seen) || !r.Asked.Equal(now.Asked) || r.Now.ID != "2" || r.First.ID != "1" || len(r.Samples) != 2 {
			t.Errorf("%s: %+v\n%s", name, r, diff)
		}
	}
	if r := Merge(old, old); !cmp.Equal(r, old) {
		t.Error(cmp.Diff(old, r))
	}
	if r := Merge(old, Record{}); !cmp.Equal(r, old) {
		t.Error(cmp.Diff(old, r))
	}
	if r := Merge(Record{}, old); !cmp.Equal(r, old) {
		t.Error(cmp.Diff(old, r))
	}
}

// TestMergeProperties: it does not matter who imports from whom, and the same snapshot twice changes nothing.
func TestMergeProperties(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	random := func() Record {
		var r Record
		at := on("2020-01-01").AddDate(0, 0, rng.IntN(500))
		for range 1 + rng.IntN(5) {
			f := Facts{ID: fmt.Sprint(rng.IntN(3)), Missing: rng.IntN(4) == 0}
			if rng.IntN(2) == 0 {
				f.Badge = new([]string{"", BadgeVerified}[rng.IntN(2)])
			}
			r, at = r.Observe(account, f, at), at.AddDate(0, 0, 1+rng.IntN(100))
		}
		return r
	}
	for range 500 {
		a, b := random(), random()
		if a.Asked.Equal(b.Asked) {
			continue
		}
		ab := Merge(a, b)
		if ba := Merge(b, a); !cmp.Equal(ab, ba) {
			t.Fatal(cmp.Diff(ab, ba))
		}
		if again := Merge(ab, b); again.Seen != ab.Seen || again.Asked != ab.Asked {
			t.Fatal(cmp.Diff(ab, again))
		}
		if err := ab.check(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"nothing":       {``, trust.ErrMalformed},
		"no-key":        {`{"seen":"2026-01-01T00:00:00Z","asked":"2026-01-01T00:00:00Z"}`, trust.ErrMalformed},
		"unknown-kind":  {`{"key":"moon docker.io/a","seen":"2026-01-01T00:00:00Z","asked":"2026-01-01T00:00:00Z"}`, trust.ErrMalformed},
		"odd-name":      {"{\"key\":\"account docker.io/\\u001b[2J\",\"seen\":\"2026-01-01T00:00:00Z\",\"asked\":\"2026-01-01T00:00:00Z\"}", trust.ErrMalformed},
		"never-seen":    {`{"key":"account docker.io/a","asked":"2026-01-01T00:00:00Z"}`, trust.ErrMalformed},
		"asked-in-9999": {`{"key":"account docker.io/a","seen":"2026-01-02T00:00:00Z","asked":"9999-12-31T23:59:59-12:00"}`, trust.ErrMalformed},
		"asked-earlier": {`{"key":"account docker.io/a","seen":"2026-01-02T00:00:00Z","asked":"2026-01-01T00:00:00Z"}`, trust.ErrMalformed},
		"too-long":      {`"` + strings.Repeat("x", maxRecord) + `"`, trust.ErrLimit},
	} {
		if r, err := ParseRecord([]byte(tt.body)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, r := range []Record{{}, Record{}.Observe(account, Facts{ID: "1", Pulls: new(int64(1)), Badge: new(BadgeVerified)}, on("2026-01-01")).Observe(account, Facts{Badge: new("")}, on("2026-02-01"))} {
		body, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseRecord(body)
		if err != nil {
			return
		}
		k := Known{Title: "T"}
		k.Add(r.Observe(r.Key, Facts{}, r.Asked))
		k.Signs(r.Asked, nil)
		k.Vouched(r.Asked)
		Merge(r, k.Account)
	})
}
