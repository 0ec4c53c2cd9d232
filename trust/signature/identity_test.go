package signature

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/sigstoretest"
	"github.com/safepull/safepull/trust"
)

const (
	identity = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	issuer   = "https://token.actions.githubusercontent.com"
)

var (
	exact = trust.Signer{Identity: identity, Issuer: issuer}
	glob  = trust.Signer{Identity: "https://github.com/acme/*", Issuer: issuer}
)

func newService(t testing.TB) *sigstoretest.Service {
	t.Helper()
	s, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trusting is a checker with a trusted root as its file is.
func trusting(t testing.TB, s *sigstoretest.Service, certificateLog bool, referrers Referrers) *Checker {
	t.Helper()
	text, err := s.TrustedRoot(certificateLog)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(text, referrers)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestIdentity: certificates of a service that is trusted, for whom the entry names, with the logs' word for both.
func TestIdentity(t *testing.T) {
	t.Parallel()
	service, stranger := newService(t), newService(t)
	with, without := trusting(t, service, true, nil), trusting(t, service, false, nil)
	now := time.Now()
	acme := sigstoretest.Signing{Identity: identity, Issuer: issuer}
	as := func(change func(*sigstoretest.Signing)) sigstoretest.Signing {
		o := acme
		change(&o)
		return o
	}
	old := as(func(o *sigstoretest.Signing) { o.At = now.Add(-30 * time.Minute) })
	for name, tt := range map[string]struct {
		by      *sigstoretest.Service
		signing sigstoretest.Signing
		signer  trust.Signer
		checker *Checker
		about   digest.Digest
		// wrong is why it is not signed; for bundles, where it is not the same, wrongBundle. "-" is for what only one of
		// the two forms has.
		wrong, wrongBundle string
	}{
		"signed":            {signing: acme},
		"signed-by-one":     {signing: acme, signer: glob},
		"person":            {signing: as(func(o *sigstoretest.Signing) { o.Identity = "release@acme.example" }), signer: trust.Signer{Identity: "release@acme.example", Issuer: issuer}},
		"another-workflow":  {signing: as(func(o *sigstoretest.Signing) { o.Identity = strings.Replace(identity, "release", "try", 1) }), wrong: "none is by " + identity},
		"another-account":   {signing: as(func(o *sigstoretest.Signing) { o.Identity = "https://github.com/evil/https://github.com/acme/app" }), signer: glob, wrong: "none is by"},
		"begins-so":         {signing: as(func(o *sigstoretest.Signing) { o.Identity = identity + "2" }), wrong: "none is by"},
		"another-issuer":    {signing: as(func(o *sigstoretest.Signing) { o.Issuer = "https://evil.example" }), wrong: "none is by"},
		"issuer-begins-so":  {signing: as(func(o *sigstoretest.Signing) { o.Issuer = issuer + ".evil.example" }), wrong: "none is by"},
		"another-service":   {by: stranger, signing: acme, wrong: "none is by"},
		"another-image":     {signing: acme, about: digest.FromString("another"), wrong: "about sha256:", wrongBundle: "none is by"},
		"not-in-the-log":    {signing: as(func(o *sigstoretest.Signing) { o.NoEntry = true }), wrong: "no entry of a transparency log", wrongBundle: "log"},
		"stamped-not-in-it": {signing: as(func(o *sigstoretest.Signing) { o.NoEntry, o.Timestamped = true, true }), wrong: "no entry of a transparency log", wrongBundle: "log"},
		"unlogged-cert":     {signing: as(func(o *sigstoretest.Signing) { o.Unlogged = true }), wrong: "SCT"},
		"no-log-of-certs":   {signing: as(func(o *sigstoretest.Signing) { o.Unlogged = true }), checker: without},
		"expired-since":     {signing: as(func(o *sigstoretest.Signing) { *o = old; o.Logged = now.Add(-25 * time.Minute) })},
		"expired-before":    {signing: old, wrong: "certificate"},
		"not-yet-good":      {signing: as(func(o *sigstoretest.Signing) { *o = old; o.Logged = now.Add(-35 * time.Minute) }), wrong: "certificate"},
		"stamped-too-late": {signing: as(func(o *sigstoretest.Signing) { *o = old; o.Logged, o.Timestamped = now.Add(-25*time.Minute), true }),
			wrong: "-", wrongBundle: "certificate"},
		"stamped":  {signing: as(func(o *sigstoretest.Signing) { o.Timestamped = true })},
		"by-a-key": {signing: sigstoretest.Signing{Key: newPrivate(t)}, wrong: "no certificate", wrongBundle: "none is by"},
	} {
		if tt.signer == (trust.Signer{}) {
			tt.signer = exact
		}
		if tt.checker == nil {
			tt.checker = with
		}
		if tt.by == nil {
			tt.by = service
		}
		if tt.about == "" {
			tt.about = image
		}
		if tt.wrongBundle == "" {
			tt.wrongBundle = tt.wrong
		}
		for form, fill := range forms {
			want := tt.wrong
			if form != "simple" {
				want = tt.wrongBundle
			}
			if want == "-" {
				continue
			}
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				r := newRepository()
				fill(t, r, tt.by, tt.about, tt.signing)
				wrong, err := ask(t, tt.checker, r, tt.signer)
				if err != nil || (wrong == "") != (want == "") || !strings.Contains(wrong, want) {
					t.Errorf("%q, %v; want %q", wrong, err, want)
				}
			})
		}
	}
}

func newPrivate(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, _ := newSigner(t)
	return key
}

// forms are the ways in which an image is signed. What is signed goes where image's signatures are looked for, whatever
// it is about.
var forms = map[string]func(testing.TB, *repository, *sigstoretest.Service, digest.Digest, sigstoretest.Signing){
	"simple": func(t testing.TB, r *repository, s *sigstoretest.Service, about digest.Digest, o sigstoretest.Signing) {
		payload := sigstoretest.Payload("r.example/a", about)
		notes, err := s.Simple(payload, o)
		if err != nil {
			t.Fatal(err)
		}
		layer := r.put(payload, simpleSigning)
		layer.Annotations = notes
		r.manifest(t, tagOf(image)+".sig", layer)
	},
	"bundle": func(t testing.TB, r *repository, s *sigstoretest.Service, about digest.Digest, o sigstoretest.Signing) {
		text, err := s.Bundle(about, o)
		r.refer(t, text, err)
	},
	"statement": func(t testing.TB, r *repository, s *sigstoretest.Service, about digest.Digest, o sigstoretest.Signing) {
		text, err := s.Statement(about, sigstoretest.CosignSign, o)
		r.refer(t, text, err)
	},
}

// refer puts a bundle into the list of referrers at their tag.
func (r *repository) refer(t testing.TB, text []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	d := r.manifest(t, "", r.put(text, sigstoretest.BundleV03))
	d.ArtifactType = sigstoretest.BundleV03
	var index ocispec.Index
	if at, ok := r.tags[tagOf(image)]; ok {
		if err := json.Unmarshal(r.blobs[at], &index); err != nil {
			t.Fatal(err)
		}
	}
	index.Manifests = append(index.Manifests, d)
	body, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	r.tags[tagOf(image)] = r.put(body, ocispec.MediaTypeImageIndex).Digest
}

// TestStatements: to say something about an image is not to put one's name to it.
func TestStatements(t *testing.T) {
	t.Parallel()
	service := newService(t)
	c := trusting(t, service, true, nil)
	key, public := newSigner(t)
	for predicate, wrong := range map[string]string{
		sigstoretest.CosignSign: "", sigstoretest.Provenance: "", "https://slsa.dev/provenance/v0.2": "",
		"https://cosign.sigstore.dev/attestation/vuln/v1": "no signature",
		"https://slsa.dev/verification_summary/v1":        "no signature",
		"https://spdx.dev/Document":                       "no signature",
		"https://slsa.dev/provenance.evil/v1":             "no signature",
		"":                                                "none is by",
	} {
		for by, signing := range map[*trust.Signer]sigstoretest.Signing{
			&exact: {Identity: identity, Issuer: issuer}, {Key: public}: {Key: key},
		} {
			r := newRepository()
			text, err := service.Statement(image, predicate, signing)
			r.refer(t, text, err)
			if got, err := ask(t, c, r, *by); err != nil || (got == "") != (wrong == "") || !strings.Contains(got, wrong) {
				t.Errorf("%s: %q, %v; want %q", predicate, got, err, wrong)
			}
		}
	}
}

// TestKeyInBundles: a key's bundles need no log, and a certificate is no key.
func TestKeyInBundles(t *testing.T) {
	t.Parallel()
	service := newService(t)
	key, public := newSigner(t)
	_, other := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		signing sigstoretest.Signing
		key     string
		about   digest.Digest
		wrong   string
	}{
		"signed":        {sigstoretest.Signing{Key: key}, public, image, ""},
		"another-key":   {sigstoretest.Signing{Key: key}, other, image, "none is by the key"},
		"another-image": {sigstoretest.Signing{Key: key}, public, digest.FromString("x"), "none is by the key"},
		"by-identity":   {sigstoretest.Signing{Identity: identity, Issuer: issuer}, public, image, "not certificate"},
	} {
		for form, fill := range forms {
			if form == "simple" && name == "by-identity" {
				continue // a certificate beside a payload is not looked at: the key did not sign it
			}
			r := newRepository()
			fill(t, r, service, tt.about, tt.signing)
			want := tt.wrong
			if form == "simple" && name == "another-image" {
				want = "about sha256:"
			}
			if got, err := ask(t, c, r, trust.Signer{Key: tt.key}); err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s/%s: %q, %v; want %q", name, form, got, err, want)
			}
		}
	}
}

// TestRepository: what was signed for another repository is not signed here, unless the entry says where it comes from.
func TestRepository(t *testing.T) {
	t.Parallel()
	key, public := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ registry, repository, named, takes, wrong string }{
		"its-own":        {"r.example", "a", "r.example/a", "", ""},
		"none":           {"r.example", "a", "", "", ""},
		"with-a-tag":     {"r.example", "a", "r.example/a:1.2", "", ""},
		"with-a-digest":  {"r.example", "a", "r.example/a@" + image.String(), "", ""},
		"hub":            {"docker.io", "library/alpine", "index.docker.io/library/alpine", "", ""},
		"hub-short":      {"docker.io", "library/alpine", "alpine", "", ""},
		"another":        {"r.example", "a", "r.example/try/a", "", "about the repository r.example/try/a"},
		"another-host":   {"r.example", "a", "evil.example/a", "", "about the repository evil.example/a"},
		"a-copy":         {"r.example", "mirror/a", "ghcr.io/acme/a", "ghcr.io/acme/a", ""},
		"copies":         {"r.example", "mirror/a", "ghcr.io/acme/a", "ghcr.io/acme/*", ""},
		"another's-copy": {"r.example", "mirror/a", "ghcr.io/evil/ghcr.io/acme/a", "ghcr.io/acme/*", "about the repository"},
		"no-name":        {"r.example", "a", "::", "", "a repository that is none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository()
			r.manifest(t, tagOf(image)+".sig", byKey(t, r, key, sigstoretest.Payload(tt.named, image)))
			ref := trust.Reference{Registry: tt.registry, Repository: tt.repository, Digest: image}
			got, err := c.Signed(t.Context(), ref, r, trust.Signer{Key: public, Repository: tt.takes})
			if err != nil || (got == "") != (tt.wrong == "") || !strings.Contains(got, tt.wrong) {
				t.Errorf("%q, %v; want %q", got, err, tt.wrong)
			}
		})
	}
}

// TestReferrers: bundles are found by the registry's list, by the tag that stands for it, and beside rubbish.
func TestReferrers(t *testing.T) {
	t.Parallel()
	service := newService(t)
	text, err := service.Bundle(image, sigstoretest.Signing{Identity: identity, Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	list := func(r *repository, kind string, err error) Referrers {
		d := r.manifest(t, "", r.put(text, sigstoretest.BundleV03))
		d.ArtifactType = kind
		rubbish := r.manifest(t, "", r.put([]byte("{"), sigstoretest.BundleV03))
		rubbish.ArtifactType = sigstoretest.BundleV03
		gone := ocispec.Descriptor{Digest: digest.FromString("gone"), Size: 2, ArtifactType: sigstoretest.BundleV03}
		return func(context.Context, trust.Reference, string) (ocispec.Index, error) {
			return ocispec.Index{Manifests: []ocispec.Descriptor{gone, {ArtifactType: "x/sbom", Digest: digest.FromString("sbom")}, rubbish, d}}, err
		}
	}
	for name, tt := range map[string]struct {
		kind  string
		fails error
		atTag bool
		wrong string
		is    error
	}{
		"listed":                {kind: sigstoretest.BundleV03},
		"listed-by-its-config":  {kind: ocispec.MediaTypeEmptyJSON},
		"listed-without-a-type": {kind: ""},
		"something-else":        {kind: "x/sbom", wrong: "?"},
		"no-list-but-a-tag":     {fails: trust.ErrNotFound, atTag: true},
		"not-understood":        {fails: fmt.Errorf("x: %w", trust.ErrUnsupported), atTag: true},
		"not-let-in":            {fails: trust.ErrUnauthorized, atTag: true},
		"neither":               {fails: trust.ErrNotFound, wrong: "nobody signed it"},
		"broke":                 {fails: trust.ErrUnavailable, atTag: true, is: trust.ErrUnavailable},
		"too-many":              {fails: trust.ErrLimit, is: trust.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository()
			if tt.atTag {
				r.refer(t, text, nil)
			}
			referrers := list(r, tt.kind, tt.fails)
			c := trusting(t, service, true, referrers)
			got, err := ask(t, c, r, exact)
			if tt.wrong == "?" { // what is gone is no answer
				if !errors.Is(err, trust.ErrNotFound) {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if !errors.Is(err, tt.is) || (tt.is == nil) != (err == nil) || (got == "") != (tt.wrong == "" && tt.is == nil || err != nil) || !strings.Contains(got, tt.wrong) {
				t.Errorf("%q, %v; want %q, %v", got, err, tt.wrong, tt.is)
			}
		})
	}
}

// breaking is a signature that breaks its reader.
type breaking struct{}

func (breaking) verify(verifier, trust.Reference) error { panic("index out of range") }

func TestWhatBreaksAReaderIsNotSigned(t *testing.T) {
	t.Parallel()
	if err := verified(breaking{}, verifier{}, trust.Reference{}); !errors.Is(err, trust.ErrMalformed) {
		t.Error(err)
	}
}

// FuzzIdentity reads bundles against a trusted root, through all that checks certificates and logs.
func FuzzIdentity(f *testing.F) {
	service := newService(f)
	o := sigstoretest.Signing{Identity: identity, Issuer: issuer, Timestamped: true}
	bundle, err := service.Bundle(image, o)
	if err != nil {
		f.Fatal(err)
	}
	statement, err := service.Statement(image, sigstoretest.CosignSign, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bundle)
	f.Add(statement)
	check, err := trusting(f, service, true, nil).against(exact)
	if err != nil {
		f.Fatal(err)
	}
	other := trust.Reference{Registry: "r.example", Repository: "a", Digest: digest.FromString("another image")}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bundled(text).verify(check, other) == nil {
			t.Error("a signature of an image that nobody signed")
		}
	})
}

// TestOneIsEnough: whoever may push beside an image can add what they like, and takes nothing away by it.
func TestOneIsEnough(t *testing.T) {
	t.Parallel()
	key, public := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := sigstoretest.Payload("", image)
	for name, fill := range map[string]func(*repository){
		"among-many": func(r *repository) {
			layers := []ocispec.Descriptor{byKey(t, r, key, good)}
			for i := range 2 * maxSignatures {
				layers = append(layers, r.put(fmt.Append(nil, i), simpleSigning))
			}
			r.manifest(t, tagOf(image)+".sig", layers...)
		},
		"beside-a-missing-one": func(r *repository) {
			r.manifest(t, tagOf(image)+".sig", ocispec.Descriptor{MediaType: simpleSigning, Digest: digest.FromString("gone"), Size: 2}, byKey(t, r, key, good))
		},
		"beside-a-large-one": func(r *repository) {
			r.manifest(t, tagOf(image)+".sig", r.put(make([]byte, maxPayload+1), simpleSigning), byKey(t, r, key, good))
		},
		"the-tag-is-broken": func(r *repository) {
			r.tags[tagOf(image)+".sig"] = r.put([]byte("<html>"), "").Digest
			text, err := newService(t).Bundle(image, sigstoretest.Signing{Key: key})
			r.refer(t, text, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository()
			fill(r)
			if got, err := ask(t, c, r, trust.Signer{Key: public}); err != nil || got != "" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
