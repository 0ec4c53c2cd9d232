package judge_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/policy"
)

func shippedNames(t *testing.T) *lookalike.Names {
	t.Helper()
	names, err := lookalike.Load("names.yaml", bytes.NewReader(configs.Names()))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestJudge_lookAlike(t *testing.T) {
	t.Parallel()
	const question = "look-alike"
	tests := map[string]struct {
		registry, repository string
		standing             trust.Standing
		layer                string
		want                 trust.Action
		found, notAsked      string
		story                string
	}{
		"honest":             {registry: "docker.io", repository: "acme/nginx", layer: "one", want: trust.Allow},
		"mistyped":           {registry: "docker.io", repository: "grafnaa/grafana", layer: "one", want: trust.Warn, found: "name:namespace", story: "In its name, the namespace \"grafnaa\" resembles"},
		"looks-the-same":     {registry: "docker.io", repository: "rnicrosoft/dotnet", layer: "one", want: trust.Warn, found: "name:namespace"},
		"another-registry":   {registry: "docker.io.example.com", repository: "library/alpine", layer: "one", want: trust.Warn, found: "name:registry"},
		"with-a-miner":       {registry: "docker.io", repository: "rnicrosoft/dotnet", layer: "MINER", want: trust.Block, found: "name:namespace", story: "In its name, the namespace \"rnicrosoft\" resembles"},
		"allowed":            {registry: "docker.io", repository: "grafnaa/grafana", standing: entry("allow", "docker.io/grafnaa/**"), layer: "one", want: trust.Allow, notAsked: "the trust lists allow docker.io/grafnaa/**"},
		"denied":             {registry: "docker.io", repository: "grafnaa/grafana", standing: entry("deny", "docker.io/grafnaa/**"), layer: "one", want: trust.Block, notAsked: "the trust lists deny"},
		"a-folder":           {repository: "oci-dir:/tmp/grafnaa", layer: "one", want: trust.Allow, notAsked: "no name"},
		"an-engine's-name":   {repository: "engine:grafnaa/grafana:1", layer: "one", want: trust.Warn, found: "name:namespace"},
		"an-engine's-number": {repository: "engine:" + strings.Repeat("0123456789abcdef", 4), layer: "one", want: trust.Allow, notAsked: "no name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) {
				o.Names, o.Lists = shippedNames(t), lists{standing: func(trust.Reference) trust.Standing { return tt.standing }}
			})
			s := newSource()
			ref := s.image(t, nil, tt.layer)
			ref.Registry, ref.Repository = tt.registry, tt.repository
			v, err := j.Judge(t.Context(), ref, s)
			if err != nil {
				t.Fatal(err)
			}
			found := ""
			for _, f := range v.Evidence.Findings {
				if f.Check == lookalike.Check {
					found = f.Path
				}
			}
			if v.Action != tt.want || found != tt.found || !strings.Contains(v.Evidence.NotAsked[question], tt.notAsked) {
				t.Errorf("%s, found %q, not asked %q; want %s, %q, %q\nreasons: %q", v.Action, found, v.Evidence.NotAsked[question], tt.want, tt.found, tt.notAsked, v.Reasons)
			}
			if asked := contains(v.Evidence.Answered, question); asked != (tt.notAsked == "") || asked == (v.Evidence.NotAsked[question] != "") {
				t.Errorf("answered %q, not asked %q", v.Evidence.Answered, v.Evidence.NotAsked)
			}
			if all := strings.Join(v.Story, "\n"); !strings.Contains(all, tt.story) {
				t.Errorf("the story %q does not say %q", all, tt.story)
			}
		})
	}
}

// TestJudge_lookAlikeWithoutNames: what is not configured is no question, and the memory tells the two apart.
func TestJudge_lookAlikeWithoutNames(t *testing.T) {
	t.Parallel()
	shared := newMemory()
	for _, tt := range []struct {
		names judge.Names
		want  trust.Action
	}{{nil, trust.Allow}, {shippedNames(t), trust.Warn}} {
		j, _, _ := newJudge(t, func(o *judge.Options) { o.Names, o.Memory = tt.names, shared })
		s := newSource()
		ref := s.image(t, nil, "one")
		ref.Repository = "grafnaa/grafana"
		v, err := j.Judge(t.Context(), ref, s)
		if err != nil {
			t.Fatal(err)
		}
		asked := contains(v.Evidence.Answered, "look-alike") || v.Evidence.NotAsked["look-alike"] != ""
		if v.Action != tt.want || asked != (tt.names != nil) {
			t.Errorf("%s, asked %v, want %s", v.Action, asked, tt.want)
		}
	}
}

func entry(action, pattern string) trust.Standing {
	return trust.Standing{Decided: &trust.Entry{Action: action, Pattern: pattern}}
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// TestJudge_unknownName: a name that no list knows is warned of, and one that an entry allows is not.
func TestJudge_unknownName(t *testing.T) {
	t.Parallel()
	shipped, err := policy.Load("shipped", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		standing trust.Standing
		want     trust.Action
	}{
		"unknown": {want: trust.Warn},
		"allowed": {trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/acme/**", Action: "allow"}}, trust.Allow},
	} {
		j, _, _ := newJudge(t, func(o *judge.Options) {
			o.Policy = shipped
			o.Lists = lists{standing: func(trust.Reference) trust.Standing { return tt.standing }}
		})
		src := newSource()
		v, err := j.Judge(t.Context(), src.image(t, nil, "plain"), src)
		if err != nil || v.Action != tt.want {
			t.Errorf("%s: %s, %v, want %s: %q", name, v.Action, err, tt.want, v.Reasons)
		}
	}
}
