package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/layout"
	"github.com/safepull/safepull/plugin/progress"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/staging"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

const longCheck = `Judge an image and hand nothing over.

REF is an image in a registry, or one of
  oci-dir:PATH[:TAG]      an OCI image layout in a folder
  oci-archive:FILE[:TAG]  an OCI image layout in a tar file
  docker-archive:FILE     what "docker save" writes
  engine:NAME             an image that the engine already has

With --proxy, SAFEPULL_PROXY or plugins.safepull.proxy, images in a registry are
judged by that proxy.

The trust lists look at names. What a file or an engine calls an image proves
nothing, so that only images in a registry can be allowed or denied by name.`

// fromEngine begins a reference to an image in the engine.
const fromEngine = "engine:"

// maxSave bounds an image that is read from the engine, which passes through a temporary file.
const maxSave = 64 << 30

func (a *app) checkCommand() *cobra.Command {
	cmd := a.command("check [OPTIONS] REF", "Judge an image without handing it over", longCheck, 1, a.check)
	a.judgeFlags(cmd)
	cmd.Flags().BoolVarP(&a.opts.quiet, "quiet", "q", false, "Print only the verdict")
	a.proxyFlag(cmd, "URL of the safepull-proxy that judges the image")
	return cmd
}

// check prints the verdict on standard output, whatever it is.
func (a *app) check(ctx context.Context, args []string) (err error) {
	show, err := a.display()
	if err != nil {
		return err
	}
	defer show.Close()
	doc, err := a.judged(ctx, args[0], show)
	if err != nil {
		return err
	}
	show.Close()
	if err := a.answer(doc, func() error { return a.checked(doc) }); err != nil {
		return err
	}
	if doc.ExitStatus != 0 {
		return cli.StatusError{Status: render.Summary(doc), StatusCode: doc.ExitStatus}
	}
	return nil
}

// judged is the verdict on what check was asked about. Images in a registry are judged by the proxy that the user named, if
// they named one; nobody else has files and what an engine holds.
func (a *app) judged(ctx context.Context, arg string, show *progress.Display) (doc render.Document, err error) {
	platform, err := a.platform(ctx, nil)
	if err != nil {
		return render.Document{}, err
	}
	if _, isFile, _ := layout.ParseSource(arg); a.proxy() != "" && !isFile && !strings.HasPrefix(arg, fromEngine) {
		ref, err := reference.Parse(arg)
		if err != nil {
			return render.Document{}, err
		}
		area, err := staging.New("")
		if err != nil {
			return render.Document{}, err
		}
		defer func() { err = errors.Join(err, area.Close()) }()
		_, doc, err = a.judgement(ctx, ref, area, platform, show)
		return doc, err
	}
	image, err := a.image(ctx, arg)
	if err != nil {
		return render.Document{}, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	_, doc, err = a.judge(ctx, image.Reference, image, platform, show)
	return doc, err
}

func (a *app) checked(doc render.Document) error {
	if a.opts.quiet {
		_, err := fmt.Fprintln(a.cli.Out(), render.Summary(doc))
		return err
	}
	return a.text().Verdict(a.cli.Out(), doc)
}

// image opens what check was asked about.
func (a *app) image(ctx context.Context, arg string) (*layout.Image, error) {
	if name, ok := strings.CutPrefix(arg, fromEngine); ok {
		return a.engineImage(ctx, name)
	}
	if at, ok, err := layout.ParseSource(arg); ok || err != nil {
		if err != nil {
			return nil, err
		}
		return layout.Open(ctx, at)
	}
	ref, err := reference.Parse(arg)
	if err != nil {
		return nil, err
	}
	src, err := a.registry(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &layout.Image{Source: src, Reference: ref, Closer: io.NopCloser(nil)}, nil
}

// engineImage saves the engine's image to a private temporary file and opens that.
func (a *app) engineImage(ctx context.Context, name string) (_ *layout.Image, err error) {
	if name == "" {
		return nil, fmt.Errorf("%q names no image", fromEngine)
	}
	engine, err := need(ctx, a.deps.Engine)
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	area, err := staging.New("")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, area.Close())
		}
	}()
	file := area.File("image.tar")
	if err := save(ctx, engine, name, file); err != nil {
		return nil, fmt.Errorf("read %q from the engine: %w", name, err)
	}
	image, err := layout.Open(ctx, layout.Location{Transport: layout.DockerArchive, Path: file})
	if err != nil {
		return nil, fmt.Errorf("image %q of the engine: %w", name, err)
	}
	image.Reference = trust.Reference{Repository: fromEngine + name}
	image.Closer = cleaner{image.Closer, area}
	return image, nil
}

// save copies the engine's tar to a file.
func save(ctx context.Context, engine Engine, name, file string) (err error) {
	r, err := engine.Save(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copyLimited(f, r, maxSave), f.Close())
}

func copyLimited(w io.Writer, r io.Reader, limit int64) error {
	n, err := io.Copy(w, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, trust.ErrLimit)
	}
	return err
}

// cleaner closes an image and then the area that it is in.
type cleaner struct {
	io.Closer
	area *staging.Area
}

func (c cleaner) Close() error { return errors.Join(c.Closer.Close(), c.area.Close()) }
