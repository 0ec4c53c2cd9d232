package scan

import (
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

// One layer in work holds at most 64 MiB, whatever it holds itself:
//
//	48 MiB  NestedLimits.Memory: all that grows with what content asks for, charged by hold before it is made
//	 2 MiB  the walk: buffers, and a decompressor without its history (gzip 0.1, a block of bzip2 counts as one of 4 MiB below)
//	 4 MiB  a block of bzip2, if the layer is packed so
//	 2 MiB  the worker's buffer and spool
//	 8 MiB  what is made of findings when the layer ends and its decompressor is gone
//
// The rules and the matcher are there once for all layers. Who owns something that hold is not asked for keeps it small
// and the same for all content.
var _ layer.Keeper = (*worker)(nil)

// hold charges n bytes, or gives them back.
func (n *nested) hold(bytes int64) bool {
	if bytes > 0 && bytes > n.limits.Nested.Memory-n.held {
		return false
	}
	n.held += bytes
	return true
}

// Hold implements layer.Keeper.
func (w *worker) Hold(n int64) error {
	if !w.blob.nested.hold(n) {
		return fmt.Errorf("%w: %w", trust.ErrLimit, w.blob.nested.full(n))
	}
	return nil
}

// full says that there is no room.
func (n *nested) full(bytes int64) error {
	return fmt.Errorf("%d bytes beside the %d that are held are more than the %d for one layer", bytes, n.held, n.limits.Nested.Memory)
}

// Hold implements unwrap.Input.
func (in *input) Hold(n int64) error {
	if !in.w.blob.nested.hold(n) {
		return fmt.Errorf("%w: %w", trust.ErrUnsupported, in.w.blob.nested.full(n))
	}
	in.held += n
	return nil
}

// giveBack gives back what the current wrapper holds.
func (in *input) giveBack() {
	in.w.blob.nested.held -= in.held
	in.held = 0
}
