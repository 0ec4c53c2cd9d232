package layer

// Limits bound what one layer may cost. A field that is not positive means its default. Meeting a limit is
// trust.ErrLimit: the layer is unanswered, never clean.
type Limits struct {
	// Bytes bounds the uncompressed stream, and also the sum of all file bodies, which holes of sparse files may make
	// larger than the stream: CPU time.
	Bytes int64 `json:"bytes"`
	// Ratio bounds uncompressed by compressed bytes once the stream is longer than RatioFloor: small blobs that cost
	// much CPU time. Below the floor zeros and logs may be packed as well as they can be.
	Ratio      int64 `json:"ratio"`
	RatioFloor int64 `json:"ratioFloor"`
	// Entries bounds the number of archive entries of every type: work per entry.
	Entries int `json:"entries"`
	// PathBytes bounds the length of an entry's path: memory of findings, and what a kernel would refuse anyway.
	PathBytes int `json:"pathBytes"`
	// HeaderBytes bounds all that describes one entry (PAX records, GNU long names, sparse maps): memory.
	HeaderBytes int64 `json:"headerBytes"`
	// Window bounds the history that a zstd frame or an xz block may ask the decoder to keep: memory.
	Window int64 `json:"window"`
	// Inflate undoes gzip. It is no bound and changes no answer, so it is no part of what answers are remembered by.
	Inflate *Inflate `json:"-"`
}

// DefaultLimits are meant for layers of honest images, of which they refuse practically none, on hosts that work on
// several layers at once.
func DefaultLimits() Limits {
	return Limits{
		Bytes:       20 << 30,
		Ratio:       100,
		RatioFloor:  256 << 20,
		Entries:     1 << 20,
		PathBytes:   4096,
		HeaderBytes: 1 << 20,
		Window:      32 << 20,
	}
}

// WithDefaults is l with the default in the place of every field that is not positive.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		Bytes:       positive(l.Bytes, d.Bytes),
		Ratio:       positive(l.Ratio, d.Ratio),
		RatioFloor:  positive(l.RatioFloor, d.RatioFloor),
		Entries:     positive(l.Entries, d.Entries),
		PathBytes:   positive(l.PathBytes, d.PathBytes),
		HeaderBytes: positive(l.HeaderBytes, d.HeaderBytes),
		Window:      positive(l.Window, d.Window),
		Inflate:     l.Inflate,
	}
}

func positive[T int | int64](n, otherwise T) T {
	if n > 0 {
		return n
	}
	return otherwise
}
