package namespace

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

const (
	// textLimit bounds what is for people, which goes into every verdict, and identities.
	textLimit = 1 << 10
	// pinLimit bounds the digests of an entry, which go into every verdict too.
	pinLimit = 64
	// keyLimit bounds a public key in PEM.
	keyLimit = 4 << 10
)

// parts are what an entry says, as nodes and as plain text without white space around it.
type parts struct {
	item *yaml.Node
	keys map[string]*yaml.Node
	text map[string]string
}

// structured are the keys of an entry whose value is not plain text.
const structured = "digests requireSignature"

func partsOf(item *yaml.Node) (parts, error) {
	keys, err := mapping(item, "an entry", keysOf[fileEntry]()...)
	if err != nil {
		return parts{}, err
	}
	p := parts{item: item, keys: keys, text: make(map[string]string, len(keys))}
	for key, value := range keys {
		if strings.Contains(structured, key) {
			continue
		}
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return parts{}, problem(value, "%q must have a plain value", key)
		}
		p.text[key] = strings.TrimSpace(value.Value)
	}
	return p, nil
}

func parseEntry(item *yaml.Node) (rule, error) {
	in, err := partsOf(item)
	if err != nil {
		return rule{}, err
	}
	if in.keys["pattern"] == nil {
		return rule{}, problem(item, "the entry has no pattern: add \"pattern: registry/namespace/repository\"")
	}
	p, err := parsePattern(in.text["pattern"])
	if err != nil {
		return rule{}, problem(in.keys["pattern"], "invalid pattern %s: %w", quote(in.text["pattern"]), err)
	}
	e := trust.Entry{Pattern: p.String(), Action: in.text["action"]}
	if e.Action != allow && e.Action != deny {
		return rule{}, problem(first(in.keys["action"], item), "the entry's action is %s: write \"action: allow\" or \"action: deny\"", quote(e.Action))
	}
	for _, read := range []func(*trust.Entry) error{in.people, in.expiry, in.lock, in.tier, in.inspection, in.pins, in.signature} {
		if err := read(&e); err != nil {
			return rule{}, err
		}
	}
	if p.digest != "" && len(e.Digests) > 0 {
		return rule{}, problem(in.keys["digests"], "the pattern names a digest already: remove \"digests\", or the digest from the pattern")
	}
	return rule{entry: e, pattern: p}, nil
}

// people reads what is for people.
func (in parts) people(e *trust.Entry) error {
	for _, to := range []struct {
		key  string
		into *string
	}{{"reason", &e.Reason}, {"owner", &e.Owner}, {"ticket", &e.Ticket}, {"approvedBy", &e.ApprovedBy}} {
		*to.into = in.text[to.key]
		if err := checkText(*to.into); err != nil {
			return problem(in.keys[to.key], "%q %w", to.key, err)
		}
	}
	return nil
}

func (in parts) expiry(e *trust.Entry) (err error) {
	if n := in.keys["expires"]; n != nil {
		if e.Expires, err = parseExpiry(in.text["expires"]); err != nil {
			return problem(n, "%w", err)
		}
	}
	return nil
}

func (in parts) lock(e *trust.Entry) (err error) {
	e.Locked, err = in.truth("locked", false)
	return err
}

// truth reads true or false.
func (in parts) truth(key string, absent bool) (bool, error) {
	switch n := in.keys[key]; {
	case n == nil:
		return absent, nil
	case in.text[key] != "true" && in.text[key] != "false":
		return false, problem(n, "%q is %s: write true or false", key, quote(in.text[key]))
	}
	return in.text[key] == "true", nil
}

func (in parts) tier(e *trust.Entry) error {
	n := in.keys["tier"]
	switch e.Tier = in.text["tier"]; {
	case n == nil:
	case e.Tier != tierTrusted && e.Tier != trust.TierKnown:
		return problem(n, "\"tier\" is %s: write trusted, which waives the questions about the name, or known, which waives none", quote(e.Tier))
	case e.Action == deny:
		return problem(n, "\"tier\" goes with action allow only: remove it")
	}
	return nil
}

// inspection reads "inspect". It says what to do where it stands alone.
func (in parts) inspection(e *trust.Entry) error {
	inspect, err := in.truth("inspect", true)
	if err != nil {
		return err
	}
	e.SkipInspection = !inspect
	switch n := in.keys["inspect"]; {
	case n == nil:
	case e.Action == deny:
		return problem(n, "\"inspect\" goes with action allow only: remove it, denied images are not inspected")
	case e.SkipInspection && (e.Reason == "" || e.Owner == "" || e.Expires.IsZero()):
		return problem(n, "\"inspect: false\" needs reason, owner and expires: add them, or remove it")
	case e.SkipInspection && e.Tier == trust.TierKnown:
		return problem(n, "\"inspect: false\" contradicts \"tier: known\", which waives nothing: remove one")
	}
	return nil
}

func (in parts) pins(e *trust.Entry) error {
	n := in.keys["digests"]
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode || len(n.Content) == 0:
		return problem(n, "\"digests\" must be a list of digests: begin each with \"- sha256:…\"")
	case e.Action == deny:
		return problem(n, "\"digests\" goes with action allow only: to deny a digest, write it into the pattern")
	case len(n.Content) > pinLimit:
		return problem(n, "\"digests\" has %d digests: %d are the most", len(n.Content), pinLimit)
	}
	for _, item := range n.Content {
		d := digest.Digest(strings.TrimSpace(item.Value))
		_, err := reference.New(trust.DockerHub, "x", d.String())
		switch {
		case item.Kind != yaml.ScalarNode || err != nil || !strings.HasPrefix(d.String(), "sha256:"):
			return problem(item, "%s is no digest: write sha256: and 64 lower case hexadecimal digits", quote(item.Value))
		case slices.Contains(e.Digests, d):
			return problem(item, "the digest stands twice: remove one")
		}
		e.Digests = append(e.Digests, d)
	}
	return nil
}

func (in parts) signature(e *trust.Entry) error {
	n := in.keys["requireSignature"]
	if n == nil {
		return nil
	}
	if e.Action == deny {
		return problem(n, "\"requireSignature\" goes with action allow only: remove it")
	}
	keys, err := mapping(n, "requireSignature", keysOf[fileSigner]()...)
	if err != nil {
		return err
	}
	text := map[string]string{}
	for key, value := range keys {
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return problem(value, "%q must have a plain value", key)
		}
		text[key] = strings.TrimSpace(value.Value)
	}
	s := trust.Signer{Key: text["key"], Identity: text["identity"], Issuer: text["issuer"], Repository: text["repository"]}
	if err := checkSigner(s); err != nil {
		return problem(n, "\"requireSignature\" %w", err)
	}
	e.RequireSignature = &s
	return nil
}

// checkSigner holds a signer to what can be checked: one way of knowing them, and a key that is one.
func checkSigner(s trust.Signer) error {
	if err := checkRepository(s.Repository); err != nil {
		return err
	}
	switch {
	case s.Key != "" && (s.Identity != "" || s.Issuer != ""):
		return errors.New("has both a key and an identity: keep one")
	case s.Key != "":
		return checkKey(s.Key)
	case s.Identity == "" || s.Issuer == "":
		return errors.New("must have a key, or an identity and its issuer")
	case strings.Trim(s.Identity, "*") == "":
		return errors.New("takes every identity: name at least a part of it")
	}
	if err := cmp.Or(checkText(s.Identity), checkText(s.Issuer)); err != nil {
		return fmt.Errorf("has an identity or issuer that %w", err)
	}
	if u, err := url.Parse(s.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("has the issuer %s: write its https URL", quote(s.Issuer))
	}
	return nil
}

// checkRepository holds the name that signatures may give an image to how names are spelled.
func checkRepository(name string) error {
	sample := strings.ReplaceAll(name, "*", "a")
	switch ref, err := reference.Parse(sample); {
	case name == "":
		return nil
	case strings.Trim(name, "*./") == "":
		return errors.New("takes signatures of every repository: name at least a part of it")
	case err != nil || ref.Name() != sample:
		return fmt.Errorf("has the repository %s: write it in full, with its registry and without a tag, such as docker.io/library/alpine, with * for any run of characters", quote(name))
	}
	return nil
}

func checkKey(text string) error {
	if len(text) > keyLimit {
		return fmt.Errorf("has a key of more than %d bytes: that is no public key", keyLimit)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return errors.New("has a key that is no public key in PEM: copy what \"cosign public-key\" prints")
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return fmt.Errorf("has a key that cannot be read: %w", err)
	}
	return nil
}

func checkText(s string) error {
	if len(s) > textLimit {
		return fmt.Errorf("is longer than %d bytes: shorten it", textLimit)
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) {
			return fmt.Errorf("holds the unprintable character %q: remove it", r)
		}
	}
	return nil
}

func parseExpiry(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("\"expires\" is %s: write a date such as 2027-01-31 or a time such as 2027-01-31T18:00:00Z", quote(s))
}
