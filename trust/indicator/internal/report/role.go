// Package report gathers the findings of one file for an indicator: it weighs a sign by what the file is for, drops
// repetitions, and keeps the number of findings small whatever the content.
package report

import (
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// File is an indicator.File, spelled out: what every sign stands on must not stand on what they implement, or chains of
// imports grow too long.
type File = struct {
	Path string
	Kind trust.Kind
	Size int64
}

// Role says what a file is for, as far as its kind and path tell.
type Role int

// The roles.
const (
	// Runs is what may be executed: image configuration, programs, scripts, and files that an init system reads.
	Runs Role = iota
	// Settings configure a program.
	Settings
	// Other is text or data of unknown use.
	Other
	// Samples are scripts among documents: what they show, somebody may run.
	Samples
	// Documents explain, test or translate something.
	Documents
)

// RoleOf tells the role of a file. A script in a documentation folder weighs less than elsewhere, but not nothing: which
// scripts another script runs is not known here. What the image itself runs there is weighed by Finding.IfRun.
func RoleOf(f File) Role {
	name := strings.ToLower(path.Base(f.Path))
	switch f.Kind {
	case trust.KindConfig:
		return Runs
	case trust.KindExecutable:
		return Runs
	case trust.KindScript:
		switch {
		case isDocument(name), isTest(name) && inDocuments(f.Path):
			return Documents // whatever its mode: builds on some systems set the execute bits of all files
		case inDocuments(f.Path):
			return Samples
		}
		return Runs
	case trust.KindText:
		switch {
		case inDocuments(f.Path), isDocument(name):
			return Documents
		case startsThings(f.Path, name):
			return Runs
		case IsSettings(f.Path):
			return Settings
		}
	}
	if inDocuments(f.Path) {
		return Documents
	}
	return Other
}

// Weigh says what a sign of strength s weighs in a file of this role where it stands, and what it weighs if the image
// names the file as something to run (Context: no change).
func Weigh(r Role, s trust.Strength) (now, ifRun trust.Strength) {
	switch r {
	case Runs:
		return s, trust.Context
	case Settings:
		now = min(s, trust.Strong)
	case Samples:
		now = max(s-1, trust.Context)
	case Other:
		now = min(s, trust.Weak)
	default:
		now = trust.Context
	}
	if now == s {
		return now, trust.Context
	}
	return now, s
}

// Starts reports whether the content is what the image itself runs: its command, and what is run beside it.
// It holds for what is nested in it too.
func Starts(f File) bool {
	own, _, nested := strings.Cut(f.Path, trust.Nested)
	return (f.Kind == trust.KindConfig || nested) && (own == "config:command" || own == "config:healthcheck" || own == "config:onbuild")
}

// Built reports whether the content is a step of the image's build, whose results lie in a layer and are judged there.
func Built(f File) bool {
	return f.Kind == trust.KindConfig && strings.Contains(f.Path, "history")
}

func inDocuments(p string) bool {
	for part := range strings.SplitSeq(strings.ToLower(path.Dir(p)), "/") {
		switch part {
		case "doc", "docs", "man", "info", "test", "tests", "testdata", "examples", "locale", "locales", "i18n", "licenses",
			"fixtures", "__tests__":
			return true
		}
	}
	return false
}

// isTest: the name of a file of tests, as test runners of several languages want it.
func isTest(name string) bool {
	stem := strings.TrimSuffix(name, path.Ext(name))
	return strings.HasPrefix(stem, "test_") || strings.HasSuffix(stem, "_test") || strings.HasSuffix(stem, ".test") || strings.HasSuffix(stem, ".spec") || strings.HasSuffix(stem, "_spec")
}

func isDocument(name string) bool {
	switch path.Ext(name) {
	case ".md", ".markdown", ".rst", ".adoc", ".html", ".htm", ".tex", ".po", ".pot", ".texi", ".rtf", ".svg",
		".log", ".csv", ".tsv":
		return true
	case ".yar", ".yara", ".rules", ".sigma", ".ndb", ".ldb", ".hdb":
		return true // rules of security tools, which describe what they look for
	}
	for _, prefix := range []string{"readme", "changelog", "changes", "news", "license", "copying", "authors", "history"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// startsThings: files that make an init system, a scheduler or a login shell run something.
func startsThings(p, name string) bool {
	p = "/" + strings.TrimPrefix(p, "/")
	for _, part := range []string{
		"/etc/cron", "/var/spool/cron/", "/etc/init.d/", "/etc/init/", "/systemd/system/", "/systemd/user/",
		"/etc/supervisor", "/etc/profile.d/", "/etc/s6-overlay/", "/etc/services.d/", "/etc/cont-init.d/",
		"/docker-entrypoint.d/", "/etc/runit/", "/etc/service/",
	} {
		if strings.Contains(p, part) {
			return true
		}
	}
	switch name {
	case "rc.local", "inittab", ".bashrc", ".profile", ".bash_profile", ".bash_aliases", ".zshrc", "procfile",
		"supervisord.conf", "crontab", "monitrc":
		return true
	}
	switch path.Ext(name) {
	case ".service", ".timer":
		return true
	}
	return false
}

// IsSettings reports whether a file configures a program, by its name.
func IsSettings(p string) bool {
	name := strings.ToLower(path.Base(p))
	switch path.Ext(name) {
	case ".json", ".json5", ".jsonc", ".yaml", ".yml", ".toml", ".ini", ".conf", ".cfg", ".config", ".env", ".properties":
		return true
	}
	return name == ".env" || strings.HasPrefix(name, ".env.")
}

// maxProgram is more than anybody writes by hand into one file that an interpreter runs, in bytes.
const maxProgram = 1 << 20

// MayBeText reports whether an interpreter may read the file. A few control characters in a comment make data of a
// text, but not for a shell.
func MayBeText(f File) bool {
	switch f.Kind {
	case trust.KindConfig, trust.KindScript, trust.KindText:
		return true
	}
	return f.Kind == trust.KindData && f.Size <= maxProgram
}

// IsSource reports whether the file is source code by its name, which nothing reads as settings.
func IsSource(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".go", ".c", ".h", ".cc", ".cpp", ".hpp", ".cxx", ".java", ".rs", ".ts", ".tsx", ".kt", ".cs", ".swift", ".scala", ".m":
		return true
	}
	return false
}
