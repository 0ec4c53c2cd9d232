package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/proxy/config/reputation"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/publisher"
	asking "github.com/safepull/safepull/trust/publisher/ask"
	"github.com/safepull/safepull/trust/publisher/dockerhub"
	"github.com/safepull/safepull/trust/publisher/ecrpublic"
	"github.com/safepull/safepull/trust/publisher/ghcr"
	"github.com/safepull/safepull/trust/publisher/quay"
	"github.com/safepull/safepull/trust/ruleset"
)

// publisherRegistries are those that have facts to give, all of them.
func publisherRegistries() []publisher.Registry {
	return []publisher.Registry{dockerhub.Registry{}, ecrpublic.Registry{}, ghcr.Registry{}, quay.Registry{}}
}

// askers says who is asked for publishers, and how.
type askers struct {
	reputation.Config
	userAgent string
	// elsewhere are registries that are read at another place than their own.
	elsewhere map[string]string
	// anywhere is for a person's own machine: the API may be where its owner says.
	anywhere bool
}

// off reports whether the question is none, not even to the memory.
func (r askers) off() bool { return r.Ask == reputation.Off && r.Snapshot == "" }

// sources are the registries with the reason for which one is not asked.
func (r askers) sources(transport http.RoundTripper) ([]asking.Source, error) {
	var out []asking.Source
	for _, registry := range publisherRegistries() {
		host := registry.Host()
		if !slices.Contains(r.Registries, host) {
			continue
		}
		at, own := r.url(host), false
		if at == "" {
			at, own = registry.Endpoint(), true
		}
		u, err := url.Parse(at)
		if err != nil {
			return nil, fmt.Errorf("reputation: the URL of %s cannot be parsed", host)
		}
		s := asking.Source{Registry: registry, URL: u, Transport: upstream.Guarded(transport, u, upstream.Reach{AllowPrivate: !own, Anywhere: r.anywhere})}
		switch {
		case r.Ask == reputation.Off:
			s.Silent = "reputation is off"
		case r.Ask == reputation.Auto && own && r.elsewhere[host] != "":
			s.Silent = fmt.Sprintf("%s is read at %s here, so that %s itself is not asked: set reputation.ask to \"on\", or reputation's URL for it", host, r.elsewhere[host], registry.Title())
		}
		out = append(out, s)
	}
	return out, nil
}

func (r askers) url(host string) string {
	switch host {
	case "docker.io":
		return r.DockerHubURL
	case "ghcr.io":
		return r.GitHubURL
	case "public.ecr.aws":
		return r.ECRPublicURL
	case "quay.io":
		return r.QuayURL
	}
	return ""
}

// newPublishers makes the asker, and what ends it; nil where the question is not asked.
func newPublishers(r askers, memory asking.Memory) (*asking.Asker, func(), error) {
	transport := upstream.NewTransport(upstream.Timeouts{}) // what a request may take, the asker says
	sources, err := r.sources(transport)
	if err != nil {
		return nil, nil, err
	}
	names, err := loadNames()
	if err != nil {
		return nil, nil, err
	}
	asker, err := asking.New(sources, memory, asking.Options{
		Budget: r.Timeout, Fresh: r.Fresh, Stale: r.Stale, PerSecond: float64(r.RequestsPerSecond),
		Brand: names.Brand, UserAgent: r.userAgent,
	})
	return asker, transport.CloseIdleConnections, err
}

// asked is nil, and no interface that holds nil, where there is no asker.
func asked(a *asking.Asker) judge.Publishers {
	if a == nil {
		return nil
	}
	return a
}

// reputationOf is what the proxy's configuration says.
func reputationOf(cfg config.Config) askers {
	r := askers{Config: cfg.Reputation, userAgent: "safepull-proxy", elsewhere: map[string]string{}}
	for _, u := range cfg.Upstreams {
		r.elsewhere[u.Host] = u.Elsewhere()
	}
	return r
}

// publishers are asked by the proxy. A snapshot is read before anything is judged.
func publishers(ctx context.Context, cfg config.Config, memory asking.Memory) (*asking.Asker, func(), error) {
	r := reputationOf(cfg)
	if r.off() {
		return nil, func() {}, nil
	}
	asker, end, err := newPublishers(r, memory)
	if err != nil || r.Snapshot == "" {
		return asker, end, err
	}
	f, err := os.Open(r.Snapshot)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("reputation.snapshot: %w", err)
	}
	_, err = asker.Import(ctx, f)
	if err = errors.Join(err, f.Close()); err != nil {
		end()
		return nil, nil, fmt.Errorf("reputation.snapshot: %s: %w", r.Snapshot, err)
	}
	return asker, end, nil
}

// checkSnapshot reads a snapshot for its errors.
func checkSnapshot(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("reputation.snapshot: %w", err)
	}
	_, err = publisher.ReadSnapshot(f, time.Now(), func(publisher.Record) error { return nil })
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reputation.snapshot: %s: %w", path, err)
	}
	return nil
}

// reputationEnv begins the variables by which the plugin is told, in the proxy's words.
const reputationEnv = "SAFEPULL_REPUTATION_"

// reputationFrom is what the environment says.
func reputationFrom(env func(string) string, userAgent string) (askers, error) {
	r := askers{Config: reputation.Default(), userAgent: userAgent, anywhere: true}
	for name, field := range map[string]*string{
		"ASK": &r.Ask, "DOCKER_HUB_URL": &r.DockerHubURL, "GITHUB_URL": &r.GitHubURL, "QUAY_URL": &r.QuayURL, "ECR_PUBLIC_URL": &r.ECRPublicURL,
	} {
		if v := env(reputationEnv + name); v != "" {
			*field = v
		}
	}
	if v := env(reputationEnv + "TIMEOUT"); v != "" {
		var err error
		if r.Timeout, err = time.ParseDuration(v); err != nil {
			return r, fmt.Errorf("%sTIMEOUT is %q: write a time from 100ms to 30s", reputationEnv, v)
		}
	}
	if key, err := r.Check(); err != nil {
		return r, fmt.Errorf("%s…, %s: %w", reputationEnv, key, err)
	}
	return r, nil
}

// withPublishers adds the check that looks at what registries tell, in its place among the others.
func (r *ruling) withPublishers(checks []render.Check) []render.Check {
	at := slices.IndexFunc(checks, func(c render.Check) bool { return c.Name > publisher.Name })
	if at < 0 {
		at = len(checks)
	}
	return slices.Insert(checks, at, render.Check{
		Check: publisher.Check, Name: publisher.Name, Version: publisher.Version, Group: r.loaded.policy.Group(publisher.Name),
		Digest: digest.FromString(publisher.Check), Data: map[string]int{"registries": len(publisherRegistries())}, About: aboutPublishers(),
	})
}

// aboutPublishers explains the check.
func aboutPublishers() ruleset.About {
	return ruleset.About{
		Sign: "publishers that cannot be who they seem, and tags that became another image",
		Means: "What the registry tells of the account and the repository changed since they were first seen, or does not fit together: another account under " +
			"the name, a verified badge lost, an account that is younger than its repositories, one that was made days ago with hundreds of thousands of pulls or with " +
			"nothing but well-known names, pulls that jump while nobody likes the image better. Or the tag points at an image that has no layer, no program, and hardly " +
			"a variable, label or step of the one that was judged before it. All of it is weak.",
		Matters: "Mining images come from new accounts, from names that others gave up, and from accounts that were taken over. Pulls, stars and age speak for nobody: " +
			"the images of azurenql had two million pulls. \"docker safepull reputation show IMAGE\" prints the facts.",
		LookAlikes: []string{
			"New accounts with images of their own: no sign.",
			"A new base (debian 12 to 13), a rewritten start, a repository of many pulls and no stars, a user who becomes an organization: no sign.",
			"A repository that was deleted and made anew: told, without weight.",
		},
	}
}
