package anonymizer

import (
	"bytes"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// maxLine bounds the shell text that is parsed around one hit.
const maxLine = 4 << 10

// schedule is what stands before the command in a line of a crontab, with the user if one of the usual ones is named.
var schedule = regexp.MustCompile(`^[ \t]*(?:@[a-z]+[ \t]+|(?:[0-9*][0-9*/,-]*[ \t]+){5})(?:(?:root|nobody|daemon|www-data)[ \t]+)?`)

// calls are the commands that may cover window[at]. Where the lines around it are shell, the shell's grammar decides
// what is a command; everything else (Python, JSON, half a script) is read tolerantly.
func calls(window []byte, at int) []text.Command {
	list, start := logicalLine(window, at)
	if n := len(schedule.Find(list)); n > 0 && start+n <= at {
		list, start = list[n:], start+n
	}
	if looksLikeShell(list) {
		if out, ok := shell(list, start); ok {
			return out
		}
	}
	if c := text.CommandAt(text.Commands(window), at); c != nil {
		return []text.Command{c}
	}
	return nil
}

// logicalLine is the line around at with the lines that a backslash joins to it.
func logicalLine(window []byte, at int) (line []byte, start int) {
	start = at
	for start > 0 && at-start < maxLine && (window[start-1] != '\n' || start > 1 && window[start-2] == '\\') {
		start--
	}
	end := at
	for end < len(window) && end-at < maxLine && (window[end] != '\n' || window[end-1] == '\\') {
		end++
	}
	return window[start:end], start
}

// looksLikeShell is false for lists and calls of other languages, which the shell's grammar would misread.
func looksLikeShell(line []byte) bool {
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 || bytes.IndexByte([]byte(`["'{(#`), trimmed[0]) >= 0 || trimmed[len(trimmed)-1] == ',' {
		return false
	}
	// name(…) and name = … are no shell.
	head, behind, call := bytes.Cut(trimmed, []byte("("))
	if isFunction := bytes.HasPrefix(behind, []byte(") {")); call && !isFunction && len(head) > 0 && head[len(head)-1] != '$' && !bytes.ContainsAny(head, " \t") {
		return false
	}
	if bytes.Contains(trimmed, []byte(`["`)) || bytes.Contains(trimmed, []byte("['")) {
		return false // CMD ["…"], run(["…"])
	}
	fields := bytes.Fields(trimmed)
	return len(fields) < 2 || string(fields[1]) != "=" && string(fields[1]) != ":="
}

// shell parses a line of shell and gives the words of its simple commands.
func shell(line []byte, start int) ([]text.Command, bool) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(line), "")
	if err != nil {
		return nil, false
	}
	var out []text.Command
	syntax.Walk(file, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		var c text.Command
		for _, a := range call.Assigns {
			c = append(c, word(line, a.Pos().Offset(), a.End().Offset(), start))
		}
		for i, a := range call.Args {
			// "sh -c 'script'" is a command in a string: its words are words of commands too.
			if i >= 2 && strings.HasSuffix(call.Args[i-1].Lit(), "c") && strings.HasPrefix(call.Args[i-1].Lit(), "-") {
				from, to := a.Pos().Offset(), a.End().Offset()
				for _, inner := range text.Commands(line[from:to]) {
					for j := range inner {
						inner[j].At += int(from) + start
					}
					inner[0].Opens = true
					out = append(out, inner)
				}
				continue
			}
			c = append(c, word(line, a.Pos().Offset(), a.End().Offset(), start))
		}
		if len(c) > 0 {
			c[0].Opens = true
			out = append(out, c)
		}
		return true
	})
	return out, true
}

// unquote takes quotes out of a word. It is made once, since making it costs more than most lines do.
var unquote = strings.NewReplacer(`"`, "", "'", "")

func word(line []byte, from, to uint, start int) text.Word {
	raw := line[min(int(from), len(line)):min(int(to), len(line))]
	s := unquote.Replace(string(raw))
	return text.Word{Text: s, At: start + int(from)}
}
