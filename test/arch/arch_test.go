package arch

import (
	"os"
	"testing"
)

// house is the root of the module, seen from this folder.
const house = "../.."

func loadHouse(t *testing.T) *tree {
	t.Helper()
	tr, err := load(os.DirFS(house))
	if err != nil {
		t.Fatal(err)
	}
	if tr.packages["trust"] == nil || tr.packages["test/arch"] == nil {
		t.Fatalf("no trust below %s: looking in the wrong place", house)
	}
	return tr
}

func fail(t *testing.T, problems []problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestImportLaw(t *testing.T) {
	t.Parallel()
	fail(t, loadHouse(t).imports())
}

func TestDocs(t *testing.T) {
	t.Parallel()
	fail(t, loadHouse(t).docs())
}

func TestState(t *testing.T) {
	t.Parallel()
	fail(t, loadHouse(t).state())
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	problems, err := layout(os.DirFS(house))
	if err != nil {
		t.Fatal(err)
	}
	fail(t, problems)
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	l := loadHouse(t).budgets()
	for _, p := range l.soft {
		t.Log(p)
	}
	fail(t, l.hard)
}

func TestTestShare(t *testing.T) {
	t.Parallel()
	tr := loadHouse(t)
	for _, room := range testedRooms {
		share, code := tr.testShare(room)
		t.Logf("%s: %d lines of code, %d.%03d lines of tests for each", room, code, share/1000, share%1000)
		if code > 0 && share < testPerMille {
			t.Errorf("%s: %d.%03d lines of tests for a line of code, the limit is 0.%d", room, share/1000, share%1000, testPerMille)
		}
	}
}
