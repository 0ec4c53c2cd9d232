package rar

import (
	"github.com/nwaples/rardecode/v2"

	"github.com/safepull/safepull/trust/unwrap"
)

// window is the memory of the decoder's history, which is charged twice, because it is copied when it grows.
type window struct {
	in unwrap.Input
	// most is what was granted at first, used what files so far may have needed, held what is charged.
	most, used, held int64
}

// newWindow takes as much as there is, up to maxWindow.
func newWindow(in unwrap.Input) (*window, error) {
	w := &window{in: in, most: maxWindow, used: minWindow}
	for {
		err := w.open()
		if err == nil || w.most <= minWindow {
			return w, err
		}
		w.most /= 2
	}
}

// charge holds memory for a history of n bytes.
func (w *window) charge(n int64) error {
	n = 2*n + filterBytes
	if err := w.in.Hold(n - w.held); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	w.held = n
	return nil
}

// open makes room for a file that may ask for most.
func (w *window) open() error { return w.charge(w.most) }

// fit gives back what the file does not need: its history is not longer than itself, unless it goes on from another one.
func (w *window) fit(h *rardecode.FileHeader) {
	need := w.most
	if !h.Solid && !h.UnKnownSize {
		need = min(need, h.UnPackedSize)
	}
	w.used = max(w.used, need)
	_ = w.charge(w.used) // giving back does not fail
}

func (w *window) close() {
	_ = w.in.Hold(-w.held)
	w.held = 0
}
