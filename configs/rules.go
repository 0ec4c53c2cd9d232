package configs

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io/fs"
)

//go:generate go run ./internal/archive rules rules.zip

// rulesArchive holds the files of rules/. They are embedded compressed so that our own binaries do not hold the signs
// that they look for, and neither we nor anybody else's scanner takes them for what they find.
//
//go:embed rules.zip
var rulesArchive []byte

// maxRules bounds the unpacked size of the archive, which is ours: it guards against a wrong file at build time.
const maxRules = 8 << 20

// Rules are the shipped rule files, *.yaml at the root.
func Rules() (fs.FS, error) {
	r, err := zip.NewReader(bytes.NewReader(rulesArchive), int64(len(rulesArchive)))
	if err != nil {
		return nil, fmt.Errorf("read embedded rules: %w", err)
	}
	var size uint64
	for _, f := range r.File {
		if size += f.UncompressedSize64; size > maxRules || f.UncompressedSize64 > maxRules {
			return nil, fmt.Errorf("read embedded rules: larger than %d bytes", maxRules)
		}
	}
	return r, nil
}
