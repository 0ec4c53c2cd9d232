package distribution

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

const (
	// maxMessage bounds what is said to a client, so that content of an image cannot fill a terminal.
	maxMessage = 1000
	// maxWhy bounds the reason of a verdict in it, maxWhom whom to ask.
	maxWhy  = 400
	maxWhom = 250
	// maxNext bounds what a status line keeps of what to do next: a command, and whom to ask where there is room.
	maxNext = 200
	// maxReason bounds the copy in the status line; some clients limit the line.
	maxReason = 300
	// maxReasonOfForm does so where the status line is all that a client shows, and the client is known to read it.
	maxReasonOfForm = 900
	// statusClientGone is what the log shows for a client that left; nobody receives it.
	statusClientGone = 499
	// comeBack is when to ask again where nobody said so.
	comeBack = 30 * time.Second
)

// problem is an answer that is not the content.
type problem struct {
	status     int
	err        errcode.Error
	retryAfter time.Duration
	// inStatusLine repeats the message in the HTTP/1.1 reason phrase: many clients show nothing else.
	inStatusLine bool
	// phraseLimit bounds the reason phrase where it is more than maxReason.
	phraseLimit int
	// challenge is the WWW-Authenticate header of a 401.
	challenge string
	// next is how the message ends when it ends with what to do; the reason phrase keeps it.
	next string
	// action and verdict are told to programs, as ActionHeader and VerdictHeader.
	action, verdict string
}

// Headers by which an answer about a manifest or a blob says to a program what its message says to people.
const (
	// ActionHeader is the verdict's action; else ActionUnanswered, ActionPending or ActionNotConfigured. It is missing
	// where the answer depends on no judgement otherwise, and where an image is delivered sealed.
	ActionHeader = "X-Safepull-Action"
	// VerdictHeader is the verdict's ID, if there is a verdict.
	VerdictHeader = "X-Safepull-Verdict"

	// ActionUnanswered says that no verdict was reached.
	ActionUnanswered = "unanswered"
	// ActionPending says that a judgement is running; Retry-After says when to ask again.
	ActionPending = "pending"
	// ActionNotConfigured says that the proxy serves nothing of that registry, to nobody: no login helps.
	ActionNotConfigured = "not-configured"
)

// told adds what programs are told.
func (p *problem) told(action, verdict string) *problem {
	p.action, p.verdict = action, verdict
	return p
}

func tellAction(h http.Header, action, verdict string) {
	if action != "" {
		h.Set(ActionHeader, action)
	}
	if verdict != "" {
		h.Set(VerdictHeader, verdict)
	}
}

func fail(status int, code errcode.ErrorCode, format string, args ...any) *problem {
	return &problem{status: status, err: code.WithMessage(trust.Sanitise(fmt.Sprintf(format, args...), maxMessage))}
}

// later adds when to come back.
func (p *problem) later(d time.Duration) *problem {
	p.retryAfter, p.inStatusLine = d, true
	return p
}

// denied is the answer that every client shows and none retries: 403 with code DENIED.
func denied(format string, args ...any) *problem {
	p := fail(http.StatusForbidden, errcode.ErrorCodeDenied, format, args...)
	p.inStatusLine = true
	return p
}

// loginWanted is the answer at which clients that named the proxy itself show their login, and "docker login" fails. It
// is for no one else: see caller.Caller.
func loginWanted(challenge, reason string) *problem {
	p := fail(http.StatusUnauthorized, errcode.ErrorCodeUnauthorized, "%s", reason)
	p.challenge = challenge
	return p
}

// notAnUpstream is for a registry that the proxy must not read, whoever asks.
func notAnUpstream(registry string) *problem {
	return denied("safepull serves no images of %q: it is not configured as an upstream; whoever runs the proxy can add it", registry).told(ActionNotConfigured, "")
}

// problemOf translates what the gate and its sources answer to r; unknown is the code for what upstream does not have.
func problemOf(r *http.Request, err error, ref trust.Reference, unknown errcode.ErrorCode) *problem {
	if p := decision(r, err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, enforce.ErrOverloaded):
		return fail(503, errcode.ErrorCodeUnavailable, "safepull: %v; try again", enforce.ErrOverloaded).later(comeBack).told(ActionUnanswered, "")
	case errors.Is(err, enforce.ErrNotConfigured):
		return notAnUpstream(ref.Registry)
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return fail(statusClientGone, errcode.ErrorCodeUnknown, "the client went away")
	case errors.Is(err, trust.ErrIntegrity):
		return denied("safepull refused %s: what %s sent contradicts its digest", ref, ref.Registry).told(string(trust.Block), "")
	case errors.Is(err, trust.ErrLimit), errors.Is(err, trust.ErrMalformed), errors.Is(err, trust.ErrUnsupported):
		return denied("safepull refused %s: %v", ref, err).told(ActionUnanswered, "")
	case errors.Is(err, trust.ErrNotFound):
		return fail(404, unknown, "%s has no %s", ref.Registry, strings.TrimPrefix(ref.String(), ref.Registry+"/"))
	case errors.Is(err, trust.ErrUnauthorized):
		return unauthorized(caller.Of(r.Context()), err, ref)
	case errors.Is(err, trust.ErrRateLimited):
		return fail(429, errcode.ErrorCodeTooManyRequests, "%s limits the rate of pulls; try again later", ref.Registry).later(retryAfter(err))
	case errors.Is(err, context.DeadlineExceeded):
		return fail(504, errcode.ErrorCodeUnavailable, "%s did not answer in time; try again later", ref.Registry).later(comeBack)
	case errors.Is(err, trust.ErrUnavailable), errors.Is(err, context.Canceled): // not by this client
		return fail(502, errcode.ErrorCodeUnavailable, "%s could not be reached or broke off; try again later", ref.Registry).later(retryAfter(err))
	}
	return fail(500, errcode.ErrorCodeUnknown, "safepull failed; its log tells why")
}

// unauthorized says whose login it takes.
func unauthorized(c caller.Caller, err error, ref trust.Reference) *problem {
	var fault *caller.LoginError
	known := errors.As(err, &fault)
	needed := fmt.Sprintf("%s gives no access to %s without a login: log in at the proxy", ref.Registry, ref.Repository)
	switch login := c.Logins[ref.Registry]; {
	case known && fault.Own: // the caller's would not help
		return denied("%s", ownRefused(ref))
	case c.Challenge != "":
		return loginWanted(c.Challenge, needed)
	case login.Empty() && c.Identity == "" && (known || c.Again != ""): // asked before, or nobody could ask
		return denied("%s", needed)
	case login.Empty() && known:
		return denied("%s gives no access to %s without a login of your own there, and none came along", ref.Registry, ref.Repository)
	case !login.Empty():
		return denied("%s gives your login no access to %s: it does not exist, or is not for you, or the login is wrong; \"docker login\" at the proxy checks it", ref.Registry, ref.Repository)
	}
	// Not 401: that would make some clients send logins for other registries, and others go around the proxy.
	return denied("%s gives safepull no access to %s: it does not exist, or is private and needs a login in safepull's configuration", ref.Registry, ref.Repository)
}

func ownRefused(ref trust.Reference) string {
	return fmt.Sprintf("safepull's own login at %s was refused there: whoever runs safepull must renew it", ref.Registry)
}

// decision translates the gate's own answers, which may wrap anything and therefore come first.
func decision(r *http.Request, err error) *problem {
	var (
		refusal       *enforce.Refusal
		deniedName    *enforce.Denied
		rejected      *enforce.Rejected
		pending       *enforce.Pending
		unjudged      *enforce.Unjudged
		notReferenced *enforce.NotReferenced
	)
	switch {
	case errors.As(err, &refusal):
		next := seeEvidence(r, refusal.Verdict.ID)
		ask := askWhom(refusal.Verdict)
		p := denied("%s%s%s", refusalText(refusal.Verdict, maxWhy-len(ask)), ask, next)
		p.next = next
		if with := ask + next; len(with) <= maxNext {
			p.next = with
		}
		return p.told(string(refusal.Verdict.Action), refusal.Verdict.ID)
	case errors.As(err, &deniedName):
		return denied("safepull: %v", deniedName).told(string(trust.Block), "")
	case errors.As(err, &rejected):
		return denied("safepull refused %v", rejected).told(string(trust.Block), "")
	case errors.As(err, &pending):
		return fail(503, errcode.ErrorCodeUnavailable, "safepull: inspection is running for %s; try again in %d s",
			pending.Reference, seconds(pending.RetryAfter)).later(pending.RetryAfter).told(ActionPending, "")
	case errors.As(err, &unjudged):
		return fail(503, errcode.ErrorCodeUnavailable, "safepull: %s could not be judged: %s; try again later", unjudged.Reference, whyUnjudged(unjudged)).
			later(retryAfter(err)).told(ActionUnanswered, "")
	case errors.As(err, &notReferenced):
		return fail(404, errcode.ErrorCodeBlobUnknown, "safepull: %v", notReferenced)
	}
	return nil
}

// whyUnjudged is what a client may know of the cause; the log has all of it.
func whyUnjudged(e *enforce.Unjudged) string {
	var fault *caller.LoginError
	switch {
	case errors.As(e.Err, &fault) && fault.Own:
		return ownRefused(e.Reference)
	case errors.Is(e.Err, trust.ErrNotFound):
		return e.Reference.Registry + " does not have all of it"
	case errors.Is(e.Err, trust.ErrUnauthorized):
		return e.Reference.Registry + " gives no access to all of it"
	case errors.Is(e.Err, trust.ErrRateLimited):
		return e.Reference.Registry + " limits the rate of pulls"
	case errors.Is(e.Err, trust.ErrUnavailable):
		return e.Reference.Registry + " could not be reached or broke off"
	case errors.Is(e.Err, context.DeadlineExceeded):
		return "it took too long"
	}
	return "safepull's log tells why"
}

// askWhom says whom to ask about a refusal: people whose engine it is that shows it may have no other program of ours.
func askWhom(v trust.Verdict) string {
	whom := trust.Sanitise(v.Whom(), maxWhom)
	if whom == "" {
		return ""
	}
	return "; ask " + whom
}

// refusalText is what was refused, by which verdict, and why, in limit bytes. With what askWhom and seeEvidence add it
// stays below maxMessage.
func refusalText(v trust.Verdict, limit int) string {
	did := map[trust.Action]string{trust.Block: "blocked", trust.Quarantine: "quarantined"}[v.Action]
	if did == "" {
		did = "refused"
	}
	why := "no reason was recorded"
	if len(v.Reasons) > 0 {
		why = trust.Sanitise(v.Reasons[0], limit)
		if more := len(v.Reasons) - 1; more > 0 {
			why += fmt.Sprintf(" (and %d more)", more)
		}
	}
	what := v.Reference.WithDigest("").String()
	if d := v.Manifest; d.Validate() == nil {
		what += " (" + d.Algorithm().String() + ":" + d.Encoded()[:12] + ")"
	}
	return fmt.Sprintf("safepull %s %s [%s]: %s", did, trust.Sanitise(what, 300), v.ID, why)
}

// retryAfter finds the delay that upstream asked for, if the error carries it.
func retryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) && asked.RetryAfter() > 0 {
		return min(asked.RetryAfter(), time.Hour)
	}
	return comeBack
}

func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	body := p.body()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	tellAction(h, p.action, p.verdict)
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds(p.retryAfter)))
	}
	if p.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	if r.Method == http.MethodHead {
		body = nil
	}
	if p.inStatusLine && writeRaw(w, r, p.status, p.phrase(), body) {
		return
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

func (p *problem) body() []byte {
	body, err := json.Marshal(errcode.Errors{p.err})
	if err != nil {
		return []byte(`{"errors":[{"code":"UNKNOWN"}]}`)
	}
	return body
}

func (p *problem) phrase() string {
	return reasonPhrase(p.err.Message, p.next, max(p.phraseLimit, maxReason))
}

// noter is told of an answer that went past the ResponseWriter.
type noter interface {
	Note(status int, written int64)
}

// mayBeRaw reports whether an answer can be written with a reason phrase of its own: not in HTTP/2, nor before a body
// that is still to be read.
func mayBeRaw(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// writeRaw writes the response with w's headers itself, since net/http offers no reason phrase, and ends the
// connection. It reports false, and wrote nothing, when that is not possible.
func writeRaw(w http.ResponseWriter, r *http.Request, status int, phrase string, body []byte) bool {
	if !mayBeRaw(r) {
		return false
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing is left to be said
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	out := bufio.NewWriter(buffered.Writer)
	h := w.Header().Clone()
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = fmt.Fprintf(out, "HTTP/1.1 %d %s\r\n", status, phrase)
	_ = h.Write(out)
	_, _ = out.WriteString("\r\n")
	_, _ = out.Write(body)
	_ = out.Flush()
	_ = buffered.Flush()
	if n, ok := w.(noter); ok {
		n.Note(status, int64(len(body)))
	}
	return true
}

// reasonPhrase is message as the status line may hold it: printable ASCII, at most limit bytes. A message that ends with
// next is cut before it: a command that lost its end does something else.
func reasonPhrase(message, next string, limit int) string {
	ascii := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, message)
	if len(ascii) <= limit {
		return ascii
	}
	const cut = "..."
	if text, ok := strings.CutSuffix(ascii, next); ok && next != "" && len(cut)+len(next) < limit {
		return text[:limit-len(cut)-len(next)] + cut + next
	}
	return ascii[:limit]
}
