package behaviour

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func rules() Rules {
	return Rules{
		Habits: []Habit{
			{Name: "opens the door", Wake: []string{"open door"}, Line: []string{`open door \d+`}, Core: true, Points: 2},
			{Name: "takes the silver", Wake: []string{"take silver", "TAKE GOLD"}, Fold: true},
			{Name: "runs", Wake: []string{"run away", "take silver"}},
		},
		Grades: []Grade{
			{Points: 2, Core: 1, Strength: trust.Weak, IfRun: trust.Strong},
			{Points: 4, Core: 1, Strength: trust.Strong},
		},
	}
}

func TestHabitsStandTogether(t *testing.T) {
	t.Parallel()
	ind, err := New("behaviour", 1, "robs the house", rules())
	if err != nil {
		t.Fatal(err)
	}
	script := indicator.File{Path: "a.sh", Kind: trust.KindScript}
	for name, test := range map[string]struct {
		file    indicator.File
		content string
		now     trust.Strength
		ifRun   trust.Strength
		why     string
	}{
		"nothing":        {file: script, content: "sit down\n"},
		"line-unlike":    {file: script, content: "open door slowly\n"},
		"no-core":        {file: script, content: "take silver\nrun away\n"},
		"core-alone":     {script, "open door 7\n", trust.Weak, trust.Strong, "robs the house: opens the door"},
		"repeated":       {script, strings.Repeat("open door 7\n", 50), trust.Weak, trust.Strong, "robs the house: opens the door"},
		"together":       {script, "open door 7\nTake Gold\nrun away\n", trust.Strong, trust.Context, "robs the house: opens the door, takes the silver, runs"},
		"two-at-once":    {script, "open door 7\ntake silver\n", trust.Strong, trust.Context, "robs the house: opens the door, takes the silver, runs"},
		"comment":        {file: script, content: "# open door 7\n// take silver\n"},
		"document":       {indicator.File{Path: "a.md", Kind: trust.KindText}, "open door 7\n", trust.Context, trust.Strong, "robs the house: opens the door"},
		"at-start":       {indicator.File{Path: "config:command", Kind: trust.KindConfig}, "open door 7", trust.Strong, trust.Context, "robs the house: opens the door"},
		"program":        {file: indicator.File{Path: "a", Kind: trust.KindExecutable}, content: "open door 7\ntake silver\n"},
		"page-is-no-run": {indicator.File{Path: "a.html", Kind: trust.KindText}, "open door 7\n", trust.Context, trust.Strong, "robs the house: opens the door"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := indicatortest.Inspect(ind, test.file, []byte(test.content), indicatortest.Drive{})
			if test.why == "" {
				if len(found) != 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Strength != test.now || found[0].IfRun != test.ifRun || found[0].Why != test.why {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	ind, err := New("behaviour", 1, "robs the house", rules(), Pages)
	if err != nil {
		t.Fatal(err)
	}
	found := indicatortest.Inspect(ind, indicator.File{Path: "var/www/a.html", Kind: trust.KindText}, []byte("open door 7\nrun away\ntake silver"), indicatortest.Drive{})
	if len(found) != 1 || found[0].Strength != trust.Strong {
		t.Errorf("found %+v", found)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing":   func(r *Rules) { *r = Rules{} },
		"no-grade":  func(r *Rules) { r.Grades = nil },
		"no-points": func(r *Rules) { r.Grades[0].Points = 0 },
		"no-weight": func(r *Rules) { r.Grades[0] = Grade{Points: 1} },
		"nameless":  func(r *Rules) { r.Habits[0].Name = "" },
		"short":     func(r *Rules) { r.Habits[0].Wake = []string{"door"} },
		"asleep":    func(r *Rules) { r.Habits[0].Wake = nil },
		"negative":  func(r *Rules) { r.Habits[0].Points = -1 },
		"pattern":   func(r *Rules) { r.Habits[0].Line = []string{"("} },
		"too-many":  func(r *Rules) { r.Habits = make([]Habit, maxHabits+1) },
	} {
		r := rules()
		change(&r)
		if _, err := New("behaviour", 1, "x", r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	ind, err := New("behaviour", 1, "robs the house", rules())
	if err != nil {
		t.Fatal(err)
	}
	bait := []byte(strings.Repeat("open door slowly\n", 3000))
	if got := indicatortest.Unread(ind, indicator.File{Path: "a.sh", Kind: trust.KindScript}, bait, indicatortest.Drive{}); got == "" {
		t.Error("a file full of bait counts as read")
	}
}
