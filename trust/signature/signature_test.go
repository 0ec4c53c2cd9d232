package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/safepull/safepull/trust"
)

const (
	identity = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	issuer   = "https://token.actions.githubusercontent.com"
)

var image = digest.FromString("image")

// repository is one in memory: blobs by digest, and tags.
type repository struct {
	blobs map[digest.Digest][]byte
	tags  map[string]digest.Digest
	fail  error
}

func newRepository() *repository {
	return &repository{blobs: map[digest.Digest][]byte{}, tags: map[string]digest.Digest{}}
}

func (r *repository) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	d, ok := r.tags[ref.Tag]
	if r.fail != nil {
		return ocispec.Descriptor{}, r.fail
	}
	if !ok {
		return ocispec.Descriptor{}, trust.ErrNotFound
	}
	return ocispec.Descriptor{Digest: d, Size: int64(len(r.blobs[d])), MediaType: ocispec.MediaTypeImageManifest}, nil
}

func (r *repository) Fetch(_ context.Context, _ trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	body, ok := r.blobs[d.Digest]
	if !ok {
		return nil, trust.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(body)), nil
}

func (r *repository) put(body []byte, mediaType string) ocispec.Descriptor {
	d := digest.FromBytes(body)
	r.blobs[d] = body
	return ocispec.Descriptor{Digest: d, Size: int64(len(body)), MediaType: mediaType}
}

func (r *repository) manifest(t testing.TB, tag string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	body, err := json.Marshal(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	d := r.put(body, ocispec.MediaTypeImageManifest)
	if tag != "" {
		r.tags[tag] = d.Digest
	}
	return d
}

// payloadOf is cosign's payload about a digest.
func payloadOf(about digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, about)
}

func newSigner(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// byKey is a layer that a key signed.
func byKey(t testing.TB, r *repository, key *ecdsa.PrivateKey, payload []byte) ocispec.Descriptor {
	t.Helper()
	sum := sha256.Sum256(payload)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	layer := r.put(payload, simpleSigning)
	layer.Annotations = map[string]string{signatureNote: base64.StdEncoding.EncodeToString(sig)}
	return layer
}

// byIdentity is a layer that a Sigstore in memory signed.
func byIdentity(t testing.TB, r *repository, service *ca.VirtualSigstore, who, by string, payload []byte) ocispec.Descriptor {
	t.Helper()
	entity, err := service.Sign(who, by, payload)
	if err != nil {
		t.Fatal(err)
	}
	content, err := entity.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	material, err := entity.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := entity.TlogEntries()
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	entry := entries[0].TransparencyLogEntry()
	promise, err := service.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	})
	if err != nil {
		t.Fatal(err)
	}
	note, err := json.Marshal(map[string]any{
		"SignedEntryTimestamp": promise,
		"Payload": map[string]any{
			"body": entry.GetCanonicalizedBody(), "integratedTime": entry.GetIntegratedTime(), "logIndex": entry.GetLogIndex(),
			"logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	layer := r.put(payload, simpleSigning)
	layer.Annotations = map[string]string{
		signatureNote: base64.StdEncoding.EncodeToString(content.Signature()), rekorNote: string(note),
		certNote: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: material.Certificate().Raw})),
	}
	return layer
}

func ask(t testing.TB, c *Checker, r *repository, s trust.Signer) (string, error) {
	t.Helper()
	return c.Signed(t.Context(), trust.Reference{Registry: "r", Repository: "a", Digest: image}, r, s)
}

func TestKey(t *testing.T) {
	t.Parallel()
	key, public := newSigner(t)
	_, other := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sigTag := tagOf(image) + ".sig"
	for name, tt := range map[string]struct {
		fill   func(*repository)
		signer trust.Signer
		wrong  string
		is     error
	}{
		"signed":           {fill: func(r *repository) { r.manifest(t, sigTag, byKey(t, r, key, payloadOf(image))) }, signer: trust.Signer{Key: public}},
		"nothing":          {fill: func(*repository) {}, signer: trust.Signer{Key: public}, wrong: "nobody signed it"},
		"another-key":      {fill: func(r *repository) { r.manifest(t, sigTag, byKey(t, r, key, payloadOf(image))) }, signer: trust.Signer{Key: other}, wrong: "1 signatures were found, and none is by the key"},
		"another-image":    {fill: func(r *repository) { r.manifest(t, sigTag, byKey(t, r, key, payloadOf(digest.FromString("x")))) }, signer: trust.Signer{Key: public}, wrong: "the payload is about sha256:"},
		"garbage":          {fill: func(r *repository) { r.manifest(t, sigTag, r.put([]byte("{"), simpleSigning)) }, signer: trust.Signer{Key: public}, wrong: "the payload"},
		"no-annotation":    {fill: func(r *repository) { r.manifest(t, sigTag, r.put(payloadOf(image), simpleSigning)) }, signer: trust.Signer{Key: public}, wrong: "no base 64"},
		"an-image-instead": {fill: func(r *repository) { r.manifest(t, sigTag, r.put([]byte("x"), ocispec.MediaTypeImageLayerGzip)) }, signer: trust.Signer{Key: public}, wrong: "nobody signed it"},
		"one-of-two": {fill: func(r *repository) {
			stranger, _ := newSigner(t)
			r.manifest(t, sigTag, byKey(t, r, stranger, payloadOf(image)), byKey(t, r, key, payloadOf(image)))
		}, signer: trust.Signer{Key: public}},
		"no-json":       {fill: func(r *repository) { r.tags[sigTag] = r.put([]byte("<html>"), "").Digest }, signer: trust.Signer{Key: public}, is: trust.ErrMalformed},
		"the-net-broke": {fill: func(r *repository) { r.fail = trust.ErrUnavailable }, signer: trust.Signer{Key: public}, is: trust.ErrUnavailable},
		"no-root":       {fill: func(*repository) {}, signer: trust.Signer{Identity: identity, Issuer: issuer}, is: trust.ErrUnsupported},
		"no-key":        {fill: func(*repository) {}, signer: trust.Signer{Key: "x"}, is: trust.ErrMalformed},
		"a-broken-key":  {fill: func(*repository) {}, signer: trust.Signer{Key: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, is: trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository()
			tt.fill(r)
			wrong, err := ask(t, c, r, tt.signer)
			if !errors.Is(err, tt.is) || (tt.is != nil) != (err != nil) || (wrong == "") != (tt.wrong == "") || !strings.Contains(wrong, tt.wrong) {
				t.Errorf("%q, %v; want %q, %v", wrong, err, tt.wrong, tt.is)
			}
		})
	}
}

// TestLimits: what is beyond them is an error, and no answer.
func TestLimits(t *testing.T) {
	t.Parallel()
	_, public := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	many, large := newRepository(), newRepository()
	var layers []ocispec.Descriptor
	for i := range maxSignatures + 1 {
		layers = append(layers, many.put(fmt.Append(nil, i), simpleSigning))
	}
	many.manifest(t, tagOf(image)+".sig", layers...)
	large.manifest(t, tagOf(image)+".sig", large.put(make([]byte, maxPayload+1), simpleSigning))
	for name, r := range map[string]*repository{"many": many, "large": large} {
		if _, err := ask(t, c, r, trust.Signer{Key: public}); !errors.Is(err, trust.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIdentity: certificates of a service that is trusted, for whom the entry names, with a log's entry.
func TestIdentity(t *testing.T) {
	t.Parallel()
	service, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	c := &Checker{material: withoutCT{service}}
	exact, glob := trust.Signer{Identity: identity, Issuer: issuer}, trust.Signer{Identity: "https://github.com/acme/*", Issuer: issuer}
	for name, tt := range map[string]struct {
		layer  func(*repository) ocispec.Descriptor
		signer trust.Signer
		wrong  string
	}{
		"signed": {func(r *repository) ocispec.Descriptor {
			return byIdentity(t, r, service, identity, issuer, payloadOf(image))
		}, exact, ""},
		"signed-by-one": {func(r *repository) ocispec.Descriptor {
			return byIdentity(t, r, service, identity, issuer, payloadOf(image))
		}, glob, ""},
		"another": {func(r *repository) ocispec.Descriptor {
			return byIdentity(t, r, service, "https://github.com/evil/acme", issuer, payloadOf(image))
		}, glob, "none is by"},
		"another-issuer": {func(r *repository) ocispec.Descriptor {
			return byIdentity(t, r, service, identity, "https://evil.example", payloadOf(image))
		}, exact, "none is by"},
		"another-service": {func(r *repository) ocispec.Descriptor {
			return byIdentity(t, r, stranger, identity, issuer, payloadOf(image))
		}, exact, "none is by"},
		"no-certificate": {func(r *repository) ocispec.Descriptor {
			l := byIdentity(t, r, service, identity, issuer, payloadOf(image))
			delete(l.Annotations, certNote)
			return l
		}, exact, "no certificate"},
		"no-log": {func(r *repository) ocispec.Descriptor {
			l := byIdentity(t, r, service, identity, issuer, payloadOf(image))
			delete(l.Annotations, rekorNote)
			return l
		}, exact, "no entry"},
		"a-key's": {func(r *repository) ocispec.Descriptor {
			key, _ := newSigner(t)
			return byKey(t, r, key, payloadOf(image))
		}, exact, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository()
			r.manifest(t, tagOf(image)+".sig", tt.layer(r))
			wrong, err := ask(t, c, r, tt.signer)
			if err != nil || (wrong == "") != (tt.wrong == "") || !strings.Contains(wrong, tt.wrong) {
				t.Errorf("%q, %v; want %q", wrong, err, tt.wrong)
			}
		})
	}
}

// withoutCT is a service that has no log of certificates, like most private ones.
type withoutCT struct{ *ca.VirtualSigstore }

func (withoutCT) CTLogs() map[string]*root.TransparencyLog { return nil }

// TestIndex: who signed an index signed what is in it.
func TestIndex(t *testing.T) {
	t.Parallel()
	key, public := newSigner(t)
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRepository()
	index := digest.FromString("index")
	r.manifest(t, tagOf(index)+".sig", byKey(t, r, key, payloadOf(index)))
	ref := trust.Reference{Registry: "r", Repository: "a", Digest: image}
	if wrong, err := c.Signed(t.Context(), ref, r, trust.Signer{Key: public}); err != nil || wrong == "" {
		t.Errorf("%q, %v", wrong, err)
	}
	ref.Index = index
	if wrong, err := c.Signed(t.Context(), ref, r, trust.Signer{Key: public}); err != nil || wrong != "" {
		t.Errorf("%q, %v", wrong, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New([]byte("{}"), nil); !errors.Is(err, trust.ErrMalformed) {
		t.Error(err)
	}
	a, errA := New(nil, nil)
	if errA != nil || a.Digest() == "" {
		t.Error(errA)
	}
}

func FuzzSimple(f *testing.F) {
	f.Add(payloadOf(image), "c2ln", "", `{"Payload":{"body":"e30=","logID":"00"}}`)
	f.Add([]byte("{"), "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "{}")
	_, public := newSigner(f)
	check, err := withKey(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte, sig, cert, rekor string) {
		s := simple{payload, map[string]string{signatureNote: sig, certNote: cert, rekorNote: rekor}}
		if s.verify(check, image) == nil {
			t.Error("a signature of a key that nobody has")
		}
		if raw, err := base64.StdEncoding.DecodeString(sig); err == nil {
			_, _ = s.bundle(raw)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AA=="},"signature":"AA=="}}`))
	f.Add([]byte("{}"))
	_, public := newSigner(f)
	check, err := withKey(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bundled(text).verify(check, image) == nil {
			t.Error("a signature of a key that nobody has")
		}
	})
}
