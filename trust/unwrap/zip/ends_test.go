package zip_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/zip"
)

// ends asks about a file as the engine does.
func ends(file []byte, exact bool) bool {
	tail := file[max(0, len(file)-unwrap.TailBytes):]
	return zip.New().Ends(tail, int64(len(file)-len(tail)), exact)
}

func TestEnds(t *testing.T) {
	t.Parallel()
	junk := bytes.Repeat([]byte("anything "), 1000)
	archive := made(8, "a", "content", "b", "more")
	var many []string
	for i := range 3000 {
		many = append(many, strings.Repeat("n", 30)+string(rune('a'+i%26)), "x")
	}
	long := made(0, many...) // a directory that the tail does not show
	for _, tt := range []struct {
		name  string
		file  []byte
		exact bool
		want  bool
	}{
		{"an archive", archive, true, true},
		{"behind something", join(junk, archive), true, true},
		{"with a comment", join(junk, archive[:len(archive)-2], []byte{9, 0}, []byte("a comment")), true, true},
		{"and something behind", join(junk, archive, []byte("\x00\x00")), false, true},
		{"a member of another archive", join(junk, archive, make([]byte, 1024)), true, false},
		{"a long directory", join(junk, long), false, true},
		{"behind the comments of all readers", join(junk, archive, make([]byte, 1<<16+1)), false, false},
		{"a program that knows the record", join(junk, []byte("PK\x05\x06"), junk), false, false},
		{"an empty archive", join(junk, archive[:0], []byte("PK\x05\x06"), make([]byte, 18)), false, false},
		{"a record cut off", join(junk, []byte("PK\x05\x06")), false, false},
		{"nothing", nil, false, false},
	} {
		if got := ends(tt.file, tt.exact); got != tt.want {
			t.Errorf("%s: Ends = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzEnds(f *testing.F) {
	f.Add(made(0, "a", "content"), int64(7), false)
	f.Fuzz(func(_ *testing.T, tail []byte, before int64, exact bool) {
		zip.New().Ends(tail, max(before, 0)>>1, exact)
	})
}

// TestReadAgain: nothing at the beginning tells of an archive behind more than the head, so it is looked for only in files
// that are read once more because they hid something.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	c := unwrap.Content{Path: "data.bin", Size: 3 * unwrap.HeadBytes, Head: bytes.Repeat([]byte{0xa5}, unwrap.HeadBytes)}
	if zip.New().Wraps(c) {
		t.Error("every file is taken for an archive")
	}
	if c.Again = true; !zip.New().Wraps(c) {
		t.Error("a file that is read again is not looked into")
	}
	if c.Size = int64(len(c.Head)); zip.New().Wraps(c) {
		t.Error("the head shows the whole file, and no archive")
	}
}
