package pyinstaller

import (
	"encoding/binary"
	"fmt"

	"github.com/safepull/safepull/trust"
)

// maxDepth bounds objects within objects of a table of contents, which needs three.
const maxDepth = 8

// modules reads the archive of modules: a magic, that of Python, and where its table of contents stands, which is a list or
// a dictionary of names with kind, offset and length, as marshal writes it.
func (a *archive) modules() error {
	head, err := a.read(0, 12)
	if err != nil {
		return err
	}
	at := int64(binary.BigEndian.Uint32(head[8:]))
	if a.size-at > maxTable {
		return fmt.Errorf("%w: table of contents of %d bytes", trust.ErrLimit, a.size-at)
	}
	b, err := a.read(at, a.size-at)
	if err != nil {
		return err
	}
	p := &parser{b: b, hold: a.in.Hold}
	table, err := p.object(0)
	if err != nil {
		return err
	}
	items := table.items
	if table.dictionary {
		items = nil
		for i := 0; i+1 < len(table.items); i += 2 {
			items = append(items, object{items: []object{table.items[i], table.items[i+1]}})
		}
	}
	for _, item := range items {
		if len(item.items) != 2 || len(item.items[1].items) < 3 {
			return fmt.Errorf("%w: a module of an unknown shape", trust.ErrMalformed)
		}
		place := item.items[1].items
		if err := a.entry(item.items[0].text+".pyc", place[1].number, place[2].number, -1, true); err != nil {
			return err
		}
	}
	return a.outcome()
}

// objectBytes is about what an object takes, with those that refer to it, and chargedAtOnce how many are charged for in
// one step.
const (
	objectBytes   = 192
	chargedAtOnce = 1024
)

// object is a marshalled value, as far as a table of contents has them.
type object struct {
	text       string
	number     int64
	items      []object
	dictionary bool
}

// parser reads marshalled values from memory.
type parser struct {
	b     []byte
	refs  []object
	count int
	hold  func(int64) error
}

func (p *parser) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(p.b)) {
		return nil, fmt.Errorf("%w: table of contents ends early", trust.ErrMalformed)
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b, nil
}

func (p *parser) size(short bool) (int64, error) {
	if short {
		b, err := p.take(1)
		if err != nil {
			return 0, err
		}
		return int64(b[0]), nil
	}
	b, err := p.take(4)
	if err != nil {
		return 0, err
	}
	return int64(int32(binary.LittleEndian.Uint32(b))), nil
}

func (p *parser) object(depth int) (object, error) {
	if p.count%chargedAtOnce == 0 {
		if err := p.hold(chargedAtOnce * objectBytes); err != nil {
			return object{}, err
		}
	}
	if p.count++; p.count > 8*maxEntries || depth > maxDepth {
		return object{}, fmt.Errorf("%w: table of contents has too many objects", trust.ErrLimit)
	}
	b, err := p.take(1)
	if err != nil {
		return object{}, err
	}
	kind := b[0] &^ 0x80
	ref := -1
	if b[0] != kind {
		ref = len(p.refs)
		p.refs = append(p.refs, object{})
	}
	o, err := p.value(kind, depth)
	if err == nil && ref >= 0 {
		p.refs[ref] = o
	}
	return o, err
}

func (p *parser) value(kind byte, depth int) (object, error) {
	switch kind {
	case 'N', 'T', 'F':
		return object{}, nil
	case 'i':
		n, err := p.size(false)
		return object{number: n}, err
	case 'r', 'R':
		n, err := p.size(false)
		if err != nil || n < 0 || n >= int64(len(p.refs)) {
			return object{}, fmt.Errorf("%w: table of contents refers to nothing", trust.ErrMalformed)
		}
		return p.refs[n], nil
	case 's', 't', 'u', 'a', 'A', 'z', 'Z':
		n, err := p.size(kind == 'z' || kind == 'Z')
		if err != nil {
			return object{}, err
		}
		b, err := p.take(n)
		return object{text: string(b)}, err
	case '[', '(', ')':
		n, err := p.size(kind == ')')
		if err != nil || n > int64(len(p.b)) {
			return object{}, fmt.Errorf("%w: table of contents ends early", trust.ErrMalformed)
		}
		return p.items(n, depth)
	case '{':
		return p.dictionary(depth)
	}
	return object{}, fmt.Errorf("%w: table of contents has an object of type %q", trust.ErrMalformed, kind)
}

func (p *parser) items(n int64, depth int) (object, error) {
	var o object
	for range n {
		item, err := p.object(depth + 1)
		if err != nil {
			return o, err
		}
		o.items = append(o.items, item)
	}
	return o, nil
}

func (p *parser) dictionary(depth int) (object, error) {
	o := object{dictionary: true}
	for len(p.b) > 0 && p.b[0] != '0' {
		pair, err := p.items(2, depth)
		if err != nil {
			return o, err
		}
		o.items = append(o.items, pair.items...)
	}
	_, err := p.take(1)
	return o, err
}
