package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/safepull/safepull/trust"
)

const (
	// maxErrorBody bounds what is read of an error answer.
	maxErrorBody = 8 << 10
	// maxErrorText bounds what is quoted of it.
	maxErrorText = 256
)

// errStalled is the cause of a read that brought no byte for too long.
var errStalled = errors.New("no bytes came for too long")

// errSlow is the error of a body that falls short of Timeouts.MinRate.
var errSlow = errors.New("the bytes come too slowly")

// noBasicLogin is how auth.Client says, with no error to tell it by, that a login has no password to send.
const noBasicLogin = "missing username or password for basic auth"

// secretParts matches what URLs in foreign error texts may hold: logins and signed queries.
var secretParts = regexp.MustCompile(`://[^/\s"@]*@|\?[^\s"]*`)

// credentialError marks that a login could not be found out, as opposed to refused.
type credentialError struct{ error }

// Unwrap gives the credential source's own error.
func (e credentialError) Unwrap() error { return e.error }

// laterError carries when the registry wants to be asked again.
type laterError struct {
	error
	after time.Duration
}

// Unwrap gives the error itself.
func (e laterError) Unwrap() error { return e.error }

// RetryAfter is how long the registry wants to be left alone; it is positive. Who answers a client in the registry's
// place finds it with errors.As and should bound it.
func (e laterError) RetryAfter() time.Duration { return e.after }

// fail is an error of class about this registry. Whatever stands in text is made safe to show.
func (r *Registry) fail(class error, format string, args ...any) error {
	return fmt.Errorf("registry %s: %w: %s", r.name, class, clean(fmt.Sprintf(format, args...)))
}

// clean makes foreign text showable and takes away what could be secret.
func clean(s string) string {
	s = secretParts.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasPrefix(m, "?") {
			return "?…"
		}
		return "://…@"
	})
	return trust.Sanitise(s, maxErrorText)
}

// requestError classifies an error of a request that got no answer. The end of the caller's context stays itself.
func (r *Registry) requestError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("registry %s: %w", r.name, cause)
	}
	var missing credentialError
	var token *errcode.ErrorResponse
	var request *url.Error
	var busy busyError
	switch {
	case errors.As(err, &busy):
		return laterError{r.fail(trust.ErrRateLimited, "%v", busy), busy.after}
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return r.fail(trust.ErrUnauthorized, "it wants a login, and none is configured")
	case strings.Contains(err.Error(), noBasicLogin):
		return r.fail(trust.ErrUnauthorized, "it wants a user name and a password, and the configured login is an identity token or lacks one of them")
	case errors.As(err, &missing):
		return r.fail(trust.ErrUnauthorized, "finding the login: %v", missing.error)
	case errors.As(err, &token):
		return r.statusError(token.StatusCode, nil, "token endpoint: "+token.Errors.Error(), true)
	case errors.As(err, &request):
		return r.fail(trust.ErrUnavailable, "%v", request.Err) // without the URL, which may be signed
	}
	return r.fail(trust.ErrUnavailable, "%v", err)
}

// answerError classifies an answer that is not the content, and closes it.
func (r *Registry) answerError(resp *http.Response) error {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // whatever came is text enough
	var listed struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	text := string(body)
	if json.Unmarshal(body, &listed) == nil && len(listed.Errors) > 0 {
		text = strings.ToLower(listed.Errors[0].Code)
		if m := listed.Errors[0].Message; m != "" {
			text += ": " + m
		}
	}
	// Where a redirect led, a refusal says nothing about the caller's rights in the registry.
	registry := resp.Request == nil || resp.Request.URL.Host == r.base.Host
	return r.statusError(resp.StatusCode, resp.Header, text, registry)
}

// statusError is the one table from HTTP to the words of trust.
func (r *Registry) statusError(status int, header http.Header, text string, registry bool) error {
	var class error
	switch {
	case registry && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		class = trust.ErrUnauthorized
	case registry && (status == http.StatusNotFound || status == http.StatusGone):
		class = trust.ErrNotFound
	case status == http.StatusTooManyRequests:
		class = trust.ErrRateLimited
	default:
		class = trust.ErrUnavailable
	}
	if text == "" {
		text = http.StatusText(status)
	}
	after, asked := retryAfter(header, time.Now())
	asked = asked && after > 0 && (errors.Is(class, trust.ErrRateLimited) || errors.Is(class, trust.ErrUnavailable))
	if asked {
		text = fmt.Sprintf("come back in %s: %s", after, text)
	}
	err := r.fail(class, "HTTP %d: %s", status, text)
	if asked {
		err = laterError{err, after}
	}
	return err
}
