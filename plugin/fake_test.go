package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/streams"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCLI is a docker CLI with streams and a configuration file only.
type fakeCLI struct {
	command.Cli
	out, err *bytes.Buffer
	config   *configfile.ConfigFile
}

func (c fakeCLI) Out() *streams.Out                  { return streams.NewOut(c.out) }
func (c fakeCLI) Err() *streams.Out                  { return streams.NewOut(c.err) }
func (c fakeCLI) ConfigFile() *configfile.ConfigFile { return c.config }

// world is everything outside the commands.
type world struct {
	organization Organization
	trustLists   []string
	signatures   func(context.Context, trust.Reference, trust.Signer) (string, error)
	t            *testing.T
	registry     *fakeRegistry
	judge        judgeFunc
	engine       *fakeEngine
	memory       fakeMemory
	campaigns    fakeCampaigns
	lists        *fakeLists
	env          map[string]string
	config       *configfile.ConfigFile
	ctx          context.Context
	proxy        func(context.Context, *url.URL, trust.Reference) (Proxied, error)
	closed       int
	// reputation is none when it is nil.
	reputation Reputation
	// without takes all dependencies away.
	without bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		t: t, registry: newRegistry(t), engine: &fakeEngine{platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}},
		memory: fakeMemory{}, lists: &fakeLists{}, env: map[string]string{}, config: configfile.New(""), ctx: t.Context(),
	}
}

// result is what a command left for its caller.
type result struct {
	out, err string
	status   int
}

func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		cli: fakeCLI{out: &out, err: &errs, config: w.config}, opts: &options{},
		env: func(name string) string { return w.env[name] },
		deps: Deps{
			Version:       Version{Version: "v1.2.3", Commit: "abc", Built: "today"},
			Judge:         func(context.Context, string) (trust.Judge, error) { return w.judge, nil },
			Source:        func(context.Context, trust.Reference) (trust.Source, error) { return w.registry, nil },
			Proxy:         w.proxy,
			Engine:        func(context.Context) (Engine, error) { return w.engine, w.engine.unreachable },
			Verdicts:      func(context.Context) (Verdicts, error) { return w.memory, nil },
			Trust:         func(context.Context) (TrustLists, error) { return w.lists, nil },
			TrustFile:     func(context.Context) (TrustFile, error) { return w.lists, nil },
			Organization:  func(context.Context) (Organization, error) { return w.organization, nil },
			UseTrustLists: func(paths []string) { w.trustLists = paths },
			UseSignatures: func(_ string, ask func(context.Context, trust.Reference, trust.Signer) (string, error)) {
				w.signatures = ask
			},
			Names:     func(context.Context) (Names, error) { return fakeNames{}, nil },
			Rules:     func(context.Context) (Rules, error) { return fakeRules{}, nil },
			Lint:      fakeLint,
			Policy:    fakePolicy,
			History:   func(context.Context, string) (History, error) { return w.memory, nil },
			Campaigns: func(context.Context, string) (Campaigns, error) { return w.campaigns, nil },
			Close:     func() error { w.closed++; return nil },
		},
	}
	if w.reputation != nil {
		a.deps.Reputation = func(context.Context, string) (Reputation, error) { return w.reputation, nil }
	}
	if w.without {
		a.deps = Deps{}
	}
	docker := &cobra.Command{Use: "docker", TraverseChildren: true, SilenceErrors: true, SilenceUsage: true}
	docker.PersistentFlags().BoolP("help", "h", false, "Print usage")
	docker.AddCommand(newCommand(a))
	docker.SetOut(&out)
	docker.SetErr(&errs)
	docker.SetArgs(append([]string{Name}, args...))
	err := docker.ExecuteContext(w.ctx)
	r := result{status: 0}
	if err != nil {
		status := cli.StatusError{StatusCode: 1}
		if !errors.As(err, &status) && args[0] != "help" {
			w.t.Fatalf("%v: %v is no StatusError", args, err)
		}
		errs.WriteString(err.Error() + "\n")
		r.status = status.StatusCode
	}
	r.out, r.err = out.String(), errs.String()
	return r
}

// fakeRegistry has one image for two platforms, each with one layer.
type fakeRegistry struct {
	mu      sync.Mutex
	top     ocispec.Descriptor
	blobs   map[digest.Digest][]byte
	fetched map[digest.Digest]int
	fail    error
}

func (r *fakeRegistry) add(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	r.blobs[d.Digest] = body
	return d
}

func (r *fakeRegistry) addJSON(t *testing.T, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return r.add(mediaType, body)
}

func newRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	r := &fakeRegistry{blobs: map[digest.Digest][]byte{}, fetched: map[digest.Digest]int{}}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, arch := range []string{"arm64", "amd64"} {
		m := ocispec.Manifest{
			MediaType: ocispec.MediaTypeImageManifest,
			Config:    r.add(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"`+arch+`"}`)),
			Layers:    []ocispec.Descriptor{r.add(ocispec.MediaTypeImageLayerGzip, []byte("layer of "+arch))},
		}
		m.SchemaVersion = 2
		d := r.addJSON(t, ocispec.MediaTypeImageManifest, m)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
		index.Manifests = append(index.Manifests, d)
	}
	r.top = r.addJSON(t, ocispec.MediaTypeImageIndex, index)
	return r
}

func (r *fakeRegistry) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if r.fail != nil {
		return ocispec.Descriptor{}, r.fail
	}
	return r.top, nil
}

func (r *fakeRegistry) Fetch(ctx context.Context, _ trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, ok := r.blobs[d.Digest]
	if !ok {
		return nil, trust.ErrNotFound
	}
	r.fetched[d.Digest]++
	return io.NopCloser(bytes.NewReader(body)), ctx.Err()
}

// judgeFunc is a judge. readAll makes one that reads the whole image and decides as it is told.
type judgeFunc func(context.Context, trust.Reference, trust.Source) (trust.Verdict, error)

func (f judgeFunc) Judge(ctx context.Context, ref trust.Reference, src trust.Source) (trust.Verdict, error) {
	return f(ctx, ref, src)
}

func readAll(action trust.Action) judgeFunc {
	return func(ctx context.Context, ref trust.Reference, src trust.Source) (trust.Verdict, error) {
		desc, err := src.Resolve(ctx, ref)
		if err != nil {
			return trust.Verdict{}, err
		}
		body, err := slurp(ctx, src, ref, desc)
		if err != nil {
			return trust.Verdict{}, err
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(body, &m); err != nil {
			return trust.Verdict{}, err
		}
		for _, d := range append(m.Layers, m.Config) {
			if _, err := slurp(ctx, src, ref, d); err != nil {
				return trust.Verdict{}, err
			}
		}
		return verdict(action, ref), nil
	}
}

// remembered is a judge that needs to read nothing.
func remembered(action trust.Action) judgeFunc {
	return func(_ context.Context, ref trust.Reference, _ trust.Source) (trust.Verdict, error) {
		return verdict(action, ref), nil
	}
}

func verdict(action trust.Action, ref trust.Reference) trust.Verdict {
	v := trust.Verdict{
		ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: action, Duration: time.Second,
		Evidence: trust.Evidence{Platform: "linux/amd64"},
	}
	if action != trust.Allow {
		v.Reasons = []string{"it mines"}
		v.Evidence.Findings = []trust.Finding{{Check: "stratum@1", Strength: trust.Proof, Layer: digest.FromString("l"), Path: "opt/x", Why: "a pool"}}
	}
	return v
}

func slurp(ctx context.Context, src trust.Source, ref trust.Reference, d ocispec.Descriptor) ([]byte, error) {
	r, err := src.Fetch(ctx, ref, d)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r)
	return body, errors.Join(err, r.Close())
}

// fakeEngine takes what it is handed.
type fakeEngine struct {
	platform    ocispec.Platform
	unreachable error
	fail        error
	archive     []byte
	has         digest.Digest
	ref         trust.Reference
	top, got    digest.Digest
	handed      map[digest.Digest]bool
}

func (e *fakeEngine) Platform(context.Context) (ocispec.Platform, error) { return e.platform, nil }

func (e *fakeEngine) Has(_ context.Context, _ trust.Reference, _, m ocispec.Descriptor, _ trust.Source) (bool, error) {
	return e.has == m.Digest, nil
}

func (e *fakeEngine) Handover(ctx context.Context, ref trust.Reference, top, m ocispec.Descriptor, src trust.Source) error {
	if e.fail != nil {
		return e.fail
	}
	e.ref, e.top, e.got, e.handed = ref, top.Digest, m.Digest, map[digest.Digest]bool{}
	body, err := slurp(ctx, src, ref, m)
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return err
	}
	for _, d := range append(manifest.Layers, manifest.Config) {
		body, err := slurp(ctx, src, ref, d)
		if err != nil {
			return err
		}
		e.handed[digest.FromBytes(body)] = true
	}
	return nil
}

func (e *fakeEngine) Save(context.Context, string) (io.ReadCloser, error) {
	if e.archive == nil {
		return nil, trust.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(e.archive)), nil
}

type fakeMemory []trust.Verdict

func (m fakeMemory) VerdictByID(_ context.Context, id string) (trust.Verdict, bool, error) {
	for _, v := range m {
		if v.ID == id {
			return v, true, nil
		}
	}
	return trust.Verdict{}, false, nil
}

func (m fakeMemory) Verdicts(_ context.Context, name string, limit int) ([]trust.Verdict, error) {
	var out []trust.Verdict
	for _, v := range m {
		if v.Reference.Name() == name && len(out) < limit {
			out = append(out, v)
		}
	}
	return out, nil
}

type fakeLists struct {
	entries []trust.Entry
	edits   []namespace.Edit
	fail    error
	// match answers Match instead of the entries.
	match func(trust.Reference) trust.Standing
}

// fakeNames finds that what begins with "rn" resembles what begins with "m".
type fakeNames struct{}

func (fakeNames) Resembles(ref trust.Reference) []lookalike.Resemblance {
	rest, ok := strings.CutPrefix(ref.Repository, "rn")
	if !ok {
		return nil
	}
	return []lookalike.Resemblance{{Part: "namespace", Name: ref.Repository, Like: "m" + rest, Strength: trust.Strong, Why: "it resembles m" + rest}}
}

func (l *fakeLists) Entries() []trust.Entry { return l.entries }
func (l *fakeLists) Name() string           { return "mine.yaml" }
func (l *fakeLists) Lint(now time.Time) []namespace.Problem {
	list, err := l.list()
	if err != nil {
		return nil
	}
	return namespace.Combine(list).Lint(now)
}
func (l *fakeLists) list() (*namespace.List, error) {
	text, err := l.Text()
	if err != nil {
		return nil, err
	}
	return namespace.Load("mine.yaml", bytes.NewReader(text))
}
func (l *fakeLists) Text() ([]byte, error) { return namespace.Encode(l.entries) }
func (l *fakeLists) History() ([]namespace.Edit, error) {
	return l.edits, l.fail
}
func (l *fakeLists) Match(ref trust.Reference, _ time.Time) trust.Standing {
	if l.match != nil {
		return l.match(ref)
	}
	for i, e := range l.entries {
		if e.Pattern == ref.Name() {
			return trust.Standing{Decided: &l.entries[i]}
		}
	}
	return trust.Standing{}
}
func (l *fakeLists) Import(entries []trust.Entry) ([]namespace.Change, error) {
	var changes []namespace.Change
	for i := range entries {
		changes = append(changes, namespace.Change{After: &entries[i]})
		l.edits = append(l.edits, namespace.Edit{By: "me", Change: changes[i]})
	}
	l.entries = append(l.entries, entries...)
	return changes, l.fail
}
func (l *fakeLists) Remove(pattern string) ([]namespace.Change, error) {
	var changes []namespace.Change
	for _, e := range l.entries {
		if e.Pattern == pattern {
			changes = append(changes, namespace.Change{Before: &e})
		}
	}
	return changes, l.fail
}

// fakePolicy is the one that is shipped, with a contact; "broken" is none.
func fakePolicy(_ context.Context, name string) (*policy.Policy, error) {
	shipped, err := policy.Load("shipped", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil || name == "broken" {
		return nil, errors.Join(errors.New("policy broken.yaml:1:1: it is wrong"), err)
	}
	if body, ok := configs.Policy(name); ok {
		return shipped.Override(name, bytes.NewReader(body))
	}
	return shipped, nil
}

func (m fakeMemory) Judged(ctx context.Context, since time.Time, do func(trust.Verdict, error) error) error {
	for _, v := range m {
		if !v.At.Before(since) {
			var unreadable error
			if v.Manifest == "" {
				v, unreadable = trust.Verdict{ID: v.ID}, errors.New("it contradicts itself")
			}
			if err := do(v, unreadable); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
