package syntax

import "fmt"

func (p *parser) strings(r *Rule) error {
	known := map[string]bool{}
	for p.tok.kind == tokString {
		s := &String{Pos: p.tok.pos, Name: p.tok.text}
		switch {
		case len(r.Strings) == MaxStrings:
			return p.errorf(s.Pos, "the rule has more than %d strings", MaxStrings)
		case s.Name != "" && s.Name[len(s.Name)-1] == '*':
			return p.errorf(s.Pos, "a string's name has no *")
		case known[s.Name]:
			return p.errorf(s.Pos, "the string $%s stands twice", s.Name)
		}
		known[s.Name] = s.Name != ""
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.definition(s); err != nil {
			return err
		}
		r.Strings = append(r.Strings, s)
	}
	if len(r.Strings) == 0 {
		return p.unexpected("a string such as $a")
	}
	return nil
}

func (p *parser) definition(s *String) error {
	if !p.tok.is("=") {
		return p.unexpected(`"="`)
	}
	if err := p.advanceValue(); err != nil {
		return err
	}
	s.Body, s.BodyPos = p.tok.text, p.tok.pos
	switch p.tok.kind {
	case tokText:
		s.Form = Text
	case tokHex:
		s.Form, s.BodyPos = Hex, p.tok.at
	case tokRegex:
		s.Form, s.BodyPos = Regex, p.tok.at
		s.Fold, s.DotAll = flags(p.tok.flags)
	default:
		return p.unexpected("a text, a hex string or a regular expression")
	}
	if err := p.advance(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.tok.kind == tokWord && !p.tok.is("condition") {
		at, word := p.tok.pos, p.tok.text
		if err := p.modifier(s, word); err != nil {
			return err
		}
		if seen[word] {
			return p.errorf(at, "the modifier %s stands twice", word)
		}
		seen[word] = true
		if err := p.fits(s, at, word); err != nil {
			return err
		}
	}
	return nil
}

func flags(s string) (fold, dotAll bool) {
	for _, c := range s {
		fold, dotAll = fold || c == 'i', dotAll || c == 's'
	}
	return fold, dotAll
}

// modifier reads one modifier with its arguments. Another word ends the modifiers, and what follows is expected to.
func (p *parser) modifier(s *String, word string) error {
	at := p.tok.pos
	switch word {
	case "nocase":
		s.NoCase = true
	case "ascii":
		s.ASCII = true
	case "wide":
		s.Wide = true
	case "fullword":
		s.FullWord = true
	case "private":
		s.Modifiers.Private = true
	case "xor":
		s.XOR, s.XORMax = true, 255
	case "base64":
		s.Base64 = true
	case "base64wide":
		s.Base64Wide = true
	default:
		return p.unexpected("a modifier, another string or the condition")
	}
	if err := p.advance(); err != nil {
		return err
	}
	if !p.tok.is("(") {
		return nil
	}
	switch word {
	case "xor":
		return p.keys(s)
	case "base64", "base64wide":
		return p.alphabet(s)
	}
	return p.errorf(at, "%s takes no argument", word)
}

// fits refuses combinations that YARA refuses, or that make no sense.
func (p *parser) fits(s *String, at Pos, word string) error {
	base64 := s.Base64 || s.Base64Wide
	switch {
	case s.Form == Hex && word != "private":
		return p.errorf(at, "a hex string takes no modifier but private")
	case s.Form == Regex && (s.XOR || base64):
		return p.errorf(at, "a regular expression takes no %s", word)
	case s.NoCase && (s.XOR || base64), base64 && (s.XOR || s.FullWord):
		return p.errorf(at, "%s does not go with the modifiers before it", word)
	case s.XOR && s.FullWord:
		return p.errorf(at, "xor together with fullword is not supported")
	}
	return nil
}

// keys reads (min-max) or (key).
func (p *parser) keys(s *String) error {
	var bounds [2]int
	for i := range bounds {
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind != tokInt || p.tok.num > 255 {
			return p.errorf(p.tok.pos, "a key of xor is a number from 0 to 255")
		}
		bounds[i] = int(p.tok.num)
		if err := p.advance(); err != nil {
			return err
		}
		if i == 0 && !p.tok.is("-") {
			bounds[1] = bounds[0]
			break
		}
	}
	if bounds[0] > bounds[1] {
		return p.errorf(p.tok.pos, "the first key of xor is greater than the last")
	}
	s.XORMin, s.XORMax = bounds[0], bounds[1]
	return p.expect(")")
}

// alphabet reads ("…") of 64 different bytes.
func (p *parser) alphabet(s *String) error {
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.kind != tokText || !distinct(p.tok.text, 64) {
		return p.errorf(p.tok.pos, "an alphabet of base64 is a text of 64 different bytes")
	}
	if s.Alphabet != "" && s.Alphabet != p.tok.text {
		return p.errorf(p.tok.pos, "base64 and base64wide have one alphabet")
	}
	s.Alphabet = p.tok.text
	if err := p.advance(); err != nil {
		return err
	}
	return p.expect(")")
}

func distinct(s string, n int) bool {
	seen := map[byte]bool{}
	for i := range len(s) {
		seen[s[i]] = true
	}
	return len(s) == n && len(seen) == n
}

// member reads one member of a set.
func (p *parser) member() (Member, error) {
	m := Member{Pos: p.tok.pos, Name: p.tok.text}
	switch p.tok.kind {
	case tokString:
		if n := len(m.Name); n > 0 && m.Name[n-1] == '*' {
			m.Name, m.Wild = m.Name[:n-1], true
		} else if n == 0 {
			return m, p.errorf(m.Pos, "an anonymous string cannot be named in a set: use them")
		}
		return m, p.advance()
	case tokName:
		m.Rule = true
		if err := p.advance(); err != nil {
			return m, err
		}
		var err error
		m.Wild, err = p.accept("*")
		return m, err
	default:
	}
	return m, p.unexpected(fmt.Sprintf("a string such as $a, $a*, or a rule after %q", "of ("))
}

// set reads "them" or (…).
func (p *parser) set() ([]Member, error) {
	at := p.tok.pos
	if ok, err := p.accept("them"); ok || err != nil {
		return []Member{{Pos: at, Wild: true}}, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var all []Member
	for {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && all[0].Rule != m.Rule {
			return nil, p.errorf(m.Pos, "a set is of strings or of rules, not of both")
		}
		if len(all) == MaxStrings {
			return nil, p.errorf(m.Pos, "the set has more than %d members", MaxStrings)
		}
		all = append(all, m)
		if ok, err := p.accept(","); err != nil {
			return nil, err
		} else if !ok {
			return all, p.expect(")")
		}
	}
}
