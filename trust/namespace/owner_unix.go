//go:build unix

package namespace

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file that it replaces or stands beside: root may edit the list that a service or a
// user owns. Who may not give files away keeps at least the group, where that is theirs too.
func keepOwner(f *os.File, old fs.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if now, ok := info.Sys().(*syscall.Stat_t); ok && now.Uid == was.Uid && now.Gid == was.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = f.Chown(-1, int(was.Gid))
	return nil
}
