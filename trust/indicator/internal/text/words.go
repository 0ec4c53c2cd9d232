package text

import (
	"bytes"
	"strings"
)

// MaxWords bounds the words of one command, so that hostile text costs no more than its length.
const MaxWords = 1024

// Word is one word of a command: quotes, brackets and commas around it are gone.
type Word struct {
	Text string
	// At is where the word begins in the text.
	At int
	// Opens is true when the word is the first of its command, string or list: where a program's name stands.
	Opens bool
}

// Command is the words of one command.
type Command []Word

// Commands splits text into commands, whatever writes them: shell, Dockerfile, JSON or Python lists, YAML sequences,
// strings inside other languages. Command separators count only where white space or an end of line is next to
// them, and a line end does not end a command after "\", "," or an opening bracket, before a closing one, or before
// a YAML list item.
func Commands(text []byte) []Command {
	var out []Command
	var current Command
	opens := true
	flush := func() {
		if len(current) > 0 {
			out = append(out, current)
		}
		current, opens = nil, true
	}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case isEscape(text, i):
			i++
			if text[i] == '\n' || text[i] == '\r' {
				i++
			}
		case c == '\n':
			if endsOpen(text[:i]) {
				i++
				break
			}
			// All blank lines at once: one by one they would each cost a look at the rest.
			rest := bytes.TrimLeft(text[i:], " \t\r\n")
			if !goesOn(rest) {
				flush()
			}
			i = len(text) - len(rest)
		case c == '"' || c == '\'' || c == '`':
			opens = opens || opensString(text, i)
			i++
		case isSpace(c) || c == ',':
			i++
		case isSeparator(text, i):
			flush()
			i++
		default:
			end := wordEnd(text, i)
			at, word := trim(text, i, end)
			i = end
			if len(word) == 1 && strings.Contains("fbru", word) && quotesMore(text, i) {
				continue // what kind of string begins, in Python
			}
			if word == "" || word == "+" || word == "." || word == "-" || word == "\\" {
				opens = opens || word == "-" || bytes.ContainsAny(text[at:end], "[({")
				continue
			}
			if len(current) < MaxWords {
				current = append(current, Word{Text: word, At: at, Opens: opens})
			}
			opens = strings.HasSuffix(string(text[at:end]), "(") || strings.HasSuffix(string(text[at:end]), "[")
		}
	}
	flush()
	return out
}

// opensString: a quote after a bracket, an equals sign or the beginning begins a new string or list.
func opensString(text []byte, i int) bool {
	for i--; i >= 0 && (isSpace(text[i]) || text[i] == 'f' || text[i] == 'b' || text[i] == 'r' || text[i] == '\\'); i-- {
	}
	return i < 0 || bytes.IndexByte([]byte("[({=:"), text[i]) >= 0
}

// quotesMore: a quote stands at i and something that it quotes behind it.
func quotesMore(text []byte, i int) bool {
	return i+1 < len(text) && (text[i] == '"' || text[i] == '\'') && bytes.IndexByte([]byte(" \t\r\n,;)]}\"'"), text[i+1]) < 0
}

// isEscape: a backslash before a line end or a quote, which is no part of a word.
func isEscape(text []byte, i int) bool {
	return text[i] == '\\' && i+1 < len(text) && bytes.IndexByte([]byte("\n\r\"'"), text[i+1]) >= 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0 }

// endsOpen: a line after which its command goes on.
func endsOpen(line []byte) bool {
	line = bytes.TrimRight(line, " \t\r")
	return len(line) > 0 && bytes.IndexByte([]byte(`\,[(`), line[len(line)-1]) >= 0
}

// goesOn: a line that goes on with the command before it.
func goesOn(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	return line[0] == ']' || line[0] == ')' || len(line) > 2 && line[0] == '-' && line[1] == ' '
}

// isSeparator: a shell operator that is not part of a word.
func isSeparator(text []byte, i int) bool {
	switch text[i] {
	case ';', '|', '&':
	default:
		return false
	}
	around := func(j int) bool {
		return j < 0 || j >= len(text) || isSpace(text[j]) || text[j] == text[i] || text[j] == '"' || text[j] == '\''
	}
	return around(i-1) || around(i+1)
}

func wordEnd(text []byte, i int) int {
	for i < len(text) {
		c := text[i]
		if isSpace(c) || c == '"' || c == '\'' || c == '`' || c == ',' || isSeparator(text, i) {
			return i
		}
		if isEscape(text, i) {
			return i
		}
		i++
		if c == '=' && i < len(text) && text[i] == '(' {
			return i // NAME=(a list of words), in a shell
		}
	}
	return i
}

// trim takes brackets off both ends, but not those of an IPv6 address.
func trim(text []byte, i, end int) (int, string) {
	if !bytes.Contains(text[i:end], []byte("]:")) && !bytes.Contains(text[i:end], []byte("}:{")) {
		for i < end && bytes.IndexByte([]byte("[({"), text[i]) >= 0 {
			i++
		}
	}
	word := text[i:end]
	for len(word) > 0 && bytes.IndexByte([]byte("])}(["), word[len(word)-1]) >= 0 {
		if word[len(word)-1] == '}' && bytes.IndexByte(word, '{') >= 0 {
			break
		}
		word = word[:len(word)-1]
	}
	return i, string(word)
}
