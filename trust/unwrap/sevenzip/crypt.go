package sevenzip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
	"unicode/utf16"

	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// maxPasswords bounds what is tried for one folder: time.
	maxPasswords = 32
	// maxTurns bounds how often a password is hashed, as a power of two. 7-Zip's own bound is 24, its default 19.
	maxTurns = 24
	// plainTurns is the power that means that the password is the key.
	plainTurns = 0x3f
	// stepsPerTurn is about what hashing a password once costs.
	stepsPerTurn = 60
)

// keys remembers keys, because making one is slow, and the password that was right.
type keys struct {
	made     map[string][]byte
	password string
	found    bool
}

func (k *keys) right(password string) { k.password, k.found = password, true }

func (f folder) encrypted() bool {
	return slices.ContainsFunc(f.coders, func(k coder) bool { return k.id == idEncrypted })
}

// passwords are those to try for a folder; one that does not matter if it is not encrypted.
func (a *archive) passwords(f folder) []string {
	if !f.encrypted() {
		return []string{""}
	}
	all := a.in.Content().Passwords
	if len(all) > maxPasswords {
		all = all[:maxPasswords]
	}
	if !a.keys.found {
		return all
	}
	return append([]string{a.keys.password}, slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == a.keys.password })...)
}

// unlock opens a folder. If it is encrypted, it looks for the password that gives the first file its checksum.
func (a *archive) unlock(f folder) (io.Reader, error) {
	if !f.encrypted() {
		return a.open(f, "")
	}
	for _, password := range a.passwords(f) {
		r, err := a.open(f, password)
		if err != nil {
			return nil, err
		}
		ok, err := a.verifies(f, r)
		if err != nil {
			return nil, err
		}
		if ok {
			a.keys.right(password)
			return a.open(f, password)
		}
	}
	return nil, stream.Unsupported("7z archive is encrypted")
}

func (a *archive) verifies(f folder, r io.Reader) (bool, error) {
	if len(f.files) == 0 {
		return true, nil
	}
	first := f.files[0]
	body := stream.NewBody(r)
	sum := &checksum{r: io.LimitReader(body, first.size)}
	if err := sum.finish(a.in); err != nil {
		return false, err
	}
	ok := body.Err() == nil && sum.n == first.size && (!first.hasSum || sum.crc == first.sum)
	return ok, a.at.Err()
}

// decrypt undoes AES-256 with cipher block chaining, which is the only encryption of 7z.
func (a *archive) decrypt(props []byte, r io.Reader, password string) (io.Reader, error) {
	if len(props) < 2 {
		return nil, stream.Malformed("7z encryption without properties")
	}
	turns := int(props[0] & 0x3f)
	salt := int(props[0]>>7&1) + int(props[1]>>4)
	vector := int(props[0]>>6&1) + int(props[1]&0xf)
	if len(props) < 2+salt+vector || vector > aes.BlockSize {
		return nil, stream.Malformed("7z encryption with short properties")
	}
	key, err := a.key(turns, props[2:2+salt], password)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, stream.Malformed("7z encryption: %w", err)
	}
	var begin [aes.BlockSize]byte
	copy(begin[:], props[2+salt:2+salt+vector])
	return &chained{r: r, mode: cipher.NewCBCDecrypter(block, begin[:])}, nil
}

func (a *archive) key(turns int, salt []byte, password string) ([]byte, error) {
	if turns > maxTurns && turns != plainTurns {
		return nil, stream.Unsupported("7z encryption hashes 2^%d times", turns)
	}
	id := string([]byte{byte(turns), byte(len(salt))}) + string(salt) + password
	if key, ok := a.keys.made[id]; ok {
		return key, nil
	}
	text := slices.Clone(salt)
	for _, u := range utf16.Encode([]rune(password)) {
		text = binary.LittleEndian.AppendUint16(text, u)
	}
	key := make([]byte, 32)
	if turns == plainTurns {
		copy(key, text)
	} else {
		if err := a.in.Spend((stepsPerTurn + int64(len(text))) << turns); err != nil {
			return nil, err
		}
		h := sha256.New()
		n := len(text)
		text = append(text, make([]byte, 8)...)
		for i := range uint64(1) << turns {
			binary.LittleEndian.PutUint64(text[n:], i)
			h.Write(text)
		}
		key = h.Sum(nil)
	}
	if a.keys.made == nil || len(a.keys.made) > 2*maxPasswords {
		a.keys.made = map[string][]byte{}
	}
	a.keys.made[id] = key
	return key, nil
}

// chained reads blocks.
type chained struct {
	r     io.Reader
	mode  cipher.BlockMode
	buf   [4 << 10]byte
	ready []byte
	err   error
}

func (c *chained) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		var n int
		n, c.err = io.ReadFull(c.r, c.buf[:])
		if c.err == io.ErrUnexpectedEOF { //nolint:errorlint // ReadFull returns the bare value
			c.err = io.EOF
		}
		n -= n % aes.BlockSize
		c.mode.CryptBlocks(c.buf[:n], c.buf[:n])
		c.ready = c.buf[:n]
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}
