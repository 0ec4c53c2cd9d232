package report

const (
	// MaxReads and one more place for every bytesPerRead bytes are read closely in one file, so that a file full of bait
	// costs no more than its length. The file is reported as unread beyond that.
	MaxReads     = 2048
	bytesPerRead = 1 << 10
)

// Budget counts the places that were read. Its zero value is ready.
type Budget struct{ spent int64 }

// Spend reports whether the place at offset may be read, and marks the file as not fully read when it may not.
func (b *Budget) Spend(r *Report, offset int64) bool {
	b.spent++
	if b.spent <= MaxReads+offset/bytesPerRead {
		return true
	}
	r.GiveUp("holds more possible signs of mining than are read one by one")
	return false
}
