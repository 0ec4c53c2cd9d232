package yara

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/yara/internal/pattern"
)

// What is kept of a file, and what a file may cost. Together with placesOfFile they make the memory of a Scan, whatever
// the file: about 8 MiB at the most, usually 128 KiB, and 200 bytes for each string of the rules.
const (
	// HeadBytes and TailBytes at the two ends of a file can be read by conditions: uint32(0), uint8(filesize-1). A
	// condition that turns on a byte between them is unanswered.
	HeadBytes = 64 << 10
	TailBytes = tailBytes
	tailBytes = 4 << 10

	// blockBytes are searched at a time, always the same ones of a file, however it is written.
	blockBytes = 32 << 10

	// stepsOfFile and stepsOfByte bound the work of confirming what the search found. Content made of near-matches
	// could cost without end; strings that are not found when it is exhausted are unanswered.
	stepsOfFile = 512 << 10
	stepsOfByte = 64

	// stepsOfCondition bounds the work of one condition, above all its loops.
	stepsOfCondition = 1 << 20

	// maxReasons bounds how many unanswered rules an error names.
	maxReasons = 3
)

// Match is a rule that matches a file.
type Match struct {
	// Rule describes it; it is shared, do not change it.
	Rule *Info
	// String is the first of the rule's strings that were found, at Offset for Length bytes, with at most 64 bytes of
	// it in Excerpt. It is "" when none was found, or private ones only.
	String  string
	Offset  int64
	Length  int
	Excerpt []byte
}

// Scan looks at one file. It belongs to one goroutine.
type Scan struct {
	rules *Rules
	// buf[:n] is at offset base of the file; literals that begin before buf[fresh] were looked at.
	buf   []byte
	n     int
	base  int64
	fresh int
	total int64
	head  []byte

	seen    []sighting
	touched []int // strings that were found
	places  int   // spans kept
	spent   bool  // the steps are used up
	machine pattern.Machine
	lost    []int // strings that were not found before the steps were used up
	sums    sums

	answers []answer
	due     []int
	frame   *frame
}

// answer says whether a rule matches.
type answer uint8

const (
	no answer = iota
	yes
	unsure
)

func (a answer) value() value {
	if a == unsure {
		return value{state: unread}
	}
	return truth(a == yes)
}

func (r *Rules) newScan() *Scan {
	s := &Scan{
		rules: r, buf: make([]byte, r.before+blockBytes+r.after),
		seen: make([]sighting, len(r.strings)), answers: make([]answer, len(r.rules)),
	}
	if r.headBytes > 0 {
		s.head = make([]byte, 0, r.headBytes)
	}
	for i := range s.seen {
		s.seen[i].known = complete
	}
	s.frame = &frame{Scan: s}
	return s
}

// Begin begins a file. Its bytes are given to Write, in order and in pieces of any size; Close ends it.
func (r *Rules) Begin() *Scan {
	s := r.scans.Get().(*Scan)
	s.sums.begin(r.hashes)
	return s
}

// Write implements io.Writer; it never fails and keeps nothing of p.
func (s *Scan) Write(p []byte) (int, error) {
	s.total += int64(len(p))
	if room := cap(s.head) - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(room, len(p))]...)
	}
	s.sums.write(p)
	for rest := p; len(rest) > 0; {
		n := copy(s.buf[s.n:], rest)
		s.n += n
		rest = rest[n:]
		if s.n == len(s.buf) {
			s.search(false)
		}
	}
	return len(p), nil
}

// Close ends the file. Matches are in the order of Rules.Names. The error wraps trust.ErrLimit when a rule could not be
// answered; the matches of the other rules are returned all the same. The Scan must not be used any more.
func (s *Scan) Close() ([]Match, error) {
	s.search(true)
	for _, id := range s.touched {
		str := &s.rules.strings[id]
		if str.places {
			s.seen[id].end(str.pattern.Greedy)
		}
	}
	matches, err := s.judge()
	s.reset()
	return matches, err
}

// reset makes the scan ready for the next file.
func (s *Scan) reset() {
	for _, id := range s.touched {
		s.seen[id].reset()
		if cap(s.seen[id].spans) > 1<<10 {
			s.seen[id].spans = nil
		}
	}
	for _, id := range s.lost {
		s.seen[id].reset()
	}
	clear(s.answers)
	s.touched, s.lost, s.head = s.touched[:0], s.lost[:0], s.head[:0]
	s.n, s.base, s.fresh, s.total, s.places, s.spent = 0, 0, 0, 0, 0, false
	s.machine.Steps = 0
	s.rules.scans.Put(s)
}

// search looks at the literals that begin in the buffer, except for those too near its end, and makes room.
func (s *Scan) search(last bool) {
	r := s.rules
	limit := s.n
	if !last {
		limit -= r.after
	}
	if s.fresh < limit {
		end := min(limit+r.finder.MaxLen(), s.n)
		from := s.fresh
		r.finder.Scan(s.buf[from:end], func(literal, start int) {
			if start += from; start < limit {
				s.confirm(literal, start)
			}
		})
	}
	if last {
		return
	}
	keep := max(limit-r.before, 0)
	copy(s.buf, s.buf[keep:s.n])
	s.base += int64(keep)
	s.n -= keep
	s.fresh = limit - keep
}

// confirm looks whether the strings that a literal stands for are there.
func (s *Scan) confirm(literal, at int) {
	if s.spent {
		return
	}
	budget := stepsOfFile + stepsOfByte*(s.base+int64(at))
	w := pattern.Window{Bytes: s.buf[:s.n], Base: s.base}
	wakes := s.rules.wakes[literal]
	s.machine.Steps += int64(len(wakes))
	for _, wake := range wakes {
		if s.machine.Steps > budget {
			s.giveUp()
			return
		}
		str, seen := &s.rules.strings[wake.str], &s.seen[wake.str]
		if seen.hit && !str.places || seen.known != complete {
			continue
		}
		str.pattern.Branches[wake.branch].Confirm(&s.machine, w, at, func(start, end int) {
			s.add(wake.str, start, end)
		})
	}
}

// giveUp ends the search: whatever was not found is not known from here on.
func (s *Scan) giveUp() {
	s.spent = true
	for id := range s.seen {
		if !s.seen[id].hit || s.rules.strings[id].places {
			s.drop(id)
		}
	}
}

func (s *Scan) add(id, start, end int) {
	str, seen := &s.rules.strings[id], &s.seen[id]
	sp := span{start: s.base + int64(start), length: int32(end - start)}
	if !seen.hit {
		s.touched = append(s.touched, id)
	}
	if !seen.hit || sp.start < seen.first.start {
		seen.first = sp
		seen.excerpt = append(seen.excerpt[:0], s.buf[start:min(end, start+excerptBytes)]...)
	}
	kept := len(seen.spans)
	if !seen.add(sp, str.places, str.pattern.Greedy, kept+placesOfFile-s.places) {
		s.drop(id)
	}
	s.places += len(seen.spans) - kept
}

// drop notes that matches of a string are missing from here on. Matches that begin before the block's margin are all
// known, since they were found in earlier blocks.
func (s *Scan) drop(id int) {
	if s.seen[id].known != complete {
		return
	}
	s.seen[id].known = max(s.base+int64(s.fresh-s.rules.before), 0)
	if !s.seen[id].hit {
		s.lost = append(s.lost, id)
	}
}

// judge asks the rules that may match.
func (s *Scan) judge() ([]Match, error) {
	s.due = append(s.due[:0], s.rules.always...)
	for _, ids := range [][]int{s.touched, s.lost} {
		for _, id := range ids {
			s.due = append(s.due, s.rules.strings[id].rule)
		}
	}
	slices.Sort(s.due)
	s.due = slices.Compact(s.due)
	var reasons map[int]string
	for _, k := range s.due {
		f := s.frame
		f.current, f.steps, f.why = 0, 0, ""
		holds, known := s.rules.rules[k].condition(f).holds()
		switch {
		case !known:
			if reasons == nil {
				reasons = map[int]string{}
			}
			f.because("its strings stand there more often, or cost more to confirm, than the limits allow")
			s.answers[k], reasons[k] = unsure, f.why
		case holds:
			s.answers[k] = yes
		}
	}
	return s.report(reasons)
}

// report lists the rules that match, and those that are unanswered.
func (s *Scan) report(reasons map[int]string) ([]Match, error) {
	var matches []Match
	var unanswered []string
	count := 0
	for _, k := range s.due {
		rule := &s.rules.rules[k]
		if rule.info.Private {
			continue
		}
		switch a, why := s.allowed(k); a {
		case yes:
			matches = append(matches, s.match(rule))
		case unsure:
			if count++; count <= maxReasons {
				reason := reasons[k]
				if why != k {
					reason = "it depends on rule " + s.rules.rules[why].info.Name
				}
				unanswered = append(unanswered, fmt.Sprintf("rule %s of %s: %s", rule.info.Name, rule.info.Source, reason))
			}
		case no:
		}
	}
	if count == 0 {
		return matches, nil
	}
	if count > maxReasons {
		unanswered = append(unanswered, fmt.Sprintf("and %d more", count-maxReasons))
	}
	return matches, fmt.Errorf("%w: unanswered %s", trust.ErrLimit, strings.Join(unanswered, "; "))
}

// allowed is a rule's answer together with those of its source's global rules. why is the rule that leaves it unsure.
func (s *Scan) allowed(k int) (a answer, why int) {
	a, why = s.answers[k], k
	if a == no {
		return no, k
	}
	for _, g := range s.rules.rules[k].globals {
		switch s.answers[g] {
		case no:
			return no, g
		case unsure:
			if a == yes {
				a, why = unsure, g
			}
		case yes:
		}
	}
	return a, why
}

// match describes a rule's match by its first string.
func (s *Scan) match(r *rule) Match {
	m := Match{Rule: &r.info}
	for _, id := range r.strings {
		str, seen := &s.rules.strings[id], &s.seen[id]
		if seen.hit && !str.private && (m.String == "" || seen.first.start < m.Offset) {
			m.String, m.Offset, m.Length = str.name, seen.first.start, int(seen.first.length)
			m.Excerpt = seen.excerpt
		}
	}
	m.Excerpt = slices.Clone(m.Excerpt)
	return m
}
