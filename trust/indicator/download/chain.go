package download

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
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

// origin says how trustworthy the place is that something is fetched from, from harmless to suspicious.
type origin int

const (
	inside  origin = iota // this machine, or a private network
	named                 // a host with a name, over TLS
	plain                 // a host with a name, without TLS
	strange               // a bare address, an onion, a paste: nobody stands for it
)

var (
	urls = regexp.MustCompile(`(?i)\b(?:https?|ftp)://[^\s"'` + "`" + `;|<>)\\]+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?/[^\s"'` + "`" + `;|<>)\\]+|/dev/tcp/(?:\d{1,3}\.){3}\d{1,3}/\d{2,5}|\b[a-z2-7]+\.onion[^\s"'` + "`" + `;|<>)\\]*`)
	// stored is where a command line tool puts what it fetches.
	stored = regexp.MustCompile(`(?:\s-(?:\w*[oO]|-output(?:-document)?)[\s=]*|[^>0-9]>\s*|,\s*["'])["']?([^\s"'` + "`" + `;|&<>()-][^\s"'` + "`" + `;|&<>()]*)`)
	// written are files that a program writes: open("x", "wb").
	written = regexp.MustCompile(`(?:\bopen|createWriteStream|file_put_contents|writeFileSync|writeFile|Create|WriteFile|binwrite|File\.write)\(\s*(?:["'` + "`" + `]([^"'` + "`" + `\s]+)["'` + "`" + `]|([A-Za-z_]\w*)\s*,\s*["']w)`)
)

// chain weighs what is done with something that is fetched at window[at].
func (w *watch) chain(window []byte, at int, offset int64) {
	if offset < w.chained || !report.MayBeText(w.file) {
		return
	}
	w.chained = offset + stride
	line, start := text.Line(window, at, maxLine)
	near := window[max(0, at-before):min(len(window), at+after)]
	if behaviour.IsComment(line) ||
		!hasAny(line, "|", "$(", "<(", "`", ">", " -", "O ", "wget") && !hasAny(near, "exec", "eval", "open(", "rite", "system", "spawn", "process.", "nvoke", "iex", "IEX") {
		return // nothing is stored and nothing is run
	}
	if w.chains++; w.chains > maxChains+offset/bytesPerChain {
		w.out.GiveUp("fetches more often than is read one by one")
		return
	}
	rest := window[at:min(len(window), at+after)]
	piped := hasAny(line, "|", "<(", "$(", "`") && w.ind.piped.Match(line) ||
		hasAny(line, "exec", "eval", "iex", "IEX", "nvoke", "-i") && w.ind.evaluated.Match(line)
	address, from := w.source(near, line[min(at-start, len(line)):])
	if from == inside {
		return
	}
	target, alias := "", ""
	if !piped {
		if target, alias = w.target(line[at-start:], near, address); target == "" || !w.runs(rest, target, alias) {
			return
		}
	}
	hidden := target != "" && (isTemporary(target) || strings.HasPrefix(text.Base(target), ".") || w.movesToTemporary(near))
	now, ifRun := trust.Context, trust.Weak
	switch {
	case from == strange && (hidden || w.scheduled()):
		now, ifRun = trust.Strong, trust.Strong
	case from == strange:
		now, ifRun = trust.Weak, trust.Strong
	case from == plain && hidden:
		now, ifRun = trust.Weak, trust.Weak
	}
	if report.Built(w.file) {
		now, ifRun = trust.Context, trust.Context
	}
	how := "and runs it"
	if piped {
		how = "and hands it to an interpreter"
	}
	w.out.AddIfRun(offset, now, ifRun, bytes.TrimSpace(line), fmt.Sprintf("fetches a program from %s %s", origins[from], how))
}

func hasAny(line []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(line, []byte(word)) })
}

var origins = map[origin]string{named: "a host on the network", plain: "a host on the network without encryption", strange: "where nobody stands for it (an address, an onion service, a paste)"}

// scheduled: the file is one that makes something run again and again.
func (w *watch) scheduled() bool {
	p := "/" + strings.TrimPrefix(w.file.Path, "/")
	return strings.Contains(p, "/etc/cron") || strings.Contains(p, "/var/spool/cron/") || strings.Contains(p, "/etc/periodic/")
}

// source is the address that something is fetched from: the one behind the fetching word, else one that a variable of
// the same script was given.
func (w *watch) source(near, line []byte) (string, origin) {
	if u := urls.Find(line); u != nil {
		return string(u), w.originOf(string(u))
	}
	best, address := inside, ""
	for _, u := range urls.FindAll(near, 8) {
		if o := w.originOf(string(u)); o > best {
			best, address = o, string(u)
		}
	}
	return address, best
}

func (w *watch) originOf(address string) origin {
	lower := strings.TrimPrefix(strings.ToLower(address), "/dev/tcp/")
	if !strings.Contains(lower, "://") {
		lower = "http://" + lower
	}
	u, err := url.Parse(lower)
	if err != nil {
		return named // variables in the host's place
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
			return inside
		}
		return strange
	}
	switch {
	case !strings.Contains(host, "."), strings.HasSuffix(host, ".local"), strings.HasSuffix(host, ".internal"), strings.HasSuffix(host, ".localhost"):
		if strings.ContainsAny(host, "$%{") {
			return named
		}
		return inside
	case strings.HasSuffix(host, ".onion"):
		return strange
	case slices.ContainsFunc(w.ind.pastes, func(p string) bool {
		domain, path, _ := strings.Cut(p, "/")
		return (host == domain || strings.HasSuffix(host, "."+domain)) && strings.HasPrefix(strings.TrimPrefix(u.Path, "/"), path)
	}):
		return strange
	case u.Scheme == "http", u.Scheme == "ftp":
		return plain
	}
	return named
}

// target is the name under which something is stored, "" if it is not, and the variable that holds this name.
func (w *watch) target(line, near []byte, address string) (target, alias string) {
	if m := stored.FindSubmatch(line); m != nil && !strings.Contains(string(m[1]), "://") && string(m[1]) != "/dev/null" {
		return string(m[1]), ""
	}
	if m := written.FindSubmatch(near); m != nil {
		if len(m[2]) == 0 {
			return string(m[1]), ""
		}
		return cmp.Or(text.Assignments(near)[string(m[2])], string(m[2])), string(m[2])
	}
	if wgets := bytes.Contains(line[:min(len(line), 8)], []byte("wget")); wgets || bytes.Contains(line, []byte(" -O")) || bytes.Contains(line, []byte("O ")) {
		address, _, _ = strings.Cut(address, "?")
		if i := strings.Index(address, "://"); i >= 0 {
			address = address[i+3:]
		}
		if strings.Contains(address, "/") {
			return text.Base(address), ""
		}
	}
	return "", ""
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
	before := text.Base(c[j].Text)
	return slices.Contains(w.ind.interpreters, before) || slices.Contains(w.ind.interpreters, c[j].Text) || slices.Contains(w.ind.starters, before)
}

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
