package signed

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/reference"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const list = "version: 1\nentries:\n  - {pattern: evil/x, action: deny, locked: true}\n"

func newKey(t testing.TB) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	text, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := ParsePrivate(text)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func statement(sequence uint64, issued time.Time) Statement {
	return Statement{Version: 1, Name: "Acme", Sequence: sequence, Issued: issued, MaxAge: 3600, List: list}
}

func sign(t testing.TB, s Statement, key ed25519.PrivateKey) []byte {
	t.Helper()
	text, err := Sign(s, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSignAndOpen(t *testing.T) {
	t.Parallel()
	private, public := newKey(t)
	want := statement(7, noon)
	got, err := Open(sign(t, want, private), public)
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	entries, err := got.Entries()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := reference.Parse("evil/x")
	if err != nil {
		t.Fatal(err)
	}
	if s := namespace.Combine(entries).Match(ref, noon); !s.Denied() || s.Decided.Level != namespace.Organization || s.Decided.List != "list of Acme" {
		t.Errorf("%+v", s.Decided)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	private, public := newKey(t)
	other, _ := newKey(t)
	good := sign(t, statement(1, noon), private)
	change := func(f func(*envelope)) []byte {
		var e envelope
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		f(&e)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	signed := func(payload string) []byte {
		return change(func(e *envelope) {
			e.Payload = []byte(payload)
			e.Signatures[0].Sig = ed25519.Sign(private, authenticated(e.PayloadType, e.Payload))
		})
	}
	for name, tt := range map[string]struct {
		text []byte
		is   error
	}{
		"another-key":       {sign(t, statement(1, noon), other), ErrSignature},
		"changed":           {change(func(e *envelope) { e.Payload[len(e.Payload)-5] ^= 1 }), ErrSignature},
		"no-signature":      {change(func(e *envelope) { e.Signatures = nil }), ErrSignature},
		"short-signature":   {change(func(e *envelope) { e.Signatures[0].Sig = []byte("x") }), ErrSignature},
		"another-type":      {change(func(e *envelope) { e.PayloadType = "text/plain" }), trust.ErrMalformed},
		"many-signatures":   {change(func(e *envelope) { e.Signatures = make([]signature, maxSignatures+1) }), trust.ErrLimit},
		"no-json":           {[]byte("version: 1\n"), trust.ErrMalformed},
		"empty":             {nil, trust.ErrMalformed},
		"two":               {append(bytes.Clone(good), good...), trust.ErrMalformed},
		"large":             {bytes.Repeat([]byte(" "), MaxEnvelope+1), trust.ErrLimit},
		"unknown-member":    {[]byte(strings.Replace(string(good), `"payload"`, `"more":1,"payload"`, 1)), trust.ErrMalformed},
		"unknown-statement": {signed(`{"version":1,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\n","more":1}`), trust.ErrMalformed},
		"version":           {signed(`{"version":2,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\n"}`), trust.ErrUnsupported},
		"no-name":           {signed(`{"version":1,"sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\n"}`), trust.ErrMalformed},
		"no-sequence":       {signed(`{"version":1,"name":"a","issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\n"}`), trust.ErrMalformed},
		"no-date":           {signed(`{"version":1,"name":"a","sequence":1,"maxAge":3600,"list":"version: 1\n"}`), trust.ErrMalformed},
		"no-age":            {signed(`{"version":1,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","list":"version: 1\n"}`), trust.ErrMalformed},
		"ages":              {signed(`{"version":1,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":9223372036854775807,"list":"version: 1\n"}`), trust.ErrMalformed},
		"broken-list":       {signed(`{"version":1,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\nentries: no\n"}`), nil},
	} {
		_, err := Open(tt.text, public)
		if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %v", name, err, tt.is)
		}
	}
	if _, err := Open(good, nil); err == nil {
		t.Error("opened without a key")
	}
	if _, err := Sign(Statement{}, private); err == nil {
		t.Error("signed nothing")
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	private, public := newKey(t)
	stranger, _ := newKey(t)
	k := Kept{Path: filepath.Join(t.TempDir(), "a", "organization.json")}
	if _, _, err := k.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := k.Enrol("https://a.b", public, sign(t, statement(5, noon), stranger), noon); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
	if _, _, err := k.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a refused enrolment was kept: %v", err)
	}
	if _, err := k.Enrol("https://a.b", public, sign(t, statement(5, noon), private), noon); err != nil {
		t.Fatal(err)
	}
	changed := statement(5, noon)
	changed.List = "version: 1\n"
	later := noon.Add(30 * time.Minute)
	for name, tt := range map[string]struct {
		text     []byte
		fetching error
		at       time.Time
		is       error
	}{
		"rollback":     {sign(t, statement(4, later), private), nil, later, ErrRollback},
		"same-number":  {sign(t, changed, private), nil, later, ErrRollback},
		"stale":        {sign(t, statement(6, noon), private), nil, noon.Add(time.Hour), ErrStale},
		"to-come":      {sign(t, statement(6, later.Add(time.Hour)), private), nil, later, trust.ErrMalformed},
		"a-stranger's": {sign(t, statement(6, later), stranger), nil, later, ErrSignature},
		"unreachable":  {nil, trust.ErrUnavailable, later, trust.ErrUnavailable},
		"garbage":      {[]byte("<html>"), nil, later, trust.ErrMalformed},
	} {
		if _, err := k.Refresh(tt.text, tt.fetching, tt.at); !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %v", name, err, tt.is)
		}
		e, s, err := k.Load()
		if err != nil || s.Sequence != 5 || s.List != list || e.Problem == "" || !e.Tried.Equal(tt.at) || !e.Fetched.Equal(noon) {
			t.Errorf("%s: the last good list did not stay: %+v, %+v, %v", name, e.Problem, s, err)
		}
	}
	for _, next := range []Statement{statement(5, later), statement(9, later)} {
		if s, err := k.Refresh(sign(t, next, private), nil, later); err != nil || s.Sequence != next.Sequence {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if e, s, err := k.Load(); err != nil || s.Sequence != 9 || e.Problem != "" || !e.Fetched.Equal(later) {
		t.Errorf("%+v, %+v, %v", e.Problem, s, err)
	}
	// Who enrols again with the same key does not forget; with another key, it is another organization.
	if _, err := k.Enrol("https://c.d", public, sign(t, statement(8, later), private), later); !errors.Is(err, ErrRollback) {
		t.Error(err)
	}
	if _, err := k.Enrol("https://c.d", stranger.Public().(ed25519.PublicKey), sign(t, statement(1, later), stranger), later); err != nil { //nolint:forcetypeassert // it is one
		t.Error(err)
	}
	if err := k.Forget(); err != nil {
		t.Error(err)
	}
	if _, _, err := k.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestKeptDamaged: a file that is not what was written is no list, and never an empty one.
func TestKeptDamaged(t *testing.T) {
	t.Parallel()
	private, public := newKey(t)
	k := Kept{Path: filepath.Join(t.TempDir(), "organization.json")}
	if _, err := k.Enrol("https://a.b", public, sign(t, statement(5, noon), private), noon); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(k.Path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "number": strings.Replace(string(good), `"sequence": 5`, `"sequence": 6`, 1),
		"key": strings.Replace(string(good), Public(public), "ed25519:AAAA", 1), "no-envelope": `{"url":"u","key":"` + Public(public) + `"}`,
	} {
		if err := os.WriteFile(k.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.Load(); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "enrol again") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeptTogether: of many that refresh at once, the newest list stays.
func TestKeptTogether(t *testing.T) {
	t.Parallel()
	private, public := newKey(t)
	k := Kept{Path: filepath.Join(t.TempDir(), "organization.json")}
	if _, err := k.Enrol("https://a.b", public, sign(t, statement(1, noon), private), noon); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := k.Refresh(sign(t, statement(uint64(2+i), noon), private), nil, noon)
			if err != nil && !errors.Is(err, ErrRollback) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, s, err := k.Load(); err != nil || s.Sequence != 21 {
		t.Errorf("%d, %v", s.Sequence, err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	_, public := newKey(t)
	if got, err := ParsePublic(" " + Public(public) + "\n"); err != nil || !got.Equal(public) {
		t.Errorf("%v, %v", got, err)
	}
	const pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	if _, err := ParsePublic(pem); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "ed25519:", "ed25519:AAAA", "ssh-ed25519 AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := ParsePublic(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
	for _, bad := range []string{"", pem, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParsePrivate([]byte(bad)); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	private, public := newKey(f)
	f.Add(sign(f, statement(1, noon), private))
	f.Add([]byte(`{"payloadType":"` + PayloadType + `","payload":"e30=","signatures":[{"keyid":"","sig":"AA=="}]}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Open(text, public)
		if err == nil && (s.check() != nil || !bytes.Contains(text, []byte("signatures"))) {
			t.Errorf("%+v", s)
		}
	})
}

// FuzzStatement: what a signer may have signed is a list or an error.
func FuzzStatement(f *testing.F) {
	private, public := newKey(f)
	f.Add([]byte(`{"version":1,"name":"a","sequence":1,"issued":"2026-06-01T12:00:00Z","maxAge":3600,"list":"version: 1\n"}`))
	f.Add([]byte(`{"version":1,"issued":"9999-12-31T23:59:59Z","maxAge":-1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := json.Marshal(envelope{PayloadType: PayloadType, Payload: payload, Signatures: []signature{{Sig: ed25519.Sign(private, authenticated(PayloadType, payload))}}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Open(text, public); err == nil {
			if _, err := s.Entries(); err != nil || !s.Until().After(s.Issued) {
				t.Errorf("%+v, %v", s, err)
			}
		}
	})
}
