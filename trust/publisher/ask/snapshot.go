package ask

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/safepull/safepull/trust/publisher"
)

// notesAtOnce bounds what is read from the memory in one go.
const notesAtOnce = 500

// Export writes all that is remembered of publishers, and returns how many records that were. Tags are left out: they tell
// what this machine pulled.
func (a *Asker) Export(ctx context.Context, w io.Writer) (int, error) {
	var records []publisher.Record
	for _, kind := range []publisher.Kind{publisher.KindAccount, publisher.KindListing, publisher.KindRepository} {
		prefix := string(kind) + " "
		for after := prefix; ; {
			notes, err := a.memory.Notes(ctx, after, notesAtOnce)
			if err != nil {
				return 0, err
			}
			for _, n := range notes {
				if !strings.HasPrefix(n.Key, prefix) {
					notes = nil
					break
				}
				r, err := publisher.ParseRecord(n.Body)
				if err != nil {
					return 0, fmt.Errorf("the record of %q in the store is damaged: %w", n.Key, err)
				}
				records, after = append(records, r), n.Key
			}
			if len(notes) < notesAtOnce {
				break
			}
		}
	}
	return len(records), publisher.NewSnapshot(records, a.o.Now()).Write(w)
}

// Import adds a snapshot to what is remembered, and returns how many records it had. The later answer counts, and the
// earlier first sight.
func (a *Asker) Import(ctx context.Context, r io.Reader) (int, error) {
	s, err := publisher.ReadSnapshot(r)
	if err != nil {
		return 0, err
	}
	for _, told := range s.Records {
		known, err := a.record(ctx, told.Key)
		if err != nil {
			return 0, err
		}
		if known.Key != "" {
			told = publisher.Merge(known, told)
		}
		if err := a.keep(ctx, told); err != nil {
			return 0, err
		}
	}
	return len(s.Records), nil
}

// Hosts are the registries that tell something, with the reason for which one is not asked, empty where it is.
func (a *Asker) Hosts() map[string]string {
	hosts := map[string]string{}
	for host, s := range a.sources {
		hosts[host] = cmp.Or(s.Silent, "")
	}
	return hosts
}
