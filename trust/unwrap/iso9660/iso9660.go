// Package iso9660 unwraps images of CDs and DVDs, also behind the boot code or the program that stands in front of them.
// Source: ECMA-119, and the Rock Ridge Interchange Protocol for names.
package iso9660

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// sector is the size of everything, descriptors the place of the first one.
	sector      = 2048
	descriptors = 16 * sector
	// maxDescriptors bounds the descriptors that are read, maxEntries the entries of all folders, maxDepth folders in
	// folders, maxFolder the listing of one: time and memory.
	maxDescriptors = 64
	maxEntries     = 1 << 18
	maxDepth       = 128
	maxFolder      = 16 << 20
	// recordBytes is the shortest record of a folder.
	recordBytes = 34
)

// Wrapper reads the primary tree and those with other names. A file that several trees have is shown once.
type Wrapper struct{ maxEntries int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "iso9660" }

// Wraps implements unwrap.Wrapper. What tells the format stands behind the first bytes, so that this is a guess: nothing,
// boot code, an old AppImage, or a name.
func (Wrapper) Wraps(c unwrap.Content) bool {
	h := c.Head
	if c.Size >= 0 && c.Size < descriptors+sector || len(h) < unwrap.HeadBytes {
		return false
	}
	switch strings.ToLower(path.Ext(c.Path)) {
	case ".iso", ".img":
		return true
	}
	return len(bytes.TrimLeft(h, "\x00")) == 0 || h[510] == 0x55 && h[511] == 0xaa || bytes.HasPrefix(h, []byte("\x7fELF")) && string(h[8:11]) == "AI\x01"
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	v := &volume{in: in, show: show, at: stream.NewSpool(at), size: size, left: w.maxEntries, folders: map[int64]bool{}, files: map[extent]bool{}}
	for i := range int64(maxDescriptors) {
		var d [sector]byte
		if descriptors+(i+1)*sector > size {
			break
		}
		if err := v.at.Full(d[:], descriptors+i*sector); err != nil {
			return err
		}
		if string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		if d[0] != 1 && d[0] != 2 {
			continue
		}
		root := record(d[156 : 156+recordBytes])
		joliet := d[0] == 2 && d[88] == '%' && d[89] == '/'
		v.folders = map[int64]bool{}
		if err := v.folder(root, "", joliet, 0); err != nil {
			return err
		}
	}
	return v.broken.Err()
}

// extent is a place of content.
type extent struct{ at, size int64 }

// volume is one pass over one image.
type volume struct {
	in      unwrap.Input
	show    unwrap.Show
	at      *stream.Spool
	size    int64
	broken  stream.Broken
	left    int
	folders map[int64]bool
	files   map[extent]bool
}

// record is an entry of a folder: ECMA-119, 9.1.
type record []byte

func (r record) extent() extent {
	at := (int64(binary.LittleEndian.Uint32(r[2:])) + int64(r[1])) * sector
	return extent{at, int64(binary.LittleEndian.Uint32(r[10:]))}
}

func (r record) isFolder() bool { return r[25]&2 != 0 }

// goesOn: the content goes on in the next record.
func (r record) goesOn() bool { return r[25]&0x80 != 0 }

// name is that of Rock Ridge if there is one.
func (r record) name(joliet bool) string {
	n := min(int(r[32]), len(r)-33)
	name := r[33 : 33+n]
	if joliet {
		var units []uint16
		for i := 0; i+2 <= len(name); i += 2 {
			units = append(units, binary.BigEndian.Uint16(name[i:]))
		}
		return withoutVersion(string(utf16.Decode(units)))
	}
	var long []byte
	use := r[min(33+n+(n+1)%2, len(r)):]
	for len(use) >= 5 {
		size := int(use[2])
		if size < 5 || size > len(use) {
			break
		}
		if string(use[:2]) == "NM" {
			long = append(long, use[5:size]...)
		}
		use = use[size:]
	}
	if len(long) > 0 {
		return string(long)
	}
	return strings.ToLower(withoutVersion(string(name)))
}

func withoutVersion(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.TrimSuffix(name, ".")
}

// folder shows what a folder holds.
func (v *volume) folder(r record, name string, joliet bool, depth int) error {
	e := r.extent()
	switch {
	case depth > maxDepth:
		return stream.Exceeded("iso9660: folders are more than %d deep", maxDepth)
	case e.size > maxFolder:
		return stream.Exceeded("iso9660: a folder of %d bytes", e.size)
	case v.folders[e.at]:
		return nil
	case e.at < 0 || e.at > v.size-e.size:
		v.broken.Add(stream.Malformed("iso9660: a folder outside the file"))
		return nil
	}
	v.folders[e.at] = true
	if err := v.in.Spend(e.size); err != nil {
		return err
	}
	if err := v.in.Hold(e.size); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	defer func() { _ = v.in.Hold(-e.size) }()
	list := make([]byte, e.size)
	if err := v.at.Full(list, e.at); err != nil {
		return err
	}
	var parts []extent
	for at := 0; at+recordBytes <= len(list); {
		n := int(list[at])
		if n == 0 { // records do not cross the ends of sectors
			at = (at/sector + 1) * sector
			continue
		}
		if n < recordBytes || at+n > len(list) {
			v.broken.Add(stream.Malformed("iso9660: a record that is too short"))
			return nil
		}
		one := record(list[at : at+n])
		at += n
		if one[32] == 1 && one[33] <= 1 { // the folder itself, and the one above
			continue
		}
		if v.left--; v.left < 0 {
			return stream.Exceeded("iso9660: too many entries")
		}
		full := path.Join(name, one.name(joliet))
		if one.isFolder() {
			if err := v.folder(one, full, joliet, depth+1); err != nil {
				return err
			}
			continue
		}
		if parts = append(parts, one.extent()); one.goesOn() && len(parts) < maxEntries {
			continue
		}
		if err := v.file(full, parts, one); err != nil {
			return err
		}
		parts = nil
	}
	return nil
}

// file shows the content of a file, which may stand in several places.
func (v *volume) file(name string, parts []extent, last record) error {
	if known := parts[0]; v.files[known] && len(parts) == 1 || parts[0].size == 0 {
		return nil
	}
	v.files[parts[0]] = true
	var readers []io.Reader
	size := int64(0)
	for _, p := range parts {
		within := min(p.size, v.size-p.at)
		if within < 0 {
			within = 0
		}
		if within < p.size {
			v.broken.Add(stream.Malformed("iso9660: a file outside the image"))
		}
		if last[26]|last[27] != 0 {
			v.broken.Add(stream.Unsupported("iso9660: a file that is interleaved"))
		}
		readers = append(readers, io.NewSectionReader(v.at, p.at, within))
		size += within
	}
	broken, err := stream.Show(v.show, unwrap.Piece{Name: name, Mode: fs.FileMode(0o755), Size: size}, io.MultiReader(readers...), v.at)
	return cmp.Or(err, broken)
}
