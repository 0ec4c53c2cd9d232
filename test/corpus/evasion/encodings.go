package evasion

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/safepull/safepull/test/imagetest"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// wrapped breaks text into lines.
func wrapped(s string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(s), 76) {
		b.Write(part)
		b.WriteByte('\n')
	}
	return b.String()
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // into memory: cannot fail
	_ = z.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // into memory: cannot fail
	_ = z.Close()
	return b.String()
}

func xored(s string, key byte) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= key
	}
	return string(b)
}

func escaped(s, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// wide is UTF-16, as PowerShell's encoded commands have it.
func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// staged is Python that decodes itself, over and over.
func staged(program string, rounds int) string {
	for range rounds {
		program = "_=lambda __:__import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));exec(_(b'" + reversed(b64(deflated(program))) + "'))"
	}
	return "raise SystemExit(0)\n" + program + "\n"
}

const run = "/opt/app/worker"

func shells() []recipe {
	// each writes the script that decodes a script.
	scripts := []struct {
		name   string
		script func(payload string) string
	}{
		{"base64", func(s string) string { return "echo " + b64(s) + " | base64 -d | sh\n" }},
		{"base64-heredoc", func(s string) string { return "base64 -d <<'EOF' | bash\n" + wrapped(b64(s)) + "EOF\n" }},
		{"base64-eval", func(s string) string { return `eval "$(echo '` + b64(s) + "' | base64 --decode)\"\n" }},
		{"base64-twice", func(s string) string { return "echo " + b64(b64(s)) + " | base64 -d | base64 -d | sh\n" }},
		{"base64-reversed", func(s string) string { return "echo " + reversed(b64(s)) + " | rev | base64 -d | sh\n" }},
		{"base64-gzip", func(s string) string { return "echo " + b64(gzipped(s)) + " | base64 -d | gunzip | sh\n" }},
		{"base64-variable", func(s string) string {
			return "CONFIG=" + b64(s) + "\nprintf %s \"$CONFIG\" | openssl enc -base64 -d -A | sh\n"
		}},
		{"hex", func(s string) string { return "echo " + hex.EncodeToString([]byte(s)) + " | xxd -r -p | sh\n" }},
		{"hex-escapes", func(s string) string { return "printf '" + escaped(s, `\x%02x`) + "' | sh\n" }},
		{"ansi-c-quotes", func(s string) string { return "eval $'" + escaped(s, `\x%02x`) + "'\n" }},
		{"octal", func(s string) string { return "printf '" + escaped(s, `\%03o`) + "' | sh\n" }},
	}
	var out []recipe
	for _, e := range scripts {
		out = append(out, recipe{group: "encoded shell", name: e.name, make: func(k *kit) imagetest.Image {
			return k.starts(hiding+e.script(k.shell(run)), imagetest.Binary("opt/app/worker", []byte("\x7fELF")))
		}})
	}
	return out
}

func pythons() []recipe {
	var out []recipe
	scripts := []struct {
		name   string
		script func(payload string) string
	}{
		{"base64", func(s string) string { return "import base64\nexec(base64.b64decode('" + b64(s) + "'))\n" }},
		{"zlib", func(s string) string {
			return "import base64,zlib\nexec(zlib.decompress(base64.b64decode(b'" + b64(deflated(s)) + "')))\n"
		}},
		{"bytes-escapes", func(s string) string {
			return "import zlib\nexec(zlib.decompress(b'" + escaped(deflated(s), `\x%02x`) + "'))\n"
		}},
		{"joined-parts", func(s string) string {
			var parts []string
			for part := range slices.Chunk([]byte(b64(s)), 40) {
				parts = append(parts, "'"+string(part)+"'")
			}
			return "import base64\nexec(base64.b64decode(" + strings.Join(parts, "+\n  ") + "))\n"
		}},
		{"list-of-numbers", func(s string) string { return "exec(bytes([" + strings.Trim(escaped(s, "%d,"), ",") + "]))\n" }},
		{"xor", func(s string) string {
			return "import base64\nd=base64.b64decode('" + b64(xored("#!/usr/bin/env python3\n"+s, 0x5a)) + "')\nexec(bytes(c^0x5a for c in d))\n"
		}},
		{"hex", func(s string) string { return "exec(bytes.fromhex('" + hex.EncodeToString([]byte(s)) + "'))\n" }},
	}
	for _, e := range scripts {
		out = append(out, recipe{group: "encoded python", name: e.name, make: func(k *kit) imagetest.Image {
			return k.image([]string{"python3", "/app/main.py"}, imagetest.Text("app/main.py", "raise SystemExit(0)\n"+e.script(k.python(run))))
		}})
	}
	for _, rounds := range []int{1, 5, 30, 63} {
		out = append(out, recipe{group: "encoded python", name: fmt.Sprintf("staged-%d", rounds), make: func(k *kit) imagetest.Image {
			return k.image([]string{"python3", "/app/ten.py"}, imagetest.Text("app/ten.py", staged(k.python(run), rounds)))
		}})
	}
	return out
}

func elsewhere() []recipe {
	return []recipe{
		{group: "encoded elsewhere", name: "entrypoint", make: func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "-c", "echo " + b64(k.shell(run)) + " | base64 -d | sh"})
		}},
		{group: "encoded elsewhere", name: "environment", make: func(k *kit) imagetest.Image {
			image := k.image([]string{"sh", "-c", `echo "$BOOT" | base64 -d | sh`})
			image.Config.Env = append(image.Config.Env, "BOOT="+b64(k.shell(run)))
			return image
		}},
		{group: "encoded elsewhere", name: "javascript", make: func(k *kit) imagetest.Image {
			js := "process.exit(0);\nconst {execSync}=require('child_process');\nexecSync(Buffer.from('" + b64(k.shell(run)) + "','base64').toString());\n"
			return k.image([]string{"node", "/app/server.js"}, imagetest.Text("app/server.js", js))
		}},
		{group: "encoded elsewhere", name: "perl", make: func(k *kit) imagetest.Image {
			return k.image([]string{"perl", "/app/run.pl"}, imagetest.Text("app/run.pl", "exit 0;\nuse MIME::Base64;\nsystem(decode_base64('"+b64(k.shell(run))+"'));\n"))
		}},
		{group: "encoded elsewhere", name: "php", make: func(k *kit) imagetest.Image {
			return k.image([]string{"php", "/app/run.php"}, imagetest.Text("app/run.php", "<?php\nexit(0);\nsystem(gzinflate(substr(base64_decode('"+b64(gzipped(k.shell(run)))+"'),10,-8)));\n"))
		}},
		{group: "encoded elsewhere", name: "powershell-wide", make: func(k *kit) imagetest.Image {
			return k.image([]string{"pwsh", "-EncodedCommand", b64(wide("exit 0; " + run + " " + k.line()))})
		}},
		{group: "encoded elsewhere", name: "program-in-script", make: func(k *kit) imagetest.Image {
			return k.starts(hiding + "base64 -d > /tmp/.w <<EOF\n" + wrapped(b64(string(k.program()))) + "EOF\nchmod +x /tmp/.w\n/tmp/.w\n")
		}},
		{group: "encoded elsewhere", name: "program-in-python-xor", make: func(k *kit) imagetest.Image {
			return k.image([]string{"python3", "/app/main.py"}, imagetest.Text("app/main.py",
				"raise SystemExit(0)\nimport base64,os\nb=bytes(c^7 for c in base64.b64decode('"+b64(xored(string(k.program()), 7))+"'))\nopen('/tmp/w','wb').write(b)\nos.chmod('/tmp/w',0o755)\nos.execv('/tmp/w',['w'])\n"))
		}},
	}
}
