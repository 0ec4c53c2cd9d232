package namespace

import "github.com/safepull/safepull/trust"

// Add and Remove are File's, for one edit by nobody.
func Add(path string, entry trust.Entry) error {
	_, err := File{Path: path, By: "nobody"}.Add(entry)
	return err
}

func Remove(path, pattern string) (int, error) {
	changes, err := File{Path: path, By: "nobody"}.Remove(pattern)
	return len(changes), err
}
