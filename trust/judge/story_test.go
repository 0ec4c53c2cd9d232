package judge_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
)

// words is an indicator of made-up words: a proof, a sign that is discounted where nothing runs it, and options that are a
// sign only on one line.
type words struct{}

const (
	proofWord = "PROOF-OF-MINING"
	quietWord = "QUIET-UNLESS-RUN"
	optionOne = "--made-up-pool"
	optionTwo = "--made-up-wallet"
)

func (words) Name() string { return "words" }
func (words) Version() int { return 1 }
func (words) Literals() []indicator.Literal {
	return []indicator.Literal{{Text: proofWord}, {Text: quietWord}, {Text: optionOne}}
}
func (words) Watch(indicator.File) indicator.Watch { return &wordsWatch{} }

type wordsWatch struct{ found []trust.Finding }

func (w *wordsWatch) Hit(h indicator.Hit) {
	line, _, _ := bytes.Cut(h.Window[h.At:], []byte("\n"))
	f := trust.Finding{Offset: h.Offset, Excerpt: trust.Sanitise(string(line), trust.ExcerptLimit), Why: "a made-up sign", Strength: trust.Proof}
	switch {
	case h.Literal == 1:
		f.Strength, f.IfRun = trust.Context, trust.Proof
	case h.Literal == 2 && !bytes.Contains(line, []byte(optionTwo)):
		return
	}
	w.found = append(w.found, f)
}
func (w *wordsWatch) Close() []trust.Finding { return w.found }

// again is a source that counts, and fails when a layer is fetched more often than once if fail is set.
type again struct {
	*imagetest.Store
	mu      sync.Mutex
	fetched map[digest.Digest]int
	fail    error
}

func (s *again) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	s.fetched[desc.Digest]++
	n := s.fetched[desc.Digest]
	s.mu.Unlock()
	if n > 1 && s.fail != nil {
		return nil, s.fail
	}
	return s.Store.Fetch(ctx, ref, desc)
}

// most is how often the layer that was fetched most often was.
func (s *again) most() int {
	most := 0
	for _, n := range s.fetched {
		most = max(most, n)
	}
	return most
}

type story struct {
	config ocispec.ImageConfig
	layers [][]imagetest.File
	change func(*judge.Options)
	fail   error
}

// tell judges an image with a real scanner.
func (s story) tell(t *testing.T) (trust.Verdict, *again, error) {
	t.Helper()
	scanner, err := scan.New([]indicator.Indicator{words{}}, nil, digest.FromString("rules"), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	image := imagetest.Image{Config: s.config}
	for _, files := range s.layers {
		image.Layers = append(image.Layers, imagetest.Layer(files...))
	}
	built := image.Build()
	source := &again{Store: imagetest.NewStore(), fetched: map[digest.Digest]int{}, fail: s.fail}
	source.Add("a/b", "1", built)
	j, _, _ := newJudge(t, func(o *judge.Options) {
		o.Scanner = scanner
		if s.change != nil {
			s.change(o)
		}
	})
	v, err := j.Judge(t.Context(), trust.Reference{Registry: "r.test", Repository: "a/b", Tag: "1", Digest: built.Root.Digest}, source)
	return v, source, err
}

func starts(argv ...string) ocispec.ImageConfig { return ocispec.ImageConfig{Entrypoint: argv} }

// found describes the findings: strength, reach and path.
func found(v trust.Verdict) []string {
	var out []string
	for _, f := range v.Evidence.Findings {
		out = append(out, fmt.Sprintf("%s %s %s", f.Strength, f.Reach, f.Path))
	}
	return out
}

var shells = []imagetest.File{imagetest.Dir("usr/bin"), {Path: "bin", Symlink: "usr/bin"}, imagetest.Binary("usr/bin/sh", []byte("\x7fELF")), imagetest.Binary("usr/bin/cat", []byte("\x7fELF"))}

func TestJudge_whatRuns(t *testing.T) {
	t.Parallel()
	document := imagetest.Text("usr/share/doc/a.md", quietWord+"\n")
	entrypoint := func(body string) imagetest.File { return imagetest.Script("e.sh", "#!/bin/sh\n"+body) }
	long := strings.Repeat("# a comment that makes the script long\n", 3000)
	secret := strings.Repeat("x", 100) + proofWord + strings.Repeat("y", 100)
	half := len(secret)/2 + 3
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	layers := func(l ...[]imagetest.File) [][]imagetest.File { return append([][]imagetest.File{shells}, l...) }
	files := func(f ...imagetest.File) []imagetest.File { return f }
	for name, tc := range map[string]struct {
		story
		want  trust.Action
		found []string
		reads int
	}{
		"document":              {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint("true\n")))}, trust.Allow, []string{"context present usr/share/doc/a.md"}, 1},
		"document-that-runs":    {story{config: starts("/e.sh"), layers: layers(files(document), files(entrypoint("D=/usr/share\nsh $D/doc/a.md\n")))}, trust.Block, []string{"proof runs usr/share/doc/a.md"}, 2},
		"document-replaced":     {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint("sh /usr/share/doc/a.md\n")), files(imagetest.Text("usr/share/doc/a.md", "nothing\n")))}, trust.Allow, []string{"context hidden usr/share/doc/a.md"}, 2},
		"script-replaced":       {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint("sh /usr/share/doc/a.md\n")), files(entrypoint("true\n")))}, trust.Allow, []string{"context present usr/share/doc/a.md"}, 1},
		"removed-later":         {story{config: starts("/bin/sh"), layers: [][]imagetest.File{{imagetest.Text("m", proofWord+" and more text than a whiteout has")}, {imagetest.Whiteout("m")}}}, trust.Quarantine, []string{"proof hidden m"}, 1},
		"options-in-pieces":     {story{config: ocispec.ImageConfig{Entrypoint: []string{"/e.sh"}, Cmd: []string{optionTwo, "x"}, Env: []string{"A=" + optionOne + " a:1"}}, layers: layers(files(entrypoint("exec /m $A \"$@\"\n")))}, trust.Block, []string{"proof runs closure:e.sh"}, 1},
		"options-that-are-none": {story{config: ocispec.ImageConfig{Entrypoint: []string{"/e.sh"}, Env: []string{"A=" + optionOne + " a:1"}}, layers: layers(files(entrypoint("exec /m $A\n"), imagetest.Script("other.sh", "#!/bin/sh\n/m $A "+optionTwo+"\n")))}, trust.Allow, nil, 1},
		"known-line-once":       {story{config: ocispec.ImageConfig{Entrypoint: []string{"/e.sh"}, Env: []string{"A=a"}}, layers: layers(files(entrypoint("/m $A " + proofWord + "\n")))}, trust.Block, []string{"proof runs e.sh"}, 1},
		"joined":                {story{config: starts("/e.sh"), layers: layers(files(imagetest.Text("p/a", secret[:half])), files(imagetest.Text("p/b", secret[half:]), entrypoint("cat /p/* > /tmp/m\nsh /tmp/m\n")))}, trust.Block, []string{"proof runs p/a+p/b"}, 2},
		"joined-and-decoded":    {story{config: starts("/e.sh"), layers: layers(files(imagetest.Text("p/a", encoded[:half]+"\n")), files(imagetest.Text("p/b", encoded[half:]), entrypoint("cat /p/a /p/b | base64 -d | sh\n")))}, trust.Block, []string{"proof runs p/a+p/b"}, 2},
		"joined-by-nobody":      {story{config: starts("/bin/sh"), layers: layers(files(imagetest.Text("p/a", secret[:half]), imagetest.Text("p/b", secret[half:]), entrypoint("cat /p/* > /tmp/m\n")))}, trust.Allow, nil, 1},
		"long-script":           {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint(long+"sh /usr/share/doc/a.md\n")))}, trust.Block, []string{"proof runs usr/share/doc/a.md"}, 3},
		"long-script-in-turn":   {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint(long+". /f.sh\n"), imagetest.Script("f.sh", long+"sh /usr/share/doc/a.md\n")))}, trust.Block, []string{"proof runs usr/share/doc/a.md"}, 4},
		"too-long-a-script":     {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint(strings.Repeat(long, 80))))}, trust.Block, []string{"proof runs usr/share/doc/a.md"}, 2},
		"too-many-in-turn": {story{config: starts("/a0"), layers: layers(files(document, imagetest.Script("a0", "#!/bin/sh\n"+long+"/a1"), imagetest.Script("a1", "#!/bin/sh\n"+long+"/a2"),
			imagetest.Script("a2", "#!/bin/sh\n"+long+"/a3"), imagetest.Script("a3", "#!/bin/sh\n"+long+"/a4")))}, trust.Block, []string{"proof runs usr/share/doc/a.md"}, 4},
		"image-too-large": {story{config: starts("/bin/sh"), layers: layers(files(imagetest.Text("a", proofWord+strings.Repeat("x", 9000)))), change: func(o *judge.Options) { o.ImageBytes = 6000 }}, trust.Quarantine, []string{"proof  a"}, 1},
		"gone-again":      {story{config: starts("/e.sh"), layers: layers(files(document, entrypoint(long))), fail: fmt.Errorf("gone: %w", trust.ErrLimit)}, trust.Quarantine, []string{"context present usr/share/doc/a.md"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, source, err := tc.tell(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.found, found(v)); diff != "" || v.Action != tc.want {
				t.Errorf("%s, unanswered %v\n%s", v.Action, v.Evidence.Unanswered, diff)
			}
			if got := source.most(); got != tc.reads {
				t.Errorf("a layer was read %d times, want %d", got, tc.reads)
			}
		})
	}
}

// A source that breaks when a layer is read again leaves no verdict, as it does the first time.
func TestJudge_readAgainBreaks(t *testing.T) {
	t.Parallel()
	long := "#!/bin/sh\n" + strings.Repeat("# long\n", 20000)
	s := story{config: starts("/e.sh"), layers: [][]imagetest.File{shells, {imagetest.Script("e.sh", long)}}, fail: trust.ErrUnavailable}
	if v, _, err := s.tell(t); !errors.Is(err, trust.ErrUnavailable) || v.Action != "" {
		t.Errorf("%q, %v", v.Action, err)
	}
}

// An image that unpacks to more than it may is unanswered, whatever the parallelism, and says so for each layer.
func TestJudge_imageBytes(t *testing.T) {
	t.Parallel()
	var first trust.Evidence
	for n := 1; n <= 3; n++ {
		s := story{config: starts("/bin/sh"), change: func(o *judge.Options) { o.ImageBytes, o.LayersInWork = 12000, n }}
		for i := range 4 {
			s.layers = append(s.layers, []imagetest.File{imagetest.Text(fmt.Sprint("f", i), strings.Repeat(fmt.Sprint(i), 2000*(i+1)))})
		}
		v, _, err := s.tell(t)
		if err != nil || v.Action != trust.Quarantine || len(v.Evidence.Unanswered) != 2 || !strings.Contains(fmt.Sprint(v.Evidence.Unanswered), "12000") {
			t.Fatalf("%s, %v: %v", v.Action, err, v.Evidence.Unanswered)
		}
		if n == 1 {
			first = v.Evidence
		} else if diff := cmp.Diff(first, v.Evidence); diff != "" {
			t.Errorf("with %d layers in work: %s", n, diff)
		}
	}
}

// What runs is the same whatever the parallelism.
func TestJudge_whatRunsIsDeterministic(t *testing.T) {
	t.Parallel()
	var first trust.Evidence
	for n := range 4 {
		s := story{config: ocispec.ImageConfig{Entrypoint: []string{"/e.sh"}, Env: []string{"A=a"}}, change: func(o *judge.Options) { o.LayersInWork = n + 1 }, layers: [][]imagetest.File{
			shells, {imagetest.Text("p/a", "one"), imagetest.Text("doc/x", quietWord)}, {imagetest.Text("p/b", "two"), imagetest.Text("doc/y", quietWord)},
			{imagetest.Script("e.sh", "#!/bin/sh\ncat /p/* >/tmp/x\nfor f in /doc/*; do sh $f; done\n/m $A "+optionOne+" x\n")},
		}}
		v, _, err := s.tell(t)
		if err != nil || v.Action != trust.Block {
			t.Fatal(v.Action, err)
		}
		if n == 0 {
			first = v.Evidence
		} else if diff := cmp.Diff(first, v.Evidence); diff != "" {
			t.Error(diff)
		}
	}
}

// Ordinary images: what their scripts and start-up files lead to is found, and nothing comes of it.
func TestJudge_ordinaryImages(t *testing.T) {
	t.Parallel()
	elf := func(p string) imagetest.File { return imagetest.Binary(p, []byte("\x7fELF")) }
	notes := imagetest.Text("usr/share/doc/rules/list.txt", quietWord+"\n")
	for name, s := range map[string]story{
		"debian": {config: ocispec.ImageConfig{Cmd: []string{"bash"}}, layers: [][]imagetest.File{shells, {
			elf("usr/bin/bash"), notes, imagetest.Text("root/.bashrc", "PS1='\\u: '\n# alias rm='rm -i'\n"), imagetest.Text("root/.profile", "if [ \"$BASH\" ]; then\n  if [ -f ~/.bashrc ]; then\n    . ~/.bashrc\n  fi\nfi\n"),
			imagetest.Text("etc/crontab", "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n"), imagetest.Script("etc/cron.daily/dpkg", "#!/bin/sh\nexec /usr/libexec/dpkg/dpkg-db-backup\n"),
			imagetest.Text("etc/profile", "if [ -d /etc/profile.d ]; then\n  for i in /etc/profile.d/*.sh; do\n    if [ -r $i ]; then\n      . $i\n    fi\n  done\nfi\n"),
		}}},
		"postgres": {config: ocispec.ImageConfig{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"postgres"}, Env: []string{"PGDATA=/var/lib/postgresql/data", "PATH=/usr/local/bin:/usr/bin:/usr/lib/postgresql/16/bin"}}, layers: [][]imagetest.File{shells, {
			elf("usr/lib/postgresql/16/bin/postgres"), elf("usr/local/bin/gosu"), notes, imagetest.Dir("docker-entrypoint-initdb.d"),
			imagetest.Script("usr/local/bin/docker-entrypoint.sh", `#!/usr/bin/env bash
set -Eeo pipefail
docker_process_init_files() {
	local f
	for f; do
		case "$f" in
			*.sh) if [ -x "$f" ]; then printf '%s: running %s\n' "$0" "$f"; "$f"; else . "$f"; fi ;;
			*.sql.gz) gunzip -c "$f" | docker_process_sql; printf '\n' ;;
		esac
	done
}
_main() {
	if [ "${1:0:1}" = '-' ]; then set -- postgres "$@"; fi
	if [ "$1" = 'postgres' ] && [ "$(id -u)" = '0' ]; then exec gosu postgres "$BASH_SOURCE" "$@"; fi
	docker_process_init_files /docker-entrypoint-initdb.d/*
	exec "$@"
}
_main "$@"
`),
		}}},
		"node": {config: ocispec.ImageConfig{Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"node", "server.js"}, WorkingDir: "/app"}, layers: [][]imagetest.File{shells, {
			elf("usr/local/bin/node"), notes, imagetest.Script("usr/local/bin/docker-entrypoint.sh", "#!/bin/sh\nset -e\nif [ \"${1#-}\" != \"${1}\" ] || [ -z \"$(command -v \"${1}\")\" ]; then\n  set -- node \"$@\"\nfi\nexec \"$@\"\n"),
			imagetest.Text("app/package.json", `{"main":"server.js","scripts":{"start":"node server.js","test":"mocha"}}`), imagetest.Text("app/server.js", "const http = require('http'); const e = require('express'); e().listen(3333)\n"),
			imagetest.Text("app/node_modules/express/index.js", "module.exports = require('./lib/express')\n"), imagetest.Text("app/node_modules/express/README.md", quietWord+"\n"),
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, source, err := s.tell(t)
			if err != nil || v.Action != trust.Allow || len(v.Evidence.Unanswered) > 0 || source.most() > 1 {
				t.Errorf("%s, %v, %v after %d reads", v.Action, err, v.Evidence.Unanswered, source.most())
			}
			for _, f := range v.Evidence.Findings {
				if f.Reach != trust.ReachPresent {
					t.Errorf("%s %s", f.Reach, f.Path)
				}
			}
		})
	}
}

// treeless has a finding in a layer whose list of entries was cut.
type treeless struct{ snippetPaths }

func (*treeless) Layer(_ context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	body, err := io.ReadAll(r)
	return trust.Inspection{DiffID: diffID(body), TreeCut: true, Findings: []trust.Finding{{Check: "a@1", Layer: desc.Digest, Path: "x", IfRun: trust.Proof}}}, err
}

func TestJudge_everythingRunsWhereTreesAreCut(t *testing.T) {
	t.Parallel()
	j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = &treeless{} })
	src := newSource()
	v, err := j.Judge(t.Context(), src.image(t, nil, "layer"), src)
	if err != nil || v.Action != trust.Block || v.Evidence.Findings[0].Reach != trust.ReachRuns {
		t.Errorf("%s, %v: %+v", v.Action, err, v.Evidence.Findings)
	}
}

// opening is a scanner that opens archives with the right password.
type opening struct {
	*scan.Scanner
	mu    sync.Mutex
	tried []string
}

func (o *opening) File(_ context.Context, blob digest.Digest, e layer.Entry, r io.Reader, passwords []string) ([]trust.Finding, error) {
	body, err := io.ReadAll(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tried = append(o.tried, fmt.Sprintf("%s %q %d/%d", e.Path, passwords, len(body), e.Size))
	return []trust.Finding{{Check: "a@1", Layer: blob, Path: e.Path + "!/m", IfRun: trust.Proof}}, err
}

// sealed finds an archive that hides what it holds, until a password opens it.
type sealed struct{ snippetPaths }

func (*sealed) Layer(_ context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	body, err := io.ReadAll(r)
	found := trust.Inspection{DiffID: diffID(body)}
	script := "#!/bin/sh\nunzip -P secret /a.zip\nunzip /b.zip\n"
	found.Tree.Add(trust.TreeEntry{Path: "e.sh", Type: trust.TypeFile, Mode: 0o755, Kind: trust.KindScript, Size: int64(len(script)), Body: script})
	for _, name := range []string{"a.zip", "b.zip"} {
		found.Tree.Add(trust.TreeEntry{Path: name, Type: trust.TypeFile, Kind: trust.KindData, Size: 9})
		found.Findings = append(found.Findings, trust.Finding{Check: "unwrap@1", Class: trust.ClassOpaque, Layer: desc.Digest, Path: name, IfRun: trust.Weak})
	}
	return found, err
}

func (*sealed) File(context.Context, digest.Digest, layer.Entry, io.Reader, []string) ([]trust.Finding, error) {
	return nil, nil
}

// An archive that a password of a script opens hides nothing any more.
func TestJudge_forgetsWhatAPasswordOpens(t *testing.T) {
	t.Parallel()
	j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = &sealed{} })
	src := newSource()
	body := imagetest.Tar(imagetest.Text("a.zip", "123456789"))
	ref := src.image(t, func(_ *ocispec.Manifest, c map[string]any) {
		c["config"] = map[string]any{"Entrypoint": []string{"/e.sh"}}
	}, string(body))
	v, err := j.Judge(t.Context(), ref, src)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"weak runs b.zip"}, found(v)); diff != "" {
		t.Error(diff)
	}
}

func TestJudge_triesPasswords(t *testing.T) {
	t.Parallel()
	scanner, err := scan.New([]indicator.Indicator{words{}}, nil, digest.FromString("rules"), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	o := &opening{Scanner: scanner}
	v, source, err := story{config: starts("/e.sh"), change: func(options *judge.Options) { options.Scanner = o }, layers: [][]imagetest.File{
		shells, {imagetest.Text("a.zip", "PK\x03\x04 an archive")}, {imagetest.Script("e.sh", "#!/bin/sh\nP=secret\nunzip -P $P /a.zip; unzip -P other /a.zip\n")},
	}}.tell(t)
	if err != nil || v.Action != trust.Block || source.most() != 2 {
		t.Fatal(v.Action, err)
	}
	if diff := cmp.Diff([]string{`a.zip ["secret" "other"] 15/15`}, o.tried); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"proof runs a.zip!/m"}, found(v)); diff != "" {
		t.Error(diff)
	}
}
