package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy"
	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/proxy/tags"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/store/sqlite"
)

const (
	// driverThreads bounds the file operations of the cache at one time.
	driverThreads = 100
	// cacheEnds is what the cache gets to end what it does.
	cacheEnds = 10 * time.Second
	// maxQuarantined bounds the blobs that quarantine keeps in the cache.
	maxQuarantined = 100_000
)

// Signatures makes what checks who signed an image, against a trusted root in JSON, which may be empty. Nil is for programs
// that check no signatures: it needs libraries that are larger than all of the rest.
type Signatures func(trustedRoot []byte, referrers func(context.Context, trust.Reference, string) (ocispec.Index, error)) (judge.Signatures, error)

// Bucket opens S3 storage. Nil is for programs that have none.
type Bucket func(context.Context, config.S3) (storagedriver.StorageDriver, error)

// kept is what the proxy keeps of what it read.
type kept struct {
	blobs *blobcache.Cache
	tags  *tags.Memory
	lock  io.Closer // of a folder that is not in the state directory, or nil
}

// keep opens what was kept. everyone reports whether everyone may read a repository.
func keep(ctx context.Context, cfg config.Config, bucket Bucket, store *sqlite.Store, counters *metrics.Metrics, log *logrus.Logger, everyone func(trust.Reference) bool) (_ *kept, err error) {
	k := &kept{}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close(ctx))
		}
	}()
	if cfg.Cache.Path != "" {
		if k.lock, err = proxy.Lock(cfg.Cache.Path); err != nil {
			return nil, fmt.Errorf("cache.path: %w", err)
		}
	}
	driver, o, err := storage(ctx, cfg, bucket)
	if err != nil {
		return nil, err
	}
	o.MaxBytes = int64(cfg.Cache.MaxBytes)
	o.Keep = func(ctx context.Context) ([]digest.Digest, error) { return store.Quarantined(ctx, maxQuarantined) }
	faults := newCacheFaults(cfg.Cache, o.Root, log)
	o.Failed, o.Works, o.Damaged = faults.failed, faults.works, faults.damaged
	o.ScrubBytesPerSecond = int64(cfg.Cache.ScrubBytesPerSecond)
	if k.blobs, err = blobcache.Open(ctx, driver, o); err != nil {
		return nil, err
	}
	if s := k.blobs.Stats(); s.Rebuilt {
		log.Warn("the inventory of the cache was damaged: what the cache holds is being found out")
	}
	counters.WatchCache(func() metrics.Cache { return watched(k.blobs.Stats()) })
	remembered, err := tags.New(tags.Options{
		TTL: cfg.Cache.TagTTL, StaleIfDown: cfg.Cache.StaleIfDown, Everyone: everyone,
		File: filepath.Join(cfg.StateDir, "tags.json"), Observer: staleTags{counters, log},
	})
	if remembered == nil {
		return nil, err
	}
	if err != nil {
		log.WithError(err).Warn("what tags pointed at is forgotten")
	}
	k.tags = remembered
	return k, nil
}

// close lets the cache end what it does.
func (k *kept) close(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheEnds)
	defer cancel()
	if k.tags != nil {
		err = k.tags.Close()
	}
	if k.blobs != nil {
		err = errors.Join(err, k.blobs.Close(ctx))
	}
	if k.lock != nil {
		err = errors.Join(err, k.lock.Close())
	}
	return err
}

// storage is where the configuration wants blobs to be.
func storage(ctx context.Context, cfg config.Config, bucket Bucket) (storagedriver.StorageDriver, blobcache.Options, error) {
	switch c := cfg.Cache; c.Driver {
	case config.DriverFilesystem:
		root := c.Path
		if root == "" {
			root = filepath.Join(cfg.StateDir, "cache")
		}
		driver := filesystem.New(filesystem.DriverParameters{RootDirectory: root, MaxThreads: driverThreads})
		return driver, blobcache.Options{Root: root}, nil
	case config.DriverInMemory:
		return inmemory.New(), blobcache.Options{}, nil
	case config.DriverS3:
		if bucket == nil {
			return nil, blobcache.Options{}, errors.New("cache: this program has no driver s3")
		}
		driver, err := bucket(ctx, c.S3)
		return driver, blobcache.Options{Shared: true, Scratch: filepath.Join(cfg.StateDir, "scratch")}, err
	}
	return nil, blobcache.Options{}, fmt.Errorf("cache: the driver %q is not known here", cfg.Cache.Driver)
}

func watched(s blobcache.Stats) metrics.Cache {
	return metrics.Cache{
		Entries: s.Entries, Bytes: s.Bytes, Hits: s.Hits, Misses: s.Misses, Joins: s.Joins, Commits: s.Commits,
		Evictions: s.Evictions, Errors: s.Errors, Damaged: s.Damaged, Skipped: s.Skipped,
	}
}

// staleTags tells of answers that were given in a registry's stead.
type staleTags struct {
	counters *metrics.Metrics
	log      *logrus.Logger
}

// Stale implements tags.Observer.
func (s staleTags) Stale(ref trust.Reference, age time.Duration, err error) {
	s.counters.StaleTag(ref.Registry)
	s.log.WithError(err).WithFields(logrus.Fields{"reference": ref.String(), "age": age.Round(time.Second).String()}).
		Warn("the registry is down: the tag is taken to point at what it pointed at")
}

// cached is the blob cache as the gate wants it.
type cached struct {
	cache    *blobcache.Cache
	counters *metrics.Metrics
}

// Open implements enforce.Cache.
func (c cached) Open(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, int64, error) {
	blob, err := c.cache.Get(ctx, d)
	if errors.Is(err, blobcache.ErrMiss) {
		err = fmt.Errorf("%w: %w", err, trust.ErrNotFound)
	}
	c.counters.Cached(err == nil)
	if err != nil {
		return nil, 0, err
	}
	return blob, blob.Size(), nil
}
