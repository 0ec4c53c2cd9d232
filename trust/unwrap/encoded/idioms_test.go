package encoded_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/encoded"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// idiom is how a language runs what stands encoded in it. The mark @ stands for the encoded text.
type idiom struct {
	name    string
	program string
	coded   string
	piece   string
}

func idioms() []idiom {
	raw := []byte(hidden)
	return []idiom{
		{
			name:    "shell-echo",
			program: "#!/bin/sh\necho @ | base64 -d | sh\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "shell-eval",
			program: "#!/bin/bash\neval \"$(echo \"@\" | base64 --decode)\"\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "shell-here-string",
			program: "#!/bin/bash\nbase64 -d <<< @ | bash\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "shell-here-document-indented",
			program: "#!/bin/sh\nbase64 -d <<-EOF | gunzip > /tmp/x\n\t\t@\n\tEOF\nchmod +x /tmp/x; /tmp/x\n",
			coded:   strings.TrimSuffix(lines(b64(gzipped(raw)), 60, "", "\n\t\t"), "\n\t\t"),
			piece:   "base64+gzip",
		},
		{
			name:    "shell-openssl",
			program: "#!/bin/sh\nopenssl enc -base64 -d <<EOF > /tmp/x\n@\nEOF\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 64, "", "\n"), "\n"),
			piece:   "base64",
		},
		{
			name:    "shell-xxd",
			program: "#!/bin/sh\necho @ | xxd -r -p | sh\n",
			coded:   hex.EncodeToString(raw),
			piece:   "hex",
		},
		{
			name:    "shell-variable",
			program: "#!/bin/sh\nPAYLOAD='@'\nprintf %s \"$PAYLOAD\" | base64 -d > /tmp/x\n",
			coded:   b64(zlibbed(raw)),
			piece:   "base64+zlib",
		},
		{
			name:    "shell-continued",
			program: "#!/bin/sh\necho @ | base64 -d | sh\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 50, "", "\\\n"), "\\\n"),
			piece:   "base64",
		},
		{
			name:    "shell-reversed",
			program: "#!/bin/sh\necho '==@' | rev | base64 -d | sh\n",
			coded:   turn(strings.TrimRight(b64([]byte(hidden+"\n\n")), "=")),
			piece:   "base64+reversed",
		},
		{
			name:    "python-exec",
			program: "import base64\nexec(base64.b64decode(\"@\"))\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "python-parts",
			program: "import base64\nx = (b\"@\")\nexec(base64.b64decode(x))\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 40, "", "\"\n     b\""), "\"\n     b\""),
			piece:   "base64",
		},
		{
			name:    "python-triple",
			program: "import base64\nx = '''\n@\n'''\nexec(base64.b64decode(x))\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 76, "", "\n"), "\n"),
			piece:   "base64",
		},
		{
			name:    "python-escaped-line-breaks",
			program: "import codecs\nexec(codecs.decode(b\"@\\n\", \"base64\"))\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 76, "", `\n`), `\n`),
			piece:   "base64",
		},
		{
			name:    "python-fromhex",
			program: "exec(bytes.fromhex('@').decode())\n",
			coded:   hex.EncodeToString(raw),
			piece:   "hex",
		},
		{
			name:    "python-bytes",
			program: "exec(bytes([@]))\n",
			coded:   strings.TrimSuffix(each(raw, "%d, "), ", "),
			piece:   "numbers",
		},
		{
			name:    "python-gzip",
			program: "import gzip, base64\nexec(gzip.decompress(base64.b64decode('@')))\n",
			coded:   b64(gzipped(raw)),
			piece:   "base64+gzip",
		},
		{
			name:    "python-mask",
			program: "exec(bytes(c ^ 0x41 for c in bytes.fromhex('@')))\n",
			coded:   hex.EncodeToString(masked([]byte(hidden+hidden), 0x41)),
			piece:   "hex+xor41",
		},
		{
			name:    "node-buffer",
			program: "eval(Buffer.from('@', 'base64').toString())\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "node-inflate",
			program: "eval(require('zlib').inflateRawSync(Buffer.from('@', 'base64')).toString())\n",
			coded:   b64(deflated(raw)),
			piece:   "base64+deflate",
		},
		{
			name:    "node-array",
			program: "const p = ['@'].join(''); new Function(atob(p))()\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 16, "", "', '"), "', '"),
			piece:   "base64",
		},
		{
			name:    "browser-atob",
			program: "<script>eval(atob(\"@\"))</script>\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "php",
			program: "<?php eval(gzuncompress(base64_decode('@')));\n",
			coded:   b64(zlibbed(raw)),
			piece:   "base64+zlib",
		},
		{
			name:    "php-reversed",
			program: "<?php eval(base64_decode(strrev('@')));\n",
			coded:   turn(strings.TrimRight(b64([]byte(hidden+"\n\n")), "=")),
			piece:   "base64+reversed",
		},
		{
			name:    "perl-pack",
			program: "#!/usr/bin/perl\neval pack('H*', '@');\n",
			coded:   hex.EncodeToString(raw),
			piece:   "hex",
		},
		{
			name:    "perl-mime",
			program: "#!/usr/bin/perl\nuse MIME::Base64;\neval decode_base64(\"@\");\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "ruby",
			program: "#!/usr/bin/ruby\neval '@'.unpack1('m')\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "powershell",
			program: "powershell -NoProfile -enc @\r\n",
			coded:   b64(wide(hidden)),
			piece:   "base64+utf16",
		},
		{
			name:    "powershell-bytes",
			program: "[Byte[]] $b = @; iex ([Text.Encoding]::UTF8.GetString($b))\r\n",
			coded:   strings.TrimSuffix(each(raw, "0x%02x,"), ","),
			piece:   "numbers",
		},
		{
			name:    "go-bytes",
			program: "var payload = []byte{@}\n",
			coded:   strings.TrimSuffix(each(raw, "0x%x, "), ", "),
			piece:   "numbers",
		},
		{
			name:    "c-string",
			program: "const char code[] = \"@\";\n",
			coded:   strings.TrimSuffix(lines(each(raw, `\x%02x`), 64, "", "\"\n  \""), "\"\n  \""),
			piece:   "escapes",
		},
		{
			name:    "yaml-block",
			program: "data:\n  run.sh: |\n    @\n  other: value\n",
			coded:   strings.TrimSuffix(lines(b64(raw), 60, "", "\n    "), "\n    "),
			piece:   "base64",
		},
		{
			name:    "json-string",
			program: `{"name": "x", "script": "@"}`,
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "systemd-unit",
			program: "[Service]\nExecStart=/bin/sh -c \"echo @ | base64 -d | sh\"\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "cron-line",
			program: "* * * * * root echo @|base64 -d|sh\n",
			coded:   b64(raw),
			piece:   "base64",
		},
		{
			name:    "data-url",
			program: "import('data:text/javascript;base64,@')\n",
			coded:   b64(raw),
			piece:   "base64",
		},
	}
}

func TestIdioms(t *testing.T) {
	t.Parallel()
	for _, i := range idioms() {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			before, after, _ := strings.Cut(i.program, "@")
			want := hidden
			switch {
			case strings.HasSuffix(i.piece, "+reversed"):
				want += "\n\n"
			case strings.Contains(i.piece, "+xor"):
				want += hidden
			}
			unwraptest.Run(t, encoded.New(), []unwraptest.Sample{{
				Name: "sample", Kind: trust.KindScript, Content: []byte(before + i.coded + after),
				Want: map[string]string{fmt.Sprintf("%s@%d", i.piece, len(before)): want},
			}}, nil)
		})
	}
}

// TestBenignTwins has programs that look like the idioms and hide nothing.
func TestBenignTwins(t *testing.T) {
	t.Parallel()
	der := append([]byte{0x30, 0x82, 0x03, 0xe8}, noise(1000, 21)...)
	for name, content := range map[string]string{
		"certificate-in-a-script": "#!/bin/sh\nbase64 -d > /etc/ssl/x.der <<EOF\n" + lines(b64(der), 64, "", "\n") + "EOF\nexec \"$@\"\n",
		"certificate-bundle":      "import ssl\nCA = '''-----BEGIN CERTIFICATE-----\n" + lines(b64(der), 64, "", "\n") + "-----END CERTIFICATE-----\n'''\nexec(open('x').read())\nx = base64\n",
		"font-in-a-style":         "@font-face { src: url(data:font/woff2;base64," + b64(append([]byte("wOF2"), noise(3000, 22)...)) + ") } /* eval(atob) */\n",
		"lock-file":               strings.Repeat("\"integrity\": \"sha512-"+b64(noise(64, 23))+"\",\n", 50),
		"checksums":               strings.Repeat(hex.EncodeToString(noise(32, 24))+"  usr/bin/some-program-name\n", 50),
		"paths":                   strings.Repeat("usr/lib/python3/dist-packages/some_package/a_module_of_it.py\n", 50) + "base64\n",
		"identifiers":             "import base64\n" + strings.Repeat("'getUserDefinedConfigurationValue', 'setUserDefinedConfigurationValue',\n", 50),
		"word-list":               "exec(base64)\n" + strings.Repeat("'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'lambda',\n", 200),
		"git-hashes":              strings.Repeat("commit "+hex.EncodeToString(noise(20, 25))+"\n", 50),
		"uuid":                    strings.Repeat("id: 123e4567-e89b-12d3-a456-426614174000\n", 50),
		"unicode-table":           `var re = /[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]/g;` + "\n",
		"colour-table":            "palette = [" + strings.Repeat("0x00, 0x80, 0xff, 0x01, ", 20) + "]\n",
		"decimal-table":           "x = bytes([" + strings.Repeat("0, 1, 254, 255, 3, 128, ", 20) + "])\n",
		"tests-of-a-codec":        "assert base64.b64encode(b'\\x00\\x01\\x02') == b'AAEC'\n",
		"reverse-function":        "function reverse(s) { return s.split('').reverse().join('') }\nreverse('hello world, this is it')\n",
		"begin-in-a-sentence":     "we begin 6 days later\nbegin 644 reasons why\nnothing\n",
		"long-line":               strings.Repeat("x", 300_000) + "\n",
		"long-rule":               strings.Repeat("-", 300_000) + "\n" + strings.Repeat("=", 1000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []trust.Kind{trust.KindScript, trust.KindText} {
				s := unwraptest.Sample{Kind: kind, Content: []byte(content)}
				got, err := unwraptest.Unwrap(t.Context(), encoded.New(), s, whole)
				if err != nil || len(got) > 0 {
					t.Errorf("%s: error %v, %.200q", kind, err, got)
				}
			}
		})
	}
}
