package commandline

import (
	"slices"
	"strings"

	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// maxParts bounds how many commands are read as parts of one.
const maxParts = 64

// gather reads a command that is put together in several steps, such as ARGS="$ARGS -o x" or args.append("-o"), as
// one: all commands that give words to the same name; and one whose options stand in lines of their own, as in a string
// of several lines. Others it returns as they are.
func gather(all []text.Command, c text.Command) text.Command {
	name := givesTo(c)
	if name == "" {
		return lines(all, c)
	}
	var out text.Command
	parts := 0
	for _, part := range all {
		if givesTo(part) != name || parts == maxParts || len(out)+len(part) > text.MaxWords {
			continue
		}
		parts++
		out = append(out, part...)
	}
	if parts < 2 {
		return c
	}
	return out
}

// lines puts together the lines around c that begin with options, and the line before them, which has the program.
func lines(all []text.Command, c text.Command) text.Command {
	at := slices.IndexFunc(all, func(o text.Command) bool { return o[0].At == c[0].At })
	isOption := func(i int) bool { return len(all[i][0].Text) > 1 && all[i][0].Text[0] == '-' }
	from, to := at, at+1
	for from > 0 && isOption(from) && at-from < maxParts {
		from--
	}
	for to < len(all) && isOption(to) && to-at < maxParts {
		to++
	}
	if to-from == 1 || from == at && !isOption(at) && to-from == 2 && givesTo(all[from]) != "" {
		return c
	}
	return slices.Concat(all[from:to]...)[:min(text.MaxWords, count(all[from:to]))]
}

func count(commands []text.Command) (n int) {
	for _, c := range commands {
		n += len(c)
	}
	return n
}

// givesTo is the name to which a command gives words, "" if it does not.
func givesTo(c text.Command) string {
	for len(c) > 1 && slices.Contains([]string{"local", "export", "declare", "readonly", "const", "let", "var", "set", "my", "our"}, c[0].Text) {
		c = c[1:]
	}
	if len(c) < 2 {
		return ""
	}
	first := c[0].Text
	switch c[1].Text {
	case "=", "+=", ":=":
		return variable(first)
	}
	if name, ok := strings.CutSuffix(first, "="); ok {
		return variable(strings.TrimSuffix(name, "+"))
	}
	for _, method := range []string{".append", ".extend", ".push", ".insert", ".concat", ".add"} {
		if name, ok := strings.CutSuffix(first, method); ok {
			return variable(name)
		}
	}
	return ""
}

func variable(name string) string {
	name = strings.TrimLeft(name, "$@")
	if name == "" || !isIdentifier([]byte(name+"___")) {
		return ""
	}
	return name
}
