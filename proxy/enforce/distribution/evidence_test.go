package distribution_test

import (
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

// TestCommandNamesTheProxy: what a refusal and a warning tell people to type asks the proxy as they named it, and
// holds nothing of a Host header that is more than a plain host and port.
func TestCommandNamesTheProxy(t *testing.T) {
	t.Parallel()
	const plain, id = "see: docker safepull explain ", "SP-0123456789"
	long := strings.Repeat("a", 124) + ".com"
	for name, c := range map[string]struct {
		host string
		tls  bool
		want string
	}{
		"port":     {"proxy.example:5000", false, plain + "--proxy http://proxy.example:5000 " + id},
		"no_port":  {"proxy.example", false, plain + "--proxy http://proxy.example " + id},
		"ipv4":     {"192.0.2.1:80", false, plain + "--proxy http://192.0.2.1:80 " + id},
		"tls":      {"proxy.example:5443", true, plain + "--proxy https://proxy.example:5443 " + id},
		"longest":  {long, true, plain + "--proxy https://" + long + " " + id},
		"too_long": {"a" + long, true, plain + id},
		"none":     {"", false, plain + id},
		"ipv6":     {"[::1]:5000", false, plain + id},
		"option":   {"-x:5000", false, plain + id},
		"user":     {"user:secret@proxy.example", false, plain + id},
		"path":     {"proxy.example/a", false, plain + id},
		"shell":    {"proxy.example;id", false, plain + id},
		"expand":   {"$(id)", false, plain + id},
		"space":    {"proxy.example x", false, plain + id},
		"newline":  {"proxy.example\n", false, plain + id},
		"quote":    {`proxy.example"`, false, plain + id},
		"no_host":  {":5000", false, plain + id},
		"big_port": {"proxy.example:123456", false, plain + id},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := func(gate distribution.Gate) *httptest.ResponseRecorder {
				h, err := distribution.New(gate, []distribution.Upstream{{Host: "docker.io", Default: true, Lister: fakeLister{}}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				r, w := httptest.NewRequest("GET", someTag, nil), httptest.NewRecorder()
				if r.Host = c.host; c.tls {
					r.TLS = &tls.ConnectionState{}
				}
				h.ServeHTTP(w, r)
				return w
			}
			// The longest text that a verdict can make: the command still stands whole at its end.
			verdict := trust.Verdict{
				ID: id, Action: trust.Quarantine, Manifest: someHash, Reasons: []string{strings.Repeat("r", 500), "more"},
				Reference: trust.Reference{Registry: "docker.io", Repository: strings.Repeat("n", 400), Tag: "1"},
			}
			if got := ask(&fakeGate{err: &enforce.Refusal{Verdict: verdict}}).Body.String(); !strings.Contains(got, "; "+c.want+`"`) {
				t.Errorf("refusal %s", got)
			}
			release := released()
			release.Verdict = &verdict
			verdict.Action = trust.Warn
			got := ask(&fakeGate{release: release}).Header().Get("Warning")
			if !strings.HasSuffix(got, "; "+c.want+`"`) || len(got) > 320 {
				t.Errorf("warning of %d bytes: %s", len(got), got)
			}
		})
	}
}

// TestStatusLineKeepsTheCommand: the reason phrase is short, but a command that lost its end does something else.
func TestStatusLineKeepsTheCommand(t *testing.T) {
	t.Parallel()
	err := refusal(trust.Block)
	var r *enforce.Refusal
	if !errors.As(err, &r) {
		t.Fatal("no refusal")
	}
	r.Verdict.Reasons[0] = strings.Repeat("wide–", 100)
	s := serve(t, &fakeGate{err: r}, fakeLister{})
	got := do(t, s, "GET", someTag)
	want := "...; see: docker safepull explain --proxy " + s.URL + " SP-0123456789"
	if !strings.HasPrefix(got.Status, "403 safepull blocked docker.io/acme/app:1") || !strings.HasSuffix(got.Status, want) || len(got.Status) > 304 {
		t.Errorf("status line %q", got.Status)
	}
}

// TestRefusalSaysWhomToAsk: who pulls with an engine alone sees nothing but this sentence, and the command at its end stays
// whole however long the contact is.
func TestRefusalSaysWhomToAsk(t *testing.T) {
	t.Parallel()
	const command = "; see: docker safepull explain --proxy "
	for name, c := range map[string]struct {
		contact, owner, body, status string
	}{
		"contact": {"#security", "", "; ask #security" + command, "; ask #security" + command},
		"owner":   {"#security", "ops@acme.example", "; ask ops@acme.example or #security" + command, "; ask ops@acme.example or #security" + command},
		"long":    {strings.Repeat("c", 200), "", "; ask " + strings.Repeat("c", 200) + command, "..." + command},
		"nobody":  {"", "", "reason" + command, "reason" + command},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict := trust.Verdict{
				ID: "SP-0123456789", Action: trust.Block, Manifest: someHash, Reasons: []string{strings.Repeat("r", 300) + " reason"},
				Reference: trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}, Decision: &trust.Decision{Contact: c.contact},
			}
			if c.contact == "" {
				verdict.Reasons[0] = "reason"
			}
			if c.owner != "" {
				verdict.Evidence.Standing.Decided = &trust.Entry{Action: "deny", Owner: c.owner}
			}
			s := serve(t, &fakeGate{err: &enforce.Refusal{Verdict: verdict}}, fakeLister{})
			got := do(t, s, "GET", someTag)
			if !strings.Contains(string(got.body), c.body) || !strings.Contains(string(got.body), `SP-0123456789"`) {
				t.Errorf("body %s", got.body)
			}
			if !strings.Contains(got.Status, c.status) || !strings.HasSuffix(got.Status, "SP-0123456789") || len(got.Status) > 304 {
				t.Errorf("status line %q", got.Status)
			}
		})
	}
}
