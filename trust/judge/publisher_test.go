package judge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/publisher"
)

// publishers answer at once, after a while, or never.
type publishers struct {
	answer   publisher.Answer
	err      error
	never    bool
	moved    []trust.Finding
	tagErr   error
	key      string
	asked    int
	compared []string
}

func (p *publishers) Ask(ctx context.Context, _ trust.Reference) (publisher.Answer, error) {
	p.asked++
	if p.never {
		<-ctx.Done()
		return publisher.Answer{}, ctx.Err()
	}
	return p.answer, p.err
}

func (p *publishers) Compare(_ context.Context, ref trust.Reference, platform string, s publisher.Shape) ([]trust.Finding, error) {
	p.compared = append(p.compared, fmt.Sprintf("%s %s %d", ref, platform, len(s.Layers)))
	return p.moved, p.tagErr
}

func (p *publishers) Key() digest.Digest { return digest.FromString(p.key) }

func weak(part string) trust.Finding {
	return trust.Finding{Check: publisher.Check, Strength: trust.Weak, Reach: trust.ReachPresent, Path: publisher.Part + part, Why: `"acme" is odd`}
}

func TestJudge_publisher(t *testing.T) {
	t.Parallel()
	shipped, err := policy.Load("shipped", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	silent := fmt.Errorf("Docker Hub did not answer: %w", trust.ErrUnavailable)
	vouched := publisher.Answer{Vouched: []string{"a verified publisher"}}
	for name, tt := range map[string]struct {
		publishers publishers
		standing   trust.Standing
		registry   string
		repository string
		runs       string
		want       trust.Action
		state      string // answered, unanswered, not asked, none
		says       string
		asked      int
	}{
		"vouched":           {publishers: publishers{answer: vouched}, want: trust.Allow, state: "answered", asked: 1},
		"nobody-knows":      {want: trust.Warn, state: "answered", says: "nobody here knows", asked: 1},
		"sign":              {publishers: publishers{answer: publisher.Answer{Findings: []trust.Finding{weak("account")}, Vouched: vouched.Vouched}}, want: trust.Allow, state: "answered", says: `Of its publisher, the account "acme" is odd.`, asked: 1},
		"moved":             {publishers: publishers{answer: vouched, moved: []trust.Finding{weak("tag")}}, want: trust.Allow, state: "answered", says: `Of its publisher, the tag "acme" is odd.`, asked: 1},
		"unanswered-warns":  {publishers: publishers{answer: vouched, err: silent}, want: trust.Warn, state: "unanswered", says: "did not answer", asked: 1},
		"unanswered-limit":  {publishers: publishers{answer: vouched, err: fmt.Errorf("much: %w", trust.ErrLimit)}, want: trust.Warn, state: "unanswered", says: "much", asked: 1},
		"unanswered-miner":  {publishers: publishers{err: silent}, runs: "MINER", want: trust.Block, state: "not asked", says: "blocked already", asked: 1},
		"miner-and-vouched": {publishers: publishers{answer: vouched}, runs: "MINER", want: trust.Block, state: "not asked", says: "blocked already", asked: 1},
		"never-and-a-miner": {publishers: publishers{never: true}, runs: "MINER", want: trust.Block, state: "not asked", says: "blocked already", asked: 1},
		"waived":            {publishers: publishers{err: silent}, standing: entry("allow", "docker.io/acme/**"), want: trust.Allow, state: "not asked", says: "the trust lists allow docker.io/acme/**"},
		"denied":            {standing: entry("deny", "docker.io/acme/**"), want: trust.Block, state: "not asked", says: "the trust lists deny"},
		"file":              {registry: "-", repository: "oci-dir:/x", want: trust.Allow, state: "not asked", says: "no name of a registry"},
		"quiet":             {publishers: publishers{answer: publisher.Answer{NotAsked: "offline", Vouched: vouched.Vouched}}, want: trust.Allow, state: "not asked", says: "offline", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := tt.publishers
			j, _, _ := newJudge(t, func(o *judge.Options) {
				o.Publishers, o.Policy, o.Lists = &p, shipped, lists{standing: func(trust.Reference) trust.Standing { return tt.standing }}
			})
			s := newSource()
			ref := s.image(t, func(_ *ocispec.Manifest, c map[string]any) {
				c["config"] = map[string]any{"Entrypoint": []string{"/bin/sh", "-c", tt.runs}}
			}, "one")
			ref.Registry, ref.Repository, ref.Tag = "docker.io", "acme/app", "1"
			if tt.registry != "" {
				ref.Registry, ref.Repository = "", tt.repository
			}
			v, err := j.Judge(t.Context(), ref, s)
			if err != nil {
				t.Fatal(err)
			}
			e := v.Evidence
			state, all := "none", strings.Join(append(v.Reasons, v.Story...), "\n")+e.Unanswered["publisher"]+e.NotAsked["publisher"]
			switch {
			case e.Unanswered["publisher"] != "":
				state = "unanswered"
			case e.NotAsked["publisher"] != "":
				state = "not asked"
			case contains(e.Answered, "publisher"):
				state = "answered"
			}
			if v.Action != tt.want || state != tt.state || !strings.Contains(all, tt.says) || p.asked != tt.asked {
				t.Errorf("%s, %s, asked %d times: %s", v.Action, state, p.asked, all)
			}
			compared := tt.asked == 1 && v.Action != trust.Block
			if (len(p.compared) == 1) != compared || compared && !strings.HasPrefix(p.compared[0], "docker.io/acme/app:1@"+ref.Digest.String()+" ") {
				t.Errorf("compared %q", p.compared)
			}
		})
	}
}

// TestJudge_publisherErrors: what is no answer of a registry is no verdict either.
func TestJudge_publisherErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is full")
	for name, p := range map[string]*publishers{"ask": {err: broken}, "compare": {tagErr: broken}} {
		j, _, _ := newJudge(t, func(o *judge.Options) { o.Publishers = p })
		s := newSource()
		ref := s.image(t, nil, "one")
		ref.Registry = "docker.io"
		if v, err := j.Judge(t.Context(), ref, s); !errors.Is(err, broken) {
			t.Errorf("%s: %s, %v", name, v.Action, err)
		}
	}
}

// TestJudge_publisherUntil: a verdict holds as long as what was told of the publisher, and not under another way to ask.
func TestJudge_publisherUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	p, shared := &publishers{answer: publisher.Answer{Until: now.Add(time.Hour)}}, newMemory()
	j, _, _ := newJudge(t, func(o *judge.Options) {
		o.Publishers, o.Memory, o.Now = p, shared, func() time.Time { return now }
		o.Lists = lists{standing: func(trust.Reference) trust.Standing { return trust.Standing{Until: now.Add(2 * time.Hour)} }}
	})
	s := newSource()
	ref := s.image(t, nil, "one")
	ref.Registry = "docker.io"
	for i, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {time.Minute, 1}, {59 * time.Minute, 2}, {time.Minute, 3}} { // the answer stays as old as it is
		now = now.Add(step.after)
		v, err := j.Judge(t.Context(), ref, s)
		if err != nil || p.asked != step.asked || i < 2 && !v.Until.Equal(p.answer.Until) {
			t.Errorf("step %d: asked %d times, until %s, %v", i, p.asked, v.Until, err)
		}
	}
	p.key, p.answer.Until = "another", now.Add(time.Hour)
	for range 2 {
		if _, err := j.Judge(t.Context(), ref, s); err != nil {
			t.Fatal(err)
		}
	}
	if p.asked != 4 {
		t.Errorf("asked %d times", p.asked)
	}
}

// TestJudge_publisherTags: what was said of one tag's image answers for its digest, and for no other tag.
func TestJudge_publisherTags(t *testing.T) {
	t.Parallel()
	p := &publishers{}
	j, _, _ := newJudge(t, func(o *judge.Options) { o.Publishers = p })
	s := newSource()
	ref := s.image(t, nil, "one")
	ref.Registry, ref.Repository = "docker.io", "acme/app"
	for i, step := range []struct {
		tag      string
		moved    []trust.Finding
		compared int // so far
		signs    int
	}{{"1", nil, 1, 0}, {"", nil, 1, 0}, {"latest", []trust.Finding{weak("tag")}, 2, 1}, {"latest", nil, 2, 1}, {"", nil, 2, 1}, {"1", nil, 2, 0}} {
		ref.Tag, p.moved = step.tag, step.moved
		v, err := j.Judge(t.Context(), ref, s)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.compared) != step.compared || len(v.Evidence.Findings) != step.signs {
			t.Errorf("step %d, %q: compared %q, %+v", i, step.tag, p.compared, v.Evidence.Findings)
		}
		if _, ok, err := j.Remembered(t.Context(), ref); !ok || err != nil {
			t.Errorf("step %d: not remembered, %v", i, err)
		}
	}
}
