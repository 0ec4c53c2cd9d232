package distribution

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/trust"
)

// giveUp is what an engine with its own image store takes for the end of a pull, at whichever host, when an error
// holds it.
const giveUp = " (no such process)"

// maxTombstones bounds the refusals that are remembered for the config that names them.
const maxTombstones = 1024

func broken() *problem {
	return fail(http.StatusInternalServerError, errcode.ErrorCodeUnknown, "safepull broke; its log tells more")
}

// answer is a problem in the form that a road asks for.
type answer struct {
	form   road.Form
	status int
	write  func(http.ResponseWriter, *http.Request)
}

// answer puts a problem in the request's form.
func (h *Handler) answer(r *http.Request, p pull, bad *problem) answer {
	form := p.form(r)
	if bad.challenge != "" && form != road.Plain { // no engine that could ask elsewhere takes a challenge for the end
		bad = denied("%s", bad.err.Message)
	}
	switch {
	case form == road.Plain:
	case p.kind == kindBlob:
		bad = bad.ofBlob(p.road.Client.Kind)
	case form == road.Tombstone && r.Method == http.MethodGet:
		return answer{form, http.StatusOK, func(w http.ResponseWriter, r *http.Request) { h.tombstones.write(w, r, p.ref, bad) }}
	case form == road.Choices && r.Method == http.MethodHead:
		bad = bad.as(http.StatusMultipleChoices)
	case form == road.Unnamed && r.Method == http.MethodHead:
		return answer{form, http.StatusOK, bad.writeUnnamed}
	case form == road.Unnamed:
		return answer{form, http.StatusServiceUnavailable, bad.writeUnnamed}
	}
	return answer{form, bad.status, bad.write}
}

// as is the problem with another status, in the status line for all to see.
func (p *problem) as(status int) *problem {
	other := *p
	other.status, other.inStatusLine, other.retryAfter = status, true, 0
	other.phraseLimit = maxReasonOfForm
	return &other
}

// ofBlob is how a blob is refused to a client that could fall back. Only engines with their own store can be stopped
// there, by what the message holds.
func (p *problem) ofBlob(client road.Kind) *problem {
	if client != road.Graphdriver {
		return p
	}
	other := p.as(http.StatusForbidden)
	other.err, other.next = errcode.ErrorCodeDenied.WithMessage(p.giveUp()), giveUp+p.next
	return other
}

// giveUp is the message with what makes engines give up, before what the reader is told to do: that is a command.
func (p *problem) giveUp() string { return strings.TrimSuffix(p.err.Message, p.next) + giveUp + p.next }

// writeUnnamed answers HEAD with success that names nothing, and GET with the refusal: what a client does then, it
// does at no other host. Where that is not possible it is the plain problem.
func (p *problem) writeUnnamed(w http.ResponseWriter, r *http.Request) {
	if !p.wroteUnnamed(w, r) {
		p.write(w, r)
	}
}

func (p *problem) wroteUnnamed(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Set("Content-Type", ocispec.MediaTypeImageManifest)
	if r.Method == http.MethodHead {
		header.Set("Transfer-Encoding", "chunked")
		if writeRaw(w, r, http.StatusOK, "OK", nil) {
			return true
		}
		header.Del("Transfer-Encoding")
		return false
	}
	body := p.body()
	if p.err.Code != errcode.ErrorCodeDenied { // clients retry and translate other codes
		body = denied("%s", p.err.Message).body()
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	return writeRaw(w, r, http.StatusServiceUnavailable, reasonPhrase(p.giveUp(), giveUp+p.next, maxReasonOfForm), body)
}

// tombstones are manifests of nothing, each with a config that stands for a refusal: clients that take a manifest from
// a host take the rest from there too, or nowhere.
type tombstones struct {
	refusals *lru.Cache[string, *problem]
}

func newTombstones() (*tombstones, error) {
	refusals, err := lru.New[string, *problem](maxTombstones)
	if err != nil {
		return nil, fmt.Errorf("tombstones: %w", err)
	}
	return &tombstones{refusals}, nil
}

func (t *tombstones) write(w http.ResponseWriter, r *http.Request, ref trust.Reference, bad *problem) {
	refusal := denied("%s", bad.err.Message)
	refusal.next = bad.next
	// The digest is of no content that exists, and the same for the same refusal.
	config := digest.FromString("safepull refused " + ref.String() + "\n" + bad.err.Message)
	t.refusals.Add(key(ref.Name(), config), refusal)
	body, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: config, Size: int64(len(bad.err.Message)) + 1},
		Layers: []ocispec.Descriptor{},
	})
	if err != nil {
		bad.write(w, r)
		return
	}
	writeBody(w, r, ocispec.MediaTypeImageManifest, body)
}

// of is the refusal that a blob stands for, or nil.
func (t *tombstones) of(ref trust.Reference) *problem {
	refusal, _ := t.refusals.Get(key(ref.Name(), ref.Digest))
	return refusal
}

func key(name string, d digest.Digest) string { return strings.Join([]string{name, d.String()}, "@") }
