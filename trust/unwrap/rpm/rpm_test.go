package rpm_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/rpm"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// lead is the first part of a package.
func lead() []byte { return append([]byte("\xed\xab\xee\xdb\x03\x00"), make([]byte, 90)...) }

// header has n index entries and size bytes of data.
func header(n, size int) []byte {
	b := append([]byte("\x8e\xad\xe8\x01\x00\x00\x00\x00"), make([]byte, 8+16*n+size)...)
	binary.BigEndian.PutUint32(b[8:], uint32(n))
	binary.BigEndian.PutUint32(b[12:], uint32(size))
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func samples() []unwraptest.Sample {
	huge := header(0, 0)
	binary.BigEndian.PutUint32(huge[8:], 1<<31)
	payload := []byte("\x1f\x8bpayload")
	want := map[string]string{"payload": string(payload)}
	return []unwraptest.Sample{
		{Name: "package", Path: "a.rpm", Content: join(lead(), header(1, 8), header(3, 21), payload), Want: want},
		{Name: "padded", Path: "a.rpm", Content: join(lead(), header(2, 13), make([]byte, 3), header(1, 5), payload), Want: want},
		{Name: "no-payload", Content: join(lead(), header(1, 8), header(3, 21)), Want: map[string]string{"payload": ""}},
		{Name: "cut", Content: join(lead(), header(1, 8))[:100], Err: trust.ErrMalformed},
		{Name: "no-header", Content: join(lead(), make([]byte, 100)), Err: trust.ErrMalformed},
		{Name: "huge-header", Content: join(lead(), huge, make([]byte, 100)), Err: trust.ErrMalformed},
	}
}

func TestRpm(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, rpm.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "short", Content: []byte("\xed\xab\xee")},
		{Name: "delta", Content: []byte("drpm and more")},
	})
}

func FuzzRpm(f *testing.F) { unwraptest.Fuzz(f, rpm.New(), samples()) }
