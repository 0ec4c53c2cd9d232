package enforce

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// To seal a blob is to withhold its last bytes until the verdict on the image that it is asked for with. No layer and no
// configuration is of use without them: engines verify the digest of the whole before they unpack or keep it.
const (
	// reserve are the bytes at the end of every blob that wait for the verdict.
	reserve = 64 << 10
	// floor are those of them that wait in any case. The others go out one at a time, so that no timer between proxy
	// and client takes the wait for silence.
	floor = 32 << 10
	// maxSeals bounds the images whose blobs may be sealed at one time; each has 513 blobs at most.
	maxSeals = 512
	// keepRefused is how long a refused seal answers for its blobs: clients ask again for what was cut.
	keepRefused = 2 * time.Minute
	// lookahead is what a sealed blob must have further on before bytes of it go out, so that its last ones stay even when
	// it is shorter than its manifest says. It is the memory that each reader takes.
	lookahead = 2 * floor
	// openPatience is how long the first byte of a sealed blob is waited for before its answer begins.
	openPatience = 5 * time.Second
)

// seal is one image that is being judged while its blobs are delivered.
type seal struct {
	ref   trust.Reference
	blobs map[digest.Digest]ocispec.Descriptor
	// decided is closed when it is known what becomes of the image; refused is why it does not pass, nil if it does.
	decided chan struct{}
	refused error
	until   time.Time
	// cut ends when the image is refused, and never otherwise.
	cut    context.Context
	refuse context.CancelCauseFunc
}

// open reports whether the image passed. It is false while nobody knows.
func (s *seal) open() bool {
	select {
	case <-s.decided:
		return s.refused == nil
	default:
		return false
	}
}

// await waits for the verdict, patience at most, and returns why the image is refused.
func (s *seal) await(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.decided:
		return s.refused
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seals are the images that are delivered sealed, found by the blobs that they name.
type seals struct {
	mu    sync.Mutex
	byKey *lru.Cache[string, *seal]
	// byBlob are the seals of each blob, the newest last: images share layers.
	byBlob map[string][]*seal
}

func newSeals() (*seals, error) {
	s := &seals{byBlob: map[string][]*seal{}}
	var err error
	s.byKey, err = lru.NewWithEvict(maxSeals, func(_ string, old *seal) { s.forget(old) })
	return s, err
}

// forget is called by byKey, with mu held.
func (s *seals) forget(old *seal) {
	for d := range old.blobs {
		key := old.ref.Name() + "@" + d.String()
		left := slices.DeleteFunc(s.byBlob[key], func(it *seal) bool { return it == old })
		if s.byBlob[key] = left; len(left) == 0 {
			delete(s.byBlob, key)
		}
	}
}

// add makes a seal known, or finds the one that there is and that may still open.
func (s *seals) add(key string, fresh func() *seal) (it *seal, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.byKey.Get(key); ok {
		select {
		case <-known.decided: // decided anew
		default:
			return known, false
		}
	}
	it = fresh()
	s.byKey.Remove(key)
	s.byKey.Add(key, it)
	for d := range it.blobs {
		key := it.ref.Name() + "@" + d.String()
		s.byBlob[key] = append(s.byBlob[key], it)
	}
	return it, true
}

// of finds the seal of a blob: of several, the newest that was not refused, so that the refusal of one image is no answer
// for another that is still being judged.
func (s *seals) of(ref trust.Reference) *seal {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.byBlob[ref.Name()+"@"+ref.Digest.String()]
	for _, it := range slices.Backward(all) {
		select {
		case <-it.decided:
			if it.refused == nil {
				return it
			}
		default:
			return it
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// drop forgets a seal that opened, since what names its blobs is on record now, or that was refused a while ago.
func (s *seals) drop(key string, it *seal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.byKey.Peek(key); ok && known == it {
		s.byKey.Remove(key)
	}
}

// mayBeSealed reports whether an image can be delivered before its verdict: it breaks no law, and none of its blobs comes
// with the manifest itself.
func mayBeSealed(doc inspect.Manifest) bool {
	if len(doc.Refused) > 0 || doc.Config.Data != nil {
		return false
	}
	for _, l := range doc.Layers {
		if l.Data != nil {
			return false
		}
	}
	return true
}

// deliverSealed lets an undecided image go out while it is judged.
func (g *Gate) deliverSealed(ctx context.Context, ref trust.Reference, src trust.Source, doc inspect.Manifest) error {
	key := g.flightKey(ref)
	f, err := g.flights.join(ctx, key, ref, src)
	if err != nil {
		return err
	}
	defer g.flights.leave(f)
	it, isNew := g.seals.add(key, func() *seal {
		s := &seal{ref: ref, blobs: map[digest.Digest]ocispec.Descriptor{}, decided: make(chan struct{})}
		s.cut, s.refuse = context.WithCancelCause(context.Background()) //nolint:contextcheck // outlives the request
		for _, d := range append([]ocispec.Descriptor{doc.Config}, doc.Layers...) {
			s.blobs[d.Digest] = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
		}
		return s
	})
	if isNew {
		ctx := context.WithoutCancel(ctx)
		g.flights.follow(f, func(v trust.Verdict, err error) {
			// Neither lists that were replaced nor what another's login could not read is an answer.
			if others := f.as != readerOf(ctx, ref); err == nil && g.outdated(ref, v) || others && (err != nil || v.Passing) {
				v, err = g.judgement(ctx, ref, src, nil)
			}
			g.settle(key, it, v, err)
		})
	}
	return nil
}

// settle opens the seal or cuts what is on its way. It is the only place that does.
func (g *Gate) settle(key string, s *seal, v trust.Verdict, err error) {
	if err != nil {
		s.refused = &Unjudged{Reference: s.ref, Err: err}
	} else {
		v.Reference = s.ref
		_, s.refused = g.enforce(s.ref, v)
	}
	s.until = time.Now().Add(keepRefused)
	close(s.decided)
	if s.refused == nil {
		g.seals.drop(key, s)
		return
	}
	s.refuse(s.refused)
	time.AfterFunc(keepRefused, func() { g.seals.drop(key, s) })
}

// behind is ref's blob as the image of the seal names it: sealed while that is being judged, then as the verdict says.
func (g *Gate) behind(ctx context.Context, s *seal, ref trust.Reference, src trust.Source) (Blob, error) {
	select {
	case <-s.decided:
	default:
		desc := s.blobs[ref.Digest]
		return Blob{
			Descriptor: desc, Sealed: true,
			await: func(ctx context.Context, offset int64) error {
				if offset < desc.Size-reserve {
					return nil
				}
				return s.await(ctx, min(g.hold, maxWholeHold))
			},
			open: func(ctx context.Context) (io.ReadCloser, error) { return g.openSealed(ctx, ref, src, desc, s) },
		}, nil
	}
	if s.refused == nil { // while the records were read
		b, _, err := g.byMemory(ctx, ref, src, []digest.Digest{s.ref.Digest})
		return b, err
	}
	if time.Now().Before(s.until) {
		return Blob{}, s.refused
	}
	return Blob{}, nil
}

// openSealed opens the blob behind its seal. When content is slow to come, the reader is returned before it is there.
func (g *Gate) openSealed(ctx context.Context, ref trust.Reference, src trust.Source, desc ocispec.Descriptor, s *seal) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.cut, func() { cancel(context.Cause(s.cut)) })
	r := &sealedReader{ctx: ctx, seal: s, size: desc.Size, drip: g.drip, opened: make(chan struct{})}
	r.end = func() {
		stop()
		cancel(errClosed)
	}
	go func() {
		defer close(r.opened)
		defer func() { // nobody else would survive it for this goroutine
			if p := recover(); p != nil {
				r.content, r.openErr = nil, &panicked{value: p, stack: debug.Stack()}
			}
		}()
		if r.content, r.openErr = g.open(ctx, ref, src, desc); r.openErr == nil {
			r.ahead = bufio.NewReaderSize(r.content, lookahead)
		}
	}()
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case <-r.opened:
		if err := r.openErr; err != nil {
			err = r.why(err) // before the end gives a reason of its own
			r.end()
			return nil, err
		}
	case <-patience.C:
	}
	return r, nil
}

var errClosed = errors.New("the blob is closed")

// sealedReader gives a blob up to its reserve, then a byte now and then down to the floor, and the rest when the seal
// opens. It keeps no content.
type sealedReader struct {
	ctx     context.Context // ends with the request, with Close, and with a refusal
	seal    *seal
	size    int64
	pos     int64
	drip    time.Duration
	opened  chan struct{} // closed when content and openErr are set
	content io.ReadCloser
	ahead   *bufio.Reader // over content
	openErr error
	end     func()
}

// why is the refusal, when that is what ended the reading.
func (r *sealedReader) why(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	return err
}

// Read implements io.Reader. It never returns a byte of the floor before the seal is open.
func (r *sealedReader) Read(p []byte) (int, error) {
	if err := r.await(); err != nil || len(p) == 0 {
		return 0, err
	}
	free, err := r.free()
	if err != nil {
		return 0, err
	}
	if !r.seal.open() {
		if p = p[:min(int64(len(p)), free, lookahead-floor)]; len(p) == 0 {
			return 0, nil
		}
		if _, err := r.ahead.Peek(len(p) + floor); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: the blob is shorter than its manifest says", trust.ErrIntegrity)
			}
			return 0, r.why(err)
		}
	}
	n, err := r.ahead.Read(p)
	r.pos += int64(n)
	if r.ctx.Err() != nil { // refused, or gone, while reading
		return 0, context.Cause(r.ctx)
	}
	return n, err
}

// await waits until there is content.
func (r *sealedReader) await() error {
	select {
	case <-r.opened:
		if r.openErr != nil {
			return r.why(r.openErr)
		}
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// free waits until bytes may go out, and says how many.
func (r *sealedReader) free() (int64, error) {
	const all = math.MaxInt64
	if r.seal.open() {
		return all, nil
	}
	if n := r.size - reserve - r.pos; n > 0 {
		return n, nil
	}
	var drop <-chan time.Time
	if r.pos < r.size-floor {
		timer := time.NewTimer(r.drip)
		defer timer.Stop()
		drop = timer.C
	}
	select {
	case <-r.seal.decided:
		if r.seal.refused != nil {
			return 0, r.seal.refused
		}
		return all, nil
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	case <-drop:
		return 1, nil
	}
}

// Seek implements io.Seeker, forward from where the reader is or to any place that the content can be sought to.
func (r *sealedReader) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 {
		return r.pos, fmt.Errorf("seek to %d from %d is not supported", offset, whence)
	}
	if err := r.await(); err != nil {
		return r.pos, err
	}
	var err error
	if s, ok := r.content.(io.Seeker); ok {
		_, err = s.Seek(offset, io.SeekStart)
		r.ahead.Reset(r.content)
	} else if offset >= r.pos {
		_, err = io.CopyN(io.Discard, r.ahead, offset-r.pos)
	} else {
		err = errors.New("the content cannot be read again")
	}
	if err != nil {
		return r.pos, r.why(err)
	}
	r.pos = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *sealedReader) Close() error {
	r.end()
	<-r.opened
	if r.content == nil {
		return nil
	}
	return r.content.Close()
}
