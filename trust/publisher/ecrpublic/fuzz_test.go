package ecrpublic_test

import (
	"errors"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/ecrpublic"
)

// FuzzRead: no answer makes a reader panic, and what it makes of one can be remembered.
func FuzzRead(f *testing.F) {
	for _, body := range seeds() {
		f.Add([]byte(body))
	}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, q := range (ecrpublic.Registry{}).Questions(trust.Reference{Registry: "x", Repository: "acme/app"}) {
			facts, err := q.Read(body)
			if err != nil {
				if !errors.Is(err, trust.ErrMalformed) {
					t.Fatalf("%v", err)
				}
				continue
			}
			k := publisher.Known{Title: "x"}
			k.Add(publisher.Record{}.Observe(q.Key(), facts, now))
			for _, f := range k.Signs(now, func(string) bool { return true }) {
				if f.Strength > trust.Weak || len(f.Why) > 400 {
					t.Errorf("%+v", f)
				}
			}
		}
	})
}
