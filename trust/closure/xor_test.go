package closure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
)

// What a program decodes with a key that stands in it is inspected as it will be.
func TestResolve_unseals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, program, want string }{
		"number":        {"a.py", "d=open('/p/d','rb').read()\nopen('/tmp/q','wb').write(bytes(c^0x5a for c in d))\n", `p/d by "Z"`},
		"number-first":  {"a.py", "d=open('/p/d','rb').read()\nx=bytes([90 ^ c for c in d])\n", `p/d by "Z"`},
		"named-number":  {"a.py", "K = 0x5a\nd=open('/p/d','rb').read()\nx=bytes(c ^ K for c in d)\n", `p/d by "Z"`},
		"repeats":       {"a.py", "d=open('/p/d','rb').read()\nk=b'k3y!'\nx=bytes(c^k[i%len(k)] for i,c in enumerate(d))\n", `p/d by "k3y!"`},
		"cycle":         {"a.py", "from itertools import cycle\nkey = b'k3y!'\nx=bytes(a ^ b for a, b in zip(open('/p/d','rb').read(), cycle(key)))\n", `p/d by "k3y!"`},
		"hex":           {"a.py", "key = bytes.fromhex('6b337921')\nd=open('/p/d','rb').read()\nx=bytes(c^key[i%len(key)] for i,c in enumerate(d))\n", `p/d by "k3y!"`},
		"list":          {"a.py", "key = [107, 0x33, 121]\nd=open('/p/d','rb').read()\nx=bytes(c^key[i%3] for i,c in enumerate(d))\n", `p/d by "k3y"`},
		"node":          {"a.js", "const k = 'k3y!'; const d = require('fs').readFileSync('/p/d');\nfor (let i = 0; i < d.length; i++) d[i] ^= k.charCodeAt(i % k.length);\n", `p/d by "k3y!"`},
		"php":           {"a.php", "<?php $k = 'k3y!'; $d = file_get_contents('/p/d'); for ($i = 0; $i < strlen($d); $i++) $o .= $d[$i] ^ $k[$i % strlen($k)];\n", `p/d by "k3y!"`},
		"no-file":       {"a.py", "x = 5 ^ y\nopen('/p/none')\n", ""},
		"text-is-read":  {"a.py", "x = 5 ^ y\nopen('/p/t')\n", ""},
		"no-key":        {"a.py", "x = a ^ b\nopen('/p/d')\n", ""},
		"power-in-text": {"a.py", "print('caret ^ here')\nopen('/p/d')\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := image{"p/d": "DATA" + strings.Repeat("\x91", 100), "p/t": "plain text, which is longer than that", tc.file: tc.program, "usr/bin/python3": "ELF", "usr/bin/node": "ELF", "usr/bin/php": "ELF"}
			interpreter := map[string]string{"a.py": "python3", "a.js": "node", "a.php": "php"}[tc.file]
			c := files.resolve(inspect.Config{Entrypoint: []string{interpreter, "/" + tc.file}})
			var got []string
			for _, j := range c.Joins {
				for _, s := range j.Parts[0].Steps {
					if s.Op == closure.Xor {
						got = append(got, fmt.Sprintf("%s by %q", j.Parts[0].File.Path, s.Text))
					}
				}
			}
			if strings.Join(got, ", ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// More keys and files than are tried cost nothing and are no reason to take everything for running.
func TestResolve_unsealsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	files := image{"usr/bin/python3": "ELF"}
	var program strings.Builder
	for i := range 100 {
		files[fmt.Sprintf("p/%d", i)] = "DATA" + strings.Repeat("\x91", 100)
		fmt.Fprintf(&program, "x%d = open('/p/%d').read()[0] ^ %d\n", i, i, i+1)
	}
	for i := range 10 {
		files[fmt.Sprintf("a%d.py", i)] = program.String()
		files["a.py"] += fmt.Sprintf("import a%d\n", i)
	}
	c := files.resolve(inspect.Config{Entrypoint: []string{"python3", "/a.py"}})
	if len(c.Joins) > 32 || c.Everything() != "" {
		t.Errorf("%d joins, %q", len(c.Joins), c.Everything())
	}
}
