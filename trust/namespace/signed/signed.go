// Package signed carries an organization's trust list to machines: signed with a key that they know since their
// enrolment, numbered, so that no older list can take the place of a newer one, and dated, so that one that is kept back
// is noticed.
//
// What travels is a DSSE envelope (https://github.com/secure-systems-lab/dsse) with an ed25519 signature. Its payload is
// a Statement as JSON.
package signed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

const (
	// PayloadType is what the envelope says that it holds.
	PayloadType = "application/vnd.safepull.trust-list.v1+json"
	// MaxEnvelope bounds what is read from outside: a list of the largest size, encoded twice.
	MaxEnvelope = 12 << 20
	// maxSignatures bounds the work that an envelope asks for.
	maxSignatures = 8
	// The least and the most of Statement.MaxAge: less would be stale before it is fetched, more is no promise.
	minAge, maxAge = time.Minute, 400 * 24 * time.Hour
	// skew is how far a clock may be ahead of ours.
	skew = 5 * time.Minute
	// nameLimit bounds the organization's name, which people see.
	nameLimit = 200
)

// Why a list is refused. All but ErrStale mean that somebody else made it, or that an old one came again.
var (
	ErrSignature = errors.New("the signature is not by the key that is pinned here")
	ErrRollback  = errors.New("it is older than the list that was seen last")
	ErrStale     = errors.New("it is stale")
)

// Statement is a list with what is said about it.
type Statement struct {
	// Version is that of this format: 1.
	Version int `json:"version"`
	// Name is the organization's.
	Name string `json:"name"`
	// Sequence grows with every list.
	Sequence uint64 `json:"sequence"`
	// Issued is when it was signed, and MaxAge for how many seconds it counts as fresh.
	Issued time.Time `json:"issued"`
	MaxAge int64     `json:"maxAge"`
	// List is the trust list, as its file is.
	List string `json:"list"`
}

// Until is when the list becomes stale.
func (s Statement) Until() time.Time { return s.Issued.Add(time.Duration(s.MaxAge) * time.Second) }

// Entries is the trust list, as one of the organization's level.
func (s Statement) Entries() (*namespace.List, error) {
	list, err := namespace.Load("list of "+s.Name, strings.NewReader(s.List))
	if err != nil {
		return nil, err
	}
	return list.At(namespace.Organization), nil
}

// check holds a statement to what it must say, without a clock.
func (s Statement) check() error {
	switch age := time.Duration(s.MaxAge) * time.Second; {
	case s.Version != 1:
		return fmt.Errorf("version %d is not known here: use a newer safepull: %w", s.Version, trust.ErrUnsupported)
	case s.Name == "" || len(s.Name) > nameLimit || strings.ContainsFunc(s.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the name must be 1 to %d printable bytes: %w", nameLimit, trust.ErrMalformed)
	case s.Sequence == 0:
		return fmt.Errorf("the sequence must be larger than 0: %w", trust.ErrMalformed)
	case s.Issued.IsZero() || s.Issued.Year() > 9999:
		return fmt.Errorf("it does not say when it was issued: %w", trust.ErrMalformed)
	case s.MaxAge > int64(maxAge/time.Second) || age < minAge:
		return fmt.Errorf("maxAge must be from %s to %d days: %w", minAge, maxAge/(24*time.Hour), trust.ErrMalformed)
	}
	_, err := s.Entries()
	return err
}

// envelope is a DSSE envelope.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// Sign makes the envelope of a statement that is valid.
func Sign(s Statement, key ed25519.PrivateKey) ([]byte, error) {
	s.Issued = s.Issued.UTC()
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("sign the list: %w", err)
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("sign the list: %w", err)
	}
	public, _ := key.Public().(ed25519.PublicKey)
	text, err := json.Marshal(envelope{
		PayloadType: PayloadType, Payload: payload,
		Signatures: []signature{{KeyID: KeyID(public), Sig: ed25519.Sign(key, authenticated(PayloadType, payload))}},
	})
	if err != nil {
		return nil, fmt.Errorf("sign the list: %w", err)
	}
	return append(text, '\n'), nil
}

// Open reads an envelope that the key signed. Whether it is fresh and newer than another one, Kept knows.
func Open(text []byte, key ed25519.PublicKey) (Statement, error) {
	var e envelope
	if len(text) > MaxEnvelope {
		return Statement{}, fmt.Errorf("the signed list has more than %d bytes: %w", MaxEnvelope, trust.ErrLimit)
	}
	if err := strict(text, &e); err != nil {
		return Statement{}, fmt.Errorf("this is no signed list: %w: %w", err, trust.ErrMalformed)
	}
	switch {
	case len(key) != ed25519.PublicKeySize:
		return Statement{}, errors.New("the pinned key is none")
	case e.PayloadType != PayloadType:
		return Statement{}, fmt.Errorf("it holds %q and no trust list: %w", trust.Sanitise(e.PayloadType, 100), trust.ErrMalformed)
	case len(e.Signatures) > maxSignatures:
		return Statement{}, fmt.Errorf("it has more than %d signatures: %w", maxSignatures, trust.ErrLimit)
	}
	if !e.signedBy(key) {
		return Statement{}, fmt.Errorf("%w (%s): %w", ErrSignature, KeyID(key), trust.ErrIntegrity)
	}
	var s Statement
	if err := strict(e.Payload, &s); err != nil {
		return Statement{}, fmt.Errorf("the signed list: %w: %w", err, trust.ErrMalformed)
	}
	if err := s.check(); err != nil {
		return Statement{}, fmt.Errorf("the signed list: %w", err)
	}
	return s, nil
}

func (e envelope) signedBy(key ed25519.PublicKey) bool {
	message := authenticated(e.PayloadType, e.Payload)
	for _, s := range e.Signatures {
		if ed25519.Verify(key, message, s.Sig) {
			return true
		}
	}
	return false
}

// authenticated is what is signed: DSSE's pre-authentication encoding.
func authenticated(payloadType string, payload []byte) []byte {
	head := "DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(payload)) + " "
	return append([]byte(head), payload...)
}

// strict reads one JSON document without unknown members and without anything behind it.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// KeyID is a key's name: the beginning of the SHA-256 of its bytes, in base 64.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:12])
}
