package report

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func TestRolesOfMorePaths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		kind trust.Kind
		want Role
	}{
		{"/etc/cron.hourly/x", trust.KindText, Runs}, {"etc/crontab", trust.KindText, Runs}, {"var/spool/cron/crontabs/root", trust.KindText, Runs},
		{"srv/etc/cron.d/x", trust.KindText, Runs}, {"home/a/.config/systemd/user/x.timer", trust.KindText, Runs}, {"x/Procfile", trust.KindText, Runs},
		{"etc/s6-overlay/s6-rc.d/x/run", trust.KindText, Runs}, {"ROOT/.BASHRC", trust.KindText, Runs}, {"opt/rc.local", trust.KindText, Runs},
		{"usr/share/doc/x/x.service", trust.KindText, Documents}, {"docs/crontab", trust.KindText, Documents}, {"app/TESTS/x.json", trust.KindText, Documents},
		{"app/doctor/x.json", trust.KindText, Settings}, {"app/manual/x", trust.KindText, Other}, {"app/information/x.yml", trust.KindText, Settings},
		{"app/.env.production", trust.KindText, Settings}, {"app/x.CONF", trust.KindText, Settings}, {"app/x.env", trust.KindText, Settings}, {"app/environment", trust.KindText, Other},
		{"app/newsletter.py", trust.KindScript, Documents}, {"app/licenses.sh", trust.KindScript, Documents},
		{"app/x_test.py", trust.KindScript, Runs}, {"app/tests/x_test.py", trust.KindScript, Documents}, {"app/spec/x.spec.js", trust.KindScript, Runs},
		{"app/__tests__/x.spec.js", trust.KindScript, Documents}, {"x.html", trust.KindScript, Documents}, {"tests/x", trust.KindExecutable, Runs},
		{"testdata/x", trust.KindData, Documents}, {"x.md", trust.KindData, Other}, {"x", "", Other}, {"", trust.KindText, Other}, {"docs/config:command", trust.KindConfig, Runs},
	} {
		if got := RoleOf(File{Path: test.path, Kind: test.kind}); got != test.want {
			t.Errorf("%s (%s): got %d, want %d", test.path, test.kind, got, test.want)
		}
	}
}

// Whatever the role: nothing weighs more where it stands than it would if it were run, and that is the whole sign.
func TestWeighNeverAdds(t *testing.T) {
	t.Parallel()
	for role := Runs; role <= Documents+1; role++ {
		for s := trust.Context; s <= trust.Proof; s++ {
			now, ifRun := Weigh(role, s)
			if now > s || max(now, ifRun) != s || ifRun != trust.Context && ifRun <= now {
				t.Errorf("%d, %s: got %s and %s", role, s, now, ifRun)
			}
			less, _ := Weigh(role, max(s-1, trust.Context))
			if less > now {
				t.Errorf("%d: less than %s weighs more", role, s)
			}
		}
	}
}

// keep is what a report must hold, found by sorting everything: the best of each offset, the best of those.
func keep(all []trust.Finding) []trust.Finding {
	best := map[int64]trust.Finding{}
	for _, f := range all {
		if old, ok := best[f.Offset]; !ok || order(f, old) < 0 {
			best[f.Offset] = f
		}
	}
	var out []trust.Finding
	for _, f := range best {
		out = append(out, f)
	}
	slices.SortFunc(out, order)
	out = out[:min(len(out), MaxFindings)]
	slices.SortFunc(out, func(a, b trust.Finding) int { return int(a.Offset - b.Offset) })
	return out
}

func TestKeepsWhatSortingEverythingKeeps(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 1))
	for range 500 {
		r := New(File{Path: "x.sh", Kind: trust.KindScript})
		var all []trust.Finding
		for range random.IntN(60) {
			now := trust.Strength(random.IntN(4))
			ifRun := trust.Context
			if random.IntN(2) == 0 && now < trust.Proof {
				ifRun = now + 1
			}
			f := trust.Finding{Strength: now, IfRun: ifRun, Class: []trust.Class{"", trust.ClassNode}[random.IntN(2)], Offset: int64(random.IntN(40)), Excerpt: []string{"a", "b"}[random.IntN(2)], Why: []string{"x", "y"}[random.IntN(2)]}
			all = append(all, f)
			r.AddClassed(f.Class, f.Offset, f.Strength, f.IfRun, []byte(f.Excerpt), f.Why)
		}
		if diff := cmp.Diff(keep(all), r.Findings()); diff != "" {
			t.Fatalf("%+v: %s", all, diff)
		}
	}
}

func TestBudgetLimits(t *testing.T) {
	t.Parallel()
	for offset, most := range map[int64]int{0: MaxReads, bytesPerRead - 1: MaxReads, bytesPerRead: MaxReads + 1, 100 * bytesPerRead: MaxReads + 100} {
		r := New(File{Path: "x", Kind: trust.KindData})
		var b Budget
		for i := range most {
			if !b.Spend(r, offset) || r.Unread() != "" {
				t.Fatalf("at %d: place %d of %d was not read", offset, i+1, most)
			}
		}
		if b.Spend(r, offset) || r.Unread() == "" {
			t.Errorf("at %d: one more than %d was read", offset, most)
		}
	}
}

func TestMayBeText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind trust.Kind
		size int64
		want bool
	}{
		{trust.KindScript, 1 << 40, true}, {trust.KindText, 1 << 40, true}, {trust.KindConfig, 0, true}, {trust.KindExecutable, 10, false},
		{trust.KindData, maxProgram, true}, {trust.KindData, maxProgram + 1, false}, {"", 10, false},
	} {
		if got := MayBeText(File{Path: "x", Kind: test.kind, Size: test.size}); got != test.want {
			t.Errorf("%s of %d bytes: got %v", test.kind, test.size, got)
		}
	}
	for path, want := range map[string]bool{"a/x.go": true, "X.CPP": true, "x.py": false, "go": false, "x.json": false, "x.go.txt": false} {
		if IsSource(path) != want {
			t.Errorf("%s: got %v", path, !want)
		}
	}
	for path, want := range map[string]bool{"config:command": true, "config:healthcheck": true, "config:onbuild": true, "config:history[1]": false, "config:env": false} {
		if got := Starts(File{Path: path, Kind: trust.KindConfig}); got != want || Starts(File{Path: path, Kind: trust.KindText}) {
			t.Errorf("%s: starts %v", path, got)
		}
		if got := Built(File{Path: path, Kind: trust.KindConfig}); got != (path == "config:history[1]") {
			t.Errorf("%s: built %v", path, got)
		}
	}
}
