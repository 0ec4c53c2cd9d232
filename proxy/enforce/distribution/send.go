package distribution

import (
	"io"
	"os"
)

// filed is content that was verified before and lies in a file, at whose position the next byte is. The file is nil
// where that is not so.
type filed interface{ File() *os.File }

// send writes n bytes of the content, as copyPart does. A file is left to w, which may have the system send it.
func send(w io.Writer, content io.Reader, n int64, toEnd bool) error {
	if f, ok := content.(filed); ok {
		if file := f.File(); file != nil {
			_, err := io.CopyN(w, file, n)
			return err
		}
	}
	return copyPart(w, content, n, toEnd)
}
