package wire

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/signatures"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/namespace"
)

// with makes the checker; nil where there is none.
func (s Signatures) with(cfg config.Config, registries *registries) (judge.Signatures, error) {
	if s == nil {
		return nil, nil
	}
	var trusted []byte
	if file := cfg.Signatures.TrustedRoot; file != "" {
		var err error
		if trusted, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("signatures.trustedRoot: %w", err)
		}
	}
	checker, err := s(trusted, registries.Referrers)
	if err != nil {
		return nil, fmt.Errorf("signatures.trustedRoot: %w", err)
	}
	return checker, nil
}

// answeredSignatures tells clients who signed what they may read; nil where nobody can.
func answeredSignatures(checker judge.Signatures, registries *registries, log logrus.FieldLogger) http.Handler {
	if checker == nil {
		return nil
	}
	return signatures.Handler(callersSignatures{checker, registries}, checkSigner, log)
}

// callersSignatures implements signatures.Checker.
type callersSignatures struct {
	checker    judge.Signatures
	registries *registries
}

func (c callersSignatures) Signed(ctx context.Context, ref trust.Reference, signer trust.Signer) (string, error) {
	if err := c.registries.Manifest(ctx, ref); err != nil {
		return "", err
	}
	src, err := c.registries.Source(ctx, ref)
	if err != nil {
		return "", err
	}
	return c.checker.Signed(ctx, ref, src, signer)
}

// checkSigner holds a signer to what a list may require.
func checkSigner(s trust.Signer) error {
	_, err := namespace.Encode([]trust.Entry{{Pattern: "**", Action: "allow", RequireSignature: &s}})
	return err
}

// proxySignatures asks a proxy who signed an image. It implements judge.Signatures.
type proxySignatures struct {
	ask  func(context.Context, trust.Reference, trust.Signer) (string, error)
	name string
}

func (p proxySignatures) Signed(ctx context.Context, ref trust.Reference, _ trust.Source, signer trust.Signer) (string, error) {
	return p.ask(ctx, ref, signer)
}

// Digest implements judge.Signatures: the answers are those of a proxy.
func (p proxySignatures) Digest() digest.Digest { return digest.FromString("proxy " + p.name) }
