package lookalike

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// shipped are the names as they ship.
func shipped(t testing.TB) *Names {
	t.Helper()
	f, err := os.Open("../../configs/lookalike/names.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	names, err := Load("names.yaml", f)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// popular are the repositories that must be left alone.
func popular(t testing.TB) []string {
	t.Helper()
	body, err := os.ReadFile("../../configs/lookalike/popular.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Version      int                 `yaml:"version"`
		Repositories map[string][]string `yaml:"repositories"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	if err := decoder.Decode(&doc); err != nil || doc.Version != 1 {
		t.Fatalf("version %d: %v", doc.Version, err)
	}
	var all []string
	for _, namespace := range slices.Sorted(maps.Keys(doc.Repositories)) {
		for _, repository := range doc.Repositories[namespace] {
			all = append(all, namespace+"/"+repository)
		}
	}
	slices.Sort(all)
	if unique := slices.Compact(slices.Clone(all)); len(unique) != len(all) {
		t.Errorf("%d repositories stand in popular.yaml twice", len(all)-len(unique))
	}
	return all
}

func parse(t testing.TB, s string) trust.Reference {
	t.Helper()
	ref, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// counted are the resemblances that weigh something.
func counted(all []Resemblance) []Resemblance {
	return slices.DeleteFunc(all, func(r Resemblance) bool { return r.Strength == trust.Context })
}

// TestNumbers holds the question to its goals. `make lookalike` prints the rows.
func TestNumbers(t *testing.T) {
	t.Parallel()
	names, all := shipped(t), popular(t)
	row := func(name, measured, goal string, ok bool) {
		word := "ok"
		if !ok {
			word = "short"
			t.Errorf("%s: %s, the goal is %s", name, measured, goal)
		}
		t.Log(strings.Join([]string{"row", name, measured, goal, word}, "\t"))
	}
	raised, strangers, strange := 0, 0, 0
	for _, s := range all {
		ref := parse(t, s)
		found := counted(names.Resembles(ref))
		known, _ := names.owned(ref.Registry, strings.Split(ref.Repository, "/"))
		if shared, listed := names.listed(ref.Registry); !known && shared && listed {
			strangers++
			strange += min(len(found), 1)
		}
		if len(found) > 0 {
			raised++
			t.Logf("raised: %s: %s, %s", s, found[0].Why, found[0].Strength)
		}
	}
	percent := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	row("popular repositories", fmt.Sprint(len(all)), ">= 1000", len(all) >= 1000)
	row("findings on popular repositories, percent", fmt.Sprintf("%.2f", percent(raised, len(all))), "<= 0.5", percent(raised, len(all)) <= 0.5)
	row("of these in no listed namespace", fmt.Sprint(strangers), ">= 500", strangers >= 500)
	row("findings among those, percent", fmt.Sprintf("%.2f", percent(strange, strangers)), "<= 0.5", percent(strange, strangers) <= 0.5)

	made, missed := generated(t, names, 2026), map[string][2]int{}
	caught := 0
	for _, squat := range made {
		found := counted(names.Resembles(squat.ref))
		n := missed[squat.way]
		n[1]++
		if len(found) > 0 {
			caught++
		} else {
			n[0]++
			t.Logf("missed: %s: %s", squat.way, squat.ref.Name())
		}
		missed[squat.way] = n
	}
	row("generated squats", fmt.Sprint(len(made)), ">= 200", len(made) >= 200)
	row("of these found, percent", fmt.Sprintf("%.1f", percent(caught, len(made))), ">= 95", percent(caught, len(made)) >= 95)
	for _, way := range slices.Sorted(maps.Keys(missed)) {
		n := missed[way]
		row("found of "+way+", percent", fmt.Sprintf("%.1f", percent(n[1]-n[0], n[1])), ">= 85", percent(n[1]-n[0], n[1]) >= 85)
	}
}

// squat is a generated reference, and the way in which it imitates.
type squat struct {
	way string
	ref trust.Reference
}

// generated are squats of the shipped names. Names of fewer than six letters and everyday words are left out of the slips:
// nobody can tell theirs from honest names.
func generated(t *testing.T, names *Names, seed uint64) []squat {
	t.Helper()
	s := &squats{rand: rand.New(rand.NewPCG(seed, 7))} //nolint:gosec // repeatable
	for _, one := range names.namespaces.all {
		if len(one.name) > 5 && !one.ordinary && !strings.Contains(one.name, ".") {
			s.namespaces = append(s.namespaces, one.name)
		}
	}
	var longer []string
	for _, one := range names.repositories.all {
		if len(one.name) > 4 && !one.ordinary {
			s.repositories = append(s.repositories, one.name)
		}
		if len(one.name) > 8 && strings.Contains(one.name, "-") {
			longer = append(longer, one.name)
		}
	}
	for _, r := range names.registries {
		s.registries = append(s.registries, r.Host)
	}
	var out []squat
	add := func(way, name string) {
		ref, err := reference.Parse(name)
		if err != nil || strings.Contains(name, "//") {
			return
		}
		out = append(out, squat{way, ref})
	}
	for range 60 {
		for _, way := range slices.Sorted(maps.Keys(s.slips())) {
			slip := s.slips()[way]
			if name := slip(s.pick(s.namespaces)); name != "" && !names.taken(name) {
				add(way, name+"/"+s.pick(s.repositories))
			}
			if name := slip(s.pick(s.repositories)); name != "" && !names.taken(name) {
				add(way, s.person()+"/"+name)
			}
		}
		if host := s.registry(); host != "" {
			add("registry", host+"/library/"+s.pick(s.repositories))
		}
		add("library", s.library()+"/"+s.pick(s.repositories))
		if name := s.combined(s.pick(s.namespaces)); !names.taken(name) {
			add("something added", name+"/"+s.pick(s.repositories))
		}
		add("claim in the repository", s.person()+"/"+s.pick(s.repositories)+s.pick([]string{"-official", "-latest", "_official"}))
		add("separators", s.person()+"/"+s.separated(s.pick(longer)))
	}
	return out
}
