package tags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// fileVersion is that of the format. Another one is not read.
	fileVersion = 1
	// maxFile bounds what is read of the file: more than maxTags of the longest names.
	maxFile = 32 << 20
	// maxKey bounds the name of a tag with that of its repository.
	maxKey = 1024
)

// file is the memory as it is written, the least recently used tag first.
type file struct {
	Version int     `json:"version"`
	Tags    []entry `json:"tags"`
}

type entry struct {
	Name       string             `json:"name"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	At         time.Time          `json:"at"`
}

func (m *Memory) load() error {
	f, err := os.Open(m.options.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read
	entries, err := parse(io.LimitReader(f, maxFile+1), m.now())
	if err != nil {
		return fmt.Errorf("tags: %q is not used: %w", m.options.File, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		m.known.Add(e.Name, answer{e.Descriptor, e.At})
	}
	return nil
}

// parse reads a file. It is taken whole or not at all. Answers from the future, which would never grow old, are left
// out.
func parse(r io.Reader, now time.Time) ([]entry, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if len(body) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var f file
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, err
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("its version is %d", f.Version)
	}
	if len(f.Tags) > maxTags {
		return nil, fmt.Errorf("it has more than %d tags", maxTags)
	}
	good := f.Tags[:0]
	for _, e := range f.Tags {
		if e.Name == "" || len(e.Name) > maxKey || e.Descriptor.Digest.Validate() != nil || e.Descriptor.Size < 0 {
			return nil, fmt.Errorf("tag %.100q has no usable descriptor", e.Name)
		}
		if !e.At.After(now) {
			good = append(good, e)
		}
	}
	return good, nil
}

func (m *Memory) keepSaving(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = m.save() // it is tried again, and Close tells
		}
	}
}

// save writes what changed, by a renaming.
func (m *Memory) save() error {
	m.mu.Lock()
	dirty, f := m.dirty, file{Version: fileVersion, Tags: []entry{}}
	if dirty {
		for _, key := range m.known.Keys() {
			a, _ := m.known.Peek(key)
			f.Tags = append(f.Tags, entry{key, a.Descriptor, a.At.UTC()})
		}
	}
	m.dirty = false
	m.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := write(m.options.File, f); err != nil {
		m.mu.Lock()
		m.dirty = true
		m.mu.Unlock()
		return fmt.Errorf("tags: %w", err)
	}
	return nil
}

func write(path string, f file) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = beside.Write(body)
	if err = errors.Join(err, beside.Close()); err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return nil
}
