package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/sigstoretest"
	"github.com/safepull/safepull/trust"
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

func newSigner(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := sigstoretest.PublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, public
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

func ask(t testing.TB, c *Checker, r *repository, s trust.Signer) (string, error) {
	t.Helper()
	return c.Signed(t.Context(), trust.Reference{Registry: "r.example", Repository: "a", Digest: image}, r, s)
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
		"signed":      {fill: func(r *repository) { r.manifest(t, sigTag, byKey(t, r, key, sigstoretest.Payload("", image))) }, signer: trust.Signer{Key: public}},
		"nothing":     {fill: func(*repository) {}, signer: trust.Signer{Key: public}, wrong: "nobody signed it"},
		"another-key": {fill: func(r *repository) { r.manifest(t, sigTag, byKey(t, r, key, sigstoretest.Payload("", image))) }, signer: trust.Signer{Key: other}, wrong: "1 signature was found, and none is by the key"},
		"another-image": {fill: func(r *repository) {
			r.manifest(t, sigTag, byKey(t, r, key, sigstoretest.Payload("", digest.FromString("x"))))
		}, signer: trust.Signer{Key: public}, wrong: "the payload is about sha256:"},
		"garbage":          {fill: func(r *repository) { r.manifest(t, sigTag, r.put([]byte("{"), simpleSigning)) }, signer: trust.Signer{Key: public}, wrong: "no base 64"},
		"no-annotation":    {fill: func(r *repository) { r.manifest(t, sigTag, r.put(sigstoretest.Payload("", image), simpleSigning)) }, signer: trust.Signer{Key: public}, wrong: "no base 64"},
		"an-image-instead": {fill: func(r *repository) { r.manifest(t, sigTag, r.put([]byte("x"), ocispec.MediaTypeImageLayerGzip)) }, signer: trust.Signer{Key: public}, wrong: "nobody signed it"},
		"one-of-two": {fill: func(r *repository) {
			stranger, _ := newSigner(t)
			r.manifest(t, sigTag, byKey(t, r, stranger, sigstoretest.Payload("", image)), byKey(t, r, key, sigstoretest.Payload("", image)))
		}, signer: trust.Signer{Key: public}},
		"no-json":       {fill: func(r *repository) { r.tags[sigTag] = r.put([]byte("<html>"), "").Digest }, signer: trust.Signer{Key: public}, is: trust.ErrMalformed},
		"the-net-broke": {fill: func(r *repository) { r.fail = trust.ErrUnavailable }, signer: trust.Signer{Key: public}, is: trust.ErrUnavailable},
		"no-root":       {fill: func(*repository) {}, signer: trust.Signer{Identity: "https://github.com/acme/*", Issuer: "https://issuer.example"}, is: trust.ErrUnsupported},
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
	r.manifest(t, tagOf(index)+".sig", byKey(t, r, key, sigstoretest.Payload("", index)))
	ref := trust.Reference{Registry: "r.example", Repository: "a", Digest: image}
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
	f.Add(sigstoretest.Payload("", image), "c2ln", "", `{"Payload":{"body":"e30=","logID":"00"}}`)
	f.Add([]byte("{"), "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "{}")
	_, public := newSigner(f)
	check, err := withKey(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte, sig, cert, rekor string) {
		s := simple{payload, map[string]string{signatureNote: sig, certNote: cert, rekorNote: rekor}}
		if s.verify(check, trust.Reference{Registry: "r.example", Repository: "a", Digest: image}) == nil {
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
		if bundled(text).verify(check, trust.Reference{Registry: "r.example", Repository: "a", Digest: image}) == nil {
			t.Error("a signature of a key that nobody has")
		}
	})
}
