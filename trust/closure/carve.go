package closure

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust/rootfs"
)

// Part is a file that becomes a part of another, or what steps leave of it.
type Part struct {
	File  *rootfs.File
	Steps []Step
}

// Step is what a command leaves of its input, or makes of it.
type Step struct {
	Op Op
	// N counts bytes or lines, as Op says.
	N int64
	// Text is a regular expression of package regexp, for Behind.
	Text string
}

// Op is the kind of a Step.
type Op string

// The kinds of steps. Bytes and lines are counted from zero.
const (
	Decode     Op = "decode"      // base64
	Skip       Op = "skip"        // without the first N bytes
	First      Op = "first"       // the first N bytes; all but the last -N if N is negative
	Last       Op = "last"        // the last N bytes
	SkipLines  Op = "skip-lines"  // without the first N lines
	FirstLines Op = "first-lines" // the first N lines; all but the last -N if N is negative
	LastLines  Op = "last-lines"  // the last N lines
	Behind     Op = "behind"      // what follows the first line that Text fits
	Search     Op = "search"      // from a place that is not known
	Xor        Op = "xor"         // each byte combined with one of Text, which repeats
	Translate  Op = "translate"   // byte for byte: Text has what becomes of each, and then a byte that is not zero for each that is left out
)

// maxCutSteps bounds the steps of one pipe: work for each.
const maxCutSteps = 16

// pieces is what a command takes from files.
type pieces struct {
	parts []part
	// steps are for all parts together.
	steps []Step
}

type part struct {
	found
	steps []Step
}

// then adds a step for the whole.
func (p *pieces) then(steps ...Step) {
	switch {
	case len(p.parts) == 1:
		p.parts[0].steps = append(slices.Clone(p.parts[0].steps), steps...)
		if len(p.parts[0].steps) > maxCutSteps {
			p.parts[0].steps = []Step{{Op: Search}}
		}
	case len(p.parts) > 1:
		if p.steps = append(p.steps, steps...); len(p.steps) > maxCutSteps {
			p.steps = []Step{{Op: Search}}
		}
	}
}

// add puts others behind. Of several files with steps for all of them, only decoding is kept: it can be done part by part.
func (p *pieces) add(more pieces) {
	for _, q := range []*pieces{p, &more} {
		if len(q.steps) == 0 || len(p.parts) == 0 || len(more.parts) == 0 {
			continue
		}
		for i := range q.parts {
			q.parts[i].steps = append(slices.Clone(q.parts[i].steps), q.steps...)
		}
		q.steps = nil
	}
	p.parts, p.steps = append(p.parts, more.parts...), append(p.steps, more.steps...)
}

// cuts reports whether something is left out.
func (p *pieces) cuts() bool {
	leaves := func(s Step) bool { return s.Op != Decode }
	return slices.ContainsFunc(p.steps, leaves) ||
		slices.ContainsFunc(p.parts, func(q part) bool { return slices.ContainsFunc(q.steps, leaves) })
}

// join makes a Join of at most maxParts of the parts.
func (p *pieces) join(target string) Join {
	j := Join{Target: target, Steps: p.steps}
	for _, q := range p.parts[:min(len(p.parts), maxParts)] {
		j.Parts = append(j.Parts, Part{File: q.file, Steps: q.steps})
	}
	return j
}

// copying are commands that copy what they read to their output, or make something of it that can be looked at as it stands.
var copying = wordSet("cat base64 openssl gunzip gzip zcat xzcat xz bzcat bunzip2 bzip2 zstdcat unzstd zstd lz4 lz4cat uncompress unxz unlzma lzcat tac rev pv tee sponge tr xxd stdbuf")

// cutting are commands that leave out a part.
var cutting = wordSet("head tail dd sed gsed awk gawk mawk nawk perl")

// cut are the steps of a command that copies a part of its input, and its arguments that are files; false where it does
// something else. Of an argument that is not known the place is not.
func cut(name string, args []string) (steps []Step, files []string, ok bool) {
	switch name {
	case "tail", "head":
		return headTail(name, args)
	case "dd":
		return ddCut(args)
	case "tr":
		if step, ok := translation(args); ok {
			steps = append(steps, step)
		}
		return steps, nil, true
	case "sed", "gsed", "awk", "gawk", "mawk", "nawk", "perl":
		return programCut(name, args)
	}
	for _, a := range args {
		switch {
		case name == "base64" && (a == "-d" || a == "--decode" || a == "-D" || a == "-di"), name == "openssl" && a == "-d" && slices.Contains(args, "base64"):
			steps = append(steps, Step{Op: Decode})
		case strings.HasPrefix(a, "-"):
		case name == "openssl" && (a == "base64" || a == "enc"):
		default:
			files = append(files, a)
		}
	}
	return steps, files, true
}

// headTail reads the arguments of head and tail: "-c +N", "-n N", "--bytes=N", "-N", "+N".
func headTail(name string, args []string) (steps []Step, files []string, ok bool) {
	count, bytes := "10", false
	if name == "tail" {
		count = "-10"
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		long, value, has := strings.Cut(a, "=")
		switch {
		case a == "--":
			return append(steps, ends(name, count, bytes)), append(files, args[i+1:]...), true
		case strings.HasPrefix(a, "--"):
			unit := strings.HasPrefix("--bytes", long)
			if !unit && (!strings.HasPrefix("--lines", long) || len(long) < 3) || len(long) < 3 {
				continue
			}
			if !has && i+1 < len(args) {
				i++
				value = args[i]
			}
			count, bytes = value, unit
		case len(a) > 1 && a[0] == '-' && (a[1] == 'c' || a[1] == 'n'):
			if bytes = a[1] == 'c'; len(a) > 2 {
				count = a[2:]
			} else if i+1 < len(args) {
				i++
				count = args[i]
			}
		case len(a) > 1 && (a[0] == '-' || a[0] == '+' && name == "tail") && a[1] >= '0' && a[1] <= '9':
			if count, bytes = a, strings.HasSuffix(a, "c"); a[0] == '-' && name == "head" {
				count = a[1:]
			}
			count = strings.TrimSuffix(count, "c")
		case strings.HasPrefix(a, "-") && a != "-":
		default:
			files = append(files, a)
		}
	}
	return append(steps, ends(name, count, bytes)), files, true
}

// ends is what head or tail leaves for a count as it is written.
func ends(name, count string, bytes bool) Step {
	n, known := number(strings.TrimLeft(count, "+-"))
	ops := [3]Op{SkipLines, FirstLines, LastLines}
	if bytes {
		ops = [3]Op{Skip, First, Last}
	}
	switch {
	case !known:
		return Step{Op: Search}
	case name == "head" && strings.HasPrefix(count, "-"):
		return Step{Op: ops[1], N: -n}
	case name == "head":
		return Step{Op: ops[1], N: n}
	case strings.HasPrefix(count, "+"):
		return Step{Op: ops[0], N: max(n-1, 0)}
	}
	return Step{Op: ops[2], N: n}
}

// units are the suffixes that head, tail and dd multiply by.
var units = map[string]int64{"": 1, "c": 1, "B": 1, "w": 2, "b": 512, "k": 1 << 10, "K": 1 << 10, "kB": 1000, "KB": 1000, "KiB": 1 << 10, "M": 1 << 20, "MB": 1e6, "MiB": 1 << 20, "G": 1 << 30}

// maxNumber bounds offsets: no file is longer.
const maxNumber = 1 << 40

// number reads a count of bytes: "512", "4k", "2x512".
func number(s string) (int64, bool) {
	product := int64(1)
	for factor := range strings.SplitSeq(s, "x") {
		digits := len(factor) - len(strings.TrimLeft(factor, "0123456789"))
		n, err := strconv.ParseInt(factor[:digits], 10, 64)
		unit, known := units[factor[digits:]]
		if err != nil || !known || n > maxNumber || product*max(n, 1) > maxNumber {
			return 0, false
		}
		product *= n * unit
	}
	return product, product <= maxNumber
}

// ddCut reads the operands of dd. Counts are of blocks unless flags say bytes.
func ddCut(args []string) (steps []Step, files []string, ok bool) {
	value := map[string]string{"bs": "512", "skip": "0", "count": ""}
	for _, a := range args {
		name, v, _ := strings.Cut(a, "=")
		switch name {
		case "if":
			files = append(files, v)
		case "bs", "ibs":
			value["bs"] = v
		case "skip", "iseek":
			value["skip"] = v
		case "count", "iflag":
			value[name] = v
		}
	}
	block, known := number(value["bs"])
	times := func(what, flag string) (int64, bool) {
		v := value[what]
		n, ok := number(strings.TrimSuffix(v, "B"))
		if strings.Contains(value["iflag"], flag) || strings.HasSuffix(v, "B") {
			return n, ok
		}
		if n > maxNumber/max(block, 1) {
			return 0, false
		}
		return n * block, ok && known
	}
	skip, ok := times("skip", "skip_bytes")
	switch {
	case !ok:
		return []Step{{Op: Search}}, files, true
	case skip > 0:
		steps = append(steps, Step{Op: Skip, N: skip})
	}
	if value["count"] != "" {
		count, ok := times("count", "count_bytes")
		if ok {
			steps = append(steps, Step{Op: First, N: count})
		}
	}
	return steps, files, true
}

// What scripts of sed, awk and Perl look like that leave out the beginning of a file: up to a line with a mark, or up to a
// line of a number.
var (
	sedUpTo   = regexp.MustCompile(`^\s*(?:1|0)\s*,\s*(?:/((?:[^/\\]|\\.)+)/|(\d+)|(.*\S.*?))\s*d\s*(?:;.*)?$`)
	sedFrom   = regexp.MustCompile(`^\s*(?:/((?:[^/\\]|\\.)+)/|(\d+)|(.*\x00.*?))\s*,\s*\$\s*(?:\{.*)?p?\s*(?:;.*)?\}?$`)
	lineCount = regexp.MustCompile(`\b(?:NR|FNR|\$\.)\s*(>=?)\s*(\S+)`)
	marked    = regexp.MustCompile(`/((?:[^/\\\n]|\\.)+)/`)
)

// programCut reads the arguments of sed, awk and Perl, whose first is a program.
func programCut(name string, args []string) (steps []Step, files []string, ok bool) {
	program, has := "", false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case (a == "-e" || a == "--expression" || name == "perl" && takesCode(a)) && i+1 < len(args):
			i++
			program, has = args[i], true
		case a == "-v" && i+1 < len(args):
			i++
		case strings.HasPrefix(a, "-"):
		case !has && name != "perl":
			program, has = a, true
		case strings.Contains(a, "=") && strings.HasSuffix(name, "awk"):
		default:
			files = append(files, a)
		}
	}
	step, ok := programStep(name, program)
	return []Step{step}, files, ok
}

func programStep(name, program string) (Step, bool) {
	if strings.HasSuffix(name, "sed") {
		if m := sedUpTo.FindStringSubmatch(program); m != nil {
			return upTo(m, 0), true
		}
		if m := sedFrom.FindStringSubmatch(program); m != nil {
			return upTo(m, 1), true
		}
		return Step{}, false
	}
	if m := lineCount.FindStringSubmatch(program); m != nil {
		n, known := number(strings.TrimRight(m[2], "){};"))
		if m[1] == ">=" {
			n--
		}
		if !known {
			return Step{Op: Search}, true
		}
		return Step{Op: SkipLines, N: max(n, 0)}, true
	}
	// awk '/^MARK/{p=1;next} p' and perl -ne 'print if $p; $p=1 if /^MARK/' set something where the mark stands.
	if m := marked.FindStringSubmatch(program); m != nil && strings.Contains(program, "=") && !strings.Contains(program, "NR+1") && !strings.Contains(program, "NR + 1") {
		return behind(m[1]), true
	}
	return Step{}, false
}

// upTo is the step for a mark, a line or neither known; less is 1 where the line itself is kept.
func upTo(m []string, less int64) Step {
	switch {
	case m[1] != "":
		return behind(m[1])
	case m[2] != "":
		if n, ok := number(m[2]); ok {
			return Step{Op: SkipLines, N: max(n-less, 0)}
		}
	}
	return Step{Op: Search}
}

// behind is the step for a mark that is a basic regular expression, in which a few characters mean themselves.
func behind(mark string) Step {
	mark = strings.NewReplacer(`\(`, `(`, `\)`, `)`, `\{`, `{`, `\}`, `}`, `\+`, `+`, `\?`, `?`, `\|`, `|`, `(`, `\(`, `)`, `\)`, `{`, `\{`, `}`, `\}`, `+`, `\+`, `?`, `\?`, `|`, `\|`, `\/`, `/`).Replace(mark)
	if _, err := regexp.Compile(mark); err != nil || len(mark) > 512 || strings.ContainsRune(mark, 0) {
		return Step{Op: Search}
	}
	return Step{Op: Behind, Text: mark}
}

// plainName is the command of a word as far as it is known, without its folder.
func plainName(v string) string { return path.Base(plainText(v)) }

// maxArithmetic bounds how deep $((…)) is followed.
const maxArithmetic = 32

// arithmetic is the value of an expression of whole numbers that are known; false where it is not.
func (st *script) arithmetic(e syntax.ArithmExpr, depth int) (int64, bool) {
	if depth > maxArithmetic || !st.x.spend(1) {
		return 0, false
	}
	switch e := e.(type) {
	case *syntax.ParenArithm:
		return st.arithmetic(e.X, depth+1)
	case *syntax.Word:
		text := plainText(st.known(e))
		if v := st.value(text); len(v) == 1 { // a bare name is a variable
			text = plainText(v[0])
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		return n, err == nil && n <= maxNumber && n >= -maxNumber
	case *syntax.BinaryArithm:
		a, ok := st.arithmetic(e.X, depth+1)
		b, ok2 := st.arithmetic(e.Y, depth+1)
		if !ok || !ok2 {
			return 0, false
		}
		switch e.Op {
		case syntax.Add:
			a += b
		case syntax.Sub:
			a -= b
		case syntax.Mul:
			if b != 0 && max(a, -a) > maxNumber/max(b, -b) {
				return 0, false
			}
			a *= b
		case syntax.Quo:
			if b == 0 {
				return 0, false
			}
			a /= b
		default:
			return 0, false
		}
		return a, a <= maxNumber && a >= -maxNumber
	}
	return 0, false
}
