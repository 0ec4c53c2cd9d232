package wire

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/admin"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/namespace/signed"
	"github.com/safepull/safepull/trust/reference"
)

// followEvery is how often a proxy looks whether the file of its list is another one.
const followEvery = 5 * time.Second

// resignAfter is how long a signed list is given out as it is: signing costs little, and nothing a hundred times a second.
const resignAfter = time.Minute

// liveLists are the trust lists in force, which may be replaced while images are judged.
type liveLists struct {
	now atomic.Pointer[namespace.Lists]
}

func newLiveLists(lists *namespace.Lists) *liveLists {
	l := &liveLists{}
	l.now.Store(lists)
	return l
}

// Match implements judge.Lists.
func (l *liveLists) Match(ref trust.Reference, at time.Time) trust.Standing {
	return l.now.Load().Match(ref, at)
}

// Digest implements judge.Lists.
func (l *liveLists) Digest() digest.Digest { return l.now.Load().Digest() }

// Entries are all entries in force.
func (l *liveLists) Entries() []trust.Entry { return l.now.Load().Entries() }

// organizationList is the list that a proxy gives out and lets administrators edit. It implements admin.List.
type organizationList struct {
	config config.Organization
	from   sources
	live   *liveLists
	key    ed25519.PrivateKey // nil where no list is signed

	mu sync.Mutex
	takenFile
	// envelope was signed at a time.
	envelope []byte
	signed   time.Time
}

// takenFile is the file as it counts here, of the time at.
type takenFile struct {
	text []byte
	at   time.Time
	list *namespace.List
}

// newOrganizationList is nil where there is none.
func newOrganizationList(cfg config.Config, loaded inForce) (*organizationList, error) {
	o := &organizationList{config: cfg.Organization, from: loaded.from, live: loaded.lists}
	if o.config.List == "" {
		return nil, nil
	}
	if file := o.config.SigningKeyFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("organization.signingKeyFile: %w", err)
		}
		if o.key, err = signed.ParsePrivate(text); err != nil {
			return nil, fmt.Errorf("organization.signingKeyFile: %w", err)
		}
	}
	if err := o.take(); err != nil { // again, since it may have changed since it was loaded
		return nil, err
	}
	if o.key != nil {
		_, err := o.sign(time.Now())
		return o, err
	}
	return o, nil
}

func (o *organizationList) handler(cfg config.Config, log logrus.FieldLogger) http.Handler {
	if o == nil {
		return nil
	}
	return admin.Handler(o, o, admin.Options{Admins: cfg.Organization.Admins, Log: log})
}

// read is the file as it is.
func (o *organizationList) read() (takenFile, error) {
	f, err := os.Open(o.config.List)
	if err != nil {
		return takenFile{}, fmt.Errorf("organization.list: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return takenFile{}, fmt.Errorf("organization.list: %w", err)
	}
	text, err := namespace.File{Path: o.config.List}.Text()
	if err != nil {
		return takenFile{}, fmt.Errorf("organization.list: %w", err)
	}
	list, err := namespace.Parse(o.config.List, text)
	return takenFile{text, info.ModTime(), list}, err
}

// sign makes the envelope. The number of a list is the time of its file in milliseconds, so that several proxies that
// share a file, and one that starts again, give it the same number. The caller holds mu, or is alone.
func (o *organizationList) sign(now time.Time) ([]byte, error) {
	if o.envelope != nil && now.Sub(o.signed) < resignAfter {
		return o.envelope, nil
	}
	text, err := signed.Sign(signed.Statement{
		Version: 1, Name: o.config.Name, Sequence: uint64(max(o.at.UnixMilli(), 1)), Issued: now, //nolint:gosec // not negative
		MaxAge: int64(o.config.MaxAge / time.Second), List: string(o.text),
	}, o.key)
	if err != nil {
		return nil, err
	}
	o.envelope, o.signed = text, now
	return text, nil
}

// Signed implements admin.List.
func (o *organizationList) Signed() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.key == nil {
		return nil, trust.ErrNotFound
	}
	return o.sign(time.Now())
}

// Entries implements admin.List.
func (o *organizationList) Entries() []trust.Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list.Entries()
}

// Import implements admin.List.
func (o *organizationList) Import(by string, entries []trust.Entry) (int, error) {
	return o.edit(by, func(f namespace.File) ([]namespace.Change, error) { return f.Import(entries) })
}

// Remove implements admin.List.
func (o *organizationList) Remove(by, pattern string) (int, error) {
	return o.edit(by, func(f namespace.File) ([]namespace.Change, error) { return f.Remove(pattern) })
}

// edit changes the file, and then what counts. When the file is changed and cannot be taken, what counted before counts
// on, and the error says so.
func (o *organizationList) edit(by string, do func(namespace.File) ([]namespace.Change, error)) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	changes, err := do(namespace.File{Path: o.config.List, By: by})
	if len(changes) == 0 {
		return 0, err
	}
	if err := o.take(); err != nil { // also where the history could not be written
		return 0, fmt.Errorf("the list is changed, but the old one counts on: %w", err)
	}
	return len(changes), err
}

// follow takes what somebody changes in the file by another road, such as an editor or another proxy, until ctx ends. What
// cannot be taken is said once, and what counted before counts on.
func (o *organizationList) follow(ctx context.Context, every time.Duration, log logrus.FieldLogger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		taken, err := o.again()
		switch {
		case err == nil && taken:
			log.WithField("trustListsDigest", o.live.Digest().String()).Info("the organization's trust list was changed, and is taken")
			said = ""
		case err != nil && err.Error() != said:
			said = err.Error()
			log.WithError(err).Error("the organization's trust list was changed and cannot be taken: the old one counts on")
		}
	}
}

// again takes the file where it is another one than the one that counts.
func (o *organizationList) again() (taken bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := os.Stat(o.config.List)
	if err != nil {
		return false, fmt.Errorf("organization.list: %w", err)
	}
	if info.ModTime().Equal(o.at) {
		return false, nil
	}
	return true, o.take()
}

// take makes the file as it is what counts. The caller holds mu, or is alone. The file is read before the lists are, so that
// its time is never later than what counts: what is changed meanwhile is found by its time, and taken next.
func (o *organizationList) take() error {
	file, err := o.read()
	if err != nil {
		return err
	}
	lists, err := loadLists(o.from)
	if err != nil {
		return err
	}
	o.takenFile, o.envelope = file, nil
	o.live.now.Store(lists)
	return nil
}

// Text implements admin.Review.
func (o *organizationList) Text() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// Test implements admin.Review: what "docker safepull trust test --format json" tells.
func (o *organizationList) Test(image string) (any, error) {
	ref, err := reference.Parse(image)
	if err != nil {
		return nil, err
	}
	names, err := loadNames()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"schema": 1, "reference": ref.String(), "standing": o.live.Match(ref, time.Now()),
		"resembles": append([]lookalike.Resemblance{}, names.Resembles(ref)...),
	}, nil
}

// Lint implements admin.Review.
func (o *organizationList) Lint() any {
	return map[string]any{"schema": 1, "problems": append([]namespace.Problem{}, o.live.now.Load().Lint(time.Now())...)}
}

// Preview implements admin.Review.
func (o *organizationList) Preview(entries []trust.Entry) (any, error) {
	changes, err := namespace.File{Path: o.config.List}.Preview(entries)
	return map[string]any{"schema": 1, "changes": append([]namespace.Change{}, changes...)}, err
}

// History implements admin.List.
func (o *organizationList) History() (any, error) {
	edits, err := namespace.File{Path: o.config.List}.History()
	return append([]namespace.Edit{}, edits...), err
}
