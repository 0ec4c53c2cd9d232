package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// errShape: the text is not laid out as lines that can be cut, such as a list in brackets.
var errShape = errors.New("list is not in block style")

// splice changes only the lines of the entries concerned, so that blank lines and layout stay elsewhere. Its caller
// checks the result.
func splice(data []byte, changes []change) ([]byte, error) {
	doc, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	items := doc.items()
	lines := strings.SplitAfter(string(data), "\n")
	end := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		end = "\r\n"
	}
	if len(items) == 0 {
		return spliceFirst(doc, lines, changes, end)
	}
	blocks, err := findBlocks(doc, lines)
	if err != nil {
		return nil, err
	}
	last := blocks[len(blocks)-1]
	added, err := encodeAdded(changes, len(items), last.indent, end)
	if err != nil {
		return nil, err
	}
	if len(added) > 0 {
		lines[last.end-1] = strings.TrimRight(lines[last.end-1], "\r\n") + end
		lines = slices.Insert(lines, last.end, added...)
	}
	// From the end to the beginning, so that line numbers stay true.
	sorted := slices.SortedFunc(slices.Values(changes), func(a, b change) int { return b.at - a.at })
	for _, c := range sorted {
		if c.at == len(items) {
			continue
		}
		b := blocks[c.at]
		if c.entry == nil {
			lines = slices.Delete(lines, b.comment, b.end)
			continue
		}
		update(items[c.at], *c.entry)
		dropOuterComments(items[c.at])
		text, err := encodeLines(items[c.at], b.indent, end)
		if err != nil {
			return nil, err
		}
		lines = slices.Replace(lines, b.start, b.end, text)
	}
	return []byte(strings.Join(lines, "")), nil
}

// spliceFirst puts the first entry below an "entries:" that has nothing yet.
func spliceFirst(doc *document, lines []string, changes []change, end string) ([]byte, error) {
	if doc.entries == nil || doc.entries.Tag != "!!null" || doc.entries.Value != "" {
		return nil, errShape
	}
	added, err := encodeAdded(changes, 0, "  ", end)
	if err != nil {
		return nil, err
	}
	at := doc.entries.Line
	if at > len(lines) {
		return nil, errShape
	}
	lines[at-1] = strings.TrimRight(lines[at-1], "\r\n") + end
	return []byte(strings.Join(slices.Insert(lines, at, added...), "")), nil
}

// encodeAdded are the entries that are put at the end of a list of a length.
func encodeAdded(changes []change, length int, indent, end string) ([]string, error) {
	var added []string
	for _, c := range changes {
		if c.at != length || c.entry == nil {
			continue
		}
		text, err := encodeLines(newNode(*c.entry), indent, end)
		if err != nil {
			return nil, err
		}
		added = append(added, text)
	}
	return added, nil
}

// dropOuterComments leaves an entry the comments inside it: those around it stay where they are in the text.
func dropOuterComments(item *yaml.Node) {
	item.HeadComment, item.FootComment = "", ""
	if n := len(item.Content); n >= 2 {
		item.Content[0].HeadComment = ""
		item.Content[n-2].FootComment, item.Content[n-1].FootComment = "", ""
	}
}

// block is where an entry stands, as indexes of lines: its comments from comment, itself from start up to end.
type block struct {
	comment, start, end int
	indent              string
}

func findBlocks(doc *document, lines []string) ([]block, error) {
	items := doc.items()
	blocks := make([]block, len(items))
	for i, item := range items {
		start := item.Line - 1
		if start >= len(lines) { // YAML knows more line breaks than "\n"
			return nil, errShape
		}
		indent, isItem := strings.CutSuffix(strings.SplitAfter(lines[start], "-")[0], "-")
		if !isItem || strings.TrimLeft(indent, " ") != "" || item.Style&yaml.FlowStyle != 0 {
			return nil, errShape
		}
		comment := start
		for comment > 0 && isComment(lines[comment-1]) {
			comment--
		}
		blocks[i] = block{comment: comment, start: start, indent: indent}
	}
	for i := range blocks {
		end := nextKey(doc, len(lines))
		if i+1 < len(blocks) {
			end = blocks[i+1].comment
		}
		for end > blocks[i].start+1 && (strings.TrimSpace(lines[end-1]) == "" || isComment(lines[end-1])) {
			end--
		}
		blocks[i].end = end
	}
	return blocks, nil
}

// nextKey is the line of the key that follows "entries", or the end of the file.
func nextKey(doc *document, end int) int {
	top := doc.root.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if line := top[i].Line - 1; line > doc.items()[0].Line-1 {
			end = min(end, line)
		}
	}
	return end
}

func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }

// reencode writes the whole document anew: comments and order stay, blank lines do not.
func reencode(data []byte, changes []change) ([]byte, error) {
	doc, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	if doc.entries == nil {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: "entries"}
		doc.entries = &yaml.Node{Kind: yaml.SequenceNode}
		doc.root.Content[0].Content = append(doc.root.Content[0].Content, key, doc.entries)
	}
	seq := doc.entries
	if len(seq.Content) == 0 {
		seq.Kind, seq.Tag, seq.Value, seq.Style = yaml.SequenceNode, "", "", 0
	}
	end := len(seq.Content)
	sorted := slices.SortedStableFunc(slices.Values(changes), func(a, b change) int { return b.at - a.at })
	for _, c := range sorted {
		switch {
		case c.at == end:
			seq.Content = append(seq.Content, newNode(*c.entry))
		case c.entry == nil:
			seq.Content = slices.Delete(seq.Content, c.at, c.at+1)
		default:
			update(seq.Content[c.at], *c.entry)
		}
	}
	return encode(doc.root)
}

func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(n); err != nil {
		return nil, fmt.Errorf("encode trust list: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("encode trust list: %w", err)
	}
	return b.Bytes(), nil
}

// encodeLines is one entry as an item of a block list, with a file's own ends of lines.
func encodeLines(item *yaml.Node, indent, end string) (string, error) {
	text, err := encode(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(indent)
		}
		b.WriteString(strings.TrimRight(line, "\n") + end)
	}
	return b.String(), nil
}

// field is one key of an entry with its value and that as text, for comparison; empty text means that the key is absent.
type field struct {
	key, text string
	value     *yaml.Node
}

func fields(e trust.Entry) []field {
	f := []field{
		plain("pattern", e.Pattern, "!!str"), plain("action", e.Action, "!!str"), plain("tier", e.Tier, "!!str"),
		plain("reason", e.Reason, "!!str"), plain("owner", e.Owner, "!!str"), plain("ticket", e.Ticket, "!!str"),
		plain("approvedBy", e.ApprovedBy, "!!str"), plain("expires", "", "!!timestamp"), plain("inspect", "", "!!bool"),
		{key: "digests"}, {key: "requireSignature"}, plain("locked", "", "!!bool"),
	}
	if !e.Expires.IsZero() {
		f[7] = plain("expires", formatExpiry(e.Expires), "!!timestamp")
	}
	if e.SkipInspection {
		f[8] = plain("inspect", "false", "!!bool")
	}
	if len(e.Digests) > 0 {
		f[9].value = &yaml.Node{Kind: yaml.SequenceNode}
		for _, d := range e.Digests {
			f[9].text += d.String() + " "
			f[9].value.Content = append(f[9].value.Content, scalar(d.String(), "!!str"))
		}
	}
	if s := e.RequireSignature; s != nil {
		f[10].text, f[10].value = fmt.Sprintf("%q", *s), signerNode(*s)
	}
	if e.Locked {
		f[11] = plain("locked", "true", "!!bool")
	}
	return f
}

func plain(key, text, tag string) field { return field{key, text, scalar(text, tag)} }

func signerNode(s trust.Signer) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range []field{plain("key", s.Key, "!!str"), plain("identity", s.Identity, "!!str"), plain("issuer", s.Issuer, "!!str"), plain("repository", s.Repository, "!!str")} {
		if f.text != "" {
			n.Content = append(n.Content, scalar(f.key, "!!str"), f.value)
		}
	}
	return n
}

func formatExpiry(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

func newNode(e trust.Entry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields(e) {
		if f.text != "" {
			n.Content = append(n.Content, scalar(f.key, "!!str"), f.value)
		}
	}
	return n
}

// update makes an existing entry say what e says; what already does keeps its spelling and its comments.
func update(n *yaml.Node, e trust.Entry) {
	old, err := parseEntry(n)
	if err != nil {
		return // the caller compares the result with what was wanted
	}
	if k := find(n, "inspect"); k >= 0 && e.Action == deny {
		n.Content = slices.Delete(n.Content, k, k+2)
	}
	was, is := fields(old.entry), fields(e)
	for i, f := range is {
		if f.text == was[i].text {
			continue
		}
		k := find(n, f.key)
		switch {
		case f.text == "" && k < 0:
		case f.text == "":
			n.Content = slices.Delete(n.Content, k, k+2)
		case k >= 0:
			f.value.LineComment = n.Content[k+1].LineComment
			n.Content[k+1] = f.value
		default:
			n.Content = append(n.Content, scalar(f.key, "!!str"), f.value)
		}
	}
}

// find is the index of a key in a mapping, or -1.
func find(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func scalar(text, tag string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// encodeEntry is the entry as it would be read back from a file.
func encodeEntry(e trust.Entry) (*yaml.Node, error) {
	text, err := encode(newNode(e))
	if err != nil {
		return nil, err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil || len(n.Content) != 1 {
		return nil, errors.New("the entry cannot be written as YAML: use plain text")
	}
	return n.Content[0], nil
}

// Encode is a list of entries as a file.
func Encode(entries []trust.Entry) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		scalar("version", "!!str"), scalar(listVersion, "!!int"), scalar("entries", "!!str"), {Kind: yaml.SequenceNode},
	}}
	for _, e := range entries {
		root.Content[3].Content = append(root.Content[3].Content, newNode(e))
	}
	text, err := encode(root)
	if err != nil {
		return nil, err
	}
	got, err := Load("encoded", bytes.NewReader(text))
	if err != nil || !slices.EqualFunc(entries, got.Entries(), sameEntry) {
		return nil, errors.Join(errors.New("the entries cannot be written as a trust list"), err)
	}
	return text, nil
}
