package zip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // WinZip's encryption is defined with it
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"

	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// decrypted is the data of an entry without its encryption. Part gives it from its beginning. What is flagged as
// encrypted and is not, is read: some readers do not look at the flag.
func (a *archive) decrypted(h header, part func() io.Reader, packed int64) (io.Reader, error) {
	if h.flags&encrypted == 0 {
		return part(), nil
	}
	if h.strength == 0 && h.size >= 0 {
		if ok, err := a.verifies(h, part()); ok || err != nil {
			return part(), err
		}
	}
	if h.flags&(strong|masked) != 0 {
		return nil, stream.Unsupported("zip entry with an encryption that is not known")
	}
	for _, password := range a.passwords() {
		r, err := a.try(h, part, packed, password)
		if err != nil {
			return nil, err
		}
		if r != nil {
			a.password = password
			return r, nil
		}
	}
	return nil, stream.Unsupported("zip entry is encrypted")
}

// passwords are those to try, with the one first that worked.
func (a *archive) passwords() []string {
	all := a.in.Content().Passwords
	if len(all) > maxPasswords {
		all = all[:maxPasswords]
	}
	if a.password == "" {
		return all
	}
	return append([]string{a.password}, slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == a.password })...)
}

// try tries a password. The result is nil if it is wrong.
func (a *archive) try(h header, part func() io.Reader, packed int64, password string) (io.Reader, error) {
	if h.strength != 0 {
		return a.openAES(h, part, packed, password)
	}
	if err := a.in.Spend(100); err != nil {
		return nil, err
	}
	check := byte(h.crc >> 24)
	if h.flags&descriptor != 0 {
		check = byte(h.time >> 8)
	}
	r := newTraditional(part(), password, check)
	if r == nil {
		return nil, a.at.Err()
	}
	if ok, err := a.verifies(h, r); !ok || err != nil { // one byte says little
		return nil, err
	}
	return newTraditional(part(), password, check), nil
}

// traditional undoes the encryption of PKZIP 2.
type traditional struct {
	r    io.Reader
	keys [3]uint32
}

// traditionalBytes stand before the data, so that the same content is never encrypted in the same way.
const traditionalBytes = 12

// newTraditional is nil if the password cannot be the right one.
func newTraditional(r io.Reader, password string, check byte) io.Reader {
	t := &traditional{r: r, keys: [3]uint32{0x12345678, 0x23456789, 0x34567890}}
	for i := range len(password) {
		t.update(password[i])
	}
	var b [traditionalBytes]byte
	if _, err := io.ReadFull(t, b[:]); err != nil || b[traditionalBytes-1] != check {
		return nil
	}
	return t
}

func (t *traditional) update(plain byte) {
	k := &t.keys
	k[0] = crc32.IEEETable[byte(k[0])^plain] ^ k[0]>>8
	k[1] = (k[1]+k[0]&0xff)*134775813 + 1
	k[2] = crc32.IEEETable[byte(k[2])^byte(k[1]>>24)] ^ k[2]>>8
}

func (t *traditional) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	for i, c := range p[:n] {
		x := uint16(t.keys[2]) | 2
		c ^= byte(uint32(x) * uint32(x^1) >> 8)
		t.update(c)
		p[i] = c
	}
	return n, err
}

const (
	// derivationSteps is about what making a key of a password costs.
	derivationSteps = 2_000_000
	derivationTurns = 1000
	verifierBytes   = 2
	macBytes        = 10
)

// openAES undoes WinZip's encryption.
func (a *archive) openAES(h header, part func() io.Reader, packed int64, password string) (io.Reader, error) {
	keyBytes := 8 * (h.strength + 1)
	saltBytes := keyBytes / 2
	length := packed - int64(saltBytes) - verifierBytes - macBytes
	if h.strength < 1 || h.strength > 3 || length < 0 {
		return nil, stream.Malformed("zip entry with a wrong encryption header")
	}
	if err := a.in.Spend(derivationSteps); err != nil {
		return nil, err
	}
	begin := make([]byte, saltBytes+verifierBytes)
	r := part()
	if err := stream.Full(r, begin); err != nil {
		return nil, err
	}
	keys, err := pbkdf2.Key(sha1.New, password, begin[:saltBytes], derivationTurns, 2*keyBytes+verifierBytes)
	if err != nil || !bytes.Equal(keys[2*keyBytes:], begin[saltBytes:]) {
		return nil, nil //nolint:nilerr // the password is not one
	}
	if err := a.in.Spend(packed); err != nil {
		return nil, err
	}
	mac := hmac.New(sha1.New, keys[keyBytes:2*keyBytes])
	if _, err := io.Copy(mac, io.LimitReader(r, length)); err != nil {
		return nil, err // the spool's
	}
	var want [macBytes]byte
	if err := stream.Full(r, want[:]); err != nil {
		return nil, err
	}
	if !hmac.Equal(mac.Sum(nil)[:macBytes], want[:]) {
		return nil, nil
	}
	r = part()
	if err := stream.Skip(r, int64(len(begin))); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(keys[:keyBytes])
	if err != nil {
		return nil, stream.Malformed("zip entry: %w", err)
	}
	return &counter{r: io.LimitReader(r, length), block: block, at: aes.BlockSize}, nil
}

// counter is the counter mode of WinZip, which counts from 1 with the lowest byte first.
type counter struct {
	r     io.Reader
	block cipher.Block
	n     uint64
	pad   [aes.BlockSize]byte
	at    int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i := range p[:n] {
		if c.at == aes.BlockSize {
			c.n++
			c.pad = [aes.BlockSize]byte{}
			binary.LittleEndian.PutUint64(c.pad[:], c.n)
			c.block.Encrypt(c.pad[:], c.pad[:])
			c.at = 0
		}
		p[i] ^= c.pad[c.at]
		c.at++
	}
	return n, err
}
