package toc

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

const (
	// MaxBytes bounds a table, uncompressed: time. Tables are read as a stream, so it is not memory.
	MaxBytes = 128 << 20
	// maxTokens bounds the names, values and brackets of a table, of which an entry has about forty: time.
	maxTokens = 16 << 20
	// maxToken bounds one string of a table: memory.
	maxToken = 1 << 20
	// readAhead bounds what is read behind a string before it is known to have ended.
	readAhead = 4096
	// maxDepth bounds nesting in what is not looked at.
	maxDepth = 16
)

// Compare reads a table from r to its end and compares it with the record, which must be complete but for the file that
// holds the table.
func Compare(r io.Reader, record *Record) error { return compare(r, record, MaxBytes, maxTokens) }

func compare(r io.Reader, record *Record, bytes int64, tokens int) error {
	t := &table{in: &bounded{r: r, left: bytes}, tokens: tokens, same: comparison{record: record}}
	t.json = json.NewDecoder(t.in)
	t.json.UseNumber()
	if err := t.read(); err != nil {
		return err
	}
	if record.blind != "" {
		return blinded(record)
	}
	if left := t.same.left(); left > 0 {
		return lie("%d entries of the archive are not in it, or differ", left)
	}
	return nil
}

// bounded is a table's text, within limits.
type bounded struct {
	r    io.Reader
	left int64
	// token counts what was read since the last token.
	token int
	err   error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(len(p), readAhead)])
	b.left -= int64(n)
	b.token += n
	switch {
	case b.left < 0:
		b.err = exceeded("too many bytes")
	case b.token > maxToken+readAhead:
		b.err = exceeded("a value of more than %d bytes", maxToken)
	default:
		b.err = err
	}
	return n, b.err
}

// table is a table while it is read.
type table struct {
	in   *bounded
	json *json.Decoder
	same comparison
	// tokens is how many more may be read.
	tokens int
	// file is the regular file that was begun, if any; more chunks of it may follow.
	file   *item
	summer summer
	// next is where the next chunk of the file must begin.
	next   int64
	single Digest
	chunks int
	inner  bool
}

// item is one object of the list of entries.
type item struct {
	Entry
	digest, chunkDigest                    string
	offset, innerOffset, chunkOffset, size int64
}

func (t *table) token() (json.Token, error) {
	t.in.token = 0
	if t.tokens--; t.tokens < 0 {
		return nil, exceeded("too many names and values")
	}
	tok, err := t.json.Token()
	switch {
	case err == nil:
		return tok, nil
	case t.in.err != nil && t.in.err != io.EOF: //nolint:errorlint // bounded keeps the bare value
		return nil, t.in.err
	case errors.Is(err, io.EOF):
		return nil, malformed("it is cut off")
	}
	return nil, malformed("%v", err)
}

func (t *table) open(delim json.Delim) error {
	tok, err := t.token()
	if err == nil && tok != delim {
		err = malformed("%v where %v belongs", tok, delim)
	}
	return err
}

// object reads the members of an object that was opened. Some readers take names in any case, so that a known name in
// another case, or one that stands twice, makes two tables of one.
func (t *table) object(known []string, member func(name string) error) error {
	seen := map[string]bool{}
	for t.json.More() {
		tok, err := t.token()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		for _, k := range known {
			if strings.EqualFold(k, name) && (k != name || seen[k]) {
				return malformed("the member %s stands twice or in another case", show(name))
			}
		}
		seen[name] = true
		if len(seen) > maxToken/1024 {
			return exceeded("an entry of more than %d members", maxToken/1024)
		}
		if err := member(name); err != nil {
			return err
		}
	}
	return t.close()
}

func (t *table) close() error {
	_, err := t.token()
	return err
}

var (
	tableMembers = []string{"version", "entries"}
	entryMembers = []string{
		"type", "name", "linkName", "mode", "size", "digest", "offset", "innerOffset", "chunkOffset", "chunkSize", "chunkDigest",
	}
)

func (t *table) read() error {
	if err := t.open('{'); err != nil {
		return err
	}
	version, entries := int64(0), false
	err := t.object(tableMembers, func(name string) (err error) {
		switch name {
		case "version":
			version, err = t.number()
		case "entries":
			entries, err = true, t.list()
		default:
			err = t.skip(0)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case version != 1:
		return unsupported("version %d", version)
	case !entries:
		return malformed("it has no entries")
	}
	if _, err := t.json.Token(); err != io.EOF { //nolint:errorlint // the decoder returns the bare value
		if t.in.err != nil && t.in.err != io.EOF { //nolint:errorlint // bounded keeps the bare value
			return t.in.err
		}
		return malformed("something follows it")
	}
	return nil
}

func (t *table) list() error {
	tok, err := t.token()
	switch {
	case err != nil:
		return err
	case tok == nil:
		return nil // how some write a list of nothing
	case tok != json.Delim('['):
		return malformed("%v where a list belongs", tok)
	}
	for t.json.More() {
		if err := t.open('{'); err != nil {
			return err
		}
		it := new(item)
		if err := t.object(entryMembers, func(name string) error { return t.member(it, name) }); err != nil {
			return err
		}
		if err := t.add(it); err != nil {
			return err
		}
	}
	if err := t.close(); err != nil {
		return err
	}
	return t.endFile()
}

func (t *table) member(it *item, name string) (err error) {
	switch name {
	case "type":
		it.Type, err = t.text()
	case "name":
		it.Name, err = t.text()
	case "linkName":
		it.Link, err = t.text()
	case "mode":
		it.Mode, err = t.number()
	case "size":
		it.Size, err = t.number()
	case "digest":
		it.digest, err = t.text()
	case "offset":
		it.offset, err = t.number()
	case "innerOffset":
		it.innerOffset, err = t.number()
	case "chunkOffset":
		it.chunkOffset, err = t.number()
	case "chunkSize":
		it.size, err = t.number()
	case "chunkDigest":
		it.chunkDigest, err = t.text()
	default:
		err = t.skip(0)
	}
	return err
}

func (t *table) text() (string, error) {
	tok, err := t.token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", malformed("%v where a string belongs", tok)
	}
	return s, nil
}

func (t *table) number() (int64, error) {
	tok, err := t.token()
	if err != nil {
		return 0, err
	}
	n, ok := tok.(json.Number)
	if !ok {
		return 0, malformed("%v where a number belongs", tok)
	}
	v, err := n.Int64()
	if err != nil || v < 0 {
		return 0, malformed("the number %s", show(n.String()))
	}
	return v, nil
}

// skip reads a value that is not looked at.
func (t *table) skip(depth int) error {
	if depth > maxDepth {
		return exceeded("nested more than %d deep", maxDepth)
	}
	tok, err := t.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') && tok != json.Delim('[') {
		return nil
	}
	for t.json.More() {
		if tok == json.Delim('{') {
			if _, err := t.token(); err != nil {
				return err
			}
		}
		if err := t.skip(depth + 1); err != nil {
			return err
		}
	}
	return t.close()
}

// add takes the next object of the list: an entry, or a further chunk of the last one.
func (t *table) add(it *item) error {
	if it.Type == "chunk" {
		if t.file == nil || it.Name != "" && clean(it.Name) != clean(t.file.Name) {
			return lie("a chunk of %s is not behind its file", show(it.Name))
		}
		return t.chunk(it)
	}
	if err := t.endFile(); err != nil {
		return err
	}
	t.summer.begin(it.Entry)
	if it.Type == "reg" && it.Size > 0 {
		t.file, t.next, t.chunks, t.inner = it, 0, 0, false
		return t.chunk(it)
	}
	return t.tick(it.Name, Digest{})
}

// chunk takes a chunk of the file; a size that is not given means all that is left.
func (t *table) chunk(it *item) error {
	c := Chunk{Offset: it.chunkOffset, Size: it.size, Packed: it.offset, Inner: it.innerOffset}
	if c.Offset != t.next || c.Offset >= t.file.Size {
		return lie("chunks of %s do not follow each other", show(t.file.Name))
	}
	left := t.file.Size - c.Offset
	if c.Size == 0 {
		c.Size = left
	}
	if c.Size > left {
		return lie("chunks of %s are longer than it is", show(t.file.Name))
	}
	text := it.chunkDigest
	if text == "" && c.Size == t.file.Size {
		text = it.digest
	}
	if text == "" {
		return unsupported("a chunk of %s without a digest", show(t.file.Name))
	}
	var err error
	if c.Digest, err = parseDigest(text); err != nil {
		return err
	}
	t.next += c.Size
	t.chunks++
	t.single = c.Digest
	t.inner = t.inner || c.Inner > 0
	t.summer.chunk(c)
	return nil
}

// endFile ends the regular file that was begun.
func (t *table) endFile() error {
	if t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	switch {
	case t.next != f.Size:
		return lie("chunks of %s are shorter than it is", show(f.Name))
	case t.inner && t.chunks > 1:
		return unsupported("chunks of %s share a compressed stream", show(f.Name))
	case f.digest == "" && t.chunks > 1:
		return unsupported("%s has no digest", show(f.Name))
	}
	content := t.single
	if f.digest != "" {
		var err error
		if content, err = parseDigest(f.digest); err != nil {
			return err
		}
	}
	return t.tick(f.Name, content)
}

func (t *table) tick(name string, content Digest) error {
	if t.same.record.blind != "" {
		return blinded(t.same.record)
	}
	if !t.same.tick(t.summer.end(content)) {
		return lie("%s is not in the archive, or differs", show(name))
	}
	return nil
}

func blinded(r *Record) error {
	return malformed("nothing announced it before %s was read", show(r.blind))
}

func parseDigest(s string) (d Digest, err error) {
	text := strings.TrimPrefix(s, "sha256:")
	if len(text) != 2*len(d) {
		return d, malformed("the digest %s", show(s))
	}
	if _, err := hex.Decode(d[:], []byte(text)); err != nil {
		return d, malformed("the digest %s", show(s))
	}
	return d, nil
}
