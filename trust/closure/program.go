package closure

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// interpret follows the arguments of an interpreter that is no shell.
func (x *explorer) interpret(language string, args []string, st *script) {
	if language == python {
		x.begin("python")
	}
	for i, a := range args {
		plain := plainText(a)
		switch {
		case language == python && plain == "-m" && i+1 < len(args):
			x.module(plainText(args[i+1]), st, true)
			for _, rest := range args[i+2:] {
				x.readArgument(rest, "", st)
			}
			return
		case takesCode(plain) && i+1 < len(args):
			st.program(language, shownText(args[i+1]))
			x.readAs(language, shownText(args[i+1]), st)
		case strings.HasPrefix(plain, "-"):
			x.readArgument(a, "", st)
		case language == makefile:
			x.makefiles(st)
		default:
			for _, f := range x.matching(plain, st) {
				x.enqueue(f, want{level: st.level, args: bounded(args[i+1:]), as: language, dirs: st.dirs})
			}
			if language == node && len(x.matching(plain, st)) == 0 {
				x.require("./"+plain, st)
			}
			if name, _, ok := strings.Cut(plain, ":"); ok && language == python { // gunicorn app:main
				x.module(name, st, true)
			}
			x.readArgument(a, "", st)
		}
	}
	if language == makefile {
		x.makefiles(st)
	}
	if language == node {
		for _, f := range x.find("package.json", want{level: st.level, dirs: st.dirs}) {
			x.enqueue(f, want{level: st.level, as: manifest, dirs: st.dirs})
		}
	}
}

// takesCode reports whether the next argument of an interpreter is a program, as behind "-c", "-uc" and "-lne".
func takesCode(option string) bool {
	if option == "--eval" || option == "--print" {
		return true
	}
	return len(option) > 1 && option[0] == '-' && option[1] != '-' && len(option) < 8 && strings.IndexByte("cepErR", option[len(option)-1]) >= 0
}

func (x *explorer) makefiles(st *script) {
	for _, name := range []string{"Makefile", "makefile", "GNUmakefile"} {
		for _, f := range x.find(name, want{level: st.level, as: makefile, dirs: st.dirs}) {
			x.enqueue(f, want{level: st.level, as: makefile, dirs: st.dirs})
		}
	}
}

// Patterns of programs in other languages than the shell. They are read as text: what calls a program, what reads another
// file, and strings that stand there.
var (
	callPattern = regexp.MustCompile(`(?:\b(?:os\.(?:system|popen\w*|exec\w+|spawn\w+|posix_spawn\w*|startfile)|subprocess\.\w+|commands\.\w+|pty\.spawn|Popen|check_call|check_output|call|run|exec|execl\w*|execv\w*|execFile|execFileSync|execSync|execa|spawn|spawnSync|fork|system|popen|passthru|shell_exec|proc_open|pcntl_exec|create_subprocess_\w+|getoutput|cdll\.LoadLibrary|CDLL|dlopen)\s*\(?|\bqx\b|%x)`)
	importLines = regexp.MustCompile(`(?m)^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+([\w, \t(]+)|import[ \t]+([\w., \t]+))|;[ \t]*import[ \t]+([\w., \t]+)`)
	dynImport   = regexp.MustCompile(`(?:__import__|import_module|runpy\.run_module)\s*\(\s*["']([\w.]+)["']`)
	readPattern = regexp.MustCompile(`(?:\b(require|require_relative|require_once|include|include_once|import|from|load|do|execfile|runpy\.run_path|open|readFileSync|readFile|file_get_contents|read_text|Worker)\b[\s(]*)["']([^"'\n]{1,512})["']`)
)

// callWindow is how much of a call is looked at for strings, in bytes.
const callWindow = 1024

// readProgram reads a program in a language that is no shell.
func (x *explorer) readProgram(language, body string, st *script) {
	if !x.spend(1 + len(body)/64) {
		return
	}
	for _, at := range callPattern.FindAllStringIndex(body, maxVisits+1) {
		if !x.spend(8) {
			return
		}
		x.called(body[at[1]-1:min(at[1]+callWindow, len(body))], st)
	}
	st.passwordCalls(body)
	x.unseal(body, st)
	for _, m := range readPattern.FindAllStringSubmatch(body, maxVisits+1) {
		if !x.spend(8) {
			return
		}
		x.include(m[2], !onlyReads[m[1]], st)
	}
	if language == perl || language == ruby || language == php {
		for i, part := range strings.Split(body, "`") {
			if i%2 == 1 && len(part) < callWindow {
				st.text(unmarked(part))
			}
		}
	}
	if language == python {
		x.imports(body, st)
	}
}

// called follows the strings in the arguments of a call: one is a command line, several are its words.
func (x *explorer) called(call string, st *script) {
	literals, list := stringsOf(call)
	if len(literals) == 0 {
		return
	}
	if st.composed {
		argv := literals
		if !list {
			argv = strings.Fields(literals[0])
		}
		st.line(argv, true)
	}
	if !list || strings.ContainsAny(literals[0], " \t") {
		st.text(literals[0])
	}
	x.runCommand(st, literals)
}

// stringsOf are the string literals up to where the call ends; list is true when there are several.
func stringsOf(call string) (literals []string, list bool) {
	depth := 0
	for i := 0; i < len(call) && len(literals) < 64; i++ {
		switch c := call[i]; c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth <= 0 {
				return literals, len(literals) > 1
			}
		case ';':
			if depth == 0 {
				return literals, len(literals) > 1
			}
		case '"', '\'', '`':
			quote := call[i : i+1]
			if strings.HasPrefix(call[i:], strings.Repeat(quote, 3)) {
				quote = strings.Repeat(quote, 3)
			}
			begin := i + len(quote)
			end := begin
			for end < len(call) && !strings.HasPrefix(call[end:], quote) {
				if call[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end, len(call))
			if begin < end {
				literals = append(literals, unmarked(unescape(call[begin:end], false)))
			}
			i = end + len(quote) - 1
		}
	}
	return literals, len(literals) > 1
}

// onlyReads are calls that read a file for whatever purpose: what they name runs only if it is code or no text.
var onlyReads = wordSet("open readFileSync readFile file_get_contents read_text load")

// require follows a file that a program includes.
func (x *explorer) require(name string, st *script) { x.include(name, true, st) }

// include follows a file that a program reads, or runs if runs is set: a path as it is seen from the script or the working
// directory, or a package of Node.
func (x *explorer) include(name string, runs bool, st *script) {
	name = unmarked(name)
	dirs := appendNew([]string{st.self()}, st.dirs...)
	if st.file == nil {
		dirs = st.dirs
	}
	relative := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/")
	for _, end := range []string{"", ".js", ".mjs", ".cjs", ".json", ".ts", ".rb", ".pl", ".php", ".py", "/index.js", "/index.mjs"} {
		if !relative && end != "" && strings.Contains(name, " ") {
			break
		}
		for _, f := range x.find(name+end, want{level: st.level, dirs: dirs}) {
			if isCode(f.file) || f.file.Kind == trust.KindData || relative && runs {
				x.enqueue(f, want{level: st.level, dirs: dirs})
			}
		}
	}
	if relative || strings.ContainsAny(name, " :") || name == "" {
		return
	}
	for _, dir := range dirs {
		for ; ; dir = path.Dir(dir) {
			if folder := path.Join(dir, "node_modules", name); x.spend(1) && x.view.IsFolder(folder) {
				x.pack(folder)
				break
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
}

// pack makes all code in a folder run: a package that a program imports. Its own imports are not followed.
func (x *explorer) pack(folder string) { x.out.packages[strings.Trim(folder, "/")] = true }

// imports follows what a Python program imports.
func (x *explorer) imports(body string, st *script) {
	for _, m := range importLines.FindAllStringSubmatch(body, maxVisits+1) {
		switch {
		case m[1] != "":
			x.module(m[1], st, false)
			for name := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return strings.ContainsRune(", \t(", r) }) {
				x.module(strings.TrimSuffix(m[1], ".")+"."+name, st, false)
			}
		default:
			for name := range strings.SplitSeq(m[3]+m[4], ",") {
				if words := strings.Fields(name); len(words) > 0 {
					x.module(words[0], st, false)
				}
			}
		}
	}
	for _, m := range dynImport.FindAllStringSubmatch(body, maxVisits+1) {
		x.module(m[1], st, false)
	}
}

// sitePackages are where installed modules of Python lie.
var sitePackages = []string{"/usr/lib/python3/dist-packages", "/usr/local/lib/python*/site-packages", "/usr/lib/python*/site-packages", "/usr/local/lib/python*/dist-packages", "/opt/*/lib/python*/site-packages"}

// module starts a module of Python that lies beside the script, in the working directory or on PYTHONPATH. Of an installed
// package all code counts as running.
func (x *explorer) module(name string, st *script, main bool) {
	name = strings.Trim(strings.ReplaceAll(unmarked(name), ".", "/"), "/")
	if name == "" || len(name) > 256 || !x.spend(1) {
		return
	}
	dirs := append([]string{}, st.dirs...)
	if st.file != nil {
		dirs = appendNew([]string{st.self()}, dirs...)
	}
	for _, value := range st.vars["PYTHONPATH"] {
		dirs = appendNew(dirs, strings.Split(value, ":")...)
	}
	for _, end := range []string{".py", "/__init__.py", "/__main__.py", ".pyc", ".so"} {
		if end == "/__main__.py" && !main {
			continue
		}
		for _, f := range x.find(name+end, want{level: st.level, dirs: dirs}) {
			x.enqueue(f, want{level: st.level, as: python, dirs: dirs})
		}
	}
	top, _, _ := strings.Cut(name, "/")
	if x.started["site "+top] {
		return
	}
	x.started["site "+top] = true
	for _, site := range sitePackages {
		for _, dir := range x.foldersLike(site) {
			if x.view.IsFolder(path.Join(dir, top)) {
				x.pack(path.Join(dir, top))
			}
			if f := x.view.Lookup(path.Join(dir, top+".py")); f != nil {
				x.mark(f, path.Join(dir, top+".py"))
			}
		}
	}
}

// foldersLike are the folders that a pattern fits.
func (x *explorer) foldersLike(pattern string) []string {
	if known, ok := x.named[pattern]; ok {
		return known
	}
	dirs := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range dirs {
			names := []string{part}
			if strings.Contains(part, "*") {
				names = nil
				x.spend(len(x.view.Names(dir)))
				for _, n := range x.view.Names(dir) {
					if fit, _ := path.Match(part, n); fit {
						names = append(names, n)
					}
				}
			}
			if !x.spend(1 + len(names)) {
				return nil
			}
			for _, n := range names {
				if full := path.Join(dir, n); x.view.IsFolder(full) && len(next) < 64 {
					next = append(next, full)
				}
			}
		}
		dirs = next
	}
	x.named[pattern] = dirs
	return dirs
}
