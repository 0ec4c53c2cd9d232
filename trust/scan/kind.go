package scan

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
)

// kindOf tells the kind of a file from its name, its mode and its first bytes. It leans towards script: what may be
// run is never mistaken for documentation because of what it is called.
func kindOf(name string, mode fs.FileMode, head []byte) trust.Kind {
	switch {
	case isExecutable(head):
		return trust.KindExecutable
	case bytes.HasPrefix(head, []byte("#!")), runSuffixes[strings.ToLower(path.Ext(name))]:
		return trust.KindScript
	case !isText(head):
		return trust.KindData
	case mode&0o111 != 0, runsByName(strings.ToLower(name)), path.Ext(name) == "" && commands.Match(head):
		return trust.KindScript
	}
	return trust.KindText
}

// isExecutable knows ELF, PE, Mach-O (also fat, whose magic Java classes share), WebAssembly and DEX.
func isExecutable(head []byte) bool {
	for _, magic := range []string{"\x7fELF", "\x00asm", "dex\n", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\xca\xfe\xba\xbf"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	if !bytes.HasPrefix(head, []byte("MZ")) || len(head) < 64 {
		return false
	}
	at := binary.LittleEndian.Uint32(head[60:]) // where the PE header stands, which may lie beyond the head
	if int64(at)+4 <= int64(len(head)) {
		return string(head[at:at+4]) == "PE\x00\x00"
	}
	return !isText(head)
}

// commands matches what a program that an interpreter reads, most of all a shell's, begins with and prose does not.
var commands = regexp.MustCompile(`(?m)^\s*(?:export [A-Za-z_]\w*=|set -[a-z]|if \[|exec [./$"]|nohup |source [./$"]|\. [./$"]|import (?:os|sys|subprocess|socket)\b|from \w+ import |(?:/[\w.+-]+){2,} -)|; (?:then|do)\s*$|>\s?/dev/null|2>&1`)

// controlShare is how many characters of a text there are for each control character that it may have: interpreters
// pass over some in a comment, and one of them must not make data of a program. Compressed data has one in ten.
const controlShare = 32

// isText reports whether the head has next to no control characters but white space, backspace and escape, and no NUL
// in its first line. Letters of any single-byte or UTF-8 encoding pass; so does UTF-16 that says so.
func isText(head []byte) bool {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return true
	}
	if line, _, _ := bytes.Cut(head, []byte("\n")); bytes.IndexByte(line, 0) >= 0 {
		return false
	}
	controls := 0
	for _, c := range head {
		if c < ' ' && (c < '\b' || c > '\r') && c != 0x1b || c == 0x7f {
			controls++
		}
	}
	return controls*controlShare <= len(head)
}

// runSuffixes are those of files that an interpreter, an init system, cron or a login shell runs.
var runSuffixes = set(".sh .bash .zsh .ksh .csh .fish .ash .dash .py .pyw .pth .pl .pm .rb .js .mjs .cjs .lua .php .phtml " +
	".tcl .awk .ps1 .psm1 .bat .cmd .vbs .wsf .r .groovy .expect .service .timer .socket .cron .crontab .init .rc .profile .desktop")

// runNames are base names of files that something runs without a suffix.
var runNames = set("crontab rc rc.local profile bashrc bash.bashrc zshrc zshenv zprofile zlogin environment inittab init start run finish up " +
	"entrypoint docker-entrypoint entry-point command cmd makefile procfile ld.so.preload supervisord.conf " +
	".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .kshrc .ashrc .xinitrc .xprofile")

// runFolders are folders whose files something runs; a file counts below any of them.
var runFolders = []string{
	"etc/cron.d/", "etc/cron.hourly/", "etc/cron.daily/", "etc/cron.weekly/", "etc/cron.monthly/", "var/spool/cron/", "etc/crontabs/",
	"etc/init.d/", "etc/rc.d/", "etc/profile.d/", "etc/update-motd.d/", "docker-entrypoint.d/", "etc/s6-overlay/", "etc/services.d/",
	"etc/cont-init.d/", "etc/supervisor/", "etc/supervisor.d/", "etc/local.d/", "etc/periodic/", "etc/runit/", "etc/service/", "etc/ld.so.preload",
}

func runsByName(name string) bool {
	base := path.Base(name)
	if runNames[base] {
		return true
	}
	for _, word := range []string{"entrypoint", "entry-point"} { // entrypoint-prod, my_entrypoint
		if strings.Contains(base, word) && path.Ext(base) == "" {
			return true
		}
	}
	for _, folder := range runFolders {
		if strings.HasPrefix(name, folder) {
			return true
		}
	}
	return false
}

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}
