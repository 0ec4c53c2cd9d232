package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// fakeProxy answers about manifests as it is told, and gives out one verdict.
type fakeProxy struct {
	*httptest.Server
	mu      sync.Mutex
	answers []answer // for one request each; the last is for all that follow
	verdict trust.Verdict
	// signatures is the answer about signatures, of a status; none is 404 in plain text.
	signatures map[int]string
	asked      []string
	users      []string
}

type answer struct {
	status             int
	action, id, digest string
	sentence, after    string
}

func newProxy(t *testing.T, v trust.Verdict, answers ...answer) *fakeProxy {
	t.Helper()
	p := &fakeProxy{answers: answers, verdict: v}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections) //nolint:forcetypeassert // it is
	return p
}

func (p *fakeProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL.Path)
	if user, _, ok := r.BasicAuth(); ok {
		p.users = append(p.users, user)
	}
	if strings.HasPrefix(r.URL.Path, "/safepull/v1/verdicts/") {
		if p.verdict.ID == "" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(p.verdict)
		return
	}
	if r.URL.Path == "/safepull/v1/signatures" {
		for status, body := range p.signatures {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
		http.NotFound(w, r)
		return
	}
	a := p.answers[0]
	if len(p.answers) > 1 {
		p.answers = p.answers[1:]
	}
	for name, value := range map[string]string{
		actionHeader: a.action, verdictHeader: a.id, "Docker-Content-Digest": a.digest, "Retry-After": a.after,
	} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(a.status)
	if a.sentence != "" {
		fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, a.sentence)
	}
}

// behind is a world whose images are read through the proxy; its own judge must not be asked.
func behind(t *testing.T, p *fakeProxy) *world {
	t.Helper()
	w := newWorld(t)
	w.judge = func(context.Context, trust.Reference, trust.Source) (trust.Verdict, error) {
		return trust.Verdict{}, errors.New("judged here")
	}
	w.proxy = func(_ context.Context, at *url.URL, _ trust.Reference) (Proxied, error) {
		if at.Host != strings.TrimPrefix(p.URL, "http://") {
			t.Errorf("another proxy: %s", at)
		}
		return Proxied{Source: w.registry, Transport: http.DefaultTransport}, nil
	}
	return w
}

func amd64Manifest(t *testing.T, r *fakeRegistry) digest.Digest {
	t.Helper()
	var index ocispec.Index
	if err := json.Unmarshal(r.blobs[r.top.Digest], &index); err != nil {
		t.Fatal(err)
	}
	return index.Manifests[1].Digest
}

// TestPullByProxy: each answer of a proxy has its exit status, and only a verdict on exactly this manifest lets it pass.
func TestPullByProxy(t *testing.T) {
	t.Parallel()
	const id = "SP-0123456789"
	ref, err := reference.Parse("alpine")
	if err != nil {
		t.Fatal(err)
	}
	manifest := amd64Manifest(t, newRegistry(t))
	about := func(action trust.Action) trust.Verdict { return verdict(action, ref.WithDigest(manifest)) }
	other := about(trust.Allow)
	other.Reference.Repository = "library/other"
	elsewhere := about(trust.Allow)
	elsewhere.Manifest = digest.FromString("another")
	index := answer{status: 200}
	allowed := answer{status: 200, action: "allow", id: id}
	for name, c := range map[string]struct {
		verdict trust.Verdict
		answers []answer
		status  int
		say     string
	}{
		"allowed":             {about(trust.Allow), []answer{index, allowed}, 0, "allowed (SP-0123456789)"},
		"warned":              {about(trust.Warn), []answer{index, {status: 200, action: "warn", id: id}}, 0, "explain --proxy http://127.0.0.1"},
		"sealed":              {about(trust.Allow), []answer{index, {status: 200}, allowed}, 0, "allowed"},
		"pending":             {about(trust.Allow), []answer{index, {status: 503, action: "pending", after: "1"}, allowed}, 0, "allowed"},
		"blocked":             {about(trust.Block), []answer{index, {status: 403, action: "block", id: id, sentence: "no"}}, 2, "it mines"},
		"blocked at once":     {about(trust.Block), []answer{{status: 403, action: "block", id: id, sentence: "no"}}, 2, "explain --proxy http://127.0.0.1"},
		"blocked sealed":      {about(trust.Block), []answer{index, {status: 200}, {status: 403, action: "block", id: id}}, 2, "it mines"},
		"quarantined":         {about(trust.Quarantine), []answer{index, {status: 403, action: "quarantine", id: id}}, 3, "QUARANTINED"},
		"denied name":         {trust.Verdict{}, []answer{{status: 403, action: "block", sentence: "the name is denied"}}, 2, "the name is denied"},
		"evidence gone":       {trust.Verdict{}, []answer{index, {status: 403, action: "block", id: id, sentence: "it was bad"}}, 2, "it was bad"},
		"not as said":         {about(trust.Allow), []answer{{status: 403, action: "block", id: id, sentence: "it was bad"}}, 2, "it was bad"},
		"unjudged":            {trust.Verdict{}, []answer{{status: 503, action: "unanswered", sentence: "too slow"}}, 4, "too slow"},
		"unknown action":      {trust.Verdict{}, []answer{{status: 403, action: "ponder", sentence: "hm"}}, 4, "hm"},
		"allowed, not served": {about(trust.Allow), []answer{{status: 403, action: "allow", id: id, sentence: "hm"}}, 4, "hm"},
		"no verdict":          {trust.Verdict{}, []answer{index, allowed}, 4, "not found"},
		"other name":          {other, []answer{index, allowed}, 4, "library/other"},
		"other manifest":      {elsewhere, []answer{index, allowed}, 4, "is about"},
		"blocks, serves":      {about(trust.Block), []answer{index, allowed}, 2, "BLOCKED"},
		"no ID":               {about(trust.Allow), []answer{index, {status: 200, id: "../x"}}, 1, "cannot be one"},
		"no access":           {trust.Verdict{}, []answer{{status: 403, sentence: "it is private"}}, 1, "it is private"},
		"no login":            {trust.Verdict{}, []answer{{status: 401}}, 1, "docker login 127.0.0.1"},
		"not there":           {trust.Verdict{}, []answer{{status: 404}}, 1, "there is no image alpine"},
		"redirect":            {trust.Verdict{}, []answer{{status: 307}}, 1, "307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, c.verdict, c.answers...)
			w := behind(t, p)
			r := w.run("--proxy", p.URL, "--progress", "plain", "alpine")
			if r.status != c.status || !strings.Contains(r.out+r.err, c.say) {
				t.Errorf("status %d, want %d and %q\n%s%s", r.status, c.status, c.say, r.out, r.err)
			}
			if handed := w.engine.got != ""; handed != (c.status == 0) || handed && w.engine.got != manifest {
				t.Errorf("the engine got %q", w.engine.got)
			}
			asks := newProxy(t, c.verdict, c.answers...)
			w = behind(t, asks)
			r = w.run("check", "--proxy", asks.URL, "--progress", "plain", "alpine")
			if r.status != c.status || !strings.Contains(r.out+r.err, c.say) || w.engine.got != "" {
				t.Errorf("check: status %d, want %d and %q, the engine got %q\n%s%s", r.status, c.status, c.say, w.engine.got, r.out, r.err)
			}
			p.asked = append(p.asked, asks.asked...)
			for _, path := range p.asked {
				if !strings.HasPrefix(path, "/v2/docker.io/library/alpine/manifests/") && path != "/safepull/v1/verdicts/"+id {
					t.Errorf("asked for %s", path)
				}
			}
		})
	}
}

// TestPullByProxyOwnList: the user's own list denies, whatever the proxy says, which is not asked.
func TestPullByProxyOwnList(t *testing.T) {
	t.Parallel()
	p := newProxy(t, trust.Verdict{}, answer{status: 200})
	w := behind(t, p)
	w.judge = remembered(trust.Block)
	w.lists.entries = []trust.Entry{{Pattern: "docker.io/library/alpine", Action: "deny"}}
	w.env["SAFEPULL_PROXY"] = p.URL
	if r := w.run("alpine"); r.status != 2 || len(p.asked) > 0 || w.engine.got != "" {
		t.Errorf("%+v, asked %v", r, p.asked)
	}
}

// TestPullByProxyStricterList: what the lists here ask for holds also where a proxy would be content with less.
func TestPullByProxyStricterList(t *testing.T) {
	t.Parallel()
	const id = "SP-0123456789"
	ref, err := reference.Parse("alpine")
	if err != nil {
		t.Fatal(err)
	}
	registry := newRegistry(t)
	manifest, index := amd64Manifest(t, registry), registry.top.Digest
	signed := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/library/**", Action: "allow", RequireSignature: &trust.Signer{Key: "k"}}}
	for name, c := range map[string]struct {
		digest, index digest.Digest // of which the lists have something to say
		standing      trust.Standing
		signatures    map[int]string
		here          bool // judged here
		say           string
	}{
		"nothing-to-say":    {},
		"allowed":           {digest: manifest, standing: trust.Standing{Decided: &trust.Entry{Action: "allow"}}},
		"denied-digest":     {digest: manifest, standing: trust.Standing{Decided: &trust.Entry{Action: "deny"}}, here: true},
		"denied-index":      {index: index, standing: trust.Standing{Decided: &trust.Entry{Action: "deny"}}, here: true},
		"another-pin":       {digest: manifest, standing: trust.Standing{Decided: &trust.Entry{Action: "allow"}, Unmet: []string{"it is another"}}, here: true},
		"signed":            {digest: manifest, standing: signed, signatures: map[int]string{200: `{"schema":1,"signed":true}`}},
		"not-signed":        {digest: manifest, standing: signed, signatures: map[int]string{200: `{"schema":1,"signed":false,"wrong":"nobody signed it"}`}, here: true, say: "wrong: nobody signed it"},
		"cannot-be-told":    {digest: manifest, standing: signed, signatures: map[int]string{200: `{"schema":1,"signed":false,"unanswered":"no trusted root"}`}, here: true, say: "no trusted root"},
		"an-old-proxy":      {digest: manifest, standing: signed, here: true, say: "checks no signatures"},
		"not-let-in":        {digest: manifest, standing: signed, signatures: map[int]string{401: ``}, here: true, say: "docker login"},
		"may-not-read":      {digest: manifest, standing: signed, signatures: map[int]string{403: `{"error":"not yours"}`}, here: true, say: "not yours"},
		"registry-is-down":  {digest: manifest, standing: signed, signatures: map[int]string{502: `{"error":"the log tells more"}`}, here: true, say: "the log tells more"},
		"not-json":          {digest: manifest, standing: signed, signatures: map[int]string{200: `<html>signed</html>`}, here: true, say: "does not say who signed it"},
		"says-nothing":      {digest: manifest, standing: signed, signatures: map[int]string{200: `{}`}, here: true, say: "not signed so"},
		"endless":           {digest: manifest, standing: signed, signatures: map[int]string{200: `{"signed":true}` + strings.Repeat(" ", maxRefusal)}, here: true, say: "does not say"},
		"wrong-and-refused": {digest: manifest, standing: signed, signatures: map[int]string{500: `{"signed":true}`}, here: true, say: "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, verdict(trust.Allow, ref.WithDigest(manifest)), answer{status: 200}, answer{status: 200, action: "allow", id: id})
			p.signatures = c.signatures
			w := behind(t, p)
			w.lists.match = func(ref trust.Reference) trust.Standing {
				if c.digest != "" && ref.Digest == c.digest || c.index != "" && ref.Index == c.index {
					return c.standing
				}
				return trust.Standing{}
			}
			judged := ""
			w.judge = func(ctx context.Context, ref trust.Reference, _ trust.Source) (trust.Verdict, error) {
				v := verdict(trust.Quarantine, ref)
				judged = "here"
				if w.signatures != nil {
					wrong, err := w.signatures(ctx, ref, *c.standing.Decided.RequireSignature)
					judged = fmt.Sprintf("wrong: %s, %v", wrong, err)
				}
				return v, nil
			}
			want := 0
			if c.here {
				want = 3
			}
			r := w.run("--proxy", p.URL, "--progress", "plain", "alpine")
			if r.status != want || (judged != "") != c.here || !strings.Contains(judged, c.say) || (w.engine.got != "") == c.here {
				t.Errorf("status %d, want %d; judged %q, want %q; the engine got %q\n%s%s", r.status, want, judged, c.say, w.engine.got, r.out, r.err)
			}
			if c.here && strings.Contains(r.out+r.err, "explain --proxy") {
				t.Errorf("the verdict is this machine's:\n%s%s", r.out, r.err)
			}
		})
	}
}

// TestPullWithoutProxy: who names none has everything judged here.
func TestPullWithoutProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t, trust.Verdict{}, answer{status: 500})
	w := behind(t, p)
	w.judge = readAll(trust.Allow)
	if r := w.run("alpine"); r.status != 0 || len(p.asked) > 0 {
		t.Errorf("%+v, asked %v", r, p.asked)
	}
	w.proxy = nil
	if r := w.run("--proxy", p.URL, "alpine"); r.status != 1 || !strings.Contains(r.err, "cannot do that") {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"proxy:5000", "ftp://u:s3cret@proxy", "http://u:s3cret@%zz", "http://u:s3cret@proxy?x=1"} {
		if r := w.run("--proxy", bad, "alpine"); r.status != 1 || strings.Contains(r.out+r.err, "s3cret") || !strings.Contains(r.err, "must be a URL") {
			t.Errorf("%s: %+v", bad, r)
		}
	}
}
