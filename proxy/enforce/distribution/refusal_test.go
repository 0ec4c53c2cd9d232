package distribution_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/proxy/enforce/distribution/road"
	"github.com/safepull/safepull/trust"
)

// The User-Agents of clients.
const (
	agentGraphdriver = `docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.1.0-37-amd64 os/linux arch/amd64 UpstreamClient(Docker-Client/20.10.24+dfsg1 \(linux\))`
	agentStore       = `docker/29.7.2 go/go1.26.0 git-commit/unsupported kernel/6.1.0 os/linux arch/amd64 containerd-client/2.3.5+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/29.7.2 \(linux\))`
	agentOldStore    = `docker/29.0.1 go/go1.25.3 os/linux arch/amd64 containerd-client/v2.1.5 storage-driver/overlayfs UpstreamClient(Docker-Client/29.0.1 \(linux\))`
	agentContainerd  = `containerd/1.6.20~ds1`
	agentPodman      = `libpod/4.3.1`
	agentCrane       = `crane/0.22.1 go-containerregistry/v0.22.1`
	agentBuilder     = `buildkit/v0.32.2`
	agentUnknown     = `curl/8.5.0`

	secret = "correct-horse-battery-staple"
)

// refused is what an observer saw last.
type refused struct {
	client road.Kind
	road   string
	form   road.Form
	holds  bool
}

type observer struct {
	mu   sync.Mutex
	seen []refused
}

func (o *observer) Refused(client road.Kind, name string, form road.Form, holds bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, refused{client, name, form, holds})
}

func (o *observer) last() refused {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) == 0 {
		return refused{}
	}
	return o.seen[len(o.seen)-1]
}

// roads starts a server whose default upstream refuses in the mode.
func roads(t *testing.T, gate distribution.Gate, mode road.Mode, o distribution.Observer, log logrus.FieldLogger) *httptest.Server {
	t.Helper()
	known, err := distribution.NewEnrolment(secret)
	if err != nil {
		t.Fatal(err)
	}
	h, err := distribution.New(gate, []distribution.Upstream{
		{Host: "docker.io", Alias: "hub", Default: true, HardDeny: mode, Lister: fakeLister{}},
	}, log, distribution.WithEnrolments(known), distribution.WithObserver(o))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// outcomes are what a gate may say that is not the allowed content.
func outcomes() map[string]error {
	ref := trust.Reference{Registry: "docker.io", Repository: "acme/app", Digest: someHash}
	return map[string]error{
		"blocked":      refusal(trust.Block),
		"quarantined":  refusal(trust.Quarantine),
		"undecided":    &enforce.Pending{Reference: ref, RetryAfter: 10 * time.Second},
		"unjudged":     &enforce.Unjudged{Reference: ref, Err: trust.ErrUnavailable},
		"denied-name":  &enforce.Denied{Reference: ref, Entry: trust.Entry{Pattern: "docker.io/acme/**"}},
		"rejected":     &enforce.Rejected{Reference: ref, Reason: "it has urls"},
		"not-found":    fmt.Errorf("%w: x", trust.ErrNotFound),
		"unauthorized": trust.ErrUnauthorized,
		"rate-limited": trust.ErrRateLimited,
		"unavailable":  trust.ErrUnavailable,
		"integrity":    trust.ErrIntegrity,
		"overload":     enforce.ErrOverloaded,
		"failure":      errors.New("boom"),
	}
}

const (
	byDefault = "/v2/acme/app/manifests/"
	byPath    = "/v2/docker.io/acme/app/manifests/"
	byAlias   = "/v2/hub/acme/app/manifests/"
)

// TestRefusalsByRoad is the table of clients × roads × outcomes: what each client gets, for tag and digest alike.
func TestRefusalsByRoad(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, agent, path, query string
		enrolled                 bool
		want                     road.Form
		holds                    bool
	}{
		{"graphdriver-mirror", agentGraphdriver, byDefault, "", false, road.Unnamed, true},
		{"graphdriver-path", agentGraphdriver, byPath, "", false, road.Plain, true},
		{"store-mirror", agentStore, byDefault, "?ns=docker.io", false, road.Unnamed, true},
		{"store-mirror-enrolled", agentStore, byDefault, "?ns=docker.io", true, road.Plain, true},
		{"store-names-proxy", agentStore, byDefault, "", false, road.Plain, true},
		{"old-store-mirror", agentOldStore, byDefault, "?ns=docker.io", false, road.Choices, true},
		{"containerd-mirror", agentContainerd, byDefault, "?ns=docker.io", false, road.Choices, true},
		{"containerd-enrolled", agentContainerd, byDefault, "?ns=docker.io", true, road.Plain, true},
		{"podman-mirror", agentPodman, byDefault, "", false, road.Tombstone, true},
		{"podman-path", agentPodman, byPath, "", false, road.Plain, true},
		{"builder-mirror", agentBuilder, byDefault, "?ns=docker.io", false, road.Choices, true},
		{"crane", agentCrane, byDefault, "", false, road.Plain, true},
		{"unknown-mirror", agentUnknown, byDefault, "", false, road.Plain, false},
		// Docker Hub may have a namespace "hub", which a mirror's client asks for in the same words.
		{"graphdriver-alias", agentGraphdriver, byAlias, "", false, road.Unnamed, true},
		{"podman-alias", agentPodman, byAlias, "", false, road.Tombstone, true},
		{"store-alias", agentStore, byAlias, "", false, road.Plain, true},
		{"crane-alias", agentCrane, byAlias, "", false, road.Plain, true},
		{"unknown-path", agentUnknown, byPath, "", false, road.Plain, true},
	}
	for _, c := range cases {
		for outcome, err := range outcomes() {
			t.Run(c.name+"/"+outcome, func(t *testing.T) {
				t.Parallel()
				o, gate := &observer{}, &fakeGate{err: err}
				s := roads(t, gate, road.Auto, o, nil)
				header := []string{"User-Agent", c.agent}
				if c.enrolled {
					header = append(header, distribution.EnrolmentHeader, secret)
				}
				for _, object := range []string{"1", someHash.String()} {
					for _, method := range []string{"HEAD", "GET"} {
						got := do(t, s, method, c.path+object+c.query, header...)
						checkForm(t, s, c.want, method, got, outcome == "blocked", header)
						if seen := o.last(); seen.form != c.want || seen.holds != c.holds {
							t.Errorf("%s %s: observed %+v", method, object, seen)
						}
					}
				}
				if whole := gate.terms[0].Whole; whole != (c.want != road.Plain || !c.holds) {
					t.Errorf("decides indexes as a whole: %t", whole)
				}
			})
		}
	}
}

// checkForm holds an answer against its form.
func checkForm(t *testing.T, s *httptest.Server, form road.Form, method string, got answer, explained bool, header []string) {
	t.Helper()
	if d := got.Header.Get("Docker-Content-Digest"); d != "" || got.StatusCode == 401 || got.Header.Get("Www-Authenticate") != "" {
		t.Errorf("%s names %q, status %s", method, d, got.Status)
	}
	const why = "safepull blocked docker.io/acme/app:1"
	head := method == "HEAD"
	switch form {
	case road.Unnamed:
		if head {
			if got.StatusCode != 200 || got.ContentLength != -1 || got.Header.Get("Content-Length") != "" || got.Header.Get("Content-Type") != ocispec.MediaTypeImageManifest {
				t.Errorf("HEAD: %s, length %d, %v", got.Status, got.ContentLength, got.Header)
			}
			return
		}
		if got.StatusCode != 503 || !strings.Contains(got.Status, " (no such process)") || strings.Contains(got.Status, "see: ") && !strings.HasSuffix(got.Status, " SP-0123456789") || !strings.HasPrefix(got.message(), "DENIED: ") ||
			got.Header.Get("Content-Type") != ocispec.MediaTypeImageManifest || got.Header.Get("Retry-After") != "" {
			t.Errorf("GET: %s, %v, %s", got.Status, got.Header, got.body)
		}
	case road.Choices:
		if head && (got.StatusCode != 300 || got.Header.Get("Location") != "") || !head && got.StatusCode < 400 {
			t.Errorf("%s: %s", method, got.Status)
		}
	case road.Tombstone:
		if !head {
			checkTombstone(t, s, got, explained, header)
			return
		}
		if got.StatusCode < 400 {
			t.Errorf("HEAD: %s", got.Status)
		}
	case road.Plain:
		if got.StatusCode < 400 {
			t.Errorf("%s: %s", method, got.Status)
		}
	}
	if explained && !strings.Contains(got.Status, why) || explained && !head && !strings.Contains(got.message(), "DENIED: "+why) {
		t.Errorf("%s: %s does not explain itself: %s", method, got.Status, got.body)
	}
}

// checkTombstone follows a client that takes the manifest for one.
func checkTombstone(t *testing.T, s *httptest.Server, got answer, explained bool, header []string) {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(got.body, &m); err != nil || got.StatusCode != 200 || len(m.Layers) > 0 || m.Config.Size <= 0 {
		t.Fatalf("%s %s", got.Status, got.body)
	}
	config := do(t, s, "GET", "/v2/acme/app/blobs/"+m.Config.Digest.String(), header...)
	if config.StatusCode != 403 || !strings.HasPrefix(config.message(), "DENIED: ") {
		t.Errorf("config: %s %s", config.Status, config.body)
	}
	if explained && !strings.Contains(config.message(), "safepull blocked docker.io/acme/app:1") {
		t.Errorf("config: %s", config.message())
	}
}

// TestModes: off is plain for everybody, on has a form for everybody who could fall back.
func TestModes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[road.Mode]map[string]road.Form{
		road.Off: {agentGraphdriver: road.Plain, agentPodman: road.Plain, agentUnknown: road.Plain},
		road.On:  {agentGraphdriver: road.Unnamed, agentPodman: road.Tombstone, agentUnknown: road.Unnamed},
	} {
		for agent, form := range want {
			o := &observer{}
			s := roads(t, &fakeGate{err: refusal(trust.Block)}, mode, o, nil)
			checkForm(t, s, form, "GET", do(t, s, "GET", byDefault+"1", "User-Agent", agent), true, []string{"User-Agent", agent})
			if seen := o.last(); mode == road.Off && (seen.holds || seen.form != road.Plain) {
				t.Errorf("off, %s: %+v", agent, seen)
			}
		}
	}
}

// TestBlobRefusals: a manifest was there before, and only one kind of client can be stopped at a blob.
func TestBlobRefusals(t *testing.T) {
	t.Parallel()
	path := "/v2/acme/app/blobs/" + someHash.String()
	s := roads(t, &fakeGate{err: trust.ErrUnavailable}, road.Auto, &observer{}, nil)
	got := do(t, s, "GET", path, "User-Agent", agentGraphdriver)
	if got.StatusCode != 403 || !strings.HasPrefix(got.message(), "DENIED: ") || !strings.Contains(got.message(), "(no such process)") {
		t.Errorf("graphdriver: %s %s", got.Status, got.body)
	}
	for _, agent := range []string{agentStore, agentPodman, agentCrane, agentUnknown} {
		if got := do(t, s, "GET", path+"?ns=docker.io", "User-Agent", agent); got.StatusCode != 502 {
			t.Errorf("%s: %s", agent, got.Status)
		}
	}
}

// TestNamesThatNobodyReads: what fails before there is a reference is refused in the form all the same.
func TestNamesThatNobodyReads(t *testing.T) {
	t.Parallel()
	o := &observer{}
	s := roads(t, &fakeGate{}, road.Auto, o, nil)
	for _, path := range []string{
		"/v2/acme/blobs/manifests/1", "/v2/ACME/app/manifests/1", "/v2/acme/app/manifests/.x", "/v2/acme/app/manifests/sha256:1",
		"/v2/acme/app/manifests/1?ns=quay.io", "/v2/acme/app/manifests/1?ns=a&ns=b", "/v2/acme%2fapp/manifests/1", "/v2/acme/app/manifests/1?%zz",
	} {
		got := do(t, s, "GET", path, "User-Agent", agentGraphdriver)
		if got.StatusCode != 503 || !strings.Contains(got.Status, "(no such process)") || o.last().form != road.Unnamed {
			t.Errorf("%s: %s, %+v", path, got.Status, o.last())
		}
	}
	for _, path := range []string{"/v2/acme/app/tags/list?ns=quay.io", "/v2/nothing"} {
		if got := do(t, s, "GET", path, "User-Agent", agentGraphdriver); got.StatusCode >= 500 {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
}

// TestEnrolment: only the secret enrols, and it opens nothing.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	s := roads(t, &fakeGate{err: refusal(trust.Block)}, road.Auto, &observer{}, nil)
	path := byDefault + "1?ns=docker.io"
	for name, header := range map[string][]string{
		"none": nil, "other": {distribution.EnrolmentHeader, secret + "x"}, "empty": {distribution.EnrolmentHeader, ""},
		"twice": {distribution.EnrolmentHeader, secret, distribution.EnrolmentHeader, secret},
	} {
		if got := do(t, s, "HEAD", path, append(header, "User-Agent", agentContainerd)...); got.StatusCode != 300 {
			t.Errorf("%s: %s", name, got.Status)
		}
	}
	if got := do(t, s, "HEAD", path, distribution.EnrolmentHeader, secret, "User-Agent", agentContainerd); got.StatusCode != 403 {
		t.Errorf("enrolled: %s", got.Status)
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 15), "with a space in it", "with\"a-quote-in-it", "with\\a-backslash", "with-a-tab-in-it\t", "with-an-umlaut-ü-in-it"} {
		if _, err := distribution.NewEnrolment(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestLogNamesRoadAndForm, and no secret.
func TestLogNamesRoadAndForm(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	s := roads(t, &fakeGate{err: refusal(trust.Block)}, road.Auto, &observer{}, log)
	do(t, s, "GET", byDefault+"1", "User-Agent", agentGraphdriver)
	do(t, s, "GET", byDefault+"1", "User-Agent", agentUnknown, distribution.EnrolmentHeader, secret+"x")
	do(t, s, "GET", byDefault+"1", "User-Agent", agentContainerd, distribution.EnrolmentHeader, secret)
	s.Close()
	for _, want := range []string{
		"client=docker-graphdriver", "form=unnamed", "road=mirror", "verdict=SP-0123456789",
		"this client may get it elsewhere", "client=unknown", "form=plain", "road=enrolled",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), secret) {
		t.Error("the log has the secret")
	}
}

// TestLogSaysWhatWasAnswered, whatever the form of the refusal makes of its status.
func TestLogSaysWhatWasAnswered(t *testing.T) {
	t.Parallel()
	for outcome, err := range outcomes() {
		log, seen := test.NewNullLogger()
		log.SetLevel(logrus.DebugLevel)
		s := roads(t, &fakeGate{err: err}, road.Auto, &observer{}, log)
		for _, agent := range []string{agentGraphdriver, agentStore, agentOldStore, agentContainerd, agentPodman, agentCrane, agentUnknown} {
			for _, path := range []string{byDefault + "1", byDefault + "1?ns=docker.io", byPath + "1", "/v2/acme/app/blobs/" + someHash.String()} {
				for _, method := range []string{"HEAD", "GET"} {
					seen.Reset()
					got := do(t, s, method, path, "User-Agent", agent)
					entry := seen.LastEntry()
					if entry == nil || len(seen.AllEntries()) != 1 || entry.Data["status"] != got.StatusCode {
						t.Errorf("%s: %s %s of %s: %s, logged %+v", outcome, method, path, agent, got.Status, entry)
					}
				}
			}
		}
	}
	log, seen := test.NewNullLogger()
	h, err := distribution.New(&fakeGate{}, []distribution.Upstream{{Host: "docker.io", Default: true, Lister: fakeLister{}}}, log)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Refuse(w, r, &caller.Refused{Reason: "log in", Challenge: "Basic realm=x"})
	}))
	defer s.Close()
	for agent, status := range map[string]int{agentGraphdriver: 503, agentPodman: 200, agentCrane: 401} {
		seen.Reset()
		if got := do(t, s, "GET", byDefault+"1", "User-Agent", agent); got.StatusCode != status {
			t.Errorf("%s: %s", agent, got.Status)
		}
		for _, entry := range seen.AllEntries() {
			if entry.Data["status"] != status {
				t.Errorf("%s: logged %+v", agent, entry)
			}
		}
	}
}

// TestOldHTTP: without HTTP/1.1 there is no reason phrase and no chunk; the refusal is plain, and counted as such.
func TestOldHTTP(t *testing.T) {
	t.Parallel()
	o := &observer{}
	s := roads(t, &fakeGate{err: refusal(trust.Block)}, road.Auto, o, nil)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s1 HTTP/1.0\r\nUser-Agent: %s\r\n\r\n", byDefault, agentGraphdriver)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 403 {
		t.Errorf("%s, %v", resp.Status, err)
	}
	if seen := o.last(); seen.form != road.Plain || seen.holds {
		t.Errorf("%+v", seen)
	}
}

// TestPanicIsRefused in the form that keeps the client.
func TestPanicIsRefused(t *testing.T) {
	t.Parallel()
	known := func(g distribution.Gate, agent string) *httptest.ResponseRecorder {
		h, err := distribution.New(g, []distribution.Upstream{{Host: "docker.io", Default: true, Lister: fakeLister{}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", byDefault+"1", nil)
		r.Header.Set("User-Agent", agent)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			h.ServeHTTP(w, r)
		}()
		return w
	}
	if w := known(nil, agentPodman); w.Code != 200 || !strings.Contains(w.Body.String(), digest.SHA256.String()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLongReasonsKeepWhatStops: a reason phrase is cut, but neither the command at its end nor what engines look for.
func TestLongReasonsKeepWhatStops(t *testing.T) {
	t.Parallel()
	long := &enforce.Refusal{Verdict: trust.Verdict{ID: "SP-0123456789", Action: trust.Block, Manifest: someHash,
		Reference: trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}, Reasons: []string{strings.Repeat("because ", 200)}}}
	long.Verdict.Reference.Repository = "acme/" + strings.Repeat("a", 250)
	long.Verdict.ID = "SP-" + strings.Repeat("0", 300)
	s := roads(t, &fakeGate{err: long}, road.Auto, &observer{}, nil)
	got := do(t, s, "GET", byDefault+"1", "User-Agent", agentGraphdriver)
	if !strings.Contains(got.Status, "... (no such process); see: docker safepull explain ") || !strings.HasSuffix(got.Status, " "+long.Verdict.ID) || len(got.Status) > 910 {
		t.Errorf("%q", got.Status)
	}
}

// TestNotLetInBindsToo: a front door that refuses mirror traffic does not send it to the registry.
func TestNotLetInBindsToo(t *testing.T) {
	t.Parallel()
	h, err := distribution.New(&fakeGate{}, []distribution.Upstream{{Host: "docker.io", Default: true, Lister: fakeLister{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]error{
		"challenge": &caller.Refused{Reason: "log in", Challenge: "Basic realm=x"}, "busy": &caller.Refused{Reason: "busy", Busy: true},
		"closed": &caller.Refused{Reason: "closed"}, "other": errors.New("boom"),
	}
	for name, err := range refused {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Refuse(w, r, err) }))
		if got := do(t, s, "GET", byDefault+"1", "User-Agent", agentGraphdriver); got.StatusCode != 503 || !strings.Contains(got.Status, "no such process") || got.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: %s", name, got.Status)
		}
		if got := do(t, s, "HEAD", byDefault+"1?ns=docker.io", "User-Agent", agentContainerd); got.StatusCode != 300 {
			t.Errorf("%s: %s", name, got.Status)
		}
		if got := do(t, s, "GET", byPath+"1", "User-Agent", agentCrane); name == "challenge" && (got.StatusCode != 401 || got.Header.Get("Www-Authenticate") == "") {
			t.Errorf("%s: %s", name, got.Status)
		}
		want := map[string]int{"challenge": 401, "busy": 503}[name]
		if want == 0 {
			want = 200 // a client that uses the proxy as a mirror goes around it when its ping is refused
		}
		if got := do(t, s, "GET", "/v2/", "User-Agent", agentGraphdriver); got.StatusCode != want {
			t.Errorf("%s, base: %s", name, got.Status)
		}
		for _, agent := range []string{agentGraphdriver, agentContainerd, agentPodman} {
			for _, path := range []string{byDefault + "1", byDefault + string(someHash), byDefault + "1?ns=docker.io"} {
				for _, method := range []string{"GET", "HEAD"} {
					named := agent == agentContainerd && !strings.Contains(path, "ns=") // it names the proxy itself, then
					if got := do(t, s, method, path, "User-Agent", agent); !named && (got.StatusCode == 401 || got.Header.Get("Www-Authenticate") != "") {
						t.Errorf("%s, %s %s by %s: %s", name, method, path, agent, got.Status)
					}
				}
			}
		}
		s.Close()
	}
}
