// Package spool keeps content that is still arriving: one writes it, and any number read what is there already.
package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Spool is written by one goroutine and read by any number, of what was written.
type Spool interface {
	io.Writer
	io.ReaderAt
	// Close removes the content, unless it was renamed. Nobody reads then.
	io.Closer
}

// File is a Spool on disk.
type File struct {
	file *os.File
	path string // empty once it has another name
}

// Create makes a file of a new name in a folder, which is made if need be.
func Create(dir string) (*File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // images may be private
		return nil, fmt.Errorf("spool: %w", err)
	}
	path := filepath.Join(dir, rand.Text())
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return &File{file, path}, nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) { return f.file.Write(p) }

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, at int64) (int, error) { return f.file.ReadAt(p, at) }

// Rename gives the file its lasting name, whose folder is made if need be. It goes on to be read.
func (f *File) Rename(to string) error {
	err := os.Rename(f.path, to)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		err = os.Rename(f.path, to)
	}
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	f.path = ""
	return nil
}

// Size is what the file system says.
func (f *File) Size() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	return info.Size(), nil
}

// Close implements Spool.
func (f *File) Close() error {
	err := f.file.Close()
	if f.path != "" {
		err = errors.Join(err, os.Remove(f.path))
	}
	return err
}

// piece is how much a Memory takes from the allocator at one time.
const piece = 256 << 10

// Memory is a Spool without a disk. The zero value is empty.
type Memory struct {
	mu     sync.RWMutex
	pieces [][]byte // all but the last are full
	size   int64
}

// Write implements io.Writer.
func (m *Memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		in := int(m.size % piece)
		if in == 0 {
			m.pieces = append(m.pieces, make([]byte, piece))
		}
		taken := copy(m.pieces[len(m.pieces)-1][in:], p)
		p, m.size = p[taken:], m.size+int64(taken)
	}
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (m *Memory) ReadAt(p []byte, at int64) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at < 0 {
		return 0, fmt.Errorf("spool: read at %d", at)
	}
	for n < len(p) && at < m.size {
		from := m.pieces[at/piece]
		end := min(piece, m.size-at/piece*piece)
		taken := copy(p[n:], from[at%piece:end])
		n, at = n+taken, at+int64(taken)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close implements Spool.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pieces, m.size = nil, 0
	return nil
}
