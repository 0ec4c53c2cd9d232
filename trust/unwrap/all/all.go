// Package all names every wrapper. A folder below trust/unwrap that is missing here fails this package's test.
package all

import (
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/ar"
	"github.com/safepull/safepull/trust/unwrap/cabinet"
	"github.com/safepull/safepull/trust/unwrap/compressed"
	"github.com/safepull/safepull/trust/unwrap/cpio"
	"github.com/safepull/safepull/trust/unwrap/encoded"
	"github.com/safepull/safepull/trust/unwrap/iso9660"
	"github.com/safepull/safepull/trust/unwrap/nuitka"
	"github.com/safepull/safepull/trust/unwrap/opaque"
	"github.com/safepull/safepull/trust/unwrap/pyc"
	"github.com/safepull/safepull/trust/unwrap/pyinstaller"
	"github.com/safepull/safepull/trust/unwrap/rar"
	"github.com/safepull/safepull/trust/unwrap/rpm"
	"github.com/safepull/safepull/trust/unwrap/sevenzip"
	"github.com/safepull/safepull/trust/unwrap/squashfs"
	"github.com/safepull/safepull/trust/unwrap/tail"
	"github.com/safepull/safepull/trust/unwrap/tarball"
	"github.com/safepull/safepull/trust/unwrap/upx"
	"github.com/safepull/safepull/trust/unwrap/zip"
)

// New makes every wrapper. Where several take a file for their own, all of them are asked, in this order.
func New() []unwrap.Wrapper {
	return []unwrap.Wrapper{
		encoded.New(),
		tail.New(),
		compressed.New(),
		tarball.New(),
		cpio.New(),
		ar.New(),
		rpm.New(),
		zip.New(),
		upx.New(),
		pyc.New(),
		pyinstaller.New(),
		nuitka.New(),
		sevenzip.New(),
		rar.New(),
		squashfs.New(),
		cabinet.New(),
		iso9660.New(),
		opaque.New(),
	}
}
