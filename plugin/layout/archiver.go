package layout

import (
	"archive/tar"
	"fmt"
	"io"
	"slices"
	"time"
)

// archiver writes a tar that depends on its content alone: no times, no owners.
type archiver struct{ *tar.Writer }

func (a archiver) folder(name string) error {
	return a.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(0, 0)})
}

func (a archiver) file(name string, size int64, fill func(io.Writer) error) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if err := a.WriteHeader(h); err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	return fill(a.Writer)
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
