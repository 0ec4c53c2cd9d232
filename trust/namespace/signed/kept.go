package signed

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/safepull/safepull/trust"
)

// Kept is the last good list of an organization on a machine: a file of JSON with what the enrolment fixed.
type Kept struct{ Path string }

// Enrolment is what Kept's file says.
type Enrolment struct {
	// URL is where the list is fetched, Key the public key that signs it.
	URL string `json:"url"`
	Key string `json:"key"`
	// Sequence is the largest that was accepted.
	Sequence uint64 `json:"sequence"`
	// Fetched is when it was accepted, Tried when a newer one was looked for last, and Problem why none was taken then.
	Fetched time.Time `json:"fetched"`
	Tried   time.Time `json:"tried"`
	Problem string    `json:"problem,omitempty"`
	// Envelope is the last good list, as it was signed.
	Envelope []byte `json:"envelope"`
}

// Enrol pins a key and takes the first list. A machine that was enrolled with the same key remembers what it saw.
func (k Kept) Enrol(url string, key ed25519.PublicKey, text []byte, now time.Time) (Statement, error) {
	if err := os.MkdirAll(filepath.Dir(k.Path), 0o755); err != nil {
		return Statement{}, fmt.Errorf("enrol: %w", err)
	}
	unlock, err := k.lock()
	if err != nil {
		return Statement{}, err
	}
	defer unlock()
	fresh := Enrolment{URL: url, Key: Public(key)}
	if old, err := k.read(); err == nil && old.Key == fresh.Key {
		fresh.Sequence, fresh.Envelope = old.Sequence, old.Envelope
	}
	s, err := fresh.accept(text, now)
	if err != nil {
		return Statement{}, err
	}
	return s, k.write(fresh)
}

// Load is the last good list, verified again. Without an enrolment its error wraps fs.ErrNotExist. A list that became
// stale here still counts: Statement.Until tells.
func (k Kept) Load() (Enrolment, Statement, error) {
	e, err := k.read()
	if err != nil {
		return Enrolment{}, Statement{}, err
	}
	key, err := ParsePublic(e.Key)
	if err != nil {
		return e, Statement{}, k.damaged(err)
	}
	s, err := Open(e.Envelope, key)
	if err == nil && s.Sequence != e.Sequence {
		err = ErrRollback
	}
	if err != nil {
		return e, Statement{}, k.damaged(err)
	}
	return e, s, nil
}

func (k Kept) damaged(err error) error {
	return fmt.Errorf("the list of your organization (%s) cannot be used: %w: enrol again with \"docker safepull trust enrol\"", k.Path, err)
}

// Refresh takes a list that was fetched, or remembers why there is none: fetching is the error of that, or nil. What is
// refused leaves the last good list in its place, and is the error. A list that is good and cannot be kept is returned
// with the error of that.
func (k Kept) Refresh(text []byte, fetching error, now time.Time) (Statement, error) {
	unlock, locking := k.lock()
	if locking == nil {
		defer unlock()
	}
	e, err := k.read()
	if err != nil {
		return Statement{}, err
	}
	var s Statement
	refused := fetching
	if refused == nil {
		s, refused = e.accept(text, now)
	}
	e.Tried, e.Problem = now.UTC(), ""
	if refused != nil {
		e.Problem = trust.Sanitise(refused.Error(), 500)
	}
	if locking != nil {
		return s, errors.Join(refused, locking)
	}
	return s, errors.Join(refused, k.write(e))
}

// accept takes an envelope in the place of the last good one.
func (e *Enrolment) accept(text []byte, now time.Time) (Statement, error) {
	key, err := ParsePublic(e.Key)
	if err != nil {
		return Statement{}, err
	}
	s, err := Open(text, key)
	if err != nil {
		return Statement{}, err
	}
	switch {
	case s.Sequence < e.Sequence:
		return Statement{}, fmt.Errorf("list %d is refused, because %w (%d): %w", s.Sequence, ErrRollback, e.Sequence, trust.ErrIntegrity)
	case s.Sequence == e.Sequence && !e.same(s, key):
		return Statement{}, fmt.Errorf("two lists have the number %d: %w: %w", s.Sequence, ErrRollback, trust.ErrIntegrity)
	case s.Issued.After(now.Add(skew)):
		return Statement{}, fmt.Errorf("list %d is of %s, which is to come: is the clock right: %w", s.Sequence, s.Issued.UTC().Format(time.RFC3339), trust.ErrMalformed)
	case !s.Until().After(now):
		return Statement{}, fmt.Errorf("list %d is refused, because %w: it was good until %s", s.Sequence, ErrStale, s.Until().UTC().Format(time.RFC3339))
	}
	e.Sequence, e.Fetched, e.Tried, e.Envelope, e.Problem = s.Sequence, now.UTC(), now.UTC(), text, ""
	return s, nil
}

// same reports whether the list that is kept says what s says. It may have been signed anew, to be fresh.
func (e *Enrolment) same(s Statement, key ed25519.PublicKey) bool {
	old, err := Open(e.Envelope, key)
	return err == nil && old.List == s.List && old.Name == s.Name && !s.Issued.Before(old.Issued)
}

// Forget ends an enrolment.
func (k Kept) Forget() error {
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(k.Path); err != nil {
		return fmt.Errorf("end the enrolment: %w", err)
	}
	return nil
}

func (k Kept) lock() (func(), error) {
	unlock, err := lockedfile.MutexAt(k.Path + ".lock").Lock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", k.Path, err)
	}
	return unlock, nil
}

func (k Kept) read() (Enrolment, error) {
	f, err := os.Open(k.Path)
	if err != nil {
		return Enrolment{}, fmt.Errorf("read the enrolment: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, 2*MaxEnvelope+1))
	if err == nil && len(text) > 2*MaxEnvelope {
		err = trust.ErrLimit
	}
	var e Enrolment
	if err == nil {
		err = strict(text, &e)
	}
	if err != nil {
		return Enrolment{}, k.damaged(err)
	}
	return e, nil
}

// write replaces the file in one step. The caller holds the lock, so that the other name may always be the same: what a
// program left that was killed goes with the next list.
func (k Kept) write(e Enrolment) (err error) {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the list: %w", err)
	}
	fresh := filepath.Join(filepath.Dir(k.Path), "."+filepath.Base(k.Path)+".new")
	if err := ignoreMissing(os.Remove(fresh)); err != nil {
		return fmt.Errorf("keep the list: %w", err)
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keep the list: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(fresh, k.Path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep the list: %w", err), ignoreMissing(os.Remove(fresh)))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
