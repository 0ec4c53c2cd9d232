package commandline

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// Work is the beginning of a command that mines by what it is, whatever it is told.
type Work struct {
	Text string `yaml:"text"`
	// Proof marks a command that has no other use; two others in one file are as good.
	Proof bool `yaml:"proof"`
}

// addWorks makes literals of them, behind all others.
func (ind *Indicator) addWorks() error {
	ind.works = len(ind.literals)
	for _, w := range ind.rules.Works {
		if len(w.Text) < 6 {
			return fmt.Errorf("commandline rules: works: %q is shorter than 6 bytes", w.Text)
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: w.Text})
	}
	return nil
}

// work weighs a command that mines by what it is, where something runs commands.
func (w *watch) work(i int, window []byte, at int, offset int64) {
	if w.out.Role() != report.Runs || w.file.Kind == trust.KindExecutable || report.Built(w.file) || at > 0 && !isBorder(window[at-1]) && !strings.ContainsRune("\n\t/;&|`$", rune(window[at-1])) {
		return
	}
	line, _ := text.Line(window, at, 200)
	if behaviour.IsComment(line) || bytes.Contains(line, []byte("echo ")) || bytes.Contains(line, []byte("printf ")) {
		return // says it, to a person
	}
	if w.done == nil {
		w.done = map[int]bool{}
	}
	w.done[i] = true
	strength, why := trust.Strong, "runs a command that plots, farms or mines"
	if w.ind.rules.Works[i].Proof || len(w.done) > 1 {
		strength, why = trust.Proof, "runs commands that plot, farm or mine"
	}
	w.out.Add(offset, strength, bytes.TrimSpace(line), why)
}
