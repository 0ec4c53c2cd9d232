package progress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body is a source of one blob; err ends it in place of io.EOF.
type body struct {
	text string
	err  error
}

func (b body) Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, nil
}

func (b body) Fetch(context.Context, trust.Reference, ocispec.Descriptor) (io.ReadCloser, error) {
	var r io.Reader = strings.NewReader(b.text)
	if b.err != nil {
		r = io.MultiReader(r, iotest.ErrReader(b.err))
	}
	return io.NopCloser(r), nil
}

func layer(text string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(text), Size: int64(len(text))}
}

func drain(t *testing.T, src trust.Source, d ocispec.Descriptor, n int64) {
	t.Helper()
	r, err := src.Fetch(t.Context(), trust.Reference{}, d)
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r, n))
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		src  body
		desc ocispec.Descriptor
		read int64
		want string
	}{
		"whole":      {body{"hello", nil}, layer("hello"), 99, "2cf24dba5fb0: Inspecting\n2cf24dba5fb0: Inspected\n"},
		"exact-size": {body{"hello", nil}, layer("hello"), 5, "2cf24dba5fb0: Inspecting\n2cf24dba5fb0: Inspected\n"},
		"early":      {body{"hello", nil}, layer("hello"), 2, "2cf24dba5fb0: Inspecting\n2cf24dba5fb0: Stopped\n"},
		"broken":     {body{"hel", trust.ErrIntegrity}, layer("hello"), 99, "2cf24dba5fb0: Inspecting\n2cf24dba5fb0: Failed\n"},
		"config":     {body{"{}", nil}, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("{}"), Size: 2}, 9, ""},
		"bad-digest": {body{"{}", nil}, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: "x", Size: 2}, 9, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			d := New(Auto, Output{Writer: &b})
			d.Phase("Inspecting", "Inspected")
			drain(t, d.Source(tt.src), tt.desc, tt.read)
			d.Close()
			d.Close()
			d.Say("too late")
			if b.String() != tt.want {
				t.Errorf("got %q, want %q", b.String(), tt.want)
			}
		})
	}
}

func TestSayIsSanitised(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	d := New(Plain, Output{Writer: &b, Terminal: true})
	d.Say("Judging %s", "x\x1b[2J\n"+strings.Repeat("y", 1<<16))
	d.Close()
	if got := b.String(); strings.ContainsAny(got, "\x1b") || strings.Count(got, "\n") != 1 || len(got) > lineLimit+1 {
		t.Errorf("%d bytes: %.80q", len(got), got)
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	d := New(Quiet, Output{Writer: &b, Terminal: true})
	d.Say("hello")
	drain(t, d.Source(body{"hello", nil}), layer("hello"), 99)
	d.Close()
	if b.Len() != 0 {
		t.Errorf("%q", b.String())
	}
}

// TestBars reads several layers at once on what calls itself a terminal.
func TestBars(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	d := New(Auto, Output{Writer: &b, FD: ^uintptr(0), Terminal: true})
	d.interval = 0
	var wg sync.WaitGroup
	for _, text := range []string{"a", "b", "c", "d"} {
		text = strings.Repeat(text, 1<<20)
		wg.Go(func() { drain(t, d.Source(body{text, nil}), layer(text), 1<<30) })
	}
	wg.Wait()
	d.Close()
	d.Say("too late")
	if got := b.String(); strings.Count(got, "Read") < 4 || !strings.Contains(got, "MB") || strings.Contains(got, "late") {
		t.Errorf("%.500q", got)
	}
}

// deaf is a terminal that has gone away.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestTerminalGone(t *testing.T) {
	t.Parallel()
	d := New(Auto, Output{Writer: deaf{}, Terminal: true})
	for range 10 * backlog {
		d.Say("hello")
	}
	d.Close()
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"auto", "plain", "quiet"} {
		if m, err := ParseMode(s); err != nil || string(m) != s {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ParseMode("loud"); err == nil {
		t.Error("loud is no mode")
	}
}
