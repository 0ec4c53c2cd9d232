package toc

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Annotations of a layer's descriptor that tell a lazy puller about a table. The second prefix is an older one.
const (
	StargzDigest = "containerd.io/snapshot/stargz/toc.digest"

	chunkedPrefix    = "io.github.containers.zstd-chunked."
	oldChunkedPrefix = "io.containers.zstd-chunked."
	checksum         = "manifest-checksum"
	position         = "manifest-position"
)

// TailBytes is how much of a blob's end a footer may take.
const TailBytes = 64

// Footer is what the end of a blob says about a table in it.
type Footer struct {
	Kind string
	// Bytes is how long an eStargz footer is.
	Bytes int64
	// Offset is where the table begins: the gzip member, or the content of the skippable frame.
	Offset int64
	// Packed and Plain are the table's length in that frame, and uncompressed. For eStargz they are not known.
	Packed, Plain int64
	// External is set for eStargz whose table is in another blob.
	External bool
}

// FooterOf finds a footer in the last bytes of a blob, TailBytes or all there are, as lazy pullers do. The one of
// zstd:chunked is only recognised: ChunkedFooter reads it.
func FooterOf(tail []byte) (f Footer, ok bool) {
	if hasMagic(tail) {
		return Footer{Kind: trust.ZstdChunked}, true
	}
	for _, n := range []int{51, 47} {
		if f, ok = stargzFooter(tail, n); ok {
			return f, true
		}
	}
	const external = "STARGZEXTERNALTOC"
	if i := bytes.Index(tail, []byte(external)); i >= 0 {
		return Footer{Kind: trust.EStargz, External: true}, true
	}
	return Footer{}, false
}

// stargzFooter reads an empty gzip member whose extra field says where the table is: in a subfield SG of its own, or,
// before eStargz, as all of it.
func stargzFooter(tail []byte, n int) (Footer, bool) {
	if len(tail) < n {
		return Footer{}, false
	}
	p := tail[len(tail)-n:]
	if p[0] != 0x1f || p[1] != 0x8b || p[2] != 8 || p[3]&4 == 0 {
		return Footer{}, false
	}
	extra := p[12 : 12+n-25]
	if int(binary.LittleEndian.Uint16(p[10:])) != len(extra) {
		return Footer{}, false
	}
	if n == 51 {
		if string(extra[:4]) != "SG\x16\x00" {
			return Footer{}, false
		}
		extra = extra[4:]
	}
	at, ok := strings.CutSuffix(string(extra), "STARGZ")
	offset, err := strconv.ParseInt(at, 16, 64)
	if !ok || err != nil || offset < 0 {
		return Footer{}, false
	}
	return Footer{Kind: trust.EStargz, Bytes: int64(n), Offset: offset}, true
}

// hasMagic looks for the end of a zstd:chunked footer, which is written in two ways.
func hasMagic(p []byte) bool {
	return bytes.HasSuffix(p, []byte("GNUlInUx")) || bytes.HasSuffix(p, []byte("GnUlInUx"))
}

// ChunkedFooter reads the content of a layer's last skippable frame, in its form with and without a tar-split.
func ChunkedFooter(content []byte) (Footer, error) {
	if len(content) != 64 && len(content) != 40 || !hasMagic(content) {
		return Footer{}, malformed("a footer of %d bytes", len(content))
	}
	field := func(i int) int64 { return int64(binary.LittleEndian.Uint64(content[8*i:])) }
	if field(3) != 1 {
		return Footer{}, unsupported("type %d", field(3))
	}
	return Footer{Kind: trust.ZstdChunked, Offset: field(0), Packed: field(1), Plain: field(2)}, nil
}

// Announced reports whether annotations tell of a table.
func Announced(annotations map[string]string) bool {
	return annotations[StargzDigest] != "" || chunked(annotations, checksum) != "" || chunked(annotations, position) != ""
}

func chunked(annotations map[string]string, key string) string {
	if v := annotations[chunkedPrefix+key]; v != "" {
		return v
	}
	return annotations[oldChunkedPrefix+key]
}

// CheckAnnotations compares what a descriptor says about a layer's table with the one that the layer has; found is nil
// if it has none. A layer is inspected once, but each descriptor of it may say something else.
func CheckAnnotations(annotations map[string]string, found *trust.TOC) error {
	stargz, sum, at := annotations[StargzDigest], chunked(annotations, checksum), chunked(annotations, position)
	for _, key := range []string{checksum, position} {
		a, b := annotations[chunkedPrefix+key], annotations[oldChunkedPrefix+key]
		if a != "" && b != "" && a != b {
			return lie("the descriptor has two annotations %s", key)
		}
	}
	switch {
	case stargz == "" && sum == "" && at == "":
		return nil
	case found == nil:
		return lie("the descriptor tells of one, but the layer has none")
	case stargz != "" && digest.Digest(stargz) != found.Digest:
		return lie("it has the digest %s, but the descriptor says %s", found.Digest, show(stargz))
	case sum == "" && at == "":
		return nil
	case found.Kind != trust.ZstdChunked:
		return lie("the descriptor tells of another kind than %s", found.Kind)
	case sum != "" && digest.Digest(sum) != found.Packed:
		return lie("compressed it has the digest %s, but the descriptor says %s", found.Packed, show(sum))
	case at != "":
		var want []string
		for _, n := range []int64{found.Offset, found.PackedBytes, found.Bytes, 1} {
			want = append(want, strconv.FormatInt(n, 10))
		}
		if at != strings.Join(want, ":") {
			return lie("it is at %s, but the descriptor says %s", strings.Join(want, ":"), show(at))
		}
	}
	return nil
}
