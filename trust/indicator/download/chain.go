package download

import (
	"bytes"
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
	before, after = 512, 3 << 10
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
	urls = regexp.MustCompile(`(?i)\b(?:https?|ftp)://[^\s"'` + "`" + `;|<>)\\]{3,300}|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?/[^\s"'` + "`" + `;|<>)\\]{1,200}|\b[a-z2-7]{56}\.onion[^\s"'` + "`" + `;|<>)\\]{0,200}`)
	// stored is where a command line tool puts what it fetches.
	stored = regexp.MustCompile(`(?:\s-(?:\w*[oO]|-output(?:-document)?)[\s=]*|[^>0-9]>\s*|,\s*["'])["']?([^\s"'` + "`" + `;|&<>()-][^\s"'` + "`" + `;|&<>()]{0,127})`)
	// written are files that a program writes: open("x", "wb").
	written = regexp.MustCompile(`(?:open|createWriteStream|file_put_contents|writeFileSync|writeFile|Create|WriteFile)\(\s*["'` + "`" + `]([^"'` + "`" + `\s]{1,128})["'` + "`" + `]`)
)

// chain weighs what is done with something that is fetched at window[at].
func (w *watch) chain(window []byte, at int, offset int64) {
	line, start := text.Line(window, at, after)
	if behaviour.IsComment(line) || !report.MayBeText(w.file) {
		return
	}
	rest := window[at:min(len(window), at+after)]
	near := window[max(0, at-before):min(len(window), at+after)]
	piped := w.ind.piped.Match(line) || w.ind.evaluated.Match(line)
	address, from := w.source(near, line[min(at-start, len(line)):])
	if from == inside {
		return
	}
	target := ""
	if !piped {
		if target = w.target(line[at-start:], rest, address); target == "" || !w.runs(rest, target) {
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
	lower := strings.ToLower(address)
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

// target is the name under which something is stored, "" if it is not.
func (w *watch) target(line, rest []byte, address string) string {
	if m := stored.FindSubmatch(line); m != nil && !strings.Contains(string(m[1]), "://") && string(m[1]) != "/dev/null" {
		return string(m[1])
	}
	if m := written.FindSubmatch(rest); m != nil {
		return string(m[1])
	}
	if wgets := bytes.Contains(line[:min(len(line), 8)], []byte("wget")); wgets || bytes.Contains(line, []byte(" -O")) || bytes.Contains(line, []byte("O ")) {
		address, _, _ = strings.Cut(address, "?")
		if i := strings.Index(address, "://"); i >= 0 {
			address = address[i+3:]
		}
		if strings.Contains(address, "/") {
			return text.Base(address)
		}
	}
	return ""
}

// runs: what follows runs the target, or makes it executable and runs it by a variable.
func (w *watch) runs(rest []byte, target string) bool {
	base := text.Base(target)
	if base == "" || len(base) > maxTarget {
		return false
	}
	fetched := false
	for _, c := range text.Commands(rest) {
		for i, word := range c {
			switch {
			case text.Base(word.Text) != base && word.Text != target:
			case !fetched: // where it is stored
				fetched = true
			case i > 0 && slices.ContainsFunc(c[:i], func(b text.Word) bool { return slices.Contains(w.ind.interpreters, text.Base(b.Text)) }):
				return true
			case (i == 0 || slices.Contains(w.ind.starters, text.Base(c[i-1].Text))) && (strings.Contains(word.Text, "/") || i > 0):
				return true
			}
		}
		fetched = fetched || len(c) > 0 && strings.Contains(c[0].Text, "wget")
	}
	return false
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
