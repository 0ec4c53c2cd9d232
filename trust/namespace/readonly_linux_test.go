package namespace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestReadOnly: a file that says so is not replaced, though its folder would let us. Root may write every file: where root
// runs the tests, as continuous integration does, files are looked at as somebody else.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	path := write(t, edited)
	root := os.Geteuid() == 0
	for _, name := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path), path} {
		if err := os.Chown(name, nobody, nobody); root && err != nil {
			t.Fatal(err)
		}
	}
	add := func() error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
			if root {
				if err := errors.Join(syscall.Setfsgid(nobody), syscall.Setfsuid(nobody)); err != nil {
					t.Error(err)
				}
			}
			_, err := File{Path: path}.Add(denied)
			done <- err
		}()
		return <-done
	}
	for _, mode := range []fs.FileMode{0o444, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		switch err := add(); {
		case mode == 0o644 && (err != nil || read(t, path) == edited):
			t.Errorf("with the right to write: %v", err)
		case mode == 0o444 && (!errors.Is(err, fs.ErrPermission) || err.Error() != "the trust list "+path+" is not changed: permission denied" || read(t, path) != edited):
			t.Error(err)
		}
	}
}
