package closure

import (
	"regexp"
	"strconv"
	"strings"
)

// What programs do to strings before they call something with them.
var (
	escapePattern = regexp.MustCompile(`\\x([2-7][0-9A-Fa-f])`)
	plusPattern   = regexp.MustCompile(`'[ \t]*\+[ \t]*'|"[ \t]*\+[ \t]*"|'[ \t]+\.[ \t]+'|"[ \t]+\.[ \t]+"`)
	joinPattern   = regexp.MustCompile(`\bpath\.join\(((?:[ \t]*["'][^"'\n,()]+["'][ \t]*,?){1,8})\)`)
	// namePattern is a variable that is given a string or a list. usePattern is a call with a variable.
	namePattern = regexp.MustCompile(`(?m)(?:^|;)[ \t]*(?:(?:const|let|var|my|our)[ \t]+)?[$@]?(\w{1,64})[ \t]*=[ \t]*[bruf]{0,2}([\["'(])`)
	usePattern  = regexp.MustCompile(callPattern.String() + `[ \t]*[$@*]{0,3}(\w{1,64})`)
	// quotePattern is a command in the quotes of Perl and Ruby, pipePattern one that Perl opens.
	quotePattern = regexp.MustCompile(`(?:\bqx|%x)[ \t]*[({\[<!|/]([^)}\]>!|\n]+)`)
	pipePattern  = regexp.MustCompile(`\bopen\b[^\n]+["'](?:-\||\|-)["'][ \t]*,([^\n]+)|\bopen\b[^\n]+["'](?:\|[ \t]*([^"'\n]+)|([^"'\n|]+)\|)["']`)
)

// Strings that stand in a list, and what makes one of them: ”.join(LIST) in Python, LIST.join(”) in JavaScript and Ruby,
// join(”, LIST) in Perl, implode(”, LIST) in PHP. The list may have a name.
const (
	someString  = `(?:'[^'\n]*'|"[^"\n]*")`
	someStrings = `((?:\s*` + someString + `\s*,?)+\s*)`
	between     = `('[^'\n]{0,3}'|"[^"\n]{0,3}")`
)

var (
	listPattern = regexp.MustCompile(`(?m)(?:^|[;\s])(?:(?:const|let|var|my)[ \t]+)?[$@]?(\w{1,64})[ \t]*=[ \t]*(?:array)?[\[(]` + someStrings + `[\])]`)
	joinedLists = []*regexp.Regexp{
		regexp.MustCompile(between + `\.join\(\s*(?:[\[(]` + someStrings + `[\])]|(\w{1,64}))\s*\)`),
		regexp.MustCompile(`\b(?:join|implode)\(?\s*` + between + `\s*,\s*(?:\[?` + someStrings + `\]?|[$@](\w{1,64}))\s*\)`),
		regexp.MustCompile(`(?:\[` + someStrings + `\]|\b(\w{1,64}))\.join\(\s*` + between + `?\s*\)`),
	}
	// dotPattern joins strings in PHP and Perl, besidePattern in Python, where strings that stand beside each other are one.
	dotPattern    = regexp.MustCompile(`'[ \t]*\.[ \t]*'|"[ \t]*\.[ \t]*"`)
	besidePattern = regexp.MustCompile(`([^\s,(\[{=+:'])'[ \t]+'([^\s,)\]}+:'])|([^\s,(\[{=+:"])"[ \t]+"([^\s,)\]}+:"])`)
)

// composed is a program in which strings that are put together of others stand in full.
func composed(language, body string) string {
	if len(body) > maxComposed {
		return body
	}
	switch language {
	case php, perl:
		body = dotPattern.ReplaceAllString(body, "")
	case python:
		for range 2 { // the end of one match may begin the next
			body = besidePattern.ReplaceAllString(body, "$1$2$3$4")
		}
	}
	lists := map[string]string{}
	for _, m := range listPattern.FindAllStringSubmatch(body, maxVisits) {
		lists[m[1]] = m[2]
	}
	for i, pattern := range joinedLists {
		body = pattern.ReplaceAllStringFunc(body, func(s string) string {
			m := pattern.FindStringSubmatch(s)
			list, name, by := m[2], m[3], m[1]
			if i == 2 {
				list, name, by = m[1], m[2], m[3]
			}
			if list == "" {
				list = lists[name]
			}
			if by == "" {
				by = `","`
			}
			parts, _ := stringsOf("(" + list + ")")
			if len(parts) == 0 {
				return s
			}
			return strconv.Quote(strings.Join(parts, by[1:len(by)-1]))
		})
	}
	return body
}

// maxComposed bounds the programs whose strings are put together, in bytes.
const maxComposed = 256 << 10

// plainer is a program in which strings stand as they will be, as far as that is easily seen.
func plainer(body string) string {
	body = escapePattern.ReplaceAllStringFunc(body, func(s string) string {
		n, err := strconv.ParseUint(s[2:], 16, 8)
		if c := string(rune(n)); err == nil && !strings.ContainsAny(c, "\"'`\\\x7f") {
			return c
		}
		return s
	})
	body = plusPattern.ReplaceAllString(body, "")
	return joinPattern.ReplaceAllStringFunc(body, func(s string) string {
		parts, _ := stringsOf(s[strings.IndexByte(s, '('):])
		return strconv.Quote(strings.Join(parts, "/"))
	})
}

// literals follows calls of programs whose strings stand elsewhere than in the call.
func (x *explorer) literals(language, body string, st *script) {
	if !x.spend(1 + len(body)/16) {
		return
	}
	values := map[string][]string{}
	for _, m := range namePattern.FindAllStringSubmatchIndex(body, maxVisits) {
		if name := body[m[2]:m[3]]; len(values[name]) < maxValues {
			values[name] = append(values[name], assigned(body[m[4]:min(m[4]+callWindow, len(body))]))
		}
	}
	for _, m := range usePattern.FindAllStringSubmatch(body, maxVisits) {
		for _, value := range values[m[1]] {
			if !x.spend(8) {
				return
			}
			x.called(value, st)
		}
	}
	if language != perl && language != ruby {
		return
	}
	for _, m := range quotePattern.FindAllStringSubmatch(body, maxVisits) {
		st.text(unmarked(m[1]))
	}
	for _, m := range pipePattern.FindAllStringSubmatch(body, maxVisits) {
		if m[1] != "" {
			x.called("("+m[1], st)
		}
		st.text(unmarked(m[2] + m[3]))
	}
}

// assigned is the value of a variable: a string to the end of its line, or to the end of the statement, or a list.
func assigned(value string) string {
	if value[0] == '(' || value[0] == '[' {
		return value
	}
	line, _, _ := strings.Cut(value, "\n")
	return line
}
