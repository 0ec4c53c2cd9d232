package report

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

func TestRoleOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		kind trust.Kind
		want Role
	}{
		{"config:entrypoint", trust.KindConfig, Runs},
		{"usr/bin/x", trust.KindExecutable, Runs},
		{"usr/share/doc/x/prog", trust.KindExecutable, Runs},
		{"app/dao.py", trust.KindScript, Runs},
		{"usr/share/doc/x/examples/run.sh", trust.KindScript, Samples},
		{"app/tests/run.py", trust.KindScript, Samples},
		{"rules/miners.yar", trust.KindText, Documents},
		{"app/README.md", trust.KindScript, Documents},
		{"README.md", trust.KindText, Documents},
		{"srv/README", trust.KindText, Documents},
		{"var/log/x.log", trust.KindText, Documents},
		{"app/test/x.test.js", trust.KindScript, Documents},
		{"app/x.test.js", trust.KindScript, Runs},
		{"etc/cron.d/update", trust.KindText, Runs},
		{"lib/systemd/system/x.service", trust.KindText, Runs},
		{"root/.bashrc", trust.KindText, Runs},
		{"app/config.json", trust.KindText, Settings},
		{"app/.env", trust.KindText, Settings},
		{"app/notes", trust.KindText, Other},
		{"app/blob", trust.KindData, Other},
		{"usr/share/doc/x/changelog.gz", trust.KindData, Documents},
	} {
		if got := RoleOf(indicator.File{Path: test.path, Kind: test.kind}); got != test.want {
			t.Errorf("%s (%s): got %d, want %d", test.path, test.kind, got, test.want)
		}
	}
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		role     Role
		in       trust.Strength
		now, run trust.Strength
	}{
		{Runs, trust.Proof, trust.Proof, trust.Context},
		{Settings, trust.Proof, trust.Strong, trust.Proof},
		{Settings, trust.Weak, trust.Weak, trust.Context},
		{Other, trust.Strong, trust.Weak, trust.Strong},
		{Samples, trust.Proof, trust.Strong, trust.Proof},
		{Samples, trust.Strong, trust.Weak, trust.Strong},
		{Samples, trust.Context, trust.Context, trust.Context},
		{Documents, trust.Proof, trust.Context, trust.Proof},
		{Documents, trust.Context, trust.Context, trust.Context},
	} {
		if now, run := Weigh(test.role, test.in); now != test.now || run != test.run {
			t.Errorf("%d, %s: got %s and %s", test.role, test.in, now, run)
		}
	}
}

func TestReportIsBoundedAndIndependentOfOrder(t *testing.T) {
	t.Parallel()
	var want []trust.Finding
	for round := range 4 {
		r := New(indicator.File{Path: "x.sh", Kind: trust.KindScript})
		for _, i := range rand.Perm(100) {
			s := trust.Weak
			if i%10 == 3 {
				s = trust.Proof
			}
			r.Add(int64(i), s, []byte(strings.Repeat("x", 1000)), "why")
			r.Add(int64(i), trust.Context, nil, "less at the same place")
		}
		got := r.Findings()
		if len(got) != MaxFindings {
			t.Fatalf("got %d findings", len(got))
		}
		if round == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		proofs := 0
		for _, f := range got {
			if f.Strength == trust.Proof {
				proofs++
			}
		}
		if proofs != 10 {
			t.Errorf("kept %d of the 10 strongest", proofs)
		}
	}
}

func TestBudgetIsNotSilent(t *testing.T) {
	t.Parallel()
	r := New(indicator.File{Path: "x.sh", Kind: trust.KindScript})
	var b Budget
	reads := 0
	for i := range 3 * MaxReads {
		if b.Spend(r, int64(i)) {
			reads++
		}
	}
	if most := MaxReads + 3*MaxReads/bytesPerRead; reads < MaxReads || reads > most || r.Unread() == "" {
		t.Errorf("%d reads, want %d to %d; unread %q", reads, MaxReads, most, r.Unread())
	}
}

func TestBudgetGrowsWithTheFile(t *testing.T) {
	t.Parallel()
	r := New(indicator.File{Path: "feed.csv", Kind: trust.KindText})
	var b Budget
	for i := range 3 * MaxReads {
		if !b.Spend(r, int64(i)*bytesPerRead) {
			t.Fatalf("place %d of a sparse file was not read", i)
		}
	}
	if r.Unread() != "" {
		t.Errorf("unread: %q", r.Unread())
	}
}

func TestAddIfRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file       indicator.File
		in, run    trust.Strength
		now, ifRun trust.Strength
	}{
		"script":   {indicator.File{Path: "a.sh", Kind: trust.KindScript}, trust.Weak, trust.Strong, trust.Weak, trust.Strong},
		"same":     {indicator.File{Path: "a.sh", Kind: trust.KindScript}, trust.Strong, trust.Weak, trust.Strong, trust.Context},
		"command":  {indicator.File{Path: "config:command", Kind: trust.KindConfig}, trust.Weak, trust.Strong, trust.Strong, trust.Context},
		"nested":   {indicator.File{Path: "config:command!/base64@5", Kind: trust.KindScript}, trust.Weak, trust.Strong, trust.Strong, trust.Context},
		"history":  {indicator.File{Path: "config:history[3]", Kind: trust.KindConfig}, trust.Weak, trust.Strong, trust.Weak, trust.Strong},
		"settings": {indicator.File{Path: "a.yaml", Kind: trust.KindText}, trust.Weak, trust.Strong, trust.Context, trust.Strong},
		"document": {indicator.File{Path: "a.md", Kind: trust.KindText}, trust.Strong, trust.Strong, trust.Context, trust.Strong},
		"sample":   {indicator.File{Path: "examples/a.sh", Kind: trust.KindScript}, trust.Strong, trust.Strong, trust.Weak, trust.Strong},
	} {
		r := New(test.file)
		r.AddIfRun(0, test.in, test.run, nil, "why")
		if got := r.Findings()[0]; got.Strength != test.now || got.IfRun != test.ifRun {
			t.Errorf("%s: got %s and %s", name, got.Strength, got.IfRun)
		}
	}
}
