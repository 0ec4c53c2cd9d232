package layer

import (
	"archive/tar"

	"github.com/safepull/safepull/trust"
)

// list shows an entry to a visitor that wants to see all of them.
func (w *walk) list(hdr *tar.Header, name string) {
	lister, ok := w.visitor.(Lister)
	if !ok || hdr.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	e := trust.TreeEntry{Path: name, Type: fileType(hdr.Typeflag), Mode: uint32(hdr.Mode & 0o7777)}
	switch e.Type {
	case trust.TypeSymlink, trust.TypeHardlink:
		e.Target = hdr.Linkname
	case trust.TypeFile:
		e.Size = hdr.Size
	case trust.TypeDir, trust.TypeOther:
	}
	lister.Entry(e)
}

func fileType(flag byte) trust.FileType {
	switch flag {
	case tar.TypeDir:
		return trust.TypeDir
	case tar.TypeSymlink:
		return trust.TypeSymlink
	case tar.TypeLink:
		return trust.TypeHardlink
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return trust.TypeOther
	}
	return trust.TypeFile
}
