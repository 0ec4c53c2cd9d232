package main

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/signature"
)

// signatures makes what checks signatures. It is here so that the plugin does not carry the libraries that it takes.
func signatures(trustedRoot []byte, referrers func(context.Context, trust.Reference, string) (ocispec.Index, error)) (judge.Signatures, error) {
	return signature.New(trustedRoot, referrers)
}
