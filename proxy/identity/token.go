package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
)

const (
	// tokenPrefix begins every token, so that one that leaks is found by those who look for such things.
	tokenPrefix = "safepull_"
	// tokenBytes are random: nobody guesses them, so that a plain hash at rest is enough.
	tokenBytes = 32
)

// NewToken makes a token for name, and the line by which a file of tokens knows it.
func NewToken(name string) (token, line string, err error) {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, ":\r\n") || strings.TrimSpace(name) != name || strings.HasPrefix(name, "#") {
		return "", "", errors.New("a token's name is one line without a colon")
	}
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	return token, name + ":" + hashToken(token), nil
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func isToken(s string) bool { return strings.HasPrefix(s, tokenPrefix) }

// tokens are names with hashes of their tokens.
type tokens struct{ file *file }

func newTokens(path string, log logrus.FieldLogger) (*tokens, error) {
	f, err := openFile(path, parseTokenHash, log)
	if err != nil {
		return nil, err
	}
	return &tokens{file: f}, nil
}

func parseTokenHash(name, hash string) error {
	if b, err := hex.DecodeString(hash); err != nil || len(b) != sha256.Size || strings.ToLower(hash) != hash {
		return fmt.Errorf("the hash of %q is no SHA-256 in lower-case hex: make the line with \"safepull-proxy token new\"", name)
	}
	return nil
}

// check returns the name of the token. Hashes are compared, which tells nothing about a token by the time it takes.
func (t *tokens) check(token string) (string, error) {
	hash := hashToken(token)
	for name, known := range t.file.lines() {
		if known == hash {
			return name, nil
		}
	}
	return "", wrong()
}
