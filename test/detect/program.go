package main

import (
	"archive/tar"
	"bytes"
	"path"
	"slices"
)

// firstProgram is the path of the first file in a folder of programs, "" if there is none.
func firstProgram(archive []byte) string {
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		hdr, err := r.Next()
		if err != nil {
			return ""
		}
		name := path.Clean("/" + hdr.Name)
		if hdr.Typeflag == tar.TypeReg && hdr.Mode&0o111 != 0 &&
			slices.Contains([]string{"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/games"}, path.Dir(name)) {
			return name
		}
	}
}
