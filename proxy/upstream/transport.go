package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

const (
	// maxRedirects bounds a chain of redirects; a registry needs one, to where its blobs are.
	maxRedirects = 5
	// maxRetryWait bounds every pause where Options do not say otherwise, also one that the registry asks for: what is
	// longer is an error at once, so that the caller's own caller can be told.
	maxRetryWait = 3 * time.Second
	// maxHeaderBytes bounds the memory that one answer's header can take.
	maxHeaderBytes = 256 << 10
	// maxDrain is how much of an unwanted body is read so that its connection can be used again.
	maxDrain = 4 << 10
)

// Timeouts bound waiting for a registry. Zero fields mean: dial and TLS 10 s, header 30 s, stall 60 s, 1 KiB a second
// over 60 s.
type Timeouts struct {
	Dial time.Duration
	TLS  time.Duration
	// Header is from the request's end to the response's header.
	Header time.Duration
	// Stall is how long a body may bring no byte while somebody waits for one.
	Stall time.Duration
	// MinRate is how many bytes a second a body must bring over every RateWindow that was spent waiting for it; the
	// time that its reader takes does not count. It protects those who wait for the same content from a registry that
	// sends just enough never to stall. A body that is too slow is not continued.
	MinRate    int64
	RateWindow time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&t.Dial, 10 * time.Second},
		{&t.TLS, 10 * time.Second},
		{&t.Header, 30 * time.Second},
		{&t.Stall, time.Minute},
		{&t.RateWindow, time.Minute},
	} {
		if *f.field <= 0 {
			*f.field = f.def
		}
	}
	if t.MinRate <= 0 {
		t.MinRate = 1 << 10
	}
	return t
}

// NewTransport makes a transport that suits registries: proxies from the environment, no transparent decompression
// (digests are over the bytes as sent), every wait bounded, connections to where the asking Registry may reach only.
func NewTransport(t Timeouts) *http.Transport {
	t = t.withDefaults()
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer(t.Dial).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.TLS,
		ResponseHeaderTimeout:  t.Header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// retryPolicy tries again what is likely to pass within moments.
func retryPolicy(retries int, wait, longest time.Duration) func() retry.Policy {
	grow := retry.ExponentialBackoff(wait, 2, 0.1)
	policy := &retry.GenericPolicy{
		Retryable: func(resp *http.Response, err error) (bool, error) { return passing(resp, err, longest) },
		Backoff: func(attempt int, resp *http.Response) time.Duration {
			if resp != nil {
				if after, ok := retryAfter(resp.Header, time.Now()); ok {
					return after // passing has seen that it is not too long
				}
			}
			return min(grow(attempt, nil), maxRetryWait)
		},
		MinWait:  wait,
		MaxWait:  max(wait, longest),
		MaxRetry: retries,
	}
	return func() retry.Policy { return policy }
}

// passing reports whether trying the same request again makes sense, after what the registry asks to wait.
func passing(resp *http.Response, err error, longest time.Duration) (bool, error) {
	if err != nil {
		var dial *net.OpError
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return false, err
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
			errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNREFUSED):
			return true, nil
		case errors.As(err, &dial) && dial.Op == "dial" && dial.Timeout():
			return true, nil
		}
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after, ok := retryAfter(resp.Header, time.Now())
		return !ok || after <= longest, nil
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true, nil
	}
	return false, nil
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now)).Round(time.Second), true
	}
	return 0, false
}
