package ask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

const (
	// maxAnswer bounds one answer, in bytes: memory. A page of a hundred repositories has some 100 KiB.
	maxAnswer = 1 << 20
	// maxRedirects bounds a chain of redirects within one host.
	maxRedirects = 3
	// pauseFor is how long a registry is left alone that did not answer, so that nobody waits for it again and again.
	pauseFor = 5 * time.Minute
	// maxPause bounds the pause that a registry asks for.
	maxPause = time.Hour
	// ownPause is how long a question stays open that safepull itself put off.
	ownPause = 10 * time.Second
	// keepFor bounds the wait for the memory, which is not the registry's time.
	keepFor = 5 * time.Second
)

// errRedirect: the registry's API leads elsewhere, where nobody told us to go.
var errRedirect = errors.New("it leads to another place, which is not followed")

// newClient makes a client without cookies and credentials that stays where it is sent.
func newClient(s Source) *http.Client {
	return &http.Client{
		Transport: s.Transport,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case req.URL.Scheme != s.URL.Scheme || req.URL.Host != s.URL.Host || req.URL.User != nil:
				return errRedirect
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			req.Header.Del("Referer")
			return nil
		},
	}
}

// pause says until when a registry is left alone, and why.
type pause struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	// Limited is true when the registry asked for it.
	Limited bool `json:"limited,omitempty"`
}

func pauseKey(s *source) string { return "pause " + s.Host() + " " + s.URL.Host }

// paused is an error while the registry is left alone. A later process leaves it alone too.
func (a *Asker) paused(ctx context.Context, s *source) error {
	body, ok, err := a.memory.Note(ctx, pauseKey(s))
	if err != nil || !ok {
		return err
	}
	p, now := parsePause(body), a.o.Now()
	if !now.Before(p.Until) || p.Until.Sub(now) > maxPause {
		return nil
	}
	class := trust.ErrUnavailable
	if p.Limited {
		class = trust.ErrRateLimited
	}
	return failure{class: class, text: fmt.Sprintf("%s; it is asked again after %s", trust.Sanitise(p.Reason, 200), p.Until.UTC().Format("15:04:05 UTC")), again: min(p.Until.Sub(now), pauseFor)}
}

// parsePause is no pause where the note is damaged: who cannot read it asks again.
func parsePause(body []byte) (p pause) {
	if err := json.Unmarshal(body, &p); err != nil {
		return pause{}
	}
	return p
}

func (a *Asker) leaveAlone(ctx context.Context, s *source, f failure, d time.Duration) {
	body, err := json.Marshal(pause{a.o.Now().Add(min(max(d, time.Second), maxPause)), f.text, errors.Is(f.class, trust.ErrRateLimited)})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepFor)
	defer cancel()
	_ = a.memory.KeepNote(ctx, pauseKey(s), body) // who cannot note a pause asks again
}

// failure says what a registry did instead of answering.
type failure struct {
	class error
	text  string
	// again is after how long to ask again; zero is pauseFor.
	again time.Duration
}

// Error implements error.
func (f failure) Error() string { return f.text }

// Unwrap is the class.
func (f failure) Unwrap() error { return f.class }

// fetch asks a registry, and is what its answer makes of the record that is kept by then.
func (a *Asker) fetch(ctx, timed context.Context, s *source, q publisher.Question, known publisher.Record) (func(publisher.Record) publisher.Record, error) {
	if err := a.paused(ctx, s); err != nil {
		return nil, err
	}
	if err := a.turn(timed, s); err != nil {
		return nil, err
	}
	req, err := a.request(timed, s, q, known)
	if err != nil {
		return nil, failure{class: trust.ErrMalformed, text: fmt.Sprintf("%s cannot be asked about %s: %v", s.Title(), q.Name, err)}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, a.noAnswer(ctx, timed, s, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil && resp.StatusCode == http.StatusOK {
		return nil, a.noAnswer(ctx, timed, s, err)
	}
	a.spent(ctx, s, resp)
	now := a.o.Now()
	switch conditional := known.ETag+known.Modified != "" && q.Body == nil; {
	case resp.StatusCode == http.StatusNotModified && conditional:
		return func(kept publisher.Record) publisher.Record {
			switch {
			case kept.Key == "": // forgotten meanwhile
				return known.Confirm(now)
			case kept.ETag != known.ETag || kept.Modified != known.Modified:
				return kept // another process was told something else meanwhile
			}
			return kept.Confirm(now) // it may have learnt from a snapshot meanwhile
		}, nil
	case absent(q, resp.StatusCode, body):
		return func(kept publisher.Record) publisher.Record {
			return kept.Observe(q.Key(), publisher.Facts{Missing: true}, now).Tagged("", "")
		}, nil
	case resp.StatusCode != http.StatusOK:
		return nil, a.refused(ctx, s, resp)
	case len(body) > maxAnswer:
		return nil, failure{class: trust.ErrLimit, text: fmt.Sprintf("%s answered with more than %d bytes about %s", s.Title(), maxAnswer, q.Name)}
	}
	facts, err := q.Read(body)
	if err != nil {
		return nil, failure{class: trust.ErrMalformed, text: fmt.Sprintf("%s answered about %s what cannot be read: %v", s.Title(), q.Name, err)}
	}
	etag, modified := resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return func(kept publisher.Record) publisher.Record {
		return kept.Observe(q.Key(), facts, now).Tagged(etag, modified)
	}, nil
}

// turn waits for a registry's turn, which takes half of what is left of the time at most.
func (a *Asker) turn(timed context.Context, s *source) error {
	deadline, _ := timed.Deadline()
	turn := s.limit.Reserve()
	wait := turn.Delay()
	if wait <= 0 {
		return nil
	}
	if wait <= time.Until(deadline)/2 {
		select {
		case <-time.After(wait):
			return nil
		case <-timed.Done():
		}
	}
	turn.Cancel()
	return failure{class: trust.ErrRateLimited, text: fmt.Sprintf("%s was asked too often in the last seconds, by safepull's own measure", s.Title()), again: ownPause}
}

// absent reports whether an answer says that the registry knows no such thing.
func absent(q publisher.Question, status int, body []byte) bool {
	return status == http.StatusNotFound || status == http.StatusGone || status != http.StatusOK && q.Absent != nil && q.Absent(status, body)
}

// spent leaves a registry alone that says, in a good answer, that it answers no more for a while.
func (a *Asker) spent(ctx context.Context, s *source, resp *http.Response) {
	if resp.StatusCode >= http.StatusBadRequest && resp.StatusCode != http.StatusNotFound {
		return // what is no answer has a pause of its own
	}
	if wait, asked := a.askedToWait(resp.Header); asked && wait > 0 && resp.Header.Get(remaining) == "0" {
		a.leaveAlone(ctx, s, failure{class: trust.ErrRateLimited, text: fmt.Sprintf("%s (%s) answers no more questions for now", s.Title(), s.URL.Host)}, wait)
	}
}

func (a *Asker) request(ctx context.Context, s *source, q publisher.Question, known publisher.Record) (*http.Request, error) {
	path, err := url.Parse(q.Path)
	if err != nil {
		return nil, err
	}
	at := *s.URL
	at.Path, at.RawPath, at.RawQuery = s.URL.Path+path.Path, s.URL.EscapedPath()+path.EscapedPath(), path.RawQuery
	method, body := http.MethodGet, io.Reader(nil)
	if q.Body != nil {
		method, body = http.MethodPost, bytes.NewReader(q.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", a.o.UserAgent)
	req.Header.Set("Accept", "application/json")
	if q.Body != nil {
		req.Header.Set("Content-Type", "application/json")
		return req, nil
	}
	if known.ETag != "" {
		req.Header.Set("If-None-Match", known.ETag)
	}
	if known.Modified != "" {
		req.Header.Set("If-Modified-Since", known.Modified)
	}
	return req, nil
}

// noAnswer is for a request that failed on its way. The registry is left alone for a while, unless whoever asked went away.
func (a *Asker) noAnswer(ctx, timed context.Context, s *source, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := failure{class: trust.ErrUnavailable}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // the rest is the URL
	}
	switch {
	case timed.Err() != nil:
		f.text = fmt.Sprintf("%s (%s) did not answer within %s", s.Title(), s.URL.Host, a.o.Budget)
	case errors.Is(err, errRedirect):
		f.text = fmt.Sprintf("%s (%s): %v", s.Title(), s.URL.Host, errRedirect)
	default:
		f.text = fmt.Sprintf("%s (%s) cannot be reached: %s", s.Title(), s.URL.Host, trust.Sanitise(err.Error(), 160))
	}
	a.leaveAlone(ctx, s, f, pauseFor)
	return f
}

// refused is for an answer that is none.
func (a *Asker) refused(ctx context.Context, s *source, resp *http.Response) error {
	code := resp.StatusCode
	f := failure{class: trust.ErrUnavailable, text: fmt.Sprintf("%s (%s) answered with status %d", s.Title(), s.URL.Host, code)}
	wait, asked := a.askedToWait(resp.Header)
	limited := code == http.StatusTooManyRequests || code == http.StatusForbidden && (resp.Header.Get(remaining) == "0" || asked)
	switch {
	case limited:
		f.class = trust.ErrRateLimited
		f.text = fmt.Sprintf("%s (%s) was asked too often", s.Title(), s.URL.Host)
		if !asked {
			wait = time.Minute
		}
		a.leaveAlone(ctx, s, f, wait)
	case asked:
		a.leaveAlone(ctx, s, f, wait)
	case code >= http.StatusInternalServerError, code == http.StatusForbidden, code == http.StatusUnauthorized:
		a.leaveAlone(ctx, s, f, time.Minute)
	}
	return f
}

// remaining is the header that tells how many questions are left, of Docker Hub and of GitHub.
const remaining = "X-RateLimit-Remaining"

// askedToWait reads Retry-After, in seconds or as a date; X-Retry-After, in seconds since 1970, as Docker Hub sent it until
// 2025; and X-RateLimit-Reset, in seconds since 1970, where no question is left.
func (a *Asker) askedToWait(h http.Header) (time.Duration, bool) {
	now := a.o.Now()
	if v := h.Get("Retry-After"); v != "" {
		if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(v); err == nil {
			return at.Sub(now), true
		}
	}
	if seconds, err := strconv.ParseInt(h.Get("X-Retry-After"), 10, 40); err == nil && seconds > 0 {
		return time.Unix(seconds, 0).Sub(now), true
	}
	if seconds, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 40); err == nil && h.Get(remaining) == "0" {
		return time.Unix(seconds, 0).Sub(now), true
	}
	return 0, false
}
