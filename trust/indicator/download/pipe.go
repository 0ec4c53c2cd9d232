package download

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// What a shell is handed needs no tool that downloads: any program does that says what somebody else wants.

// pipe looks at what stands before a pipe into a shell at window[at].
func (w *watch) pipe(window []byte, at int, offset int64) {
	if !report.MayBeText(w.file) {
		return
	}
	line, start := text.Line(window, at, maxLine)
	if behaviour.IsComment(line) {
		return
	}
	if readsData(line[at-start:]) {
		return
	}
	first := pipeStart(line[:at-start])
	commands := text.Commands(first)
	if len(commands) == 0 || !w.chargeChain(offset) {
		return
	}
	c := commands[0]
	for len(c) > 1 && (slices.Contains(w.ind.starters, c[0].Text) || strings.Contains(c[0].Text, "=")) {
		c = c[1:]
	}
	var from origin
	name := text.Base(c[0].Text)
	switch {
	case slices.Contains(w.ind.records, name):
		from = strange
	case slices.Contains(w.ind.channels, name):
		from = w.channel(c)
	default:
		u := urls.Find(first)
		if u == nil {
			return
		}
		if from = w.originOf(string(u)); from != strange {
			return // what names only data, as many URLs do; tools that fetch programs are known
		}
	}
	w.weigh(followed{line: line, near: line, offset: offset, from: from, how: "and hands it to a shell"})
}

// takesWords is what follows an interpreter behind a pipe whose program is an argument: the option that says so.
var takesWords = regexp.MustCompile(`^\s*(?:\|\s*)?(?:/\S*/)?(?:(?:ba|da|z|k|a)?sh\s+(?:-\w+\s+)*-\w*c|(?:python[\d.]*|perl|php|node|ruby)\s+(?:-\w+\s+)*-\w*[cemrnp])\s`)

// lastPipe is where the last command of a pipe begins, up to an interpreter.
var lastPipe = regexp.MustCompile(`\|\s*(?:sudo\s+)?(?:/\S*/)?(?:(?:ba|da|z|k|a)?sh|python[\d.]*|perl|php|node|ruby)\s`)

// readsData: an interpreter behind a pipe is told what to do in words that do not run what it reads.
func readsData(pipe []byte) bool {
	m := takesWords.FindIndex(pipe)
	return m != nil && !hasAny(pipe[m[1]:], "exec", "eval", "$(cat", "`cat", "/dev/stdin", "read ", "$(<", "| sh", "|sh", "| bash", "|bash", "xargs", "compile(")
}

// pipeStart is the beginning of the pipe that ends with a text.
func pipeStart(before []byte) []byte {
	for i := len(before) - 1; i >= 0; i-- {
		switch before[i] {
		case ';', '{', '(', '`':
			return before[i+1:]
		case '|', '&':
			if i > 0 && before[i-1] == before[i] {
				return before[i+1:]
			}
		}
	}
	return before
}

// channel is the origin of what comes through a connection to a host that stands among the arguments: it is never
// vouched for, whatever its name is.
func (w *watch) channel(c text.Command) origin {
	for _, word := range c[1:] {
		host := strings.Trim(word.Text, "[]")
		for _, scheme := range []string{"tcp:", "tcp4:", "tcp-connect:", "tcp4-connect:", "openssl:", "ssl:", "udp:"} {
			if rest, ok := strings.CutPrefix(strings.ToLower(host), scheme); ok {
				host = rest
			}
		}
		if h, _, ok := strings.Cut(host, ":"); ok && strings.Count(host, ":") == 1 {
			host = h
		}
		ip, err := netip.ParseAddr(host)
		switch {
		case err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()), host == "localhost":
			return inside
		case err == nil && ip.IsUnspecified():
		case err == nil:
			return strange
		case strings.HasPrefix(word.Text, "-"), !strings.Contains(host, "."):
		default:
			return w.nameOrigin(host)
		}
	}
	return inside
}

// nameOrigin is that of a host with a name whose connection anybody in between may change.
func (w *watch) nameOrigin(host string) origin {
	if o := w.originOf("http://" + host + "/"); o == inside {
		return inside
	}
	return strange
}

// address looks at a URL of a bare address at window[at], whatever fetches it.
func (w *watch) address(window []byte, at int, offset int64) {
	switch k := w.file.Kind; {
	case offset < w.addressed:
		return
	case k != trust.KindScript && k != trust.KindConfig && (k != trust.KindText || !report.IsSource(w.file.Path)):
		return // lists of addresses to block are long
	}
	u := urls.Find(window[at:min(len(window), at+maxLine)])
	if u == nil || w.originOf(string(u)) != strange {
		return
	}
	line, start := text.Line(window, at, maxLine)
	near := window[max(0, at-before):min(len(window), at+after)]
	if !mayRun(line, near) || behaviour.IsComment(line) || bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("*")) || !w.chargeChain(offset) {
		return
	}
	w.addressed = offset + stride
	f := followed{line: line, behind: line[at-start:], near: near, rest: window[at:min(len(window), at+after)], offset: offset, from: strange}
	f.targets = w.targets(f, string(u))
	w.weigh(f)
}
