package staging

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// lockName is the file in an area that its process holds locked as long as it lives.
const lockName = "lock"

// maxSwept bounds the names of a temporary folder that are looked at for abandoned areas.
const maxSwept = 50_000

// errTaken means that another process took a new area for an abandoned one.
var errTaken = errors.New("the temporary folder was taken")

// sweep removes what killed processes of this user left in parent. It does what it can: nothing depends on it.
func sweep(parent string) {
	d, err := os.Open(parent)
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }()
	for range maxSwept / 1000 {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				removeAbandoned(filepath.Join(parent, name))
			}
		}
		if err != nil {
			return
		}
	}
}

// removeAbandoned removes an area that no process holds. Holding the lock meanwhile keeps others from using it.
func removeAbandoned(dir string) {
	lock, ok := takeOver(dir)
	if !ok {
		return
	}
	_ = errors.Join(os.RemoveAll(dir), lock.Close())
}
