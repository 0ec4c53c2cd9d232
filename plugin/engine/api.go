package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxMessages ends the reading of an engine that talks without end; hours of progress are far less.
	maxMessages = 256 << 20
	// cleanupTimeout bounds the repair of names, which happens also when the caller's context has ended.
	cleanupTimeout = 10 * time.Second
	// An engine may take a moment to finish what was cancelled: its names are looked at so often, with such pauses.
	cleanupTries = 4
	cleanupPause = 250 * time.Millisecond
)

// errStopped ends the writer of an archive that the engine does not read any more.
var errStopped = errors.New("the engine stopped reading")

// engineError is what the engine itself said.
type engineError struct {
	verb string
	err  error
}

func (e *engineError) Error() string {
	return fmt.Sprintf("the engine could not %s the image: %s", e.verb, trust.Sanitise(e.err.Error(), 1000))
}

func (e *engineError) Unwrap() error { return e.err }

// said is what the engine said, unless it only says that we hung up.
func said(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &engineError{verb, err}
}

// pull asks the engine to pull a name that has a digest. Only messages about layers are passed on: the others name the
// loopback registry.
func (e *Engine) pull(ctx context.Context, api client.APIClient, name, auth string, p []ocispec.Platform, message func(jsonstream.Message)) error {
	response, err := api.ImagePull(ctx, name, client.ImagePullOptions{RegistryAuth: auth, Platforms: p})
	if err != nil {
		return said(ctx, "pull", err)
	}
	return e.follow(ctx, "pull", response, message)
}

// stream loads an archive into the engine while it is written. A failure of the writer is what the caller gets to know,
// rather than the engine's complaint about a broken archive.
func (e *Engine) stream(ctx context.Context, write func(context.Context, io.Writer) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(inner, w)
		w.CloseWithError(err)
		written <- err
	}()
	// Without the pipe's Close, which the HTTP client would call before the engine's own error is known here.
	response, err := e.api.ImageLoad(inner, struct{ io.Reader }{r})
	if err != nil {
		err = said(inner, "load", err)
	} else {
		err = e.follow(inner, "load", response, e.options.Message)
	}
	r.CloseWithError(errStopped) // the engine need not have read to the end
	cancel()
	werr := <-written
	if werr == nil || errors.Is(werr, errStopped) || errors.Is(werr, context.Canceled) && ctx.Err() == nil {
		return err
	}
	return werr
}

// follow reads the engine's messages to their end, which is an error if one of them says so.
func (e *Engine) follow(ctx context.Context, verb string, response io.ReadCloser, message func(jsonstream.Message)) error {
	defer response.Close()
	defer context.AfterFunc(ctx, func() { _ = response.Close() })()
	decoder := json.NewDecoder(io.LimitReader(response, maxMessages))
	for {
		var m jsonstream.Message
		err := decoder.Decode(&m)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return said(ctx, verb, err)
		case m.Error != nil:
			return said(ctx, verb, m.Error)
		case m.ID != "" && m.Progress != nil:
			message(m)
		}
	}
}

// id is what a name stands for in the engine, empty when it stands for nothing.
func (e *Engine) id(ctx context.Context, name string) (string, error) {
	found, err := e.api.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("inspect %s in the engine: %w", name, err)
	}
	return found.ID, nil
}

// expect makes sure that a name in the engine is the image that was handed over.
func (e *Engine) expect(ctx context.Context, name string, want digest.Digest) error {
	id, err := e.id(ctx, name)
	if err == nil && id != want.String() {
		err = fmt.Errorf("%w: %s is %q in the engine, not %s", trust.ErrIntegrity, name, id, want)
	}
	return err
}

// forget removes what a name or an ID stands for, also when ctx has ended. With late, something that is not there is
// looked for again, since a cancelled request may still come to its end in the engine.
func (e *Engine) forget(ctx context.Context, name string, force, late bool) {
	e.repair(ctx, name, late, func(ctx context.Context) (bool, error) {
		_, err := e.api.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: force, PruneChildren: true})
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// restore gives a name back to what it stood for before a load that did not succeed: nothing, or an image.
func (e *Engine) restore(ctx context.Context, name, before, loaded string) {
	if before == loaded {
		return
	}
	e.repair(ctx, name, true, func(ctx context.Context) (bool, error) {
		id, err := e.id(ctx, name)
		if err != nil || id != loaded {
			return false, err
		}
		if before == "" {
			_, err = e.api.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		} else {
			_, err = e.api.ImageTag(ctx, client.ImageTagOptions{Source: before, Target: name})
		}
		return err == nil, err
	})
}

// repair tries to mend the engine's names, with a context of its own, until it is done or there is nothing to do.
func (e *Engine) repair(ctx context.Context, name string, late bool, try func(context.Context) (done bool, err error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	tries := 1
	if late {
		tries = cleanupTries
	}
	var err error
	for i := range tries {
		if i > 0 {
			time.Sleep(cleanupPause)
		}
		var done bool
		if done, err = try(ctx); done {
			return
		}
	}
	if err != nil {
		e.options.Note(fmt.Sprintf("the engine's name %s could not be put right: %v", name, err))
	}
}
