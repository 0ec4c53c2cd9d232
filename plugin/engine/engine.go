// Package engine hands a judged image to a Docker engine so that nothing but the judged manifest, its config and its
// layers can arrive, and the engine ends up as after "docker pull": same names, same RepoDigests where it can keep them.
//
// An engine never resolves a tag here and never chooses among platforms with more than the judged one to be had. Engines
// with the containerd image store load an OCI layout; those with a graph driver pull by digest from a registry on a
// secret path of the loopback interface that exists only for the hand-over, or, when they cannot reach it, load an archive.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Options are what a hand-over may use besides the engine. The zero value is good.
type Options struct {
	// Auth returns the X-Registry-Auth value for a reference's registry. An engine with a graph driver uses it for one
	// request that records the image's registry digest. Nil means none.
	Auth func(context.Context, trust.Reference) (string, error)
	// Recorder returns the client for that one request; nil, or none, means the engine's own. A client that adds headers lets an
	// engine that is routed through a proxy bring along who asks. The caller closes it.
	Recorder func(context.Context, trust.Reference) (client.APIClient, error)
	// Message receives the engine's own progress messages. It is called from one goroutine at a time. Nil drops them.
	Message func(jsonstream.Message)
	// Note receives a sentence about something that went less than perfectly and did not matter. Nil drops them.
	Note func(string)
}

// Engine is the engine behind a client. It is safe for concurrent use as far as the functions of Options are.
type Engine struct {
	api     client.APIClient
	options Options

	mu    sync.Mutex
	facts *facts
}

// facts are what an engine says of itself; they do not change while a command runs.
type facts struct {
	info     system.Info
	platform ocispec.Platform
	// contentStore is true when images are kept in containerd's content store, else in a graph driver.
	contentStore bool
}

// New uses an engine through its API client, which stays the caller's to close.
func New(api client.APIClient, options Options) *Engine {
	if options.Message == nil {
		options.Message = func(jsonstream.Message) {}
	}
	if options.Note == nil {
		options.Note = func(string) {}
	}
	return &Engine{api: api, options: options}
}

// Platform is the platform whose child the engine would choose from an index.
func (e *Engine) Platform(ctx context.Context) (ocispec.Platform, error) {
	f, err := e.ask(ctx)
	if err != nil {
		return ocispec.Platform{}, err
	}
	return f.platform, nil
}

// Save streams an image that the engine has, in the form of "docker save". The name may be an ID. The caller closes it.
func (e *Engine) Save(ctx context.Context, name string) (io.ReadCloser, error) {
	f, err := e.ask(ctx)
	if err != nil {
		return nil, err
	}
	found, err := e.api.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("engine has no image %q: %w", name, trust.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %q in the engine: %w", name, err)
	}
	var options []client.ImageSaveOption
	if f.contentStore && atLeast(e.api.ClientVersion(), 1, 48) {
		// Of an index only the platform that a container would run: the other children are often not there at all.
		options = append(options, client.ImageSaveWithPlatforms(ocispec.Platform{
			OS: found.Os, Architecture: found.Architecture, Variant: found.Variant, OSVersion: found.OsVersion,
		}))
	}
	stream, err := e.api.ImageSave(ctx, []string{name}, options...)
	if err != nil {
		return nil, fmt.Errorf("save %q from the engine: %w", name, err)
	}
	return stream, nil
}

// ask learns the engine's facts, once: a failure is asked again.
func (e *Engine) ask(ctx context.Context) (*facts, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.facts != nil {
		return e.facts, nil
	}
	version, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	result, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask the engine about itself: %w", err)
	}
	info := result.Info
	platform, err := platformOf(version.Os, version.Arch, info)
	if err != nil {
		return nil, err
	}
	e.facts = &facts{info: info, platform: platform, contentStore: slices.ContainsFunc(info.DriverStatus, func(s [2]string) bool {
		return s[0] == "driver-type" && s[1] == "io.containerd.snapshotter.v1"
	})}
	return e.facts, nil
}

// platformOf joins the engine's build (Go's words for system and architecture) with what its kernel says of the variant.
func platformOf(os, arch string, info system.Info) (ocispec.Platform, error) {
	p := ocispec.Platform{OS: os, Architecture: arch}
	if p.OS == "" || p.Architecture == "" {
		return p, errors.New("the engine does not say which platform it runs on")
	}
	if p.OS == "windows" {
		p.OSVersion = info.OSVersion
	}
	if p.Architecture == "arm" {
		p.Variant = "v7" // also what a 64-bit kernel's 32-bit engine runs
		if strings.HasPrefix(info.Architecture, "armv6") {
			p.Variant = "v6"
		} else if strings.HasPrefix(info.Architecture, "armv5") {
			p.Variant = "v5"
		}
	}
	return p, nil
}

// atLeast compares an API version ("1.48") with major.minor; what cannot be read is old.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}
