package scan

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	pe := "MZ" + strings.Repeat("\x00", 58) + "\x80\x00\x00\x00" + strings.Repeat("\x00", 64) + "PE\x00\x00"
	for name, tc := range map[string]struct {
		path string
		mode fs.FileMode
		head string
		want trust.Kind
	}{
		"elf":               {"bin/x", 0o755, "\x7fELF\x02", trust.KindExecutable},
		"elf-without-bit":   {"tmp/x.jpg", 0o644, "\x7fELF\x02", trust.KindExecutable},
		"elf-called-script": {"x.py", 0o644, "\x7fELF\x02", trust.KindExecutable},
		"wasm":              {"x.wasm", 0o644, "\x00asm\x01\x00\x00\x00", trust.KindExecutable},
		"mach-o":            {"x", 0o644, "\xcf\xfa\xed\xfe\x07", trust.KindExecutable},
		"pe":                {"x.exe", 0o644, pe, trust.KindExecutable},
		"pe-far-header":     {"x.exe", 0o644, "MZ" + strings.Repeat("\x00", 58) + "\xff\xff\xff\xff", trust.KindExecutable},
		"text-with-mz":      {"x", 0o644, "MZ is how this sentence begins, " + strings.Repeat("and goes on ", 9), trust.KindText},
		"shebang":           {"x", 0o644, "#!/bin/sh\n", trust.KindScript},
		"shebang-binary":    {"x", 0o644, "#!/bin/sh\n\x00\x01", trust.KindScript},
		"exec-bit":          {"x", 0o755, "echo hello\n", trust.KindScript},
		"group-exec-bit":    {"x", 0o654, "echo hello\n", trust.KindScript},
		"exec-bit-binary":   {"x", 0o755, "\x00\x01\x02", trust.KindData},
		"suffix":            {"usr/lib/x.py", 0o644, "import os\n", trust.KindScript},
		"suffix-upper":      {"x.SH", 0o644, "echo\n", trust.KindScript},
		"suffix-binary":     {"x.sh", 0o644, "echo\n\x00", trust.KindScript},
		"service":           {"etc/systemd/system/x.service", 0o644, "[Unit]\n", trust.KindScript},
		"crontab":           {"etc/crontab", 0o644, "* * * * *\n", trust.KindScript},
		"cron-folder":       {"etc/cron.d/x", 0o644, "* * * * *\n", trust.KindScript},
		"cron-user":         {"var/spool/cron/crontabs/root", 0o600, "* * * * *\n", trust.KindScript},
		"profile":           {"root/.bashrc", 0o644, "alias\n", trust.KindScript},
		"entrypoint":        {"Entrypoint-Prod", 0o644, "exec x\n", trust.KindScript},
		"preload":           {"etc/ld.so.preload", 0o644, "/lib/x.so\n", trust.KindScript},
		"sourced":           {"opt/lib/env", 0o644, "export A=1\n/usr/lib/x -c y\n", trust.KindScript},
		"python-no-suffix":  {"srv/dao", 0o644, "import os\nos.system('x')\n", trust.KindScript},
		"command-no-suffix": {"opt/x", 0o644, "/usr/lib/x -o y >/tmp/l\n", trust.KindScript},
		"prose-no-suffix":   {"opt/NOTES", 0o644, "if you like it, do as follows; then set the export format and import the list\n", trust.KindText},
		"commands-in-text":  {"opt/notes.txt", 0o644, "export A=1\n", trust.KindText},
		"control-in-text":   {"opt/x", 0o755, "# \x01\x02\n" + strings.Repeat("echo hello\n", 20), trust.KindScript},
		"nul-in-text":       {"opt/x", 0o755, "echo\n# \x00\n" + strings.Repeat("echo hello\n", 20), trust.KindScript},
		"nul-in-first-line": {"opt/x", 0o755, "a\x00\n" + strings.Repeat("echo hello\n", 20), trust.KindData},
		"text":              {"usr/share/doc/entrypoint.txt", 0o644, "hello\n", trust.KindText},
		"latin-1":           {"x", 0o644, "caf\xe9\n", trust.KindText},
		"utf-16":            {"x", 0o644, "\xff\xfeh\x00i\x00", trust.KindText},
		"empty":             {"x", 0o644, "", trust.KindText},
		"data":              {"x", 0o644, "\x89PNG\r\n\x1a\n\x00", trust.KindData},
		"delete-character":  {"x", 0o644, "a\x7fb", trust.KindData},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := kindOf(tc.path, tc.mode, []byte(tc.head)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
