package pattern

// A program is an automaton over characters of stride bytes: of a character of two bytes, the second is zero.
type program struct {
	insts  []inst
	slots  int32 // counters that it needs
	back   bool  // reads from higher offsets to lower ones
	stride int
	line   bool // only iByte, one after the other, then iMatch
	reach  int  // the most bytes that it reads, at most Reach
}

type instOp uint8

const (
	iByte   instOp = iota // a byte of set, go to x
	iCount                // bytes of set, min to max times, go to x
	iSplit                // go to x and to y
	iAssert               // if place fits, go to x
	iMatch
)

type inst struct {
	set      set
	x, y     int32
	slot     int32
	min, max int32
	op       instOp
	place    place
	lazy     bool
}

// newProgram compiles n. It is nil when the automaton would be larger than maxInsts.
func newProgram(n *node, back bool, stride int) *program {
	p := &program{back: back, stride: stride, line: true}
	if back {
		n = n.reversed()
	}
	_, high := n.length()
	p.reach = min(high*stride, Reach)
	p.emit(n)
	p.push(inst{op: iMatch})
	if len(p.insts) > maxInsts {
		return nil
	}
	for _, in := range p.insts[:len(p.insts)-1] {
		p.line = p.line && in.op == iByte
	}
	return p
}

func (p *program) push(in inst) int32 {
	p.insts = append(p.insts, in)
	return p.end() - 1
}

// end is where the next instruction will stand.
func (p *program) end() int32 { return int32(len(p.insts)) }

// emit appends instructions for n; they go on at the next instruction that is pushed. It stops early when there are
// too many.
func (p *program) emit(n *node) {
	if len(p.insts) > maxInsts {
		return
	}
	switch n.op {
	case opSet:
		p.push(inst{op: iByte, set: n.set, x: p.end() + 1})
	case opCat:
		for _, s := range n.subs {
			p.emit(s)
		}
	case opAlt:
		p.emitAlt(n.subs)
	case opRep:
		p.emitRep(n)
	case opAssert:
		p.push(inst{op: iAssert, place: n.place, x: p.end() + 1})
	}
}

func (p *program) emitAlt(subs []*node) {
	var ends []int32
	for i, s := range subs {
		if i == len(subs)-1 {
			p.emit(s)
			break
		}
		split := p.push(inst{op: iSplit, x: p.end() + 1})
		p.emit(s)
		ends = append(ends, p.jump())
		p.insts[split].y = p.end()
	}
	for _, e := range ends {
		p.insts[e].x, p.insts[e].y = p.end(), p.end()
	}
}

// jump is a split with one target, to be filled in.
func (p *program) jump() int32 { return p.push(inst{op: iSplit}) }

func (p *program) emitRep(n *node) {
	sub := n.subs[0]
	for sub.op == opCat && len(sub.subs) == 1 {
		sub = sub.subs[0]
	}
	if sub.op == opSet {
		if n.max != 0 {
			p.emitCount(n, sub.set)
		}
		return
	}
	if _, high := sub.length(); high == 0 { // places only: once is as good as often
		if n.min > 0 {
			p.emit(sub)
		}
		return
	}
	for range n.min {
		p.emit(sub)
		if len(p.insts) > maxInsts {
			return
		}
	}
	if n.max == infinite {
		split := p.push(inst{op: iSplit, x: p.end() + 1})
		p.emit(sub)
		again := p.jump()
		p.insts[again].x, p.insts[again].y = split, split
		p.insts[split].y = p.end()
		p.prefer(split, n.lazy)
		return
	}
	var splits []int32
	for range n.max - n.min {
		splits = append(splits, p.push(inst{op: iSplit, x: p.end() + 1}))
		p.emit(sub)
		if len(p.insts) > maxInsts {
			return
		}
	}
	for _, s := range splits {
		p.insts[s].y = p.end()
		p.prefer(s, n.lazy)
	}
}

// prefer puts the way out of a repetition first when it is lazy.
func (p *program) prefer(split int32, lazy bool) {
	if in := &p.insts[split]; lazy {
		in.x, in.y = in.y, in.x
	}
}

// emitCount repeats a set of bytes, whatever the numbers with one instruction.
func (p *program) emitCount(n *node, s set) {
	low, split := n.min, int32(-1)
	if n.lazy && low == 0 { // the way past it comes first
		low, split = 1, p.push(inst{op: iSplit, y: p.end() + 1})
	}
	p.push(inst{op: iCount, set: s, min: int32(low), max: int32(n.max), lazy: n.lazy, slot: p.slots, x: p.end() + 1})
	p.slots++
	if split >= 0 {
		p.insts[split].x = p.end()
	}
}
