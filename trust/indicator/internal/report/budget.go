package report

const (
	// MaxReads and one more place for every bytesPerRead bytes are read closely in one file, so that a file full of bait
	// costs no more than its length. The file is reported as unread beyond that.
	MaxReads     = 2048
	bytesPerRead = 1 << 10
	// commandBytes of one command are read for the price of one place: most commands are shorter, and matching patterns
	// against text that never ends costs its length.
	commandBytes = 256
)

// Budget counts the places that were read. Its zero value is ready.
type Budget struct{ spent int64 }

// Spend reports whether the place at offset may be read, and marks the file as not fully read when it may not.
func (b *Budget) Spend(r *Report, offset int64) bool {
	return b.spend(r, offset, 1)
}

// Weigh is Spend for the text of a command of n bytes, which is read beside the place itself. A command of ordinary length
// is free.
func (b *Budget) Weigh(r *Report, offset int64, n int) bool {
	return b.spend(r, offset, int64(n/commandBytes))
}

func (b *Budget) spend(r *Report, offset, places int64) bool {
	b.spent += places
	if b.spent <= MaxReads+offset/bytesPerRead {
		return true
	}
	r.GiveUp("holds more possible signs of mining than are read one by one")
	return false
}
