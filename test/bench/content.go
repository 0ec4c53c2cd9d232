//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/safepull/safepull/test/imagetest"
)

// kind of a file's content. Text packs to about a quarter, code to two fifths, noise stands for what is packed already.
type kind int

const (
	text kind = iota
	code
	noise
)

const (
	// poolBytes is how much text and code is made; files are pieces of it. It is far beyond the 32 KiB that gzip looks
	// back, so that pieces do not repeat for it.
	poolBytes = 8 << 20
	// pieceBytes bounds such a piece.
	pieceBytes = 16 << 10
)

// content makes the files of one layer, the same for the same seed. It is for one goroutine.
type content struct {
	rng   *rand.Rand
	raw   *rand.ChaCha8
	pools [2][]byte
	files int
}

func newContent(seed, layer uint64) *content {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], layer)
	c := &content{rng: rand.New(rand.NewPCG(seed, layer)), raw: rand.NewChaCha8(key)}
	c.pools[text], c.pools[code] = prose(c.rng, poolBytes), instructions(c.rng, poolBytes)
	return c
}

// class of files: how often it occurs, between which sizes, and of what kind.
type class struct {
	often      float64
	from, to   float64
	text, code float64
}

// classes follow what images of interpreters with their libraries look like: very many small texts, and a few large
// programs and archives that make most of the bytes.
func classes() []class {
	return []class{
		{often: 0.80, from: 200, to: 16 << 10, text: 0.85, code: 0.05},
		{often: 0.195, from: 16 << 10, to: 512 << 10, text: 0.35, code: 0.45},
		{often: 0.005, from: 512 << 10, to: 24 << 20, text: 0.10, code: 0.55},
	}
}

// next is another file, of at most limit bytes.
func (c *content) next(limit int64) (*tar.Header, io.Reader) {
	at, all := c.rng.Float64(), classes()
	i := 0
	for ; i < len(all)-1 && at >= all[i].often; i++ {
		at -= all[i].often
	}
	size := min(limit, int64(all[i].from*math.Pow(all[i].to/all[i].from, c.rng.Float64())))
	k := noise
	switch x := c.rng.Float64(); {
	case x < all[i].text:
		k = text
	case x < all[i].text+all[i].code:
		k = code
	}
	c.files++
	hdr := &tar.Header{Name: c.name(k), Mode: 0o644, Size: size, Typeflag: tar.TypeReg, ModTime: imagetest.Epoch}
	if k == code {
		hdr.Mode = 0o755
	}
	return hdr, io.LimitReader(c.body(k), size)
}

func (c *content) name(k kind) string {
	folder := c.files / 40
	switch k {
	case code:
		return fmt.Sprintf("usr/lib/x86_64-linux-gnu/part%d/lib%d.so.1", folder, c.files)
	case noise:
		return fmt.Sprintf("usr/share/part%d/archive%d.bin", folder, c.files)
	}
	suffixes := [...]string{"py", "txt", "json", "js", "h", "md"}
	return fmt.Sprintf("usr/lib/python3/part%d/file%d.%s", folder, c.files, suffixes[c.files%len(suffixes)])
}

// body has no end.
func (c *content) body(k kind) io.Reader {
	if k == noise {
		return c.raw
	}
	p := &pieces{rng: c.rng, pool: c.pools[k]}
	if k == code {
		p.now = []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00\x01\x00\x00\x00")
	}
	return p
}

// pieces reads the pool from one place after another.
type pieces struct {
	rng  *rand.Rand
	pool []byte
	now  []byte
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.now) == 0 {
		n := pieceBytes/4 + p.rng.IntN(3*pieceBytes/4)
		at := p.rng.IntN(len(p.pool) - n)
		p.now = p.pool[at : at+n]
	}
	n := copy(b, p.now)
	p.now = p.now[n:]
	return n, nil
}

// prose is lines of words, and of phrases that come again, as in languages and in source text.
func prose(rng *rand.Rand, size int) []byte {
	words := make([]string, 6000)
	for i := range words {
		word := make([]byte, 2+rng.IntN(9))
		for k := range word {
			word[k] = "etaoinshrdlucmfwypvbgk"[min(rng.IntN(22), rng.IntN(22))]
		}
		words[i] = string(word)
	}
	marks := [...]string{" ", " ", " ", " ", " ", ", ", "_", ".", "(", ") ", " = ", ":\n    ", "\n", "\n        "}
	return compose(rng, size, words, func(out *bytes.Buffer) {
		if rng.IntN(20) == 0 {
			fmt.Fprintf(out, " %d", rng.IntN(100_000))
		}
		out.WriteString(marks[rng.IntN(len(marks))])
	})
}

// instructions look like a program to a compressor: some frequent operations and sequences of them, small and random
// operands, and now and then padding and tables of strings.
func instructions(rng *rand.Rand, size int) []byte {
	operations := make([]string, 180)
	for i := range operations {
		operation := make([]byte, 2+rng.IntN(3))
		for k := range operation {
			operation[k] = byte(rng.Uint32())
		}
		operations[i] = string(operation)
	}
	table := prose(rng, 64<<10)
	return compose(rng, size, operations, func(out *bytes.Buffer) {
		switch rng.IntN(12) {
		case 0, 1:
			out.WriteByte(byte(rng.Uint32()))
		case 2, 3:
			out.WriteByte(byte(rng.IntN(16) * 8))
		case 4:
			out.Write([]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.IntN(8)), 0})
		}
		switch rng.IntN(1500) {
		case 0:
			out.Write(make([]byte, rng.IntN(1024)))
		case 1:
			at := rng.IntN(len(table) - 4096)
			out.Write(table[at : at+rng.IntN(4096)])
		}
	})
}

// compose writes words and, as often, phrases of words, with something between them. The n-th most frequent has about
// 1/n of the first one's share.
func compose(rng *rand.Rand, size int, words []string, between func(*bytes.Buffer)) []byte {
	choose := func(from []string) string {
		return from[int(math.Exp(rng.Float64()*math.Log(float64(len(from)))))-1]
	}
	phrases := make([]string, 4000)
	for i := range phrases {
		var phrase bytes.Buffer
		for range 2 + rng.IntN(6) {
			phrase.WriteString(choose(words))
			between(&phrase)
		}
		phrases[i] = phrase.String()[:min(phrase.Len(), 256)]
	}
	out := bytes.NewBuffer(make([]byte, 0, size+16<<10))
	for out.Len() < size {
		if rng.IntN(2) == 0 {
			out.WriteString(choose(phrases))
		} else {
			out.WriteString(choose(words))
		}
		between(out)
	}
	return out.Bytes()[:size]
}
