package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// drip brings n bytes a read, which takes pause.
type drip struct {
	n     int
	pause time.Duration
}

func (d drip) Read(p []byte) (int, error) {
	time.Sleep(d.pause)
	return min(d.n, len(p)), nil
}

func (drip) Close() error { return nil }

func TestMinRate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drip   drip
		reader time.Duration // what the reader takes between two reads
		want   error
	}{
		"just too slow":    {drip{1023, time.Second}, 0, errSlow},
		"a byte at a time": {drip{1, 59 * time.Second}, 0, errSlow},
		"just fast enough": {drip{1024, time.Second}, 0, nil},
		"slow reader":      {drip{1024, time.Second}, time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				b := newBody(ctx, cancel, c.drip, Timeouts{}.withDefaults(), nil)
				defer cancel(nil)
				var err error
				start := time.Now()
				for reads := 0; reads < 300 && err == nil; reads++ {
					time.Sleep(c.reader)
					_, err = b.Read(make([]byte, 4096))
				}
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if c.want != nil && time.Since(start) > 2*time.Minute {
					t.Errorf("it took %s", time.Since(start))
				}
			})
		})
	}
}

// TestLargeAnswersShareRoom: more large answers than there is room for are asked for at once; small ones pass by.
func TestLargeAnswersShareRoom(t *testing.T) {
	t.Parallel()
	const rooms = largeAnswers / MaxManifest
	body := `{"tags":[` + strings.Repeat(" ", smallAnswer) + `"a"]}`
	var asked atomic.Int32
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/small") {
			_, _ = io.WriteString(w, `{"tags":["b"]}`)
			return
		}
		asked.Add(1)
		_, _ = io.WriteString(w, body[:smallAnswer+1])
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, body[smallAnswer+1:])
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	r, err := New(Options{Host: host, URL: server.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(chan error)
	tags := func(ctx context.Context, repository, want string) error {
		tags, _, err := r.Tags(ctx, trust.Reference{Registry: host, Repository: repository}, 0, "")
		if err == nil && (len(tags) != 1 || tags[0] != want) {
			err = fmt.Errorf("tags %q", tags)
		}
		return err
	}
	for range rooms {
		go func() { got <- tags(t.Context(), "large", "a") }()
	}
	for r.large.TryAcquire(1) { // until all room is taken
		r.large.Release(1)
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { got <- tags(ctx, "large", "a") }()
	for asked.Load() <= rooms {
		time.Sleep(time.Millisecond)
	}
	if err := tags(t.Context(), "small", "b"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("one too many: %v", err)
	}
	close(release)
	for range rooms {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if !r.large.TryAcquire(largeAnswers) {
		t.Error("room was not given back")
	}
}

// TestRoomIsGivenBack on every way out of reading a large answer.
func TestRoomIsGivenBack(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat(" ", smallAnswer)
	tests := map[string]struct {
		referrers, manifest string // bodies
		mediaType           string // of referrers
		wantErr             error
	}{
		"good":       {referrers: pad + `{"manifests":[]}`, manifest: pad + `{"config":{}}`, mediaType: ocispec.MediaTypeImageIndex},
		"fallback":   {referrers: pad + `{}`, manifest: pad + `{"manifests":[]}`, mediaType: "text/plain"},
		"no JSON":    {referrers: pad, manifest: pad, mediaType: ocispec.MediaTypeImageIndex, wantErr: trust.ErrMalformed},
		"over limit": {referrers: strings.Repeat(" ", MaxManifest+1), manifest: strings.Repeat(" ", MaxManifest+1), mediaType: ocispec.MediaTypeImageIndex, wantErr: trust.ErrLimit},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case strings.Contains(r.URL.Path, "/referrers/"):
					w.Header().Set("Content-Type", tt.mediaType)
					_, _ = io.WriteString(w, tt.referrers)
				default:
					_, _ = io.WriteString(w, tt.manifest)
				}
			}))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			r, err := New(Options{Host: host, URL: server.URL, Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ref := trust.Reference{Registry: host, Repository: "a", Tag: "1"}
			if _, err := r.Resolve(t.Context(), ref); !errors.Is(err, tt.wantErr) {
				t.Errorf("resolve: %v, want %v", err, tt.wantErr)
			}
			if _, err := r.Referrers(t.Context(), ref.WithDigest(digest.FromString("x")), ""); !errors.Is(err, tt.wantErr) {
				t.Errorf("referrers: %v, want %v", err, tt.wantErr)
			}
			if !r.large.TryAcquire(largeAnswers) {
				t.Error("room was not given back")
			}
		})
	}
}
