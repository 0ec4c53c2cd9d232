package stealth

import (
	"bytes"
	"fmt"
	"math/bits"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

type watch struct {
	ind    *Indicator
	file   indicator.File
	out    *report.Report
	budget report.Budget

	functions, texts, modules uint64 // a bit for every word
	at                        int64  // where the first text of a library stands
	excerpt                   []byte
	moduleAt                  int64
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	binary := w.file.Kind == trust.KindExecutable || w.file.Kind == trust.KindData
	l := w.ind.meaning[h.Literal]
	switch {
	case l.class == file:
		w.write(h)
	case !binary:
	case l.class == function:
		w.functions |= 1 << l.id
	case l.class == proc:
		if w.texts == 0 {
			w.at, w.excerpt = h.Offset, []byte(w.ind.rules.Texts[l.id])
		}
		w.texts |= 1 << l.id
	default:
		if w.modules == 0 {
			w.moduleAt = h.Offset
		}
		w.modules |= 1 << l.id
	}
}

// commands are apart by what ends one; a pipe does not.
var commands = regexp.MustCompile(`;|&&|\|\|`)

// writes is a command that writes into the list of libraries.
var writes = regexp.MustCompile(`(?:>|\btee\b(?:\s+-\w+)*|\b(?:cp|mv|install)\s[^;|&\n]{1,200})\s*["']?/etc/ld\.so\.preload`)

// write looks for a command that makes every program load a library.
func (w *watch) write(h indicator.Hit) {
	if w.file.Kind != trust.KindScript && w.file.Kind != trust.KindConfig || !w.budget.Spend(w.out, h.Offset) {
		return
	}
	window, at := text.Clip(h)
	line, _ := text.Line(window, at, 400)
	for _, command := range commands.Split(string(line), -1) {
		if !writes.MatchString(command) {
			continue
		}
		lib, _, s := w.ind.strange([]byte(strings.ReplaceAll(command, "/"+preload, "")), library)
		if s == trust.Context {
			continue
		}
		w.out.Add(h.Offset, s, line, fmt.Sprintf("makes every program load %q, as rootkits do", trust.Sanitise(string(lib), 100)))
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if all := uint64(1)<<len(w.ind.rules.Functions) - 1; w.functions == all && bits.OnesCount64(w.texts) >= minTexts {
		now, ifRun := trust.Proof, trust.Context
		if w.file.Kind != trust.KindExecutable {
			now, ifRun = trust.Strong, trust.Proof
		}
		w.out.AddWeighed(w.at, now, ifRun, w.excerpt, "is a library that hides processes from everything that lists them")
	}
	if n := bits.OnesCount64(w.modules); n >= minModule {
		w.out.AddWeighed(w.moduleAt, trust.Strong, trust.Context, nil, fmt.Sprintf("holds %d names of a kernel module that hides processes", n))
	}
	return w.out.Findings()
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

// listWatch reads the list of libraries that every program loads.
type listWatch struct {
	watch

	list []byte
	more bool
}

// Bytes implements indicator.ByteWatch.
func (w *listWatch) Bytes(chunk []byte) {
	n := min(len(chunk), preloadBytes-len(w.list))
	w.list = append(w.list, chunk[:n]...)
	w.more = w.more || n < len(chunk)
}

// Close implements indicator.Watch.
func (w *listWatch) Close() []trust.Finding {
	if w.more {
		w.out.GiveUp(fmt.Sprintf("is a list of libraries to load of more than %d bytes", preloadBytes))
	}
	var kept []byte // without comments, at the same offsets
	for line := range bytes.Lines(w.list) {
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = append(bytes.Clone(line[:i]), bytes.Repeat([]byte(" "), len(line)-i)...)
		}
		kept = append(kept, line...)
	}
	if lib, at, s := w.ind.strange(kept, entry); s > trust.Context {
		w.out.AddWeighed(int64(at), s, trust.Context, lib, "makes every program load a library that nothing ordinary preloads, as rootkits do")
	} else if len(bytes.TrimSpace(kept)) > 0 {
		w.out.AddWeighed(0, trust.Context, trust.Context, bytes.TrimSpace(kept), "makes every program load a library")
	}
	return w.watch.Close()
}
