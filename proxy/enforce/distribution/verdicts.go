package distribution

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// VerdictsPath is where Explain is served.
const VerdictsPath = "/safepull/v1/verdicts"

// maxVerdicts bounds one answer about a name.
const maxVerdicts = 20

// maxHost bounds the host that a message repeats, so that a message ends before its own limit.
const maxHost = 128

// plainHost is a name or an IPv4 address, and perhaps a port: what can stand in a command in any shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?$`)

// seeEvidence ends a message about a verdict with the command that shows its evidence. The command names this proxy as
// the client did, where it did so plainly.
func seeEvidence(r *http.Request, id string) string {
	const command = "; see: docker safepull explain "
	if len(r.Host) > maxHost || !plainHost.MatchString(r.Host) {
		return command + id
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return command + "--proxy " + scheme + "://" + r.Host + " " + id
}

// Verdicts are what was decided. trust/store implements it.
type Verdicts interface {
	VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error)
	// Verdicts are those about a name (registry/repository), newest first.
	Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error)
}

// Explain serves verdicts, read-only: VerdictsPath/ID is one of them, VerdictsPath?reference=NAME are those about a
// name, newest first. render writes one as JSON; nil means as package trust spells it.
func Explain(verdicts Verdicts, render func(trust.Verdict) ([]byte, error), logger logrus.FieldLogger) http.Handler {
	if render == nil {
		render = func(v trust.Verdict) ([]byte, error) { return json.Marshal(v) }
	}
	return explainer{verdicts: verdicts, render: render, logger: logger}
}

type explainer struct {
	verdicts Verdicts
	render   func(trust.Verdict) ([]byte, error)
	logger   logrus.FieldLogger
}

// ServeHTTP answers one request.
func (e explainer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported, "verdicts are read-only").write(w, r)
		return
	}
	path := r.URL.EscapedPath()
	id, one := strings.CutPrefix(path, VerdictsPath+"/")
	switch {
	case one && isID(id):
		e.one(w, r, id)
	case !one && path == VerdictsPath:
		e.list(w, r)
	default:
		fail(404, errcode.ErrorCodeUnknown, "no verdict has the name %q; an id looks like SP-ABCDEFGHIJ", path).write(w, r)
	}
}

// isID is "SP-" and letters and digits; how many is the judge's business.
func isID(s string) bool {
	rest, ok := strings.CutPrefix(s, "SP-")
	return ok && rest != "" && len(rest) <= 64 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func (e explainer) one(w http.ResponseWriter, r *http.Request, id string) {
	id = strings.ToUpper(id) // as people may have typed it
	v, ok, err := e.verdicts.VerdictByID(r.Context(), id)
	if err != nil {
		e.broken(w, r, err)
		return
	}
	if !ok {
		fail(404, errcode.ErrorCodeUnknown, "safepull has no verdict %s", id).write(w, r)
		return
	}
	body, err := e.render(v)
	if err != nil {
		e.broken(w, r, err)
		return
	}
	writeBody(w, r, "application/json", body)
}

func (e explainer) list(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query().Get("reference")
	ref, err := reference.Parse(asked)
	if err != nil {
		fail(400, errcode.ErrorCodeNameInvalid, "reference=%q: %v", asked, err).write(w, r)
		return
	}
	found, err := e.verdicts.Verdicts(r.Context(), ref.Name(), maxVerdicts)
	if err != nil {
		e.broken(w, r, err)
		return
	}
	answer := struct {
		Schema   int               `json:"schema"`
		Verdicts []json.RawMessage `json:"verdicts"`
	}{1, []json.RawMessage{}}
	for _, v := range found {
		if ref.Digest != "" && v.Manifest != ref.Digest {
			continue
		}
		body, err := e.render(v)
		if err != nil {
			e.broken(w, r, err)
			return
		}
		answer.Verdicts = append(answer.Verdicts, body)
	}
	writeJSON(w, r, "application/json", answer)
}

func (e explainer) broken(w http.ResponseWriter, r *http.Request, err error) {
	if e.logger != nil {
		e.logger.WithError(err).WithField("request", w.Header().Get(RequestID)).Error("read verdicts")
	}
	fail(500, errcode.ErrorCodeUnknown, "the store of verdicts failed; safepull's log tells more").write(w, r)
}
