package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/store/memory"
	wrappers "github.com/safepull/safepull/trust/unwrap/all"
)

// newJudge judges with everything as it ships, but without trust lists.
func newJudge() (*judge.Judge, error) {
	files, err := configs.Rules()
	if err != nil {
		return nil, err
	}
	rules, err := ruleset.Load(files)
	if err != nil {
		return nil, err
	}
	indicators, err := all.New(rules)
	if err != nil {
		return nil, err
	}
	scanner, err := scan.New(indicators, wrappers.New(), rules.Digest(), scan.Limits{})
	if err != nil {
		return nil, err
	}
	shipped, err := policy.Load("shipped policy", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		return nil, err
	}
	// What is measured is content: that nobody knows the names of samples is no news.
	content, err := shipped.Override("content", strings.NewReader("version: 1\nunknownName: allow\n"))
	if err != nil {
		return nil, err
	}
	return judge.New(judge.Options{Scanner: scanner, Policy: content, Lists: namespace.Combine(), Memory: memory.New()})
}

// verdict judges an image, and of an index every image; the most severe verdict counts.
func verdict(ctx context.Context, j *judge.Judge, name string, image imagetest.Built) (trust.Verdict, error) {
	store := imagetest.NewStore()
	store.Add(name, "1", image)
	manifests := []digest.Digest{image.Root.Digest}
	if len(image.Children) > 0 {
		manifests = nil
		for _, c := range image.Children {
			manifests = append(manifests, c.Root.Digest)
		}
	}
	var worst trust.Verdict
	for _, m := range manifests {
		v, err := j.Judge(ctx, trust.Reference{Registry: "registry.example", Repository: name, Digest: m}, store)
		if err != nil {
			return trust.Verdict{}, fmt.Errorf("%s: %w", name, err)
		}
		if worst.ID == "" || v.Action.Severity() > worst.Action.Severity() {
			worst = v
		}
	}
	return worst, nil
}
