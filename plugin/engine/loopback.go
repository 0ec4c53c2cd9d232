package engine

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxRequests is how many requests the loopback registry works on at once. An engine sends three by default; more
	// than this is a stranger who knocks.
	maxRequests = 32
	// stallTimeout ends a connection whose other side does not take a piece of a blob for so long.
	stallTimeout = 2 * time.Minute
	// pieceSize is how much of a blob is written between two checks of the stall.
	pieceSize = 256 << 10
)

// loopback is a registry that has one image, for one engine, for one hand-over. Its repository's name is a secret of
// the run, so that others on the machine cannot read a private image through it; it changes nothing and, except for the
// protocol's greeting, answers 404 to whoever does not know the name.
type loopback struct {
	img    *image
	server *http.Server
	host   string
	secret string
	ctx    context.Context
	stop   context.CancelFunc
	done   chan struct{}
	slots  chan struct{}

	failed chan struct{} // closed with the first failure

	mu    sync.Mutex
	asked bool
	err   error
}

// newLoopback opens the registry. The caller closes it.
func newLoopback(ctx context.Context, img *image) (*loopback, error) {
	var random [20]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("open the loopback registry: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the loopback registry: %w", err)
	}
	l := &loopback{
		img: img, host: listener.Addr().String(), secret: "safepull/" + hex.EncodeToString(random[:]),
		done: make(chan struct{}), failed: make(chan struct{}), slots: make(chan struct{}, maxRequests),
	}
	l.ctx, l.stop = context.WithCancel(ctx)
	l.server = &http.Server{
		Handler: http.HandlerFunc(l.serve), ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return l.ctx },
	}
	go func() {
		defer close(l.done)
		_ = l.server.Serve(listener) // ends with Close
	}()
	return l, nil
}

// Close ends the registry and every connection to it. It may be called more than once.
func (l *loopback) Close() {
	l.stop()
	_ = l.server.Close()
	<-l.done
	for range maxRequests { // wait for handlers that still read from the source
		l.slots <- struct{}{}
	}
	for range maxRequests {
		<-l.slots
	}
}

// name is the repository as an engine pulls it.
func (l *loopback) name() string { return l.host + "/" + l.secret }

// untilFailure is ctx, ended early when something goes wrong on our side.
func (l *loopback) untilFailure(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-l.failed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// served reports whether anyone asked for the image.
func (l *loopback) served() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// failure is the first thing that went wrong on our side: content that was not to be had or did not verify.
func (l *loopback) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// fail notes a failure, unless it comes from the engine hanging up.
func (l *loopback) fail(request context.Context, err error) {
	if request.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.failed)
	}
}

func (l *loopback) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		absent(w)
		return
	}
	if r.URL.Path == "/v2/" { // the greeting that engines begin with
		w.WriteHeader(http.StatusOK)
		return
	}
	kind, d, ok := l.route(r.URL.Path)
	if !ok {
		absent(w)
		return
	}
	l.mu.Lock()
	l.asked = true
	l.mu.Unlock()
	if kind == "manifests" {
		for _, doc := range []document{l.img.top, l.img.manifest} {
			if doc.desc.Digest == d {
				head(w, doc.desc.MediaType, d, int64(len(doc.raw)))
				_, _ = w.Write(doc.raw) // not for HEAD: net/http drops it
				return
			}
		}
	} else {
		for _, desc := range l.img.blobs() {
			if desc.Digest == d {
				l.blob(w, r, desc)
				return
			}
		}
	}
	absent(w)
}

// route takes /v2/SECRET/(manifests|blobs)/DIGEST apart.
func (l *loopback) route(path string) (kind string, d digest.Digest, ok bool) {
	prefix := "/v2/" + l.secret + "/"
	if len(path) < len(prefix) || subtle.ConstantTimeCompare([]byte(path[:len(prefix)]), []byte(prefix)) != 1 {
		return "", "", false
	}
	kind, last, _ := strings.Cut(path[len(prefix):], "/")
	d, err := digest.Parse(last)
	return kind, d, err == nil && (kind == "manifests" || kind == "blobs")
}

// blob streams verified content: when it proves wrong the connection breaks before the last byte.
func (l *loopback) blob(w http.ResponseWriter, r *http.Request, desc ocispec.Descriptor) {
	if r.Method == http.MethodHead {
		head(w, "application/octet-stream", desc.Digest, desc.Size)
		return
	}
	content, err := l.img.fetch(r.Context(), desc)
	if err != nil {
		l.fail(r.Context(), err)
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer content.Close()
	head(w, "application/octet-stream", desc.Digest, desc.Size)
	connection := http.NewResponseController(w)
	buffer := make([]byte, pieceSize)
	for {
		n, err := content.Read(buffer)
		if n > 0 {
			// Where deadlines are not supported Close still ends the connection.
			_ = connection.SetWriteDeadline(time.Now().Add(stallTimeout))
			if _, werr := w.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.fail(r.Context(), fmt.Errorf("hand over %s: %w", desc.Digest, err))
			return // fewer bytes than announced: net/http breaks the connection
		}
	}
}

func head(w http.ResponseWriter, mediaType string, d digest.Digest, size int64) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Docker-Content-Digest", d.String())
}

func absent(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}`)
}
