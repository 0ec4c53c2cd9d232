package decompress_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	oracle "github.com/mikelolasagasti/xz"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
)

func plenty() *purse { return &purse{left: 1 << 30, least: 1 << 30} }

func unxz(packed string, p *purse) (string, error) {
	z, err := decompress.Xz.Open(iotest.HalfReader(strings.NewReader(packed)), p)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(z)
	return string(b), err //nolint:wrapcheck // the decoder's own
}

// program gives bytes that look a little like machine code, so that filters have something to do.
func program(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString("\xe8")
		b.Write([]byte{byte(r.IntN(256)), byte(r.IntN(4)), 0, 0})
		b.WriteString(strings.Repeat("some text of it ", r.IntN(4)))
		b.Write([]byte{byte(r.IntN(256)), byte(r.IntN(256)), 0x48, 0x89})
	}
	return b.String()[:n]
}

func pack(t testing.TB, text string, options ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "xz", append([]string{"-c", "-T1"}, options...)...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("xz: %v", err)
	}
	return string(out)
}

func TestXzAgainstXz(t *testing.T) {
	t.Parallel()
	text := program(300_000)
	for name, options := range map[string][]string{
		"default":     nil,
		"best":        {"-9e"},
		"fast":        {"-0"},
		"none":        {"--check=none"},
		"crc32":       {"--check=crc32"},
		"sha256":      {"--check=sha256"},
		"blocks":      {"--block-size=10000"},
		"small":       {"--lzma2=preset=6,dict=4KiB"},
		"threads":     {"-T2", "--block-size=50000"},
		"x86":         {"--x86", "--lzma2"},
		"start":       {"--x86=start=4096", "--lzma2"},
		"delta":       {"--delta=dist=4", "--lzma2"},
		"arm":         {"--arm", "--lzma2"},
		"thumb":       {"--armthumb", "--lzma2"},
		"ppc":         {"--powerpc", "--lzma2"},
		"sparc":       {"--sparc", "--lzma2"},
		"two-filters": {"--delta=dist=1", "--x86", "--lzma2=dict=64KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packed := pack(t, text, options...)
			got, err := unxz(packed, plenty())
			if err != nil || got != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			got, err = unxz(packed+"\x00\x00\x00\x00"+packed, plenty())
			if err != nil || got != text+text {
				t.Errorf("two streams: %d bytes, %v", len(got), err)
			}
			for _, n := range []int{1, 13, 30, len(packed) / 2, len(packed) - 1} {
				if got, err := unxz(packed[:n], plenty()); !errors.Is(err, trust.ErrMalformed) || !strings.HasPrefix(text, got) {
					t.Errorf("cut at %d: %d bytes, %v", n, len(got), err)
				}
			}
		})
	}
}

func TestXzBroken(t *testing.T) {
	t.Parallel()
	packed := pack(t, "some text that is packed")
	for name, s := range map[string]string{
		"padding":   packed + "\x00",
		"garbage":   packed + "garbage that is long enough",
		"footer":    packed[:len(packed)-1] + "z",
		"check":     packed[:len(packed)-40] + "\x00" + packed[len(packed)-39:],
		"odd-zeros": packed + "\x00\x00" + packed,
	} {
		if _, err := unxz(s, plenty()); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broke := errors.New("broke")
	z, err := decompress.Xz.Open(io.MultiReader(strings.NewReader(packed[:30]), iotest.ErrReader(broke)), plenty())
	if err == nil {
		_, err = io.ReadAll(z)
	}
	if !errors.Is(err, broke) {
		t.Errorf("the input's error became %v", err)
	}
}

// TestXzMemory: a history grows with the content. Where there is no more of it, content that does not refer further back is
// still read, and other content is not supported. Blocks give back what they held.
func TestXzMemory(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(r.IntN(256))
	}
	near, far := string(noise)+string(noise[len(noise)-1000:]), string(noise)+string(noise[:1000])
	for name, c := range map[string]struct {
		text    string
		options []string
		memory  int64
		want    error
	}{
		"small":  {"little text", []string{"-9"}, 256 << 10, nil},
		"near":   {near, []string{"-9"}, 512 << 10, nil},
		"far":    {far, []string{"-9"}, 512 << 10, trust.ErrUnsupported},
		"whole":  {far, []string{"-9"}, 2 << 20, nil},
		"blocks": {near, []string{"-0", "--block-size=100000"}, 512 << 10, nil},
		"none":   {"little text", []string{"-9"}, 1000, trust.ErrUnsupported},
	} {
		p := &purse{left: c.memory}
		got, err := unxz(pack(t, c.text, c.options...), p)
		if !errors.Is(err, c.want) || err == nil && got != c.text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	p := plenty()
	if _, err := unxz(pack(t, "little text", "-9"), p); err != nil || 1<<30-p.least > 256<<10 {
		t.Errorf("little text held %d bytes, %v", 1<<30-p.least, err)
	}
}

// FuzzXz compares with another decoder: what it reads, this one reads too, and the other way round unless it is not
// supported there.
func FuzzXz(f *testing.F) {
	for _, options := range [][]string{nil, {"-0"}, {"--x86", "--lzma2"}, {"--delta=dist=2", "--lzma2=dict=4KiB"}, {"--block-size=100", "--check=crc32"}} {
		f.Add([]byte(pack(f, program(1000), options...)))
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		const most = 1 << 20
		read := func(z io.Reader, err error) ([]byte, error) {
			if err != nil {
				return nil, err
			}
			return io.ReadAll(io.LimitReader(z, most))
		}
		var got, want []byte
		z, err := decompress.Xz.Open(bytes.NewReader(packed), plenty())
		if err == nil {
			got, err = read(z, nil)
		}
		o, wantErr := oracle.NewReader(bufio.NewReaderSize(bytes.NewReader(packed), 16<<10), 1<<20)
		if wantErr == nil {
			want, wantErr = read(o, nil)
		}
		if wantErr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
		other := errors.Is(wantErr, oracle.ErrMemlimit) || errors.Is(wantErr, oracle.ErrOptions) || errors.Is(wantErr, oracle.ErrBuf)
		if err == nil && wantErr != nil && !other {
			t.Fatalf("%d bytes; the other one: %v", len(got), wantErr)
		}
	})
}
