package scan_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/zip"
)

// TestReadAgainInVain: a file that is read once more because its end is a zip's still hides something when our reader
// finds nothing in it, or meets a fault on the way: other readers may see more. Else reading again would clear it.
func TestReadAgainInVain(t *testing.T) {
	t.Parallel()
	record := func(entries uint16, size, offset uint32) string {
		b := []byte("PK\x05\x06\x00\x00\x00\x00")
		b = binary.LittleEndian.AppendUint16(b, entries)
		b = binary.LittleEndian.AppendUint16(b, entries)
		b = binary.LittleEndian.AppendUint32(b, size)
		return string(append(binary.LittleEndian.AppendUint32(b, offset), 0, 0))
	}
	noise := strings.Repeat("\xa5", unwrap.HeadBytes+unwrap.TailBytes)
	directory := "PK\x01\x02" + strings.Repeat("\x00", 42) // names an entry that is none
	at := uint32(len(noise))                               //nolint:gosec // some 70 KB
	for name, body := range map[string]string{
		"nothing where the directory should be": noise + record(10, 500, 1000),
		"an entry that cannot be read":          noise + directory + record(1, uint32(len(directory)), at), //nolint:gosec // 46
	} {
		s := nestedScanner(t, scan.Limits{}, zip.New())
		found, err := s.File(t.Context(), rules, layer.Entry{Path: "f", Size: int64(len(body))}, strings.NewReader(body), nil)
		hidden := false
		for _, f := range found {
			hidden = hidden || f.Class == trust.ClassOpaque && f.IfRun == trust.Strong
		}
		if err != nil || !hidden {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}
