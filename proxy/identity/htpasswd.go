package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/bcrypt"
)

const (
	// maxCost bounds what one line of the file makes every attempt cost: 14 is about a second.
	maxCost = 14
	// maxPassword is what bcrypt looks at; it would take a longer password for its beginning.
	maxPassword = 72
	// rememberRight is how long a password that was right is not hashed again: a pull is dozens of requests.
	rememberRight = 5 * time.Minute
	// rightEntries bounds the passwords that are remembered so.
	rightEntries = 4096
	// hashing is how many passwords are hashed at one time, and hashWait how long one more waits for its turn: guessing
	// must not take the machine.
	hashing  = 2
	hashWait = 5 * time.Second
)

// passwords are names with bcrypt hashes.
type passwords struct {
	file  *file
	turns chan struct{}
	// right are keyed hashes of what was right: name, password and the line's hash, so that a changed line counts anew.
	right *lru.Cache[[sha256.Size]byte, time.Time]
	key   []byte
}

// nobody is what an unknown name is held against, so that time does not tell names: a hash of random text.
const nobody = "$2a$10$.ARs1UxieKh2u0YGHFuuUuHE61Eh4rIcnYZI6W9qIHPXyueAxfkxq"

func newPasswords(path string, log logrus.FieldLogger) (*passwords, error) {
	f, err := openFile(path, parseBcrypt, log)
	if err != nil {
		return nil, err
	}
	p := &passwords{file: f, turns: make(chan struct{}, hashing), key: make([]byte, sha256.Size)}
	_, _ = rand.Read(p.key) // never fails
	if p.right, err = lru.New[[sha256.Size]byte, time.Time](rightEntries); err != nil {
		return nil, fmt.Errorf("htpasswd: %w", err)
	}
	return p, nil
}

func parseBcrypt(name, hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil:
		return fmt.Errorf("the hash of %q is not bcrypt: make it with htpasswd -B", name)
	case cost > maxCost:
		return fmt.Errorf("the hash of %q has cost %d, at most %d is taken", name, cost, maxCost)
	}
	return nil
}

// check returns the name when the password is right. A name that is not in the file is nobody's here: no error.
func (p *passwords) check(ctx context.Context, name, password string) (string, error) {
	hash, known := p.file.lines()[name]
	if known {
		if at, ok := p.right.Get(p.digest(name, password, hash)); ok && time.Since(at) < rememberRight {
			return name, nil
		}
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-time.After(hashWait):
		return "", busy("safepull is checking too many passwords: try again")
	case <-ctx.Done():
		return "", ctx.Err()
	}
	against := hash
	if !known {
		against = nobody
	}
	err := bcrypt.CompareHashAndPassword([]byte(against), []byte(password)[:min(len(password), maxPassword)])
	switch {
	case !known:
		return "", nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword), len(password) > maxPassword:
		return "", wrong()
	case err != nil:
		return "", busy("safepull cannot check this password")
	}
	p.right.Add(p.digest(name, password, hash), time.Now())
	return name, nil
}

func (p *passwords) digest(parts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.key)
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash never fails
	}
	copy(sum[:], mac.Sum(nil))
	return sum
}
