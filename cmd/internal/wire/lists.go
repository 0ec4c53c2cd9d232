package wire

import (
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
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/namespace/signed"
)

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
	// text is the file as it counts here, of the time at.
	text []byte
	at   time.Time
	list *namespace.List
	// envelope was signed at a time.
	envelope []byte
	signed   time.Time
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
	if err := o.read(); err != nil {
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
	return admin.Handler(o, admin.Options{Admins: cfg.Organization.Admins, Log: log})
}

// read takes the file as it is. The caller holds mu, or is alone.
func (o *organizationList) read() error {
	f, err := os.Open(o.config.List)
	if err != nil {
		return fmt.Errorf("organization.list: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("organization.list: %w", err)
	}
	text, err := namespace.File{Path: o.config.List}.Text()
	if err != nil {
		return fmt.Errorf("organization.list: %w", err)
	}
	list, err := namespace.Parse(o.config.List, text)
	if err != nil {
		return err
	}
	o.text, o.at, o.list, o.envelope = text, info.ModTime(), list, nil
	return nil
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
	if err != nil || len(changes) == 0 {
		return len(changes), err
	}
	lists, err := loadLists(o.from)
	if err == nil {
		err = o.read()
	}
	if err != nil {
		return 0, fmt.Errorf("the list is changed, but the old one counts on: %w", err)
	}
	o.live.now.Store(lists)
	return len(changes), nil
}

// History implements admin.List.
func (o *organizationList) History() (any, error) {
	edits, err := namespace.File{Path: o.config.List}.History()
	if err != nil {
		return nil, err
	}
	return append([]namespace.Edit{}, edits...), nil
}
