package publisher

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
)

// told is what Docker Hub told, on one day after the other.
type told struct {
	day                          string
	account, repository, listing *Facts
}

func knownFrom(days []told) Known {
	k := Known{Title: "Docker Hub"}
	for _, d := range days {
		for kind, f := range map[Kind]*Facts{KindAccount: d.account, KindRepository: d.repository, KindListing: d.listing} {
			before := map[Kind]Record{KindAccount: k.Account, KindRepository: k.Repository, KindListing: k.Listing}[kind]
			name := map[Kind]string{KindAccount: "docker.io/acme", KindRepository: "docker.io/acme/app", KindListing: "docker.io/acme"}[kind]
			if f != nil {
				k.Add(before.Observe(string(kind)+" "+name, *f, on(d.day)))
			}
		}
	}
	return k
}

func made(day string) *Facts { return &Facts{ID: day, Created: on(day)} }

func counts(registered string, pulls, stars int64) *Facts {
	return &Facts{Created: on(registered), Pulls: &pulls, Stars: &stars}
}

func listed(names ...string) *Facts {
	return &Facts{Repositories: new(int64(len(names))), Names: names}
}

func badged(f *Facts, word string) *Facts { f.Badge = &word; return f }

// TestSigns: each sign, and its twins that are honest and stay quiet.
func TestSigns(t *testing.T) {
	t.Parallel()
	brand := func(name string) bool {
		return slices.Contains([]string{"nginx", "redis", "postgres", "azure-cli"}, name)
	}
	for name, tt := range map[string]struct {
		days []told
		want []string // beginnings of the excerpts
	}{
		"nothing-is-known": {nil, nil},
		"account-younger-than-its-repository": {[]told{{"2026-06-01", made("2026-01-05"), counts("2019-03-02", 500, 3), nil}},
			[]string{"account 2026-01-05, repository 2019-03-02"}},
		"account-younger-than-another-of-its-repositories": {[]told{{"2026-06-01", made("2026-01-05"), counts("2026-02-02", 500, 3), &Facts{Oldest: on("2018-01-01")}}},
			[]string{"account 2026-01-05, repository 2018-01-01"}},
		"twin-made-the-same-day":   {[]told{{"2026-06-01", made("2026-01-05"), counts("2026-01-05", 500, 3), nil}}, nil},
		"twin-clocks-differ":       {[]told{{"2026-06-01", made("2026-01-05"), counts("2026-01-04", 500, 3), nil}}, nil},
		"twin-a-new-honest-one":    {[]told{{"2026-06-01", made("2026-05-20"), counts("2026-05-21", 4200, 7), listed("app", "nginx")}}, nil},
		"twin-time-is-not-told":    {[]told{{"2026-06-01", &Facts{ID: "1"}, counts("2015-05-21", 4200, 7), nil}}, nil},
		"twin-private-repository":  {[]told{{"2026-06-01", made("2015-01-05"), &Facts{Missing: true}, listed()}}, nil},
		"twin-old-and-very-liked":  {[]told{{"2026-06-01", made("2014-05-20"), counts("2014-05-21", 4_000_000_000, 20_000), nil}}, nil},
		"twin-old-and-never-liked": {[]told{{"2026-06-01", made("2014-05-20"), counts("2014-05-21", 50_000_000, 0), nil}}, nil},

		"days-old-and-pulled-by-machines":   {[]told{{"2026-06-01", made("2026-05-20"), counts("2026-05-21", 2_000_000, 0), nil}}, []string{"2000000 pulls, account 2026-05-20"}},
		"weeks-old-and-pulled-by-millions":  {[]told{{"2026-06-01", made("2026-03-20"), counts("2026-03-21", 2_000_000, 0), nil}}, []string{"2000000 pulls, account 2026-03-20"}},
		"twin-weeks-old-and-well-received":  {[]told{{"2026-06-01", made("2026-03-20"), counts("2026-03-21", 200_000, 90), nil}}, nil},
		"twin-days-old-and-verified":        {[]told{{"2026-06-01", badged(made("2026-05-20"), BadgeVerified), counts("2026-05-21", 2_000_000, 0), nil}}, nil},
		"twin-account-of-the-future":        {[]told{{"2026-06-01", made("2026-06-02"), counts("2026-06-02", 5, 0), nil}}, nil},
		"suddenly-pulled-and-nobody-cares":  {[]told{{"2026-05-01", nil, counts("2020-01-01", 300, 1), nil}, {"2026-05-20", nil, counts("2020-01-01", 900_000, 2), nil}}, []string{"300 pulls, then 900000"}},
		"twin-suddenly-pulled-and-loved":    {[]told{{"2026-05-01", nil, counts("2020-01-01", 300, 1), nil}, {"2026-05-20", nil, counts("2020-01-01", 900_000, 800), nil}}, nil},
		"twin-grown-over-a-year":            {[]told{{"2025-05-01", nil, counts("2020-01-01", 300, 1), nil}, {"2026-05-20", nil, counts("2020-01-01", 900_000, 2), nil}}, nil},
		"twin-was-used-much-before":         {[]told{{"2026-05-01", nil, counts("2020-01-01", 300_000, 1), nil}, {"2026-05-20", nil, counts("2020-01-01", 900_000, 2), nil}}, nil},
		"twin-its-first-weeks":              {[]told{{"2026-05-01", nil, counts("2026-04-20", 300, 1), nil}, {"2026-05-20", nil, counts("2026-04-20", 900_000, 2), nil}}, nil},
		"twin-suddenly-pulled-but-verified": {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), counts("2020-01-01", 300, 1), nil}, {"2026-05-20", nil, counts("2020-01-01", 900_000, 2), nil}}, nil},

		"another-account": {[]told{{"2025-06-01", made("2015-01-01"), nil, nil}, {"2026-06-01", made("2026-05-01"), nil, nil}}, []string{"made 2015-01-01, then 2026-05-01"}},
		"deleted-and-another": {[]told{{"2026-04-01", made("2015-01-01"), nil, nil}, {"2026-05-01", &Facts{Missing: true}, nil, nil}, {"2026-06-01", made("2026-05-03"), nil, nil}},
			[]string{"made 2015-01-01, then 2026-05-03"}},
		"twin-deleted-and-the-same": {[]told{{"2026-04-01", made("2015-01-01"), nil, nil}, {"2026-05-01", &Facts{Missing: true}, nil, nil}, {"2026-06-01", made("2015-01-01"), nil, nil}}, nil},
		"twin-another-years-ago":    {[]told{{"2020-06-01", made("2015-01-01"), nil, nil}, {"2021-06-01", made("2021-05-01"), nil, nil}}, nil},
		"context-repository-anew":   {[]told{{"2026-05-01", nil, counts("2020-01-01", 3, 1), nil}, {"2026-05-20", nil, counts("2026-05-10", 1, 0), nil}}, []string{"made 2020-01-01, then 2026-05-10"}},

		"context-gone-and-back":      {[]told{{"2026-05-01", nil, &Facts{Pulls: new(int64(3))}, nil}, {"2026-05-10", nil, &Facts{Missing: true}, nil}, {"2026-05-20", nil, &Facts{Pulls: new(int64(4))}, nil}}, []string{"gone 2026-05-10, back 2026-05-20"}},
		"twin-away-for-a-moment":     {[]told{{"2026-05-01", nil, &Facts{Pulls: new(int64(3))}, nil}, {"2026-05-10", nil, &Facts{Missing: true}, nil}, {"2026-05-10", nil, &Facts{Pulls: new(int64(4))}, nil}}, nil},
		"twin-first-seen-as-missing": {[]told{{"2026-05-10", nil, &Facts{Missing: true}, nil}, {"2026-05-20", nil, &Facts{Pulls: new(int64(4))}, nil}}, nil},
		"context-verified-and-younger": {[]told{{"2026-06-01", badged(made("2026-01-05"), BadgeVerified), counts("2019-03-02", 500, 3), nil}},
			[]string{"account 2026-01-05, repository 2019-03-02"}},
		"badge-lost-after-silence": {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-10", made("2015-01-01"), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), ""), nil, nil}}, []string{BadgeVerified}},
		"twin-badge-newly-gained":  {[]told{{"2026-05-01", badged(made("2015-01-01"), ""), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, nil},

		"badge-lost":               {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), ""), nil, nil}}, []string{BadgeVerified}},
		"twin-badge-of-another":    {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeOpenSource), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, nil},
		"twin-badge-for-a-moment":  {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), ""), nil, nil}, {"2026-05-21", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, nil},
		"twin-badge-is-not-told":   {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-20", made("2015-01-01"), nil, nil}}, nil},
		"twin-never-had-a-badge":   {[]told{{"2026-05-01", badged(made("2015-01-01"), ""), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), ""), nil, nil}}, nil},
		"brands-of-a-new-account":  {[]told{{"2026-06-01", made("2026-05-01"), nil, listed("nginx", "redis", "postgres", "tool")}}, []string{"nginx, postgres, redis"}},
		"twin-brands-of-an-old":    {[]told{{"2026-06-01", made("2016-05-01"), nil, listed("nginx", "redis", "postgres", "tool")}}, nil},
		"twin-two-brands":          {[]told{{"2026-06-01", made("2026-05-01"), nil, listed("nginx", "redis")}}, nil},
		"twin-brands-among-others": {[]told{{"2026-06-01", made("2026-05-01"), nil, listed("nginx", "redis", "postgres", "a", "b", "c", "d")}}, nil},
		"twin-brands-verified":     {[]told{{"2026-06-01", badged(made("2026-05-01"), BadgeVerified), nil, listed("nginx", "redis", "postgres", "tool")}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := knownFrom(tt.days)
			now := on("2026-06-01")
			var got []string
			for _, f := range k.Signs(now, brand) {
				got = append(got, f.Excerpt)
				want := trust.Weak
				if strings.HasPrefix(name, "context-") {
					want = trust.Context
				}
				if f.Check != Check || !strings.HasPrefix(f.Path, Part) || f.Reach != trust.ReachPresent || f.Strength != want || !strings.HasPrefix(f.Why, `"acme`) {
					t.Errorf("%+v", f)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if strings.HasPrefix(name, "twin-") && len(tt.want) > 0 {
				t.Error("a twin is quiet")
			}
			if without := k.Signs(now, nil); len(without) > len(got) {
				t.Error("without names there are more signs")
			}
		})
	}
}

// TestWrongClockMakesNoSign: years before or after, nothing becomes a sign that is none.
func TestWrongClockMakesNoSign(t *testing.T) {
	t.Parallel()
	brand := func(string) bool { return true }
	k := knownFrom([]told{{"2026-06-01", made("2024-05-20"), counts("2024-05-21", 2_000_000_000, 0), listed("nginx", "redis", "postgres")}})
	for _, year := range []int{-60, -20, -3, 0, 3, 20, 200} {
		if found := k.Signs(on("2026-06-01").AddDate(year, 0, 0), brand); len(found) > 0 {
			t.Errorf("%d years: %+v", year, found)
		}
	}
}

// TestEvidence: what was, what is, and when, so that a person can check it.
func TestEvidence(t *testing.T) {
	t.Parallel()
	lost := knownFrom([]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-20", badged(made("2015-01-01"), ""), nil, nil}})
	other := knownFrom([]told{{"2025-07-01", made("2015-01-01"), nil, nil}, {"2026-05-20", made("2026-05-03"), nil, nil}})
	for why, k := range map[string]Known{
		`"acme" was a verified publisher at Docker Hub on 2026-05-01, and on 2026-05-20 no longer`:                                         lost,
		`"acme" is another account at Docker Hub than the one first seen on 2025-07-01: that one was made 2015-01-01, this one 2026-05-03`: other,
	} {
		if found := k.Signs(on("2026-06-01"), nil); len(found) != 1 || found[0].Why != why {
			t.Errorf("%+v, want %s", found, why)
		}
	}
}

// TestVouched: only the registry's own word counts, and only for who had it.
func TestVouched(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		days []told
		want string
	}{
		"verified":         {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, `Docker Hub says that "acme" is a verified publisher`},
		"sponsored":        {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeOpenSource), nil, nil}}, `Docker Hub says that "acme" is a sponsored open source project`},
		"long-ago":         {[]told{{"2026-03-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, ""},
		"by-a-clock-ahead": {[]told{{"2026-10-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}}, ""},
		"told-no-more":     {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-02", made("2015-01-01"), nil, nil}}, ""},
		"official":         {[]told{{"2026-05-01", nil, badged(counts("2015-01-01", 1, 1), BadgeOfficial), nil}}, `Docker Hub says that "acme/app" is an official image`},
		"nobody":           {[]told{{"2026-05-01", made("2015-01-01"), nil, nil}}, ""},
		"none":             {[]told{{"2026-05-01", badged(made("2015-01-01"), ""), nil, nil}}, ""},
		"popular":          {[]told{{"2026-05-01", made("2012-01-01"), counts("2012-01-01", 1<<40, 1<<20), nil}}, ""},
		"gone":             {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-02", &Facts{Missing: true}, nil, nil}}, ""},
		"another-by-it":    {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-02", badged(made("2026-05-02"), BadgeVerified), nil, nil}}, ""},
		"not-any-more":     {[]told{{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), nil, nil}, {"2026-05-02", badged(made("2015-01-01"), ""), nil, nil}}, ""},
	} {
		if got := strings.Join(knownFrom(tt.days).Vouched(on("2026-06-01")), "; "); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestPopularityBuysNothing: with any number of pulls, stars and years more there are never fewer signs.
func TestPopularityBuysNothing(t *testing.T) {
	t.Parallel()
	days := func(pulls, stars int64) []told {
		return []told{
			{"2026-05-01", badged(made("2015-01-01"), BadgeVerified), counts("2012-01-01", 10, 0), nil},
			{"2026-05-20", badged(made("2026-05-02"), ""), counts("2012-01-01", 10+pulls, stars), nil},
		}
	}
	least := len(knownFrom(days(0, 0)).Signs(on("2026-06-01"), nil))
	for _, pulls := range []int64{0, 1000, 1 << 20, 1 << 40} {
		for _, stars := range []int64{0, 100, 1 << 20} {
			if n := len(knownFrom(days(pulls, stars)).Signs(on("2026-06-01"), nil)); n < least {
				t.Errorf("%d pulls and %d stars: %d signs, without them %d", pulls, stars, n, least)
			}
		}
	}
}

func TestSignsAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n\x1b", 400)
	k := Known{Title: "T", Account: Record{}.Observe("account docker.io/"+long, *made("2026-05-20"), on("2026-06-01"))}
	k.Repository = Record{}.Observe("repository docker.io/"+long+"/"+long, *counts("2010-05-20", 1<<40, 0), on("2026-06-01"))
	k.Listing = Record{}.Observe("repositories docker.io/"+long, *listed(slices.Repeat([]string{long + "a", long + "b", long + "c"}, 20)...), on("2026-06-01"))
	all := k.Signs(on("2026-06-01").Add(time.Hour), func(string) bool { return true })
	if len(all) < 2 {
		t.Errorf("%d signs", len(all))
	}
	for _, f := range all {
		if len(f.Why) > 400 || len(f.Excerpt) > trust.ExcerptLimit || strings.Contains(f.Why+f.Excerpt, "\x1b") {
			t.Errorf("%d, %d: %q", len(f.Why), len(f.Excerpt), f.Why)
		}
	}
}
