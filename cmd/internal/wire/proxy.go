package wire

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy"
	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/proxy/metrics"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/store/sqlite"
)

const (
	// proxyKeeps is how long a proxy remembers what nobody asked for.
	proxyKeeps = 180 * 24 * time.Hour
	// pruneEvery is how often it forgets.
	pruneEvery = 24 * time.Hour
)

// Proxy serves until ctx ends.
func Proxy(ctx context.Context, cfg config.Config, bucket Bucket, signatures Signatures, log *logrus.Logger) (err error) {
	defer boundMemory(cfg.Judge.LayersInWork)()
	lock, err := proxy.Lock(cfg.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	store, err := sqlite.Open(filepath.Join(cfg.StateDir, "state.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	counters := metrics.New()
	var registries *registries
	everyone := func(ref trust.Reference) bool { return registries.AnonymousMayRead(ref) }
	kept, err := keep(ctx, cfg, bucket, store, counters, log, everyone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.close(ctx)) }()
	if registries, err = upstreams(cfg, kept, counters, log); err != nil {
		return err
	}
	defer registries.close()
	loaded, err := loadFiles(judgedFrom(cfg))
	if err != nil {
		return err
	}
	if loaded.signatures, err = signatures.with(cfg, registries); err != nil {
		return err
	}
	log.WithFields(loaded.fields()).Info("judging by")
	own, err := newOrganizationList(cfg, loaded)
	if err != nil {
		return err
	}
	if own != nil {
		defer alongside(ctx, func(ctx context.Context) { own.follow(ctx, followEvery, log) })()
	}
	publishers, end, err := publishers(ctx, cfg, store)
	if err != nil {
		return err
	}
	defer end()
	gate, err := newGate(cfg, loaded, store, asked(publishers), kept.blobs, counters, registries)
	if err != nil {
		return err
	}
	defer func() {
		// Judgements are cancelled, and must not write to a store that is closed.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, gate.Close(ending))
	}()
	return serve(ctx, cfg, log, store, gate, counters, registries, handlers{
		lists: own.handler(cfg, log), signatures: answeredSignatures(loaded.signatures, registries, log),
	})
}

func newGate(cfg config.Config, loaded inForce, store *sqlite.Store, publishers judge.Publishers, cache *blobcache.Cache, counters *metrics.Metrics, registries *registries) (*enforce.Gate, error) {
	judges, err := loaded.judge(store, publishers)
	if err != nil {
		return nil, err
	}
	return enforce.New(judges, store, registries, enforce.Options{
		Hold: cfg.Judge.HoldFor, Deadline: cfg.Judge.Deadline, Concurrent: cfg.Judge.Concurrent, Waiting: cfg.Judge.Waiting,
		Platforms: platforms(cfg.Platforms), Cache: cached{cache, counters}, Rights: registries, Observer: counters,
	})
}

func judgedFrom(cfg config.Config) sources {
	own := listFiles(namespace.Organization, cfg.TrustLists...)
	if cfg.Organization.List != "" {
		own = append(own, listFiles(namespace.Organization, cfg.Organization.List)...)
	}
	return sources{
		policy: cfg.Policy, rules: cfg.Rules, lists: own, shippedList: len(cfg.TrustLists) == 0, yara: cfg.YARA,
		limits: limits(cfg.Judge.Limits), image: int64(cfg.Judge.Limits.ImageBytes), artifact: int64(cfg.Judge.Limits.ArtifactBytes),
		layers: cfg.Judge.LayersInWork, inflate: cfg.Judge.Inflate,
		clamd: clamav.Options{Address: cfg.Clamd.Address, Timeout: cfg.Clamd.Timeout, MaxStream: int64(cfg.Clamd.MaxStream)},
	}
}

func limits(l config.Limits) scan.Limits {
	return scan.Limits{
		Layer: layer.Limits{
			Bytes: int64(l.Bytes), Ratio: int64(l.Ratio), Entries: l.Files, PathBytes: l.PathBytes, HeaderBytes: int64(l.HeaderBytes), Window: int64(l.Window),
		},
		Nested: scan.NestedLimits{
			Depth: l.Depth, Peels: l.Encodings, Bytes: int64(l.NestedBytes), Pieces: l.NestedFiles, Steps: int64(l.Steps), Spool: int64(l.Spool),
		},
		FileTime: l.FileTime,
	}
}

// Verify loads every file that a configuration names, and makes of them what Proxy would.
func Verify(cfg config.Config, signatures Signatures) error {
	loaded, err := loadFiles(judgedFrom(cfg))
	if err != nil {
		return err
	}
	if _, err := signatures.with(cfg, nil); err != nil {
		return err
	}
	if _, err := loaded.judge(noMemory{}, nil); err != nil {
		return err
	}
	if err := checkSnapshot(cfg.Reputation.Snapshot); err != nil {
		return err
	}
	if _, err := newOrganizationList(cfg, loaded); err != nil {
		return err
	}
	for _, u := range cfg.Upstreams {
		_, transport, err := newUpstream(u)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Host, err)
		}
		transport.CloseIdleConnections()
	}
	if _, err := enrolments(cfg); err != nil {
		return err
	}
	door, err := newDoor(cfg, nil)
	if err != nil {
		return err
	}
	door.Close()
	_, err = certificate(cfg)
	return err
}

// noMemory is for a judge that is never asked.
type noMemory struct{ judge.Memory }

// handlers are those beside the registry; nil serves none.
type handlers struct{ lists, signatures http.Handler }

func serve(ctx context.Context, cfg config.Config, log *logrus.Logger, store *sqlite.Store, gate *enforce.Gate, counters *metrics.Metrics, registries *registries, beside handlers) error {
	enrolments, err := enrolments(cfg)
	if err != nil {
		return err
	}
	registry, err := distribution.New(gate, registries.routes, log, distribution.WithEnrolments(enrolments...), distribution.WithObserver(refusals{counters}))
	if err != nil {
		return err
	}
	certificates, err := certificate(cfg)
	if err != nil {
		return err
	}
	door, err := newDoor(cfg, log)
	if err != nil {
		return err
	}
	defer door.Close()
	state := writable{dir: cfg.StateDir}
	server, err := proxy.Listen(proxy.Options{
		Listen: cfg.Listen, Admin: cfg.Admin.Listen, Profiles: cfg.Admin.Profiles, TLS: certificates, Connect: cfg.Connect.Listen, ConnectHosts: cfg.TransparentHosts(), Registry: registry,
		Verdicts: distribution.Explain(explained(cfg, store, registries), nil, log), Metrics: counters.Handler(), Lists: beside.lists, Signatures: beside.signatures,
		Ready: func(ctx context.Context) error {
			_, _, err := store.VerdictByID(ctx, "SP-0000000000")
			return errors.Join(err, state.check(ctx))
		},
		Door: door, Refuse: registry.Refuse, Login: door, Observer: counters, Log: log, MaxConnections: cfg.MaxConnections, Grace: cfg.StopGrace,
	})
	if err != nil {
		return err
	}
	log.WithFields(logrus.Fields{"address": server.Addr().String(), "connect": server.ConnectAddr(), "stateDir": cfg.StateDir}).Info("serving")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pruned := make(chan struct{})
	go func() {
		defer close(pruned)
		prune(ctx, store, log)
	}()
	err = server.Serve(ctx)
	cancel()
	<-pruned
	return err
}

// alongside runs something beside the rest; what it returns ends that and waits.
func alongside(ctx context.Context, do func(context.Context)) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// prune forgets what was not used for long, once a day.
func prune(ctx context.Context, store *sqlite.Store, log *logrus.Logger) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if n, err := store.Prune(ctx, proxyKeeps); err != nil && ctx.Err() == nil {
			log.WithError(err).Warn("old records were not removed")
		} else if n > 0 {
			log.WithField("records", n).Info("old records removed")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// rootCAs are nil, the system's, when the path is empty.
func rootCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %q holds no PEM certificate", path)
	}
	return pool, nil
}
