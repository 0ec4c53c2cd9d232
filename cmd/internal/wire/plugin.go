package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/docker/cli/cli/command"

	"github.com/safepull/safepull/plugin"
	"github.com/safepull/safepull/plugin/engine"
	"github.com/safepull/safepull/plugin/staging"
	"github.com/safepull/safepull/proxy/config/reputation"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/policy"
	asking "github.com/safepull/safepull/trust/publisher/ask"
	"github.com/safepull/safepull/trust/store/sqlite"
)

// pluginKeeps is how long the plugin remembers what it did not use.
const pluginKeeps = 90 * 24 * time.Hour

// userList is the user's own trust list.
const userList = "trust.yaml"

// inflateEnv names what undoes gzip, as judge.inflate does for the proxy.
const inflateEnv = "SAFEPULL_INFLATE"

// policyEnv names the policy, as --policy does.
const policyEnv = "SAFEPULL_POLICY"

// Plugin is what the commands of docker-safepull are given. Nothing is opened before a command asks for it. Everything
// of the user's is in the folder "safepull" beside docker's own configuration: the store, trust.yaml, a folder "yara" of
// YARA rules, and, where another than the shipped one is wanted, policy.yaml.
func Plugin(cli command.Cli, version plugin.Version) plugin.Deps {
	p := &pluginParts{cli: cli, version: version}
	return plugin.Deps{
		Version:   version,
		Judge:     p.judge,
		Policy:    p.policy,
		History:   p.history,
		Campaigns: p.campaigns,
		Source:    p.source,
		Proxy:     p.proxied,
		Engine:    p.engine,
		Verdicts:  func(context.Context) (plugin.Verdicts, error) { return p.open() },
		Trust:     p.trust,
		TrustFile: func(context.Context) (plugin.TrustFile, error) {
			return trustFile{namespace.File{Path: p.file(userList), By: whoami()}}, nil
		},
		Organization:  func(context.Context) (plugin.Organization, error) { return p.organization(), nil },
		UseTrustLists: func(paths []string) { p.trustLists = paths },
		UseSignatures: func(at string, ask func(context.Context, trust.Reference, trust.Signer) (string, error)) {
			p.signatures = proxySignatures{ask, at}
		},
		Names:      func(context.Context) (plugin.Names, error) { return loadNames() },
		Reputation: p.reputation,
		Rules:      p.rules,
		Lint:       lint,
		Close:      p.close,
	}
}

type pluginParts struct {
	cli     command.Cli
	version plugin.Version
	// trustLists are files that the command line names.
	trustLists []string
	// signatures finds out who signed an image; nil where nobody can.
	signatures judge.Signatures
	// fetched is the organization's list, or refused is why there is none, once it was asked for.
	asked   sync.Once
	fetched *namespace.List
	refused error

	mu      sync.Mutex
	store   *sqlite.Store
	closers []func()
	// right is the user's right to the image that the proxy is asked for; nil where none was asked.
	right *handover
}

func (p *pluginParts) file(name string) string {
	return filepath.Join(filepath.Dir(p.cli.ConfigFile().Filename), "safepull", name)
}

func (p *pluginParts) open() (*sqlite.Store, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		store, err := sqlite.Open(p.file("state.db"))
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			store, err = p.forgetful(err)
		}
		if err != nil {
			return nil, err
		}
		p.store = store
	}
	return p.store, nil
}

// forgetful is a store for this run only, where the user's folder cannot be written to, as in many build jobs. Images
// are then inspected anew each time, and no verdict can be explained later; nothing is judged more mildly.
func (p *pluginParts) forgetful(reason error) (*sqlite.Store, error) {
	area, err := staging.New("")
	if err != nil {
		return nil, errors.Join(reason, err)
	}
	store, err := sqlite.Open(area.File("state.db"))
	if err != nil {
		return nil, errors.Join(reason, err, area.Close())
	}
	p.closers = append(p.closers, func() { _ = area.Close() })
	p.note(fmt.Sprintf("nothing is remembered after this run: %v", reason))
	return store, nil
}

func (p *pluginParts) note(s string) { _, _ = io.WriteString(p.cli.Err(), "note: "+s+"\n") }

func (p *pluginParts) sources(ctx context.Context) (sources, error) {
	lists := append(listFiles(namespace.User, existing(p.file(userList))...), listFiles(namespace.CommandLine, p.trustLists...)...)
	from := sources{shippedList: true, lists: lists, yara: existing(p.file("yara")), inflate: os.Getenv(inflateEnv)}
	for _, path := range existing(p.file("policy.yaml")) {
		from.policy = path
	}
	from.policy = cmp.Or(os.Getenv(policyEnv), from.policy)
	var err error
	if from.organization, err = p.organizationList(ctx); err != nil {
		return from, err
	}
	from.clamd, err = clamdFrom(os.Getenv)
	return from, err
}

func (p *pluginParts) campaigns(_ context.Context, file string) (plugin.Campaigns, error) {
	return p.memoryOf(file)
}

func (p *pluginParts) history(_ context.Context, file string) (plugin.History, error) {
	return p.memoryOf(file)
}

// memoryOf is the user's memory, or that of a proxy, which may be running and is only read.
func (p *pluginParts) memoryOf(file string) (*sqlite.Store, error) {
	if file == "" {
		return p.open()
	}
	store, err := sqlite.OpenReadOnly(file)
	if err != nil {
		return nil, err
	}
	p.atEnd(func() { _ = store.Close() })
	return store, nil
}

func (p *pluginParts) policy(ctx context.Context, name string) (*policy.Policy, error) {
	from, err := p.sources(ctx)
	if err != nil {
		return nil, err
	}
	return loadPolicy(cmp.Or(name, from.policy))
}

func (p *pluginParts) judge(ctx context.Context, policy string) (trust.Judge, error) {
	store, err := p.open()
	if err != nil {
		return nil, err
	}
	if _, err := layer.NewInflate(os.Getenv(inflateEnv)); err != nil {
		return nil, fmt.Errorf("%s: %w", inflateEnv, err)
	}
	from, err := p.sources(ctx)
	if err != nil {
		return nil, err
	}
	from.policy = cmp.Or(policy, from.policy)
	loaded, err := loadFiles(from)
	if err != nil {
		return nil, err
	}
	loaded.signatures = p.signatures
	publishers, err := p.publishers(store, false)
	if err != nil {
		return nil, err
	}
	return loaded.judge(store, publishers)
}

// reputation is the asker, for people.
func (p *pluginParts) reputation(_ context.Context, file string) (plugin.Reputation, error) {
	store, err := p.memoryOf(file)
	if err != nil {
		return nil, err
	}
	return p.publishers(store, file != "")
}

// publishers are asked as the environment says; none is where the memory is only read.
func (p *pluginParts) publishers(store *sqlite.Store, onlyRead bool) (*asking.Asker, error) {
	r, err := reputationFrom(os.Getenv, "docker-safepull/"+p.version.Version)
	if err != nil {
		return nil, err
	}
	if onlyRead {
		r.Ask = reputation.Off
	}
	asker, end, err := newPublishers(r, store)
	if err != nil {
		return nil, err
	}
	p.atEnd(end)
	return asker, nil
}

// source reads a registry with the login and the certificates that docker itself would use for it.
func (p *pluginParts) source(ctx context.Context, ref trust.Reference) (trust.Source, error) {
	registry, leave, err := p.registry(ctx, ref.Registry)
	if err != nil {
		return nil, err
	}
	p.atEnd(leave)
	return newDescribed(upstream.Typed(registry))
}

// registry is read until leave is called.
func (p *pluginParts) registry(ctx context.Context, host string) (_ *upstream.Registry, leave func(), err error) {
	options := upstream.Options{
		Credential: credential.DockerConfig(p.cli.ConfigFile().Filename),
		UserAgent:  "docker-safepull/" + p.version.Version,
	}
	transport, err := certified(engineCerts, host)
	if err != nil {
		return nil, nil, err
	}
	idle := func() {}
	if transport != nil {
		options.Transport, idle = transport, transport.CloseIdleConnections
	}
	registry, err := upstream.ForHost(ctx, host, options)
	if err != nil {
		idle()
		return nil, nil, err
	}
	return registry, func() { registry.Close(); idle() }, nil
}

func (p *pluginParts) atEnd(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closers = append(p.closers, do)
}

func (p *pluginParts) engine(context.Context) (plugin.Engine, error) {
	return engine.New(p.cli.Client(), engine.Options{
		Auth: func(_ context.Context, ref trust.Reference) (string, error) {
			return command.RetrieveAuthTokenFromImage(p.cli.ConfigFile(), ref.String())
		},
		Recorder: p.recorder,
		Note:     p.note,
	}), nil
}

func (p *pluginParts) trust(ctx context.Context) (plugin.TrustLists, error) {
	from, err := p.sources(ctx)
	if err != nil {
		return nil, err
	}
	lists, err := loadLists(from)
	if err != nil {
		return nil, err
	}
	return lists, nil
}

func (p *pluginParts) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.closeStore()
	for _, closer := range p.closers {
		closer()
	}
	p.closers = nil
	return err
}

func (p *pluginParts) closeStore() error {
	if p.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := p.store.Prune(ctx, pluginKeeps)
	if err != nil {
		err = fmt.Errorf("forget what was not used for %s: %w", pluginKeeps, err)
	}
	err = errors.Join(err, p.store.Close())
	p.store = nil
	return err
}

// trustFile is the user's own trust list.
type trustFile struct{ namespace.File }

// Name implements plugin.TrustFile.
func (f trustFile) Name() string { return f.Path }

// whoami names the user and the machine, for the history of edits; what is not known is left out.
func whoami() string {
	who := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != who {
		who = sudo + " as " + who
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return who
}
