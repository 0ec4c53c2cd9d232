package differential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	moby "github.com/moby/go-archive"
	"golang.org/x/sys/unix"
)

// childEnv makes this test program an engine: see engine.
const childEnv = "SAFEPULL_DIFFERENTIAL_ROOT"

// maxFile bounds what a hostile layer makes an engine write, for each file.
const maxFile = 16 << 20

func TestMain(m *testing.M) {
	if root := os.Getenv(childEnv); root != "" {
		if err := engine(root, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// created is what an engine made of a layer: the digests of all regular files that have content.
type created struct {
	Files map[[sha256.Size]byte]string
	Err   string
}

var engines = map[string]func(ctx context.Context, root string, layer io.Reader) error{
	"containerd": func(ctx context.Context, root string, layer io.Reader) error {
		r, err := compression.DecompressStream(layer)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = archive.Apply(ctx, root, r)
		return err
	},
	"moby": func(_ context.Context, root string, layer io.Reader) error {
		_, err := moby.UnpackLayer(root, layer, &moby.TarOptions{})
		return err
	},
}

// engine unpacks the layers that come in, each with each engine, below root, which it cannot leave.
func engine(root string, in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: maxFile, Max: maxFile}); err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := os.MkdirAll(os.TempDir(), 0o700); err != nil {
		return err
	}
	from, to := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var layer []byte
		if err := from.Decode(&layer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		made := map[string]created{}
		for name, unpack := range engines {
			made[name] = try(unpack, layer)
		}
		if err := to.Encode(made); err != nil {
			return err
		}
	}
}

func try(unpack func(context.Context, string, io.Reader) error, layer []byte) (c created) {
	const root = "/layer"
	defer os.RemoveAll(root)
	if err := os.Mkdir(root, 0o755); err != nil {
		return created{Err: err.Error()}
	}
	func() {
		defer func() {
			if r := recover(); r != nil {
				c.Err = fmt.Sprint("panic: ", r)
			}
		}()
		if err := unpack(context.Background(), root, bytes.NewReader(layer)); err != nil {
			c.Err = err.Error()
		}
	}()
	c.Files = map[[sha256.Size]byte]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil && len(body) > 0 {
			c.Files[sha256.Sum256(body)] = path
		}
		return err
	})
	if err != nil {
		c.Err += " walk: " + err.Error()
	}
	return c
}

// child is a process that unpacks.
type child struct {
	to   *gob.Encoder
	from *gob.Decoder
}

func newChild(t testing.TB) *child {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("engines unpack as root only: run this as root")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir(), "TMPDIR=/tmp")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("engines:", err)
		}
	})
	return &child{gob.NewEncoder(in), gob.NewDecoder(out)}
}

func (c *child) unpack(t testing.TB, layer []byte) map[string]created {
	t.Helper()
	made := map[string]created{}
	if err := c.to.Encode(layer); err != nil {
		t.Fatal(err)
	}
	if err := c.from.Decode(&made); err != nil {
		t.Fatal(err)
	}
	return made
}
