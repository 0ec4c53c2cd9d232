//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/safepull/safepull/test/imagetest"
)

// made is what is known of images that lie in the upstream registry, by what they were made from. With a folder for
// them, the next run need not make them again.
type made struct {
	file   string
	images map[string][]keptImage
}

// keptImage is an image in a file.
type keptImage struct {
	Repository, Tag string
	Layers          []imagetest.Blob
	Packed, Plain   int64
}

// openMade reads what an earlier run made; a folder of "" has nothing and keeps nothing.
func openMade(folder string) (*made, error) {
	m := &made{images: map[string][]keptImage{}}
	if folder == "" {
		return m, nil
	}
	m.file = filepath.Join(folder, "images.json")
	b, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, os.MkdirAll(folder, 0o755) //nolint:gosec // as the folder of tools
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &m.images); err != nil {
		return nil, fmt.Errorf("%s: %w; remove the folder to have images made anew", m.file, err)
	}
	return m, nil
}

// get returns the images of a name, which says all that they are made from, and has them made when they are not there.
func (m *made) get(ctx context.Context, name string, make func(context.Context) ([]image, error)) ([]image, error) {
	var all []image
	for _, k := range m.images[name] {
		all = append(all, image{repository: k.Repository, tag: k.Tag, layers: k.Layers, packed: k.Packed, plain: k.Plain})
	}
	if len(all) > 0 {
		return all, nil
	}
	all, err := make(ctx)
	if err != nil {
		return nil, err
	}
	for _, img := range all {
		m.images[name] = append(m.images[name], keptImage{img.repository, img.tag, img.layers, img.packed, img.plain})
	}
	if m.file == "" {
		return all, nil
	}
	b, err := json.Marshal(m.images)
	if err != nil {
		return nil, err
	}
	return all, os.WriteFile(m.file, b, 0o644) //nolint:gosec // as the folder of tools
}

// image is one image of about so many bytes.
func (w *world) image(ctx context.Context, repository string, size int64, seed uint64) (image, error) {
	all, err := w.made.get(ctx, fmt.Sprintf("%s of %d bytes from %d", repository, size, seed), func(ctx context.Context) ([]image, error) {
		note("making an image of %d MiB", size>>20)
		img, err := makeImage(ctx, w.upstream, fmt.Sprintf("%s-%d-%d", repository, size>>20, seed), size, seed)
		return []image{img}, err
	})
	if err != nil {
		return image{}, err
	}
	return all[0], nil
}

// large is the large image.
func (w *world) large(ctx context.Context) (image, error) {
	return w.image(ctx, "bench/large", w.size, w.seed+1)
}
