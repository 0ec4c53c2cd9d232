package wire

import (
	"context"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

// maxDenied bounds the questions to an upstream that one list of verdicts is worth.
const maxDenied = 4

// permitted shows lists of verdicts to those who may read the images. An ID is told to those alone who were refused the
// image by it, and nobody guesses one: who has it may read its verdict.
type permitted struct {
	all    distribution.Verdicts
	rights enforce.Rights
}

// VerdictByID implements distribution.Verdicts.
func (p permitted) VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error) {
	return p.all.VerdictByID(ctx, id)
}

// Verdicts implements distribution.Verdicts. What may not be read, or not be asked about, is not there.
func (p permitted) Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error) {
	found, err := p.all.Verdicts(ctx, name, limit)
	var may []trust.Verdict
	for denied := 0; len(found) > 0 && denied < maxDenied; found = found[1:] {
		if v := found[0]; p.rights.Manifest(ctx, v.Reference.WithDigest(v.Manifest)) == nil {
			may = append(may, v)
		} else {
			denied++
		}
	}
	return may, err
}

// explained are the verdicts that callers may be told of.
func explained(cfg config.Config, store distribution.Verdicts, rights enforce.Rights) distribution.Verdicts {
	if everythingIsShared(cfg) {
		return store
	}
	return permitted{store, rights}
}
