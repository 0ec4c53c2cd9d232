package layer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

func decode(t testing.TB, text string) []byte {
	t.Helper()
	blob, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// The archive of bzippedText in two streams each: bzip2 -9, and xz with CRC-64, padding, a filter for machine code,
// SHA-256 and padding again.
const (
	bzippedTwice = `
QlpoOTFBWSZTWXQP08MAACtbmEmQQAD1BABAbkaeAAQAEAAgAFRFNMACZGAeqDJMo0eo0PUDQE4RbWBD1bFBR7pkIDWWy0QlUBMS
hCIbAONDpItdXAzrBt7AVYRL8XckU4UJB0D9PDBCWmg5MUFZJlNZUg14RQAAAsQAwAACAAAIIAAwzAiaSUA8XckU4UJBSDXhFA==`
	xzTwice = `
/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AK7AEJdADKdCIYUltE4104j1IUOQsX+bK9kKStznEmhodc/R0XeiJRXQVM/9KxHKCX9
XyW8jhAnbOoVF1wNYi0QuLkU3tx8AAAAAJTSru+njBD7AAFevAUAAAB9qDgXscRn+wIAAAAABFlaAAAAAAAAAAD9N3pYWgAACuH7
DKECAQQAIQEQAIshb0ngBUMADV0AAG/9//+jt/9FReAUAAAAAACmHQ3TFX03OYKKIAPZ/I39ZhrKtClwpxPwK+QVD+T/KgABQcQK
AAAAa6N5dLbp3xwCAAAAAApZWgAAAAA=`
)

// xzOf is one xz stream of stored chunks, whose block asks for a dictionary of 2<<n or 3<<n bytes, as dict says.
func xzOf(plain []byte, dict byte) []byte {
	sum := func(p []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(p)) }
	flags := []byte{0, 1} // CRC-32
	blob := slices.Concat([]byte("\xfd7zXZ\x00"), flags, sum(flags))
	header := []byte{2, 0, 0x21, 1, dict, 0, 0, 0}
	block := slices.Concat(header, sum(header))
	kind := byte(1)
	for part := range slices.Chunk(plain, 1<<16) {
		block = append(append(block, kind, byte((len(part)-1)>>8), byte(len(part)-1)), part...)
		kind = 2
	}
	block = append(block, 0)
	unpadded := len(block) + 4
	for len(block)%4 != 0 {
		block = append(block, 0)
	}
	blob = slices.Concat(blob, block, sum(plain))
	index := binary.AppendUvarint([]byte{0, 1}, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(plain)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4))
	footer = append(footer, flags...)
	return slices.Concat(blob, index, sum(index), sum(footer), footer, []byte("YZ"))
}

const (
	dict4K  = 0
	dict1M  = 16
	dict32M = 26
	dict48M = 27
)

func TestWalkSeveralStreams(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("etc/motd", "hello\n"), file("b", strings.Repeat("x", 200_000)))
	small, large := []string{"hello\n"}, []string{"hello\n", strings.Repeat("x", 200_000)}
	zeros := func(n int) []byte { return make([]byte, n) }
	for name, tc := range map[string]struct {
		blob []byte
		want []string
	}{
		"bzip2-two":        {decode(t, bzippedTwice), small},
		"xz-two":           {decode(t, xzTwice), small},
		"xz":               {xzOf(plain, dict4K), large},
		"xz-largest":       {xzOf(plain, dict32M), large},
		"xz-three":         {slices.Concat(xzOf(plain[:5], dict4K), xzOf(nil, dict4K), xzOf(plain[5:], dict1M)), large},
		"xz-padded":        {slices.Concat(xzOf(plain[:512], dict4K), zeros(4), xzOf(plain[512:], dict4K), zeros(400)), large},
		"xz-long-padding":  {slices.Concat(xzOf(plain, dict4K), zeros(1<<20)), large},
		"zstd-middle":      {slices.Concat(zst(t, plain[:9]), skippable("middle"), zst(t, nil), zst(t, plain[9:]), skippable("")), large},
		"zstd-many-before": {slices.Concat(bytes.Repeat(skippable("x"), 1000), zst(t, plain)), large},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _, err := walk(t, tc.blob, layer.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, v.bodies); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestXzFaults(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("etc/motd", "hello\n"))
	good := xzOf(plain, dict4K)
	twice := decode(t, xzTwice)
	flipped := func(at int) []byte {
		out := bytes.Clone(good)
		out[(at+len(out))%len(out)] ^= 1
		return out
	}
	for name, tc := range map[string]struct {
		blob []byte
		want error
	}{
		"window":          {xzOf(plain, dict48M), trust.ErrLimit},
		"second-window":   {slices.Concat(xzOf(plain[:512], dict4K), xzOf(plain[512:], dict48M)), trust.ErrLimit},
		"padding-of-3":    {append(bytes.Clone(good), 0, 0, 0), trust.ErrMalformed},
		"trailing-text":   {append(bytes.Clone(good), "text"...), trust.ErrMalformed},
		"padded-trailing": {append(bytes.Clone(good), "\x00\x00\x00\x00text"...), trust.ErrMalformed},
		"padding-between": {slices.Concat(good[:len(good):len(good)], []byte{0}, good), trust.ErrMalformed},
		"cut":             {good[:len(good)-1], trust.ErrMalformed},
		"header-only":     {good[:12], trust.ErrMalformed},
		"magic-only":      {good[:6], trust.ErrMalformed},
		"no-index":        {good[:len(good)-20], trust.ErrMalformed},
		"header-sum":      {flipped(8), trust.ErrMalformed},
		"content-sum":     {flipped(600), trust.ErrMalformed},
		"index":           {flipped(-16), trust.ErrMalformed},
		"footer":          {flipped(-1), trust.ErrMalformed},
		"second-cut":      {twice[:len(twice)-30], trust.ErrMalformed},
		"check-unknown":   {withFlags(good, 2), trust.ErrUnsupported},
		"version-unknown": {withFlags(good, 0x81), trust.ErrUnsupported},
		"bzip2-two-cut":   {decode(t, bzippedTwice)[:150], trust.ErrMalformed},
		"bzip2-then-text": {append(decode(t, bzippedTwice), "BZh"...), trust.ErrMalformed},
		"zstd-cut-middle": {slices.Concat(zst(t, plain[:9]), skippable("middle")[:9]), trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := walk(t, tc.blob, layer.Limits{})
			only(t, err, tc.want)
		})
	}
}

// withFlags is a stream whose header asks for another kind of check.
func withFlags(good []byte, flags byte) []byte {
	out := bytes.Clone(good)
	out[7] = flags
	binary.LittleEndian.PutUint32(out[8:], crc32.ChecksumIEEE(out[6:8]))
	return out
}

// Small blocks that each ask for much memory cost the blob's own time, not the memory's.
func TestXzManyBlocks(t *testing.T) {
	t.Parallel()
	var blob []byte
	for range 2000 {
		blob = append(blob, xzOf([]byte{0}, dict32M)...)
	}
	if _, s, err := walk(t, blob, layer.Limits{}); s.Bytes != 2000 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// What xz itself unpacks is walked, and what it refuses is refused, except for what is beyond our limits.
func TestAgainstXz(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("xz is not installed")
	}
	plain := archive(t, file("etc/motd", "hello\n"), file("b", strings.Repeat("xyz", 700)))
	made := func(args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), program, append(args, "-c")...)
		cmd.Stdin = bytes.NewReader(plain)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	seeds := [][]byte{
		xzOf(plain, dict4K), decode(t, xzTwice), made("-0"), made("--check=none"), made("-1", "--check=crc32", "--block-size=1000"),
		made("--delta=dist=3", "--lzma2=dict=64KiB"), made("--arm", "--lzma2=dict=64KiB,lc=0,lp=2,pb=0"),
	}
	rnd := rand.New(rand.NewPCG(11, 12))
	for i := range 150 {
		blob := bytes.Clone(seeds[i%len(seeds)])
		switch rnd.IntN(5) {
		case 0:
			blob = blob[:rnd.IntN(len(blob))]
		case 1:
			blob = append(blob, make([]byte, rnd.IntN(10))...)
		case 2:
			blob = append(blob, seeds[rnd.IntN(len(seeds))]...)
		default:
			blob[rnd.IntN(len(blob))] ^= 1 << rnd.IntN(8)
		}
		if len(blob) < 6 || string(blob[:6]) != "\xfd7zXZ\x00" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), program, "-d", "-c", "-q")
		cmd.Stdin = bytes.NewReader(blob)
		out, xzErr := cmd.Output()
		_, s, err := walk(t, blob, layer.Limits{})
		switch {
		case errors.Is(err, trust.ErrLimit), errors.Is(err, trust.ErrUnsupported):
		case xzErr == nil && s.DiffID == "", xzErr != nil && err == nil, xzErr == nil && s.Bytes != int64(len(out)):
			t.Errorf("%d: xz: %d bytes, %v; walk: %d bytes, %v", i, len(out), xzErr, s.Bytes, err)
		}
	}
}
