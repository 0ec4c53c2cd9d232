package all_test

import (
	"archive/tar"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/unwrap/all"
)

// sign is an indicator that finds one word.
type sign struct{}

const word = "a-word-that-is-hidden"

func (sign) Name() string                           { return "sign" }
func (sign) Version() int                           { return 1 }
func (sign) Literals() []indicator.Literal          { return []indicator.Literal{{Text: word}} }
func (sign) Watch(f indicator.File) indicator.Watch { return &watch{file: f} }

type watch struct {
	file  indicator.File
	found []trust.Finding
}

func (w *watch) Hit(h indicator.Hit) {
	w.found = append(w.found, trust.Finding{Strength: trust.Weak, Offset: h.Offset, Why: string(w.file.Kind)})
}

func (w *watch) Close() []trust.Finding { return w.found }

// inspect scans a layer of one file with every wrapper.
func inspect(t *testing.T, name, content string) ([]trust.Finding, error) {
	t.Helper()
	s, err := scan.New([]indicator.Indicator{sign{}}, all.New(), digest.FromString("rules"), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var blob bytes.Buffer
	w := tar.NewWriter(&blob)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob.Bytes()), Size: int64(blob.Len())}
	got, err := s.Layer(t.Context(), &blob, desc)
	return got.Findings, err
}

func turned(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func zlibbed(s string) string {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return out.String()
}

// chain is a program of n programs within one another.
func chain(n int, text string) string {
	for range n {
		coded := turned(base64.StdEncoding.EncodeToString([]byte(zlibbed(text))))
		text = "_ = lambda __ : __import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));exec((_)(b'" + coded + "'))\n"
	}
	return text
}

func be(v int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(v))) }

// installer is an executable with an archive of PyInstaller behind it, which holds a script.
func installer(script string) string {
	elf := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 45) + "\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00\x00"
	code := installerCode(script)
	packed := zlibbed(code)
	table := be(32) + be(0) + be(len(packed)) + be(len(code)) + "\x01smain" + strings.Repeat("\x00", 10)
	return elf + packed + table + "MEI\014\013\012\013\016" + be(len(packed)+len(table)+88) + be(len(packed)) + be(len(table)) + be(311) + strings.Repeat("\x00", 64)
}

func TestHiddenIsFound(t *testing.T) {
	t.Parallel()
	png := "\x89PNG\r\n\x1a\n" + be(0) + "IEND\xaeB`\x82"
	for name, tt := range map[string]struct{ path, content, kind string }{
		"chain":             {"app/run.py", chain(64, "print('"+word+"')\n"), "script"},
		"chain-in-a-script": {"app/run.sh", "#!/bin/sh\npython3 - <<EOF\n" + chain(3, "print('"+word+"')\n") + "EOF\n", "script"},
		"behind-a-picture":  {"logo.png", png + "#!/bin/sh\n# " + strings.Repeat("text ", 20) + "\necho " + word + "\n", "script"},
		"installer":         {"app/program", installer(word), "script"},
		"bytes-in-code":     {"app/run.py", "import marshal\nexec(marshal.loads(b'" + escaped(installerCode(word)) + "'))\n", "script"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := inspect(t, tt.path, tt.content)
			ok := slices.ContainsFunc(found, func(f trust.Finding) bool { return f.Why == tt.kind && strings.Contains(f.Path, trust.Nested) })
			if err != nil || !ok {
				t.Errorf("error %v, %+v", err, found)
			}
		})
	}
}

// installerCode is a marshalled code object with one constant.
func installerCode(script string) string {
	return "\xe3" + strings.Repeat("\x00", 16) + "\x40\x00\x00\x00" + "s\x10\x00\x00\x00" + strings.Repeat("b", 16) +
		")\x01z" + string([]byte{byte(len(script))}) + script + ")\x00)\x00" + "s\x00\x00\x00\x00" + "z\x01fz\x01mz\x01m\x01\x00\x00\x00s\x00\x00\x00\x00s\x00\x00\x00\x00"
}

func escaped(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&out, `\x%02x`, c)
	}
	return out.String()
}

func TestTooDeepIsUnanswered(t *testing.T) {
	t.Parallel()
	if _, err := inspect(t, "app/run.py", chain(65, "print('"+word+"')\n")); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("error %v", err)
	}
}
