package ask

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/safepull/safepull/trust/publisher"
)

// notesAtOnce bounds what is read from the memory in one go.
const notesAtOnce = 500

// Export writes all that is remembered of publishers. Each record is whole, whoever changes others meanwhile. Tags are left
// out: they tell what this machine pulled.
func (a *Asker) Export(ctx context.Context, w io.Writer) (publisher.Snapshot, error) {
	return publisher.WriteSnapshot(w, a.o.Now(), a.all(ctx))
}

// all are the records that are remembered, or an error at the end.
func (a *Asker) all(ctx context.Context) iter.Seq2[publisher.Record, error] {
	return func(yield func(publisher.Record, error) bool) {
		for _, kind := range []publisher.Kind{publisher.KindAccount, publisher.KindListing, publisher.KindRepository} {
			if err := a.ofKind(ctx, string(kind)+" ", yield); err != nil {
				if !errors.Is(err, errStopped) {
					yield(publisher.Record{}, err)
				}
				return
			}
		}
	}
}

// errStopped: who reads wants no more.
var errStopped = fmt.Errorf("stopped")

func (a *Asker) ofKind(ctx context.Context, prefix string, yield func(publisher.Record, error) bool) error {
	for after := prefix; ; {
		notes, err := a.memory.Notes(ctx, after, notesAtOnce)
		if err != nil {
			return err
		}
		for _, n := range notes {
			if !strings.HasPrefix(n.Key, prefix) {
				return nil
			}
			r, err := parse(n.Key, n.Body)
			if err != nil {
				return fmt.Errorf("%w: \"reputation show\" of an image of it begins it anew, where its registry can be asked", err)
			}
			if !yield(r, nil) {
				return errStopped
			}
			after = n.Key
		}
		if len(notes) < notesAtOnce {
			return nil
		}
	}
}

// Import adds a snapshot to what is remembered. The later answer counts, and the earlier first sight. It is read twice: a
// snapshot that is not good as a whole adds nothing.
func (a *Asker) Import(ctx context.Context, r io.ReadSeeker) (publisher.Snapshot, error) {
	s, err := publisher.ReadSnapshot(r, a.o.Now(), func(publisher.Record) error { return ctx.Err() })
	if err != nil {
		return s, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return s, fmt.Errorf("read snapshot again: %w", err)
	}
	return publisher.ReadSnapshot(r, a.o.Now(), func(told publisher.Record) error { return a.learn(ctx, told) })
}

// learn adds one record to what is remembered.
func (a *Asker) learn(ctx context.Context, told publisher.Record) error {
	merged := func(known publisher.Record) publisher.Record {
		if known.Key == "" {
			return told
		}
		return publisher.Merge(known, told)
	}
	if known, err := a.record(ctx, told.Key); err == nil && known.Key != "" {
		was, err := json.Marshal(known)
		is, err2 := json.Marshal(merged(known))
		if cmp.Or(err, err2) == nil && string(was) == string(is) {
			return nil // nothing new, as when a snapshot is imported at every start
		}
	}
	_, err := a.keep(ctx, told.Key, merged)
	return err
}

// Hosts are the registries that tell something, with the reason for which one is not asked, empty where it is.
func (a *Asker) Hosts() map[string]string {
	hosts := map[string]string{}
	for host, s := range a.sources {
		hosts[host] = s.Silent
	}
	return hosts
}
