package inventory

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
)

// The snapshot: magic, number of records, records, SHA-256 of all before. The journal: magic, first bytes of its
// snapshot's SHA-256, changes, each with its CRC-32C. Numbers are little-endian.
const (
	snapshotMagic = "SPINVS01"
	journalMagic  = "SPINVJ01"
	idBytes       = 16
	recordBytes   = 32 + 8 + 4
	changeBytes   = 1 + recordBytes + 4
	// maxRecords bounds what is read: no disk holds more blobs, and their index needs 2 GiB of memory.
	maxRecords = 1 << 24
	// maxSize bounds the size of an entry.
	maxSize = 1 << 50
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func journalHeader(id [idBytes]byte) []byte { return append([]byte(journalMagic), id[:]...) }

func appendRecord(b []byte, r Record) []byte {
	b = append(b, r.Sum[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Size)) //nolint:gosec // not negative
	return binary.LittleEndian.AppendUint32(b, r.Used)
}

func parseRecord(b []byte) (r Record, ok bool) {
	copy(r.Sum[:], b)
	size := binary.LittleEndian.Uint64(b[32:])
	r.Size, r.Used = int64(size&(1<<63-1)), binary.LittleEndian.Uint32(b[40:]) //nolint:gosec // masked
	return r, size <= maxSize
}

func appendChange(b []byte, c Change, r Record) []byte {
	from := len(b)
	b = appendRecord(append(b, byte(c)), r)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli()))
}

// writeSnapshot returns the snapshot's id.
func writeSnapshot(to io.Writer, entries iter.Seq[Record], n int) (id [idBytes]byte, err error) {
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<20)
	header := binary.LittleEndian.AppendUint64([]byte(snapshotMagic), uint64(n)) //nolint:gosec // not negative
	if _, err := w.Write(header); err != nil {
		return id, err
	}
	var buf [recordBytes]byte
	written := 0
	for r := range entries {
		if _, err := w.Write(appendRecord(buf[:0], r)); err != nil {
			return id, err
		}
		written++
	}
	if written != n {
		return id, fmt.Errorf("%d entries instead of %d", written, n)
	}
	if err := w.Flush(); err != nil {
		return id, err
	}
	all := sum.Sum(nil)
	copy(id[:], all)
	_, err = to.Write(all)
	return id, err
}

// check reads a snapshot whole, and returns its id and number of entries when all of it is good.
func check(r io.Reader) (id [idBytes]byte, n int, err error) {
	sum := sha256.New()
	n, err = records(r, sum, func(Record) {})
	if err != nil {
		return id, 0, err
	}
	var want [sha256.Size + 1]byte
	if got, err := io.ReadFull(r, want[:]); got != sha256.Size || !errors.Is(err, io.ErrUnexpectedEOF) {
		return id, 0, fmt.Errorf("%w: it has another length than it says", ErrDamaged)
	}
	all := sum.Sum(nil)
	if !bytes.Equal(all, want[:sha256.Size]) {
		return id, 0, fmt.Errorf("%w: its checksum does not hold", ErrDamaged)
	}
	copy(id[:], all)
	return id, n, nil
}

// recordsAtOnce are read and hashed in one step.
const recordsAtOnce = 1024

// records reads the entries of a snapshot, and writes to sum what it reads.
func records(r io.Reader, sum io.Writer, each func(Record)) (n int, err error) {
	var header [16]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	_, _ = sum.Write(header[:]) // a hash never fails
	count := binary.LittleEndian.Uint64(header[8:])
	if string(header[:8]) != snapshotMagic || count > maxRecords {
		return 0, fmt.Errorf("%w: it begins with %q", ErrDamaged, header)
	}
	n = int(count) //nolint:gosec // within maxRecords
	var buf [recordsAtOnce * recordBytes]byte
	for left := n; left > 0; left -= recordsAtOnce {
		block := buf[:min(left, recordsAtOnce)*recordBytes]
		if _, err := io.ReadFull(r, block); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		_, _ = sum.Write(block)
		for ; len(block) > 0; block = block[recordBytes:] {
			record, ok := parseRecord(block)
			if !ok {
				return 0, fmt.Errorf("%w: an entry of %d bytes", ErrDamaged, record.Size)
			}
			each(record)
		}
	}
	return n, nil
}

// changes reads a journal as far as it is whole and continues the snapshot id. It returns how many changes there were,
// and where they end in the file.
func changes(r io.Reader, id [idBytes]byte, apply func(Change, Record)) (n int, end int64) {
	header := make([]byte, len(journalMagic)+idBytes)
	if _, err := io.ReadFull(r, header); err != nil || !bytes.Equal(header, journalHeader(id)) {
		return 0, 0
	}
	end = int64(len(header))
	var buf [changeBytes]byte
	for n < maxRecords {
		if _, err := io.ReadFull(r, buf[:]); err != nil {
			break
		}
		sum := binary.LittleEndian.Uint32(buf[changeBytes-4:])
		record, ok := parseRecord(buf[1:])
		c := Change(buf[0])
		if !ok || sum != crc32.Checksum(buf[:changeBytes-4], castagnoli()) || c != Added && c != Used && c != Gone {
			break
		}
		apply(c, record)
		n++
		end += changeBytes
	}
	return n, end
}
