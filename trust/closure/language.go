package closure

import (
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// The languages that are read. A shell is any of the Bourne family.
const (
	shellScript = "shell"
	python      = "python"
	node        = "node"
	perl        = "perl"
	ruby        = "ruby"
	php         = "php"
	execline    = "execline"
	crontab     = "crontab"
	supervisor  = "supervisor"
	unit        = "systemd"
	inittab     = "inittab"
	manifest    = "package.json"
	makefile    = "makefile"
	wordList    = "words"
	phpSettings = "php.ini"
)

// readsAsShell are the languages whose commands are formed from words, as a shell does.
var readsAsShell = map[string]bool{
	shellScript: true, execline: true, crontab: true, supervisor: true, unit: true, inittab: true, manifest: true, makefile: true, wordList: true,
}

// interprets are the other languages whose programs an interpreter is given by name.
var interprets = map[string]bool{python: true, node: true, perl: true, ruby: true, php: true}

// interpreters are the names of programs that run a script.
var interpreters = map[string]string{
	"sh": shellScript, "bash": shellScript, "dash": shellScript, "ash": shellScript, "zsh": shellScript, "ksh": shellScript, "mksh": shellScript, "rbash": shellScript, "with-contenv": shellScript, "openrc-run": shellScript,
	"python": python, "pypy": python, "uwsgi": python, "gunicorn": python, "ipython": python, "node": node, "nodejs": node, "deno": node, "bun": node, "ts-node": node, "nodemon": node, "pm2": node, "pm2-runtime": node,
	"perl": perl, "ruby": ruby, "php": php, "execlineb": execline, "make": makefile,
}

var suffixes = map[string]string{
	".sh": shellScript, ".bash": shellScript, ".zsh": shellScript, ".ksh": shellScript, ".ash": shellScript,
	".py": python, ".pyw": python, ".pth": python, ".js": node, ".mjs": node, ".cjs": node, ".ts": node, ".pl": perl, ".pm": perl, ".rb": ruby, ".php": php,
	".service": unit, ".timer": unit, ".socket": unit,
}

// languageOfProgram is what a program of this name reads: "python3.11" is python.
func languageOfProgram(name string) string {
	name = path.Base(name)
	if l, ok := interpreters[name]; ok {
		return l
	}
	return interpreters[strings.TrimRight(name, "0123456789.-")]
}

// languageOf is what a file is written in, "" if it says nothing about what it starts.
func (x *explorer) languageOf(j job) string {
	body := x.bodies[j.file]
	if body == "" {
		body = j.file.Body
	}
	if first, ok := strings.CutPrefix(body, "#!"); ok && j.as == "" {
		line, _, _ := strings.Cut(first, "\n")
		return x.shebang(line, j)
	}
	switch base := path.Base(j.place); {
	case j.as != "":
		return j.as
	case suffixes[path.Ext(base)] != "":
		return suffixes[path.Ext(base)]
	case base == "package.json":
		return manifest
	case strings.EqualFold(base, "makefile"):
		return makefile
	case j.file.Kind == trust.KindScript && j.file.Mode&0o111 != 0, strings.HasPrefix(base, ".") && j.file.Kind == trust.KindScript:
		return shellScript // what a shell makes of a program without a first line that says otherwise
	case j.file.Kind == trust.KindScript && body == "":
		return shellScript // not kept: its first line will say
	}
	return ""
}

// shebang runs the interpreter that the first line names and says what it reads.
func (x *explorer) shebang(line string, j job) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return shellScript
	}
	w := want{level: j.level, dirs: []string{"/"}}
	language := ""
	for i, word := range words {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		name := path.Base(word)
		if i == 0 || !strings.Contains(word, "/") && i > 0 {
			programs := x.program(word, w)
			name = x.nameOf(name, programs)
			for _, f := range programs {
				x.mark(f.file, f.place)
				if i == 0 && f.file.Kind == trust.KindScript && languageOfProgram(name) == "" {
					x.enqueue(f, want{level: j.level, args: []string{j.place}, dirs: w.dirs})
				}
			}
		}
		if l := languageOfProgram(name); l != "" {
			language = l
		}
	}
	if language == "" {
		language = j.as
	}
	return language
}

// readAs reads a script.
func (x *explorer) readAs(language, body string, st *script) {
	switch language {
	case shellScript:
		st.text(body)
	case execline, wordList:
		st.loose(body)
	case crontab:
		x.readCrontab(body, st)
	case supervisor:
		x.readSettings(body, st, "command")
	case unit:
		x.readSettings(body, st, "Exec")
	case phpSettings: // what stands before and behind every page
		x.readSettings(body, st, "auto_")
	case inittab:
		x.readInittab(body, st)
	case manifest:
		x.readPackage(body, st, nil)
	case makefile:
		for line := range strings.SplitSeq(body, "\n") {
			if recipe, ok := strings.CutPrefix(line, "\t"); ok {
				st.text(strings.TrimLeft(recipe, "@-+"))
			}
		}
	default:
		plain := composed(language, plainer(body))
		outer := st.composed
		st.composed = plain != body
		body = plain
		defer func() { st.composed = outer }()
		x.literals(language, body, st)
		x.readProgram(language, body, st)
	}
}
