package report

import (
	"cmp"
	"slices"

	"github.com/safepull/safepull/trust"
)

// MaxFindings bounds the findings of one indicator in one file, so that hostile content cannot grow what is stored.
const MaxFindings = 16

// Report is the findings of one file. What it keeps does not depend on the order of Add.
type Report struct {
	role   Role
	starts bool
	found  []trust.Finding
	unread string
}

// New begins the report of a file.
func New(f File) *Report { return &Report{role: RoleOf(f), starts: Starts(f)} }

// Role is the file's.
func (r *Report) Role() Role { return r.role }

// Add reports a sign of strength s, weighed by the file's role.
func (r *Report) Add(offset int64, s trust.Strength, excerpt []byte, why string) {
	now, ifRun := Weigh(r.role, s)
	r.AddWeighed(offset, now, ifRun, excerpt, why)
}

// AddIfRun reports something that a script does. It weighs now in what may be run, ifRun in what the image is known to
// run (a file that its configuration leads to, or the command of the configuration itself), and nothing elsewhere.
func (r *Report) AddIfRun(offset int64, now, ifRun trust.Strength, excerpt []byte, why string) {
	if r.starts {
		now = max(now, ifRun)
	}
	if ifRun = max(now, ifRun); r.role != Runs && r.role != Samples {
		now = trust.Context
	}
	now, _ = Weigh(r.role, now)
	if ifRun <= now {
		ifRun = trust.Context
	}
	r.AddWeighed(offset, now, ifRun, excerpt, why)
}

// AddWeighed reports a sign whose weight the caller has decided. One offset has one finding: the strongest.
func (r *Report) AddWeighed(offset int64, now, ifRun trust.Strength, excerpt []byte, why string) {
	r.AddClassed("", offset, now, ifRun, excerpt, why)
}

// AddClassed is AddWeighed for a sign of a class that policies weigh apart.
func (r *Report) AddClassed(class trust.Class, offset int64, now, ifRun trust.Strength, excerpt []byte, why string) {
	f := trust.Finding{Strength: now, IfRun: ifRun, Class: class, Offset: offset, Excerpt: Excerpt(excerpt), Why: why}
	for i := range r.found {
		if r.found[i].Offset == offset {
			if order(f, r.found[i]) < 0 {
				r.found[i] = f
			}
			return
		}
	}
	r.found = append(r.found, f)
	if len(r.found) > MaxFindings {
		slices.SortFunc(r.found, order)
		r.found = r.found[:MaxFindings]
	}
}

// GiveUp says that a part of the file was left unread.
func (r *Report) GiveUp(why string) { r.unread = why }

// Unread is what GiveUp said.
func (r *Report) Unread() string { return r.unread }

// Findings are what is kept, by offset.
func (r *Report) Findings() []trust.Finding {
	slices.SortFunc(r.found, func(a, b trust.Finding) int { return cmp.Compare(a.Offset, b.Offset) })
	return r.found
}

// order puts first what is to be kept: the strongest, then the earliest.
func order(a, b trust.Finding) int {
	return cmp.Or(
		cmp.Compare(max(b.Strength, b.IfRun), max(a.Strength, a.IfRun)),
		cmp.Compare(b.Strength, a.Strength),
		cmp.Compare(a.Offset, b.Offset),
		cmp.Compare(a.Why, b.Why),
		cmp.Compare(a.Excerpt, b.Excerpt),
		cmp.Compare(a.Class, b.Class),
	)
}
