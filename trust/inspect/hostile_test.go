package inspect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// TestLimits: what is exactly as large as allowed is read, and one more is refused.
func TestLimits(t *testing.T) {
	t.Parallel()
	list := func(what string, n int) string { return strings.TrimSuffix(strings.Repeat(what+",", n), ",") }
	config := func(body string) error {
		_, err := inspect.ParseConfig([]byte(body))
		return err
	}
	manifest := func(body string) error {
		_, err := inspect.ParseManifest([]byte(body), "")
		return err
	}
	padded := func(body string, n int) string { return body + strings.Repeat(" ", n-len(body)) }
	nested := func(n int) string { return strings.Repeat("[", n) + "0" + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		limit int
		parse func(n int) error
		want  error
	}{
		"layers": {inspect.MaxLayers, func(n int) error {
			return manifest(fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, descriptor(ocispec.MediaTypeImageConfig, ""), list(descriptor("x/y", ""), n)))
		}, trust.ErrLimit},
		"children": {inspect.MaxChildren, func(n int) error {
			return manifest(fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, list(descriptor(ocispec.MediaTypeImageManifest, ""), n)))
		}, trust.ErrLimit},
		"manifest":        {inspect.MaxManifest, func(n int) error { return manifest(padded(imageManifest("", ""), n)) }, trust.ErrLimit},
		"config":          {inspect.MaxConfig, func(n int) error { return config(padded("{}", n)) }, trust.ErrLimit},
		"manifest-depth":  {31, func(n int) error { return manifest(imageManifest(`,"x":`+nested(n), "")) }, trust.ErrMalformed},
		"config-depth":    {31, func(n int) error { return config(`{"x":` + nested(n) + `}`) }, trust.ErrMalformed},
		"config-values":   {200_000 - 2, func(n int) error { return config(`{"x":[` + list("0", n) + `]}`) }, trust.ErrLimit},
		"manifest-values": {50_000 - 13, func(n int) error { return manifest(imageManifest(`,"x":[`+list("0", n)+`]`, "")) }, trust.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, want := range map[int]error{c.limit - 1: nil, c.limit: nil, c.limit + 1: c.want} {
				if err := c.parse(n); !errors.Is(err, want) {
					t.Errorf("%d, of at most %d: %v", n, c.limit, err)
				}
			}
		})
	}
}

// TestTruncatedDocuments: no part of a document is one.
func TestTruncatedDocuments(t *testing.T) {
	t.Parallel()
	config := `{"os":"linux","config":{"Env":["A=\u00e4\n"],"Labels":{"a":"b"}},"history":[{"created_by":"x"}],"rootfs":{"type":"layers","diff_ids":["` + zero + `"]}}`
	for n := range config {
		if _, err := inspect.ParseConfig([]byte(config[:n])); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", config[:n], err)
		}
	}
	manifest := imageManifest(`,"annotations":{"a":"b"}`, `,"annotations":{"c":"d"}`)
	for n := range manifest {
		if m, err := inspect.ParseManifest([]byte(manifest[:n]), ""); !errors.Is(err, trust.ErrMalformed) || m.Kind != "" {
			t.Errorf("%s: %v", manifest[:n], err)
		}
	}
}

// TestEverySpelling: a member that clients act on, written in any other case, makes a manifest that nobody accepts, even
// where it stands alone.
func TestEverySpelling(t *testing.T) {
	t.Parallel()
	manifest := imageManifest(`,"annotations":{"a":"b"},"subject":`+descriptor("a/b", ""), `,"annotations":{"c":"d"},"platform":{"os":"linux","architecture":"arm"}`)
	if _, err := inspect.ParseManifest([]byte(manifest), ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"schemaVersion", "mediaType", "config", "layers", "annotations", "subject", "digest", "size", "platform", "os", "architecture",
	} {
		for i, r := range name {
			for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
				spelled := name[:i] + string(other) + name[i+1:]
				for _, body := range []string{
					strings.Replace(manifest, `"`+name+`":`, `"`+spelled+`":`, 1),
					strings.Replace(manifest, `"`+name+`":`, fmt.Sprintf(`"%s\u%04x%s":`, name[:i], other, name[i+1:]), 1),
					strings.Replace(manifest, `"schemaVersion"`, `"`+spelled+`":null,"schemaVersion"`, 1),
					strings.TrimSuffix(manifest, "}") + `,"x":[{"y":{"` + spelled + `":0}}]}`,
				} {
					if body == manifest {
						t.Fatalf("%s does not stand in the manifest", name)
					}
					if _, err := inspect.ParseManifest([]byte(body), ""); !errors.Is(err, trust.ErrMalformed) {
						t.Errorf("%s as %s: %v", name, spelled, err)
					}
				}
			}
		}
		// Labels and annotations are called what people like.
		free := imageManifest(`,"annotations":{"`+strings.ToUpper(name)+`":"1","`+name+`":"2"}`, "")
		if _, err := inspect.ParseManifest([]byte(free), ""); err != nil {
			t.Errorf("an annotation %s: %v", name, err)
		}
	}
}

// TestConfigsThatReadTwoWays: names in one object that differ in case only, wherever the object stands.
func TestConfigsThatReadTwoWays(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		`{"config":{"Cmd":["a"],"cmd":["b"]}}`:                             trust.ErrMalformed,
		`{"config":{},"Config":{}}`:                                        trust.ErrMalformed,
		`{"config":{"Cmd":null,"CMD":null}}`:                               trust.ErrMalformed,
		`{"config":{"Labels":{"a":"1","A":"2"}}}`:                          nil,
		`{"config":{"Labels":{"a":"1","a":"2"}}}`:                          trust.ErrMalformed,
		`{"config":{"Labels":{"a":"1","\u0061":"2"}}}`:                     trust.ErrMalformed,
		`{"config":{"Labels":{"\ud800":"1","\udfff":"2"}}}`:                trust.ErrMalformed, // both read as U+FFFD
		`{"config":{"labels":{"a":"1","A":"2"}}}`:                          nil,
		`{"config":{"Volumes":{"/a":{},"/A":{}}}}`:                         nil,
		`{"config":{"ExposedPorts":{"1/tcp":{},"1/TCP":{}}}}`:              nil,
		`{"config":{"Env":["a","A"]}}`:                                     nil,
		`{"history":[{"created_by":"a","Created_By":"b"}]}`:                trust.ErrMalformed,
		`{"history":[{"created_by":"a"},{"Created_By":"b"}]}`:              nil,
		`{"x":{"y":[{"k":1,"\u212a":2}]}}`:                                 trust.ErrMalformed,
		`{"CONFIG":{"ENV":["A=b"]}}`:                                       nil,
		`{"config":{"Env":"A=b"}}`:                                         trust.ErrMalformed,
		`{"config":{"Env":[1]}}`:                                           trust.ErrMalformed,
		`{"config":{"Entrypoint":"sh"}}`:                                   trust.ErrMalformed,
		`{"config":{"Labels":{"a":1}}}`:                                    trust.ErrMalformed,
		`{"config":[]}`:                                                    trust.ErrMalformed,
		`{"config":null,"history":null,"rootfs":null}`:                     nil,
		`{"rootfs":{"type":"layers\u001b"}}`:                               trust.ErrUnsupported,
		"{\"config\":{\"Cmd\":[\"\x01\"]}}":                                trust.ErrMalformed,
		`{"config":{"Cmd":["a",]}}`:                                        trust.ErrMalformed,
		`{} {}`:                                                            trust.ErrMalformed,
		`{}` + "\x00":                                                      trust.ErrMalformed,
		"\xef\xbb\xbf{}":                                                   trust.ErrMalformed,
		`null`:                                                             trust.ErrMalformed,
		`"config"`:                                                         trust.ErrMalformed,
		``:                                                                 trust.ErrMalformed,
		strings.Repeat(`{"a":`, 1000):                                      trust.ErrMalformed,
		`{"config":{"Healthcheck":{"Test":["CMD","a"],"test":[]}}}`:        trust.ErrMalformed,
		`{"config":{"Healthcheck":{"Test":["CMD","a"],"Interval":1e400}}}`: nil, // nobody here reads it
	} {
		_, err := inspect.ParseConfig([]byte(body))
		if !errors.Is(err, want) || err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x1b\x00\n")) {
			t.Errorf("%.100s: %q, want %v", body, err, want)
		}
	}
}

// TestOthersSeeTheSame: whatever a config is made of, if it is accepted, the standard library's reader sees the same in it.
func TestOthersSeeTheSame(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	names := []string{"config", "Config", "Entrypoint", "Cmd", "cmd", "Env", "Labels", "a", "A", "\\u0061"}
	var value func(depth int) string
	value = func(depth int) string {
		switch n := rng.IntN(8); {
		case n == 0:
			return `"x"`
		case n == 1:
			return "null"
		case n < 4 && depth > 0:
			return `["x","y"]`
		case depth > 0:
			var members []string
			for range rng.IntN(4) {
				members = append(members, `"`+names[rng.IntN(len(names))]+`":`+value(depth-1))
			}
			return "{" + strings.Join(members, ",") + "}"
		}
		return `["z"]`
	}
	accepted := 0
	for range 20_000 {
		body := value(3)
		c, err := inspect.ParseConfig([]byte(body))
		if err != nil {
			if !errors.Is(err, trust.ErrMalformed) {
				t.Fatalf("%s: %v", body, err)
			}
			continue
		}
		accepted++
		// A reader that takes the last of several members, in the exact case first, as many clients do.
		var exact map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &exact); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var inner struct{ Entrypoint, Cmd, Env []string }
		for name, raw := range exact {
			if strings.EqualFold(name, "config") && json.Unmarshal(raw, &inner) != nil {
				t.Fatalf("%s: another reader cannot read the config", body)
			}
		}
		if !slices.Equal(inner.Entrypoint, c.Entrypoint) || !slices.Equal(inner.Cmd, c.Cmd) || !slices.Equal(inner.Env, c.Env) {
			t.Fatalf("%s: %+v, and another reader %+v", body, c, inner)
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d were accepted", accepted)
	}
}

// TestShellScripts: which argument of a shell is its script.
func TestShellScripts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		argv string // separated by "|"
		want string
	}{
		{"sh|-c|run", "run"},
		{"/bin/sh|-c|run|a|b", "run a b"},
		{"/bin/bash|-o|pipefail|-c|run", "run"},
		{"/bin/bash|-eo|pipefail|-c|run", "run"},
		{"/bin/bash|-euxo|pipefail|-c|run", "run"},
		{"/bin/ash|-eo|pipefail|-c|run", "run"},
		{"/bin/bash|-o|errexit|-o|pipefail|-c|run", "run"},
		{"bash|--login|-c|run", "run"},
		{"bash|-lc|run", "run"},
		{"bash|-l|-c|run", "run"},
		{"zsh|-c|", ""},
		{"bash|-O|extglob|-c|run", "run"},
		{"bash|+e|-c|run", "run"},
		{"sh|-c", "-"},
		{"sh|script|-c|run", "-"},
		{"sh|-x|script|-c|run", "-"},
		{"sh|--|script|-c|run", "-"},
		{"sh|-|-c|run", "-"},
		{"python3|-c|run", "-"},
		{"bash|-o|pipefail|script|-c|x", "-"},
		{"", "-"},
	} {
		got, ok := inspect.ShellScript(strings.Split(c.argv, "|"))
		if ok != (c.want != "-") || ok && got != c.want {
			t.Errorf("%s: %q %t, want %q", c.argv, got, ok, c.want)
		}
	}
}

// TestVariables: a command is shown as it is written, and as the image's environment completes it.
func TestVariables(t *testing.T) {
	t.Parallel()
	env := `"Env":["POOL=192.0.2.1:3333","EMPTY=","SELF=$SELF","EQ=a=b","noequals","POOL_2=second"]`
	for cmd, want := range map[string]string{
		`run $POOL`:                    `run 192.0.2.1:3333`,
		`run ${POOL}`:                  `run 192.0.2.1:3333`,
		`run ${POOL:-other}`:           `run 192.0.2.1:3333`,
		`run ${POOL-other} ${EQ}`:      `run 192.0.2.1:3333 a=b`,
		`run $POOL_2`:                  `run second`,
		`run $POOL.x $POOL/x`:          `run 192.0.2.1:3333.x 192.0.2.1:3333/x`,
		`run $SELF`:                    ``, // once, so that nothing goes in a circle
		`run $EMPTY $NONE ${noequals}`: ``,
		`run $1 $? $$ ${} ${#POOL}`:    ``,
		`run $`:                        ``,
		`run`:                          ``,
		`run ${POOL`:                   ``,
		`run ${POOL%:*}`:               ``, // shortens it; what it becomes is not told
		`run $POOL $POOL`:              `run 192.0.2.1:3333 192.0.2.1:3333`,
	} {
		quoted, err := json.Marshal(cmd)
		if err != nil {
			t.Fatal(err)
		}
		c, err := inspect.ParseConfig([]byte(`{"config":{` + env + `,"Cmd":["sh","-c",` + string(quoted) + `]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = cmd + "\n" + want
		} else {
			want = cmd
		}
		if got := c.Texts()[0].Body; got != want {
			t.Errorf("%s: %q, want %q", cmd, got, want)
		}
	}
	// Values that make a command endless end it before.
	large := inspect.Config{Env: []string{"A=" + strings.Repeat("x", 1<<20)}, Cmd: []string{"sh", "-c", strings.Repeat("$A ", 100_000)}}
	if got := len(large.Texts()[0].Body); got > 4<<20 {
		t.Errorf("the command grew to %d bytes", got)
	}
}

// TestCommandLinesReadBack: a shell that reads a command line gets the arguments that it was made of.
func TestCommandLinesReadBack(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	for range 5000 {
		argv := []string{"run"}
		for range rng.IntN(4) {
			var b strings.Builder
			for range rng.IntN(5) {
				b.WriteByte("ab-'\"\\$ \n;|"[rng.IntN(11)])
			}
			argv = append(argv, b.String())
		}
		if got := posixWords(inspect.CommandLine(argv)); !slices.Equal(got, argv) {
			t.Fatalf("%q is %q, which a shell reads as %q", argv, inspect.CommandLine(argv), got)
		}
	}
}

// posixWords splits a line as a shell does that knows single quotes and backslashes only.
func posixWords(line string) (words []string) {
	var word bytes.Buffer
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c != '\'':
			word.WriteByte(c)
		case c == '\'':
			quoted, inWord = !quoted, true
		case c == '\\':
			i++
			word.WriteByte(line[i])
			inWord = true
		case c == ' ':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

func TestTextsOfOddConfigs(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`: "", `{"config":{"Cmd":[""]}}`: "config:command=''", `{"config":{"Cmd":[],"Env":[" "],"OnBuild":[""]}}`: "",
		`{"config":{"Healthcheck":{"Test":["NONE"]}}}`:                        "",
		`{"config":{"Healthcheck":{"Test":["CMD"]}}}`:                         "",
		`{"config":{"Healthcheck":{"Test":["CMD","a","b c"]}}}`:               "config:healthcheck=a 'b c'",
		`{"config":{"Healthcheck":{"Test":["CMD-SHELL","a | b"]}}}`:           "config:healthcheck=a | b",
		`{"config":{"Healthcheck":{"Test":["run","x"]}}}`:                     "config:healthcheck=run x",
		`{"config":{"Entrypoint":["sh","-c"],"Cmd":["a; b"]}}`:                "config:command=a; b",
		`{"config":{"OnBuild":["RUN a","RUN b"],"Shell":["/bin/ksh","-c"]}}`:  "config:onbuild=RUN a\nRUN b|config:shell=/bin/ksh -c",
		`{"history":[{"created_by":" "},{"comment":"c"},{"created_by":"x"}]}`: "config:history[1]= # c|config:history[2]=x",
	} {
		c, err := inspect.ParseConfig([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, text := range c.Texts() {
			got = append(got, text.Path+"="+text.Body)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	for want, c := range map[string]inspect.Config{
		"": {}, "linux/": {OS: "linux"}, "/arm": {Architecture: "arm"}, "linux/arm/v7": {OS: "linux", Architecture: "arm", Variant: "v7"},
	} {
		if got := c.Platform(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if (inspect.Config{Variant: "v7"}).Platform() != "" {
		t.Error("a variant alone is a platform")
	}
	m := inspect.Manifest{Annotations: map[string]string{"b": "2", "a": "1"}}
	if got := m.AnnotationText(); got.Body != "a=1\nb=2" || got.Kind != trust.KindText {
		t.Errorf("%+v", got)
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]bool{
		ocispec.MediaTypeImageLayer: true, ocispec.MediaTypeImageLayerGzip + " ; a=b": true, "application/vnd.oci.image.layer.nydus.blob.v1": true,
		"application/vnd.docker.image.rootfs.diff.tar.gzip": true, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": true,
		"application/vnd.oci.image.config.v1+json": false, "application/vnd.in-toto+json": false, "": false, "application/vnd.oci.image.layer": false,
	} {
		if got := inspect.IsEngineLayer(mediaType); got != want {
			t.Errorf("%q: %t", mediaType, got)
		}
	}
	for announced, refused := range map[string]bool{
		"": false, "application/json": false, "application/octet-stream": false, "text/plain; charset=utf-8": false, ocispec.MediaTypeImageManifest: false,
		"Application/Vnd.OCI.Image.Manifest.v1+JSON": false, ocispec.MediaTypeImageManifest + ";": false, inspect.DockerManifest: true, "text/html": true,
		"application/vnd.oci.image.manifest.v1+json\x1b": true, ";;": true,
	} {
		m, err := inspect.ParseManifest([]byte(imageManifest("", "")), announced)
		if err != nil || (len(m.Refused) > 0) != refused || strings.Contains(strings.Join(m.Refused, ""), "\x1b") {
			t.Errorf("%q: refused %q, %v", announced, m.Refused, err)
		}
	}
}
