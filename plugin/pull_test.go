package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
)

// tempFolder makes the commands' temporary folders countable. It cannot be used by parallel tests.
func tempFolder(t *testing.T) func() {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() {
		t.Helper()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestPullAllowed(t *testing.T) {
	clean := tempFolder(t)
	w := newWorld(t)
	w.judge = readAll(trust.Allow)
	r := w.run("alpine")
	want := "Verdict: allowed (SP-0123456789)\nDigest: " + w.registry.top.Digest.String() +
		"\nStatus: Downloaded newer image for alpine:latest\ndocker.io/library/alpine:latest\n"
	if diff := cmp.Diff(result{want, r.err, 0}, r, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
	if w.engine.top != w.registry.top.Digest || len(w.engine.handed) != 2 || w.engine.ref.String() != "docker.io/library/alpine:latest" {
		t.Errorf("the engine got %+v", w.engine)
	}
	for d, n := range w.registry.fetched {
		if n > 1 {
			t.Errorf("%s was fetched %d times", d, n)
		}
	}
	if n := len(w.registry.fetched); n != 4 {
		t.Errorf("%d blobs were fetched, want index, manifest, config and layer", n)
	}
	if w.closed != 1 {
		t.Errorf("closed %d times", w.closed)
	}
	if !strings.Contains(r.err, "Inspected") || !strings.Contains(r.err, "Handed over") {
		t.Errorf("no progress:\n%s", r.err)
	}
	clean()
}

// TestPullByDigest: the last lines are docker pull's, which leaves the tag out of the status when there is a digest.
func TestPullByDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judge = readAll(trust.Allow)
	d := w.registry.top.Digest.String()
	want := "Verdict: allowed (SP-0123456789)\nDigest: " + d + "\nStatus: Downloaded newer image for alpine@" + d +
		"\ndocker.io/library/alpine:3@" + d + "\n"
	if r := w.run("--progress", "quiet", "alpine:3@"+d); r != (result{want, "", 0}) {
		t.Errorf("%+v", r)
	}
}

// TestPullSpellings: all ways to say it mean the same, flags on either side included.
func TestPullSpellings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-q", "alpine"}, {"pull", "-q", "alpine"}, {"-q", "pull", "alpine"}, {"image", "alpine", "--quiet"},
	} {
		w := newWorld(t)
		w.judge = readAll(trust.Allow)
		if r := w.run(args...); r != (result{"docker.io/library/alpine:latest\n", "", 0}) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	w := newWorld(t)
	w.judge = readAll(trust.Allow)
	if r := w.run("image", "check", "-q"); r.out != "docker.io/library/check:latest\n" {
		t.Errorf("an image called check: %+v", r)
	}
}

func TestPullUpToDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judge = readAll(trust.Allow)
	w.run("alpine")
	w.engine.has, w.engine.got = w.engine.got, ""
	clear(w.registry.fetched)
	w.judge = remembered(trust.Allow)
	r := w.run("alpine")
	if !strings.Contains(r.out, "\nStatus: Image is up to date for alpine:latest\n") || r.status != 0 || w.engine.got != "" {
		t.Errorf("%+v", r)
	}
	if n := len(w.registry.fetched); n != 1 {
		t.Errorf("%d blobs were fetched, want the index only", n)
	}
}

// TestPullRemembered: what the judgement did not need to read is fetched for the hand-over.
func TestPullRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judge = remembered(trust.Allow)
	if r := w.run("alpine"); r.status != 0 || len(w.engine.handed) != 2 {
		t.Errorf("%+v, handed %v", r, w.engine.handed)
	}
}

func TestPullRefused(t *testing.T) {
	for action, want := range map[trust.Action]struct {
		status int
		word   string
	}{
		trust.Block:      {2, "BLOCKED: docker.io/library/alpine:latest"},
		trust.Quarantine: {3, "QUARANTINED: docker.io/library/alpine:latest"},
		"strange":        {4, "COULD NOT BE JUDGED: docker.io/library/alpine:latest"},
	} {
		t.Run(string(action), func(t *testing.T) {
			clean := tempFolder(t)
			w := newWorld(t)
			w.judge = readAll(action)
			r := w.run("--progress", "quiet", "alpine")
			if r.status != want.status || !strings.HasPrefix(r.out, want.word) || w.engine.got != "" {
				t.Errorf("%+v, handed %q", r, w.engine.got)
			}
			if n := strings.Count(r.out+r.err, "\n"); n > 12 {
				t.Errorf("%d lines:\n%s%s", n, r.out, r.err)
			}
			for _, part := range []string{"explain SP-0123456789", "opt/x", "layer "} {
				if !strings.Contains(r.out, part) {
					t.Errorf("%q is missing:\n%s", part, r.out)
				}
			}
			if strings.Contains(r.out, "\x1b") {
				t.Errorf("colour without a terminal: %q", r.out)
			}
			if q := w.run("-q", "alpine"); q.out != "" || !strings.Contains(q.err, want.word) || q.status != want.status {
				t.Errorf("quiet: %+v", q)
			}
			clean()
		})
	}
}

func TestPullWarned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judge = readAll(trust.Warn)
	r := w.run("alpine")
	if r.status != 0 || w.engine.got == "" || !strings.Contains(r.out, "allowed with a warning (SP-0123456789)\n  - it mines\n") {
		t.Errorf("%+v", r)
	}
}

func TestPullUnanswered(t *testing.T) {
	for name, judge := range map[string]judgeFunc{
		"error": func(context.Context, trust.Reference, trust.Source) (trust.Verdict, error) {
			return trust.Verdict{}, trust.ErrUnavailable
		},
		"other-manifest": func(_ context.Context, ref trust.Reference, _ trust.Source) (trust.Verdict, error) {
			return verdict(trust.Allow, ref.WithDigest("sha256:other")), nil
		},
		"empty-verdict": func(context.Context, trust.Reference, trust.Source) (trust.Verdict, error) {
			return trust.Verdict{}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			clean := tempFolder(t)
			w := newWorld(t)
			w.judge = judge
			r := w.run("--format", "json", "alpine")
			var doc render.Document
			if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
				t.Fatal(err)
			}
			if r.status != 4 || doc.ExitStatus != 4 || doc.Action != "unanswered" || doc.Unanswered["judgement"] == "" || w.engine.got != "" {
				t.Errorf("%+v", r)
			}
			if r := w.run("alpine"); r.status != 4 || !strings.Contains(r.out, "COULD NOT BE JUDGED") {
				t.Errorf("%+v", r)
			}
			clean()
		})
	}
}

func TestPullErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*world)
		args  []string
		say   string
	}{
		"bad-name":       {nil, []string{"UPPER"}, "UPPER"},
		"bad-platform":   {nil, []string{"--platform", "a/b/c/d", "alpine"}, "platform"},
		"bad-progress":   {nil, []string{"--progress", "loud", "alpine"}, "auto, plain or quiet"},
		"bad-format":     {nil, []string{"--format", "xml", "alpine"}, "text or json"},
		"bad-output":     {nil, []string{"-o", "floppy:x", "alpine"}, "docker-archive:FILE"},
		"no-platform":    {nil, []string{"--platform", "linux/s390x", "alpine"}, "it has linux/arm64, linux/amd64"},
		"no-image":       {nil, nil, "Usage:"},
		"two-images":     {nil, []string{"a", "b"}, "got 2"},
		"unknown-flag":   {nil, []string{"--bogus", "a"}, "Usage:"},
		"not-found":      {func(w *world) { w.registry.fail = trust.ErrNotFound }, []string{"alpine"}, "there is no image alpine:latest"},
		"no-login":       {func(w *world) { w.registry.fail = trust.ErrUnauthorized }, []string{"alpine"}, `pull access denied for alpine:latest: it does not exist, or needs another login ("docker login")`},
		"other-login":    {func(w *world) { w.registry.fail = trust.ErrUnauthorized }, []string{"r.test:5/a"}, `("docker login r.test:5")`},
		"unavailable":    {func(w *world) { w.registry.fail = trust.ErrUnavailable }, []string{"alpine"}, "resolve alpine:latest: "},
		"no-engine":      {func(w *world) { w.engine.unreachable = errors.New("socket") }, []string{"alpine"}, "reach the engine"},
		"handover-fails": {func(w *world) { w.engine.fail = errors.New("disk full") }, []string{"alpine"}, "disk full"},
		"other-digest":   {nil, []string{"alpine@sha256:" + strings.Repeat("0", 64)}, "integrity"},
		"odd-manifest":   {func(w *world) { w.registry.top.MediaType = "text/html" }, []string{"alpine"}, "text/html"},
		"stray-flag":     {nil, []string{"-o", "x", "check", "alpine"}, "takes no --output"},
	} {
		t.Run(name, func(t *testing.T) {
			clean := tempFolder(t)
			w := newWorld(t)
			w.judge = readAll(trust.Allow)
			if tt.spoil != nil {
				tt.spoil(w)
			}
			r := w.run(tt.args...)
			if r.status != 1 || !strings.Contains(r.err, tt.say) || r.out != "" || w.engine.got != "" {
				t.Errorf("%+v", r)
			}
			if name != "bad-format" {
				r = w.run(append([]string{"--format=json"}, tt.args...)...)
				var p render.Problem
				if err := json.Unmarshal([]byte(r.out), &p); err != nil || p.Schema != 1 || p.Error == "" || p.ExitStatus != 1 {
					t.Errorf("%v: %+v", err, r)
				}
			}
			clean()
		})
	}
}

// TestPullInterrupted cancels in the middle of a layer.
func TestPullInterrupted(t *testing.T) {
	clean := tempFolder(t)
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.ctx = ctx
	w.judge = func(ctx context.Context, ref trust.Reference, src trust.Source) (trust.Verdict, error) {
		if _, err := readAll(trust.Allow)(ctx, ref, src); err != nil {
			return trust.Verdict{}, err
		}
		cancel()
		<-ctx.Done()
		return trust.Verdict{}, ctx.Err()
	}
	r := w.run("alpine")
	if r.status != 130 || w.engine.got != "" || !strings.Contains(r.err, "interrupted") || w.closed != 1 {
		t.Errorf("%+v", r)
	}
	clean()
}

// TestSignal sends a real one.
func TestSignal(t *testing.T) {
	for sig, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		if signal.Ignored(sig) { // nohup
			continue
		}
		w := newWorld(t)
		w.judge = func(ctx context.Context, _ trust.Reference, _ trust.Source) (trust.Verdict, error) {
			for range 2 { // A second one, right away, changes nothing.
				if err := syscall.Kill(os.Getpid(), sig); err != nil {
					return trust.Verdict{}, err
				}
			}
			select {
			case <-ctx.Done():
				return trust.Verdict{}, ctx.Err()
			case <-time.After(10 * time.Second):
				return trust.Verdict{}, errors.New("the signal did not arrive")
			}
		}
		if r := w.run("alpine"); r.status != status {
			t.Errorf("%s: %+v", sig, r)
		}
	}
}

// TestBrokenPipe: a reader of standard output that goes away does not end the process before it has cleaned up.
func TestBrokenPipe(t *testing.T) {
	if marker := os.Getenv("PLUGIN_TEST_MARKER"); marker != "" {
		_, stop := interruptible(t.Context())
		if _, err := os.Stdout.WriteString("x"); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		stop()
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer w.Close()
	marker := filepath.Join(t.TempDir(), "alive")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenPipe$")
	child.Env, child.Stdout = append(os.Environ(), "PLUGIN_TEST_MARKER="+marker), w
	if err := child.Run(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("the process ended at its first write: %v", err)
	}
}

func TestPullToFile(t *testing.T) {
	clean := tempFolder(t)
	for _, transport := range []string{"oci-dir:", "docker-archive:"} {
		w := newWorld(t)
		w.engine.unreachable = errors.New("no engine here")
		w.judge = readAll(trust.Allow)
		dest := transport + filepath.Join(t.TempDir(), "out")
		r := w.run("--platform", "linux/amd64", "-o", dest, "alpine")
		if r.status != 0 || !strings.Contains(r.out, "Status: Wrote alpine:latest to "+dest+"\n") {
			t.Fatalf("%+v", r)
		}
		for d, n := range w.registry.fetched {
			if n > 1 {
				t.Errorf("%s was fetched %d times", d, n)
			}
		}
		if r := w.run("check", dest); r.status != 0 || !strings.HasPrefix(r.out, "Verdict: allowed") {
			t.Errorf("check: %+v", r)
		}
		w.judge = readAll(trust.Block)
		if r := w.run("check", "--format", "json", dest); r.status != 2 || !strings.Contains(r.out, `"action": "block"`) {
			t.Errorf("check: %+v", r)
		}
		refused := transport + filepath.Join(t.TempDir(), "refused")
		if r := w.run("-o", refused, "alpine"); r.status != 2 {
			t.Errorf("%+v", r)
		}
		if _, err := os.Stat(strings.TrimPrefix(refused, transport)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a refused image was written: %v", err)
		}
	}
	clean()
}

func TestCheckEngine(t *testing.T) {
	clean := tempFolder(t)
	w := newWorld(t)
	w.judge = readAll(trust.Quarantine)
	file := filepath.Join(t.TempDir(), "saved.tar")
	pull := newWorld(t)
	pull.judge = readAll(trust.Allow)
	if r := pull.run("-o", "docker-archive:"+file, "alpine"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	var err error
	if w.engine.archive, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	r := w.run("check", "--progress=quiet", "engine:alpine")
	if r.status != 3 || !strings.HasPrefix(r.out, "QUARANTINED: engine:alpine (linux/amd64)\n") {
		t.Errorf("%+v", r)
	}
	w.engine.archive = nil
	for _, arg := range []string{"engine:gone", "engine:", "oci-dir:/no/such", "docker-archive:" + t.TempDir()} {
		if r := w.run("check", arg); r.status != 1 {
			t.Errorf("%s: %+v", arg, r)
		}
	}
	clean()
}

func TestCheckRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.unreachable = errors.New("no engine here")
	w.judge = readAll(trust.Block)
	r := w.run("check", "-q", "--platform=linux/amd64", "alpine")
	if r.status != 2 || r.out != "blocked (SP-0123456789)\n" {
		t.Errorf("%+v", r)
	}
}

// TestPlatformMismatch: an image without an index that is for another platform than was asked for.
func TestPlatformMismatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judge = readAll(trust.Allow)
	body := w.registry.blobs[w.registry.top.Digest]
	var index ocispec.Index
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&index); err != nil {
		t.Fatal(err)
	}
	w.registry.top = index.Manifests[1]
	if r := w.run("--platform", "linux/arm64", "alpine"); r.status != 1 || !strings.Contains(r.err, "not for linux/arm64") {
		t.Errorf("%+v", r)
	}
	if r := w.run("alpine"); r.status != 0 || w.engine.top != w.engine.got {
		t.Errorf("%+v", r)
	}
}
