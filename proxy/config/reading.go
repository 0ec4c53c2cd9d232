package config

import (
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// maxMirrors bounds the mirrors of one upstream, which a pull may have to wait for one after the other.
	maxMirrors = 8
	// maxRetryAfter keeps a pause that a registry asks for below judge.holdFor: clients give up.
	maxRetryAfter = 15 * time.Second
)

// checkReading checks how an upstream is read.
func (u Upstream) checkReading(key string, at origins) error {
	switch {
	case u.RequestsPerSecond < 0 || u.RequestsPerSecond > 1_000_000:
		return at.errorf(key+".requestsPerSecond", "%d is not between 0 (no limit) and 1000000", u.RequestsPerSecond)
	case u.BytesPerSecond != 0 && u.BytesPerSecond < 16<<10:
		return at.errorf(key+".bytesPerSecond", "%d is less than 16KiB, with which no image arrives: write 0 for no limit", u.BytesPerSecond)
	case u.Retries < -1 || u.Retries > 10:
		return at.errorf(key+".retries", "%d is not between -1 (never) and 10", u.Retries)
	case u.RetryAfter < 0 || u.RetryAfter > maxRetryAfter:
		return at.errorf(key+".retryAfter", "%s is not between 0s and %s: clients do not wait longer", u.RetryAfter, maxRetryAfter)
	case len(u.Mirrors) > maxMirrors:
		return at.errorf(key+".mirrors", "%d mirrors, at most %d are asked one after the other", len(u.Mirrors), maxMirrors)
	}
	for i, m := range u.Mirrors {
		if m.URL == "" {
			return at.errorf(fmt.Sprintf("%s.mirrors[%d].url", key, i), "the mirror has no URL: write for example https://mirror.example.com")
		}
		if err := u.checkURL(m.URL); err != nil {
			return at.errorf(fmt.Sprintf("%s.mirrors[%d].url", key, i), "%w", err)
		}
	}
	for name, patterns := range map[string][]string{"redirectHosts": u.RedirectHosts, "tokenHosts": u.TokenHosts} {
		for i, p := range patterns {
			if err := checkHostPattern(p); err != nil {
				return at.errorf(fmt.Sprintf("%s.%s[%d]", key, name, i), "%w", err)
			}
		}
	}
	return nil
}

// checkHostPattern takes a host, a host with "*" for any characters, or an address, each with an optional port.
func checkHostPattern(pattern string) error {
	host, port, err := net.SplitHostPort(pattern)
	if err != nil {
		host, port = pattern, ""
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil && strings.Trim(port, "0123456789") == "" {
		return nil
	}
	if host == "" || strings.Trim(port, "0123456789") != "" || strings.HasSuffix(pattern, ":") ||
		strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-_.*") != "" {
		return fmt.Errorf("%q is no host or pattern of hosts: write for example cdn.example.com or *.cdn.example.com", pattern)
	}
	return nil
}
