package closure

import (
	"strings"
)

// translation is the step of tr: Text has a byte for each of the 256 that it may read, and then 256 of which those that
// are not zero are left out. False where tr does something else.
func translation(args []string) (Step, bool) {
	var sets []string
	deletes := false
	for _, a := range args {
		switch {
		case len(sets) == 0 && strings.HasPrefix(a, "-") && len(a) > 1 && strings.Trim(a[1:], "ds") == "":
			deletes = strings.Contains(a, "d")
		case strings.HasPrefix(a, "-") && len(a) > 1 && len(sets) == 0:
			return Step{}, false // the complement
		default:
			sets = append(sets, trSet(a))
		}
	}
	if len(sets) == 0 || sets[0] == "" || !deletes && (len(sets) != 2 || sets[1] == "") {
		return Step{}, false
	}
	table := make([]byte, 512)
	for i := range 256 {
		table[i] = byte(i)
	}
	for i := range len(sets[0]) {
		c := sets[0][i]
		if deletes {
			table[256+int(c)] = 1
			continue
		}
		table[c] = sets[1][min(i, len(sets[1])-1)]
	}
	return Step{Op: Translate, Text: string(table)}, true
}

// trSet are the characters of a set: ranges, escapes, and the classes that people use.
func trSet(s string) string {
	s = strings.NewReplacer("[:upper:]", "A-Z", "[:lower:]", "a-z", "[:digit:]", "0-9", "[:alpha:]", "A-Za-z", "[:alnum:]", "0-9A-Za-z",
		"[:space:]", " \t\n\v\f\r", "[:blank:]", " \t").Replace(s)
	s = cEscapes(s)
	var out strings.Builder
	for i := 0; i < len(s) && out.Len() < 256; i++ {
		if i+2 < len(s) && s[i+1] == '-' && s[i+2] >= s[i] {
			for c := int(s[i]); c <= int(s[i+2]); c++ {
				out.WriteByte(byte(c))
			}
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
