package download

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// What any script does with a program that it fetches from somewhere: it is not known to be a miner, but where it comes
// from, where it goes and that it is run say something together.

const (
	// before and after are how much is read around a fetch, in bytes.
	before, after = 512, 1 << 10
	// So many fetches, and one more for every bytesPerChain bytes, are read closely in one file: reading one costs as much
	// as inflating a megabyte. The file is reported as unread beyond that.
	maxChains, bytesPerChain = 512, 2 << 10
	// maxLine bounds the line around it, to each side; stride is how close to the last fetch read another is passed over.
	maxLine, stride = 512, 64
	// maxTarget bounds the name under which something is stored.
	maxTarget = 128
)

// chain weighs what is done with something that is fetched at window[at].
func (w *watch) chain(window []byte, at int, offset int64) {
	if offset < w.chained || !report.MayBeText(w.file) {
		return
	}
	w.chained = offset + stride
	line, start := text.Line(window, at, maxLine)
	near := window[max(0, at-before):min(len(window), at+after)]
	if behaviour.IsComment(line) || !mayRun(line, near) {
		return // nothing is stored and nothing is run
	}
	if !w.chargeChain(offset) {
		return
	}
	rest := window[at:min(len(window), at+after)]
	how := ""
	switch {
	case hasAny(line, "|", "<(", "$(", "`") && w.piped(line), hasAny(line, "exec", "eval", "iex", "IEX", "nvoke", "-i") && w.ind.evaluated.Match(line):
		how = "and hands it to an interpreter"
	}
	address, from := w.source(near, line[min(at-start, len(line)):])
	f := followed{line: line, near: near, rest: rest, behind: line[at-start:], offset: offset, from: from, how: how}
	if how == "" && from != inside {
		f.targets = w.targets(f, address)
	}
	w.weigh(f)
}

// piped: what is fetched in a line is handed to an interpreter.
func (w *watch) piped(line []byte) bool {
	m := w.ind.piped.FindIndex(line)
	if m == nil {
		return false
	}
	if last := lastPipe.FindIndex(line[m[0]:]); last != nil && readsData(line[m[0]+last[0]:]) {
		return false
	}
	return true
}

// chargeChain reports whether one more fetch may be read.
func (w *watch) chargeChain(offset int64) bool {
	if w.chains++; w.chains > maxChains+offset/bytesPerChain {
		w.out.GiveUp("fetches more often than is read one by one")
		return false
	}
	return true
}

// followed is a fetch with what stands around it.
type followed struct {
	// line is that of the fetch, behind what of it begins with the fetch; near and rest are the text around and behind.
	line, behind, near, rest []byte
	offset                   int64
	from                     origin
	// targets are where it may be stored.
	targets []stored
	// how it is run, "" if that is not known yet.
	how string
}

// weigh finds out how what is fetched is run, and reports it.
func (w *watch) weigh(f followed) {
	if f.from == inside {
		return
	}
	target := ""
	if f.how == "" {
		f.how = "and runs it"
		is := slices.IndexFunc(f.targets, func(t stored) bool { return w.runs(f.rest, t.name, t.alias) })
		switch {
		case is >= 0:
			target = f.targets[is].name
		case f.from >= plain && bytes.HasPrefix(f.behind, []byte("git clone")) && w.ind.builds.Match(f.rest):
		case f.from == strange && w.ind.evaluators.Match(f.rest):
			f.how = "and runs what came as a program of its own"
		default:
			return
		}
	}
	hidden := target != "" && (isTemporary(target) || strings.HasPrefix(text.Base(target), ".") || w.movesToTemporary(f.near))
	now, ifRun := trust.Context, trust.Weak
	switch {
	case f.from == strange && (hidden || w.scheduled()):
		now, ifRun = trust.Strong, trust.Strong
	case f.from == strange:
		now, ifRun = trust.Weak, trust.Strong
	case hidden && w.isHidden(target, f.near):
		now, ifRun, f.how = trust.Weak, trust.Strong, "into a hidden file "+f.how
	case f.from == plain && hidden:
		now, ifRun = trust.Weak, trust.Weak
	}
	if report.Built(w.file) {
		now, ifRun = trust.Context, trust.Context
	}
	w.out.AddIfRun(f.offset, now, ifRun, bytes.TrimSpace(f.line), fmt.Sprintf("fetches a program from %s %s", origins[f.from], f.how))
}

// isHidden: a file that a listing does not show, in a folder that everybody may write to.
func (w *watch) isHidden(target string, near []byte) bool {
	if !isTemporary(target) && !w.movesToTemporary(near) {
		return false
	}
	if base := text.Base(target); strings.HasPrefix(base, ".env") || strings.HasSuffix(base, "rc") || strings.HasSuffix(base, "profile") {
		return false // settings, whose names begin so
	}
	return slices.ContainsFunc(strings.Split(target, "/"), func(part string) bool {
		return len(part) > 1 && part[0] == '.' && part != ".."
	})
}

// mayRun is a quick look for what stores or runs something.
func mayRun(line, near []byte) bool {
	return hasAny(line, "|", "$(", "<(", "`", ">", " -", "O ", "wget") || hasAny(near, "exec", "eval", "open(", "rite", "system", "spawn", "process.", "nvoke", "iex", "IEX", "Process", "Command", "Function")
}

func hasAny(line []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(line, []byte(word)) })
}

// stored is a name under which something is stored, and the variable that holds this name.
type stored struct{ name, alias string }

// maxTargets bounds the names that one fetch is followed by.
const maxTargets = 6

// targets are the names under which something may be stored.
func (w *watch) targets(f followed, address string) (out []stored) {
	if to := positional(f.behind); to != "" {
		return []stored{{name: to}}
	}
	line := f.behind
	if bytes.HasPrefix(line, []byte("/dev/tcp/")) { // what comes is read in another command
		line = f.rest
	}
	for _, m := range storing.FindAllSubmatch(line, maxTargets) {
		name := string(m[1])
		if strings.Contains(name, "://") || name == "/dev/null" {
			continue
		}
		if dir := intoFolder.FindSubmatch(line); dir != nil && !strings.HasPrefix(name, "/") {
			name = strings.TrimSuffix(string(dir[1]), "/") + "/" + name
		}
		out = append(out, stored{name: name})
	}
	for _, m := range written.FindAllSubmatch(f.near, maxTargets) {
		switch {
		case len(m[1])+len(m[3]) > 0:
			out = append(out, stored{name: string(m[1]) + string(m[3])})
		default:
			out = append(out, stored{cmp.Or(text.Assignments(f.near)[string(m[2])], string(m[2])), string(m[2])})
		}
	}
	if wgets := bytes.Contains(line[:min(len(line), 8)], []byte("wget")); wgets || bytes.Contains(line, []byte(" -O")) || bytes.Contains(line, []byte("O ")) {
		address, _, _ = strings.Cut(address, "?")
		if i := strings.Index(address, "://"); i >= 0 {
			address = address[i+3:]
		}
		if strings.Contains(address, "/") {
			out = append(out, stored{name: text.Base(address)})
		}
	}
	return out
}

// intoFolder is where aria2 and wget put a file that is named without its folder.
var intoFolder = regexp.MustCompile(`\s(?:-d|-P|--dir|--directory-prefix)[\s=]+["']?(/[^\s"'` + "`" + `;|&<>()]+)`)

// copier are programs whose last argument is where they put what they fetch.
var copier = regexp.MustCompile(`^(?:rsync|scp|s3 cp|gsutil (?:-\S+ )*cp|mc cp|lwp-download|sftp|copyto)\s`)

// positional is the last argument of a copier, "" for another program.
func positional(line []byte) string {
	if !copier.Match(line) {
		return ""
	}
	commands := text.Commands(line)
	if len(commands) == 0 || len(commands[0]) < 3 {
		return ""
	}
	last := commands[0][len(commands[0])-1].Text
	if strings.ContainsAny(last, ":$") || strings.HasSuffix(last, "/") || last == "." {
		return ""
	}
	return last
}

// runs: what follows runs the target, or unpacks it and runs what was in it.
func (w *watch) runs(rest []byte, target, alias string) bool {
	base := text.Base(target)
	if base == "" || len(base) > maxTarget {
		return false
	}
	fetched, unpacked := false, false
	for _, c := range text.Commands(rest) {
		if unpacked && strings.HasPrefix(c[0].Text, "./") {
			return true
		}
		for i, word := range c {
			switch {
			case text.Base(word.Text) != base && word.Text != target && (alias == "" || word.Text != alias):
			case !fetched: // where it is stored
				fetched = true
			case w.isRun(c, i):
				return true
			case slices.Contains([]string{"tar", "unzip", "7z", "gunzip"}, text.Base(c[0].Text)):
				unpacked = true
			}
		}
		fetched = fetched || len(c) > 0 && strings.Contains(c[0].Text, "wget")
	}
	return false
}

// isRun: the word at i stands where a program's name or an interpreter's script does.
func (w *watch) isRun(c text.Command, i int) bool {
	if i == 0 {
		return strings.Contains(c[i].Text, "/") || !strings.Contains(c[i].Text, ".")
	}
	j := i - 1
	for j > 0 && strings.HasPrefix(c[j].Text, "-") && len(c[j].Text) < 5 {
		j--
	}
	before, _, _ := strings.Cut(text.Base(c[j].Text), "(")   // os.spawnl(os.P_NOWAIT
	before = before[strings.LastIndexAny(before, ";)}{")+1:] // chmod(x);exec
	if k := strings.LastIndexAny(before, ".:"); k > 0 && slices.Contains(methods, before[k+1:]) {
		return true
	}
	return slices.Contains(w.ind.interpreters, before) || slices.Contains(w.ind.interpreters, c[j].Text) || slices.Contains(w.ind.starters, before)
}

// methods are the last parts of names of functions that start a program, in many languages: cp.execFile, exec.Command.
var methods = []string{"exec", "execFile", "execFileSync", "execSync", "spawn", "spawnSync", "system", "Popen", "popen", "Command", "ProcessBuilder", "execv", "execve", "execvp", "execl", "execlp", "spawnv", "spawnl", "spawnlp", "spawnvp", "posix_spawn", "create_subprocess_exec", "create_subprocess_shell", "check_call", "check_output", "CommandContext"}

// movesToTemporary: the script works in a folder that everybody may write to.
func (w *watch) movesToTemporary(near []byte) bool {
	for _, dir := range []string{"cd /tmp", "cd /var/tmp", "cd /dev/shm", "cd /run"} {
		if bytes.Contains(near, []byte(dir)) {
			return true
		}
	}
	return false
}

func isTemporary(p string) bool {
	return slices.ContainsFunc([]string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/"}, func(d string) bool { return strings.HasPrefix(p, d) })
}

// entryInstall weighs packages that are installed when the image starts, which nobody has inspected.
func (w *watch) entryInstall(window []byte, at int, offset int64) {
	if !report.Starts(w.file) {
		return
	}
	c := text.CommandAt(text.Commands(window), at)
	named := false
	for i, word := range c {
		if word.At <= at || strings.HasPrefix(word.Text, "-") || word.Text == "install" || word.Text == "." || word.Text == "i" || word.Text == "add" {
			continue
		}
		named = named || c[i-1].Text != "-r" && c[i-1].Text != "--requirement" && c[i-1].Text != "-e"
	}
	if named {
		line, _ := text.Line(window, at, 200)
		w.out.Add(offset, trust.Weak, line, "installs packages when the image starts, which nobody could inspect before")
	}
}
