package pattern

// Window is a part of a file. Bytes must reach Reach+2 bytes before and after whatever is confirmed in it, unless the
// file begins or ends sooner.
type Window struct {
	Bytes []byte
	// Base is the offset in the file of the first byte.
	Base int64
}

// Machine runs programs. Its memory is used again; it belongs to one goroutine.
type Machine struct {
	now, next list
	stack     []int32
	counters  []counter
	// Steps counts what was done, for callers that bound it.
	Steps int64
}

// counter holds where a counted repetition was entered, in characters from the start, in rising order.
type counter struct {
	entries []int32
	head    int
}

// list is a set of instructions, in order of insertion.
type list struct {
	dense  []int32
	sparse []int32
}

func (l *list) grow(n int) {
	if len(l.sparse) < n {
		l.sparse = make([]int32, n)
	}
	l.dense = l.dense[:0]
}

func (l *list) has(pc int32) bool {
	i := l.sparse[pc]
	return int(i) < len(l.dense) && l.dense[i] == pc
}

func (l *list) insert(pc int32) {
	if l.has(pc) {
		return
	}
	l.sparse[pc] = int32(len(l.dense))
	l.dense = append(l.dense, pc)
}

// run runs p from index at of the window, and calls emit with the index of every place where it matches, nearest
// first. Backwards those are all places. Forwards each is preferred to the one before, as the order of alternatives and
// the greed of quantifiers say: the last one is the match.
func (m *Machine) run(p *program, w Window, at int, emit func(int)) {
	if p.line {
		m.runLine(p, w, at, emit)
		return
	}
	n := len(p.insts)
	m.now.grow(n)
	m.next.grow(n)
	for len(m.counters) < int(p.slots) {
		m.counters = append(m.counters, counter{})
	}
	for i := range p.slots {
		m.counters[i] = counter{entries: m.counters[i].entries[:0]}
	}
	if m.add(p, w, &m.now, 0, at, 0) {
		emit(at)
	}
	for d := 1; d*p.stride <= p.reach && len(m.now.dense) > 0; d++ {
		c, ok := p.char(w, &at)
		if !ok {
			return
		}
		m.Steps += 1 + int64(len(m.now.dense))
		m.next.dense = m.next.dense[:0]
		if m.step(p, w, c, at, int32(d)) {
			emit(at)
		}
		m.now, m.next = m.next, m.now
	}
}

// step takes the character c, which ends at index at and is the d-th, and reports whether p matches there. Forwards,
// what is less preferred than that match is given up.
func (m *Machine) step(p *program, w Window, c byte, at int, d int32) (matched bool) {
	for i, pc := range m.now.dense {
		in := &p.insts[pc]
		leave, keep := false, false
		switch in.op {
		case iByte:
			leave = in.set.has(c)
		case iCount:
			keep, leave = m.counters[in.slot].step(in, in.set.has(c), d)
		case iSplit, iAssert, iMatch: // listed only so that they are followed once
		}
		if keep && !in.lazy {
			m.next.insert(pc)
		}
		if leave && m.add(p, w, &m.next, in.x, at, d) {
			matched = true
			if !p.back {
				from := i + 1
				if keep && in.lazy {
					from = i
				}
				m.giveUp(p, m.now.dense[from:], d)
				return true
			}
		}
		if keep && in.lazy {
			m.next.insert(pc)
		}
	}
	return matched
}

// giveUp forgets the repetitions among pcs, but for those that begin after d characters.
func (m *Machine) giveUp(p *program, pcs []int32, d int32) {
	for _, pc := range pcs {
		if in := &p.insts[pc]; in.op == iCount {
			m.counters[in.slot].step(in, false, d)
		}
	}
}

// runLine is run for a program without choices.
func (m *Machine) runLine(p *program, w Window, at int, emit func(int)) {
	for i := range p.insts[:len(p.insts)-1] {
		c, ok := p.char(w, &at)
		m.Steps++
		if !ok || !p.insts[i].set.has(c) {
			return
		}
	}
	emit(at)
}

// char reads the next character and moves at over it.
func (p *program) char(w Window, at *int) (byte, bool) {
	i := *at
	if p.back {
		i -= p.stride
	}
	if i < 0 || i+p.stride > len(w.Bytes) || p.stride == 2 && w.Bytes[i+1] != 0 {
		return 0, false
	}
	*at = i
	if !p.back {
		*at += p.stride
	}
	return w.Bytes[i], true
}

// add lists pc, or where it leads without reading, and reports whether it matches there.
func (m *Machine) add(p *program, w Window, l *list, pc int32, at int, d int32) (matched bool) {
	m.stack = append(m.stack[:0], pc)
	for len(m.stack) > 0 {
		pc := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		in := &p.insts[pc]
		if in.op == iCount && m.counters[in.slot].enter(in, d) && in.min == 0 {
			m.stack = append(m.stack, in.x)
		}
		if l.has(pc) {
			continue
		}
		m.Steps++
		l.insert(pc)
		switch in.op {
		case iSplit:
			m.stack = append(m.stack, in.y, in.x)
		case iAssert:
			if in.place.fits(w, at, p.stride) {
				m.stack = append(m.stack, in.x)
			}
		case iMatch:
			matched = true
			if !p.back {
				return true
			}
		case iByte, iCount:
		}
	}
	return matched
}

// enter notes that the repetition begins after d characters. It is false when that was known.
func (c *counter) enter(in *inst, d int32) bool {
	n := len(c.entries)
	if n > c.head && c.entries[n-1] == d {
		return false
	}
	// Without an upper bound the oldest entry is as good as all others, until they are all dropped together.
	if in.max == infinite && n-c.head >= 2 {
		c.entries[n-1] = d
		return true
	}
	c.entries = append(c.entries, d)
	return true
}

// step takes one more character, which makes d. It reports whether the repetition goes on, and whether it may end here.
func (c *counter) step(in *inst, fits bool, d int32) (keep, leave bool) {
	n := len(c.entries)
	if !fits {
		// All but an entry that was made by this very character.
		if n > c.head && c.entries[n-1] == d {
			c.head = n - 1
		} else {
			c.head = n
		}
	}
	for in.max != infinite && c.head < n && d-c.entries[c.head] > in.max {
		c.head++
	}
	if c.head == n {
		return false, false
	}
	count := d - c.entries[c.head]
	return true, fits && count > 0 && count >= in.min
}

// fits reports whether index at of the window is such a place.
func (pl place) fits(w Window, at, stride int) bool {
	switch pl {
	case fileStart:
		return w.Base == 0 && at == 0
	case fileEnd:
		return at == len(w.Bytes)
	case wordEdge, noWordEdge:
		return (w.wordAt(at-stride, stride) != w.wordAt(at, stride)) == (pl == wordEdge)
	}
	return false
}

// wordAt reports whether a character of stride bytes that stands at index i is of a word.
func (w Window) wordAt(i, stride int) bool {
	if i < 0 || i+stride > len(w.Bytes) || stride == 2 && w.Bytes[i+1] != 0 {
		return false
	}
	return isWordByte(w.Bytes[i])
}
