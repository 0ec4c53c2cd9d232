// Package syntax reads the text of YARA rules into a tree: it knows the grammar, but neither what strings match nor
// what names mean.
package syntax

// Limits on rule text. They protect the start of a program against a wrong or hostile file.
const (
	// MaxFile bounds a rule file, in bytes.
	MaxFile = 4 << 20
	// MaxRules and MaxStrings bound the rules of a file and the strings of a rule.
	MaxRules   = 10_000
	MaxStrings = 1024
	// MaxNesting bounds how deep a condition nests, and by it the stack. A pair of parentheses counts twice.
	MaxNesting = 128

	maxName   = 128
	maxText   = 4 << 10
	maxSource = 16 << 10 // of a hex string or a regular expression
	maxMeta   = 256
	maxTags   = 64
	maxNodes  = 10_000 // of a condition
)

// File is a rule file.
type File struct {
	Name    string
	Imports []Import
	Rules   []*Rule
}

// Import is one import statement.
type Import struct {
	Pos
	Module string
}

// Rule is one rule.
type Rule struct {
	Pos
	Name            string
	Private, Global bool
	Tags            []string
	Meta            []Meta
	Strings         []*String
	Condition       *Expr
}

// Meta is one key of a rule; Value is a string, an int64 or a bool.
type Meta struct {
	Pos
	Key   string
	Value any
}

// Form is how a string is written.
type Form uint8

// The forms of strings.
const (
	Text Form = iota
	Hex
	Regex
)

// String is one string of a rule.
type String struct {
	Pos
	// Name is without its sigil, "" for an anonymous one.
	Name string
	Form Form
	// Body is the text without escapes, or the source of a hex string or a regular expression, which begins at BodyPos.
	Body    string
	BodyPos Pos
	// Fold and DotAll are a regular expression's own flags i and s.
	Fold, DotAll bool
	Modifiers
}

// Modifiers are the words after a string.
type Modifiers struct {
	NoCase, ASCII, Wide, FullWord, Private bool
	// XOR is set with the range of its keys.
	XOR            bool
	XORMin, XORMax int
	// Base64 and Base64Wide share one alphabet, "" for the usual one.
	Base64, Base64Wide bool
	Alphabet           string
}

// Op says what an expression does with its Args.
type Op uint8

// The operators. In brackets: what fields hold besides Args.
const (
	OpTrue Op = iota
	OpFalse
	OpInt        // [Int]
	OpFloat      // [Float]
	OpText       // [Text]
	OpRegex      // [Text, BodyPos, Fold, DotAll]
	OpFileSize   //
	OpEntryPoint //
	OpName       // [Text] a rule, a loop's variable or a module's value, with dots
	OpCall       // [Text] a module's function
	OpRead       // [Text] uint8 and its like, of an offset
	OpString     // [Text] "" within a loop over strings: the current one; OpCount to OpLength too
	OpCount      // [Text]; Args may hold a range: two expressions
	OpOffset     // [Text]; Args may hold the index
	OpLength     // [Text]; Args may hold the index
	OpAt         // [Text] string, offset
	OpIn         // [Text] string, two bounds
	OpOf         // [Quantifier, Set]; Args may hold a range
	OpForOf      // [Quantifier, Set] body
	OpForIn      // [Quantifier, Text the variable, Range] body, then two bounds or the values
	OpAnd
	OpOr
	OpNot
	OpDefined
	OpCompare // [Text] the operator
	OpArith   // [Text] the operator
	OpMatches
	OpContains // [Text] the word
)

// Expr is one expression of a condition.
type Expr struct {
	Pos
	Op      Op
	Int     int64
	Float   float64
	Text    string
	Args    []*Expr
	BodyPos Pos
	// Fold and DotAll are a regular expression's flags.
	Fold, DotAll bool
	Quantifier   Quantifier
	Set          []Member
	// Range is true for a loop over a range.
	Range bool
}

// Quantifier is how many must hold: Word is all, any or none, or N counts, or N is a percentage.
type Quantifier struct {
	Word    string
	N       *Expr
	Percent bool
}

// Member is one member of a set: a string or a rule, or with Wild all that begin with Name. An empty wild one is "them".
type Member struct {
	Pos
	Name string
	Wild bool
	Rule bool
}
