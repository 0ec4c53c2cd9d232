package syntax

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads a rule file. Its errors are of type *Error.
func Parse(name string, src []byte) (*File, error) {
	if len(src) > MaxFile {
		return nil, &Error{File: name, Pos: Pos{1, 1}, What: fmt.Sprintf("the file is larger than %d bytes", MaxFile)}
	}
	p := &parser{lexer: lexer{file: name, src: string(src), line: 1}}
	if strings.HasPrefix(p.src, "\xef\xbb\xbf") {
		p.i = 3
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	f := &File{Name: name}
	for p.tok.kind != tokEnd {
		if err := p.top(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

type parser struct {
	lexer
	tok    token
	peeked []token // at most one
	depth  int
	nodes  int
}

func (p *parser) advance() (err error) {
	if len(p.peeked) > 0 {
		p.tok, p.peeked = p.peeked[0], p.peeked[:0]
		return nil
	}
	p.tok, err = p.next()
	return err
}

// advanceValue goes on to a token that may be a hex string or a regular expression.
func (p *parser) advanceValue() (err error) {
	p.tok, err = p.value()
	return err
}

// peek is the token after the current one.
func (p *parser) peek() (token, error) {
	if len(p.peeked) == 0 {
		t, err := p.next()
		if err != nil {
			return t, err
		}
		p.peeked = append(p.peeked, t)
	}
	return p.peeked[0], nil
}

func (t token) is(text string) bool {
	return (t.kind == tokMark || t.kind == tokWord) && t.text == text
}

// shown is the token for an error.
func (t token) shown() string {
	switch t.kind {
	case tokEnd:
		return "the end of the file"
	case tokInt, tokFloat:
		return "a number"
	case tokText:
		return "a text"
	case tokHex:
		return "a hex string"
	case tokRegex:
		return "a regular expression"
	case tokString, tokCount, tokOffset, tokLength:
		return fmt.Sprintf("%q", map[kind]string{tokString: "$", tokCount: "#", tokOffset: "@", tokLength: "!"}[t.kind]+t.text)
	case tokName, tokWord, tokMark:
	}
	return fmt.Sprintf("%q", t.text)
}

func (p *parser) unexpected(want string) error {
	return p.errorf(p.tok.pos, "expected %s, found %s", want, p.tok.shown())
}

func (p *parser) expect(text string) error {
	if !p.tok.is(text) {
		return p.unexpected(fmt.Sprintf("%q", text))
	}
	return p.advance()
}

// accept goes on if the current token is text.
func (p *parser) accept(text string) (bool, error) {
	if !p.tok.is(text) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) top(f *File) error {
	switch {
	case p.tok.is("import"):
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind != tokText {
			return p.unexpected("the name of a module in quotes")
		}
		f.Imports = append(f.Imports, Import{p.tok.pos, p.tok.text})
		return p.advance()
	case p.tok.is("include"):
		return p.errorf(p.tok.pos, "include is not supported: name the other file beside this one")
	case p.tok.is("rule"), p.tok.is("private"), p.tok.is("global"):
		if len(f.Rules) == MaxRules {
			return p.errorf(p.tok.pos, "the file has more than %d rules", MaxRules)
		}
		r, err := p.rule()
		f.Rules = append(f.Rules, r)
		return err
	}
	return p.unexpected("a rule or an import")
}

func (p *parser) rule() (*Rule, error) {
	r := &Rule{}
	for !p.tok.is("rule") {
		switch {
		case p.tok.is("private"):
			r.Private = true
		case p.tok.is("global"):
			r.Global = true
		default:
			return nil, p.unexpected(`"rule"`)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokName {
		return nil, p.unexpected("the name of the rule")
	}
	r.Pos, r.Name = p.tok.pos, p.tok.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.tags(r); err != nil {
		return nil, err
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name string
		read func(*Rule) error
	}{{"meta", p.meta}, {"strings", p.strings}, {"condition", p.condition}} {
		if s.name != "condition" && !p.tok.is(s.name) {
			continue
		}
		if err := p.expect(s.name); err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		if err := s.read(r); err != nil {
			return nil, err
		}
	}
	return r, p.expect("}")
}

func (p *parser) tags(r *Rule) error {
	if ok, err := p.accept(":"); !ok || err != nil {
		return err
	}
	for p.tok.kind == tokName {
		if slices.Contains(r.Tags, p.tok.text) {
			return p.errorf(p.tok.pos, "the tag %q stands twice", p.tok.text)
		}
		if len(r.Tags) == maxTags {
			return p.errorf(p.tok.pos, "the rule has more than %d tags", maxTags)
		}
		r.Tags = append(r.Tags, p.tok.text)
		if err := p.advance(); err != nil {
			return err
		}
	}
	if len(r.Tags) == 0 {
		return p.unexpected("a tag")
	}
	return nil
}

func (p *parser) meta(r *Rule) error {
	for p.tok.kind == tokName {
		if len(r.Meta) == maxMeta {
			return p.errorf(p.tok.pos, "the rule has more than %d meta keys", maxMeta)
		}
		m := Meta{Pos: p.tok.pos, Key: p.tok.text}
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.expect("="); err != nil {
			return err
		}
		minus, err := p.accept("-")
		if err != nil {
			return err
		}
		switch {
		case p.tok.kind == tokInt && minus:
			m.Value = -p.tok.num
		case p.tok.kind == tokInt:
			m.Value = p.tok.num
		case minus:
			return p.unexpected("a number")
		case p.tok.kind == tokText:
			m.Value = p.tok.text
		case p.tok.is("true"), p.tok.is("false"):
			m.Value = p.tok.text == "true"
		default:
			return p.unexpected("a text, a number, true or false")
		}
		r.Meta = append(r.Meta, m)
		if err := p.advance(); err != nil {
			return err
		}
	}
	if len(r.Meta) == 0 {
		return p.unexpected("a meta key")
	}
	return nil
}

func (p *parser) condition(r *Rule) (err error) {
	p.nodes = 0
	r.Condition, err = p.expression()
	return err
}
