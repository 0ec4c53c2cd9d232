package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	bundles "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	sigdsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// Media types and annotations, as cosign and other clients write them.
const (
	SimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	BundleV03     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	inTotoType    = "application/vnd.in-toto+json"

	signatureNote = "dev.cosignproject.cosign/signature"
	certNote      = "dev.sigstore.cosign/certificate"
	rekorNote     = "dev.sigstore.cosign/bundle"
)

// Predicates of statements about images.
const (
	// CosignSign says that the image is signed, and nothing else.
	CosignSign = "https://sigstore.dev/cosign/sign/v1"
	// Provenance says who built it, and how.
	Provenance = "https://slsa.dev/provenance/v1"
)

// Signing says who signs, and how.
type Signing struct {
	// Key signs by itself; without one, Identity does, which Issuer vouches for.
	Key              *ecdsa.PrivateKey
	Identity, Issuer string
	// At is when the identity's certificate begins; zero is a minute ago. It is good for ten minutes.
	At time.Time
	// Logged is when the transparency log took the signature; zero is now.
	Logged time.Time
	// Unlogged leaves the certificate out of the log of certificates, NoEntry the signature out of the transparency log.
	Unlogged, NoEntry bool
	// Timestamped adds the timestamp of an authority, of now.
	Timestamped bool
}

// Payload is cosign's first format: what it says of an image of a digest in a repository, which may be empty.
func Payload(repository string, about digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repository, about)
}

// Simple are the annotations of a layer with a payload, in cosign's first format.
func (s *Service) Simple(payload []byte, o Signing) (map[string]string, error) {
	sum := sha256.Sum256(payload)
	made, err := s.sign(o, sum[:])
	if err != nil {
		return nil, err
	}
	notes := map[string]string{signatureNote: base64.StdEncoding.EncodeToString(made.signature)}
	if made.certificate == nil {
		return notes, nil
	}
	notes[certNote] = string(certificatePEM(made.certificate))
	if o.NoEntry {
		return notes, nil
	}
	entry, err := s.record(made, hex.EncodeToString(sum[:]), o, false)
	if err != nil {
		return nil, err
	}
	note, err := json.Marshal(map[string]any{
		"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
		"Payload": map[string]any{
			"body": entry.GetCanonicalizedBody(), "integratedTime": entry.GetIntegratedTime(), "logIndex": entry.GetLogIndex(),
			"logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
		},
	})
	notes[rekorNote] = string(note)
	return notes, err
}

// Bundle is a bundle, version 0.3, of a signature of the image's digest itself.
func (s *Service) Bundle(about digest.Digest, o Signing) ([]byte, error) {
	sum, err := hex.DecodeString(about.Encoded())
	if err != nil {
		return nil, err
	}
	made, err := s.sign(o, sum)
	if err != nil {
		return nil, err
	}
	b := &bundles.Bundle{MediaType: BundleV03, Content: &bundles.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
		MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum}, Signature: made.signature,
	}}}
	return s.finish(b, made, o, func() (*rekor.TransparencyLogEntry, error) { return s.record(made, about.Encoded(), o, true) })
}

// Statement is a bundle, version 0.3, of a statement about an image, as newer clients sign. The predicate says what kind.
func (s *Service) Statement(about digest.Digest, predicate string, o Signing) ([]byte, error) {
	payload := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, about.Encoded(), predicate)
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(inTotoType), inTotoType, len(payload), payload))
	made, err := s.sign(o, sum[:])
	if err != nil {
		return nil, err
	}
	b := &bundles.Bundle{MediaType: BundleV03, Content: &bundles.Bundle_DsseEnvelope{DsseEnvelope: &sigdsse.Envelope{
		Payload: payload, PayloadType: inTotoType, Signatures: []*sigdsse.Signature{{Sig: made.signature}},
	}}}
	return s.finish(b, made, o, func() (*rekor.TransparencyLogEntry, error) {
		encoded := base64.StdEncoding.EncodeToString
		envelope := fmt.Sprintf(`{"payload":%q,"payloadType":%q,"signatures":[{"sig":%q}]}`, encoded(payload), inTotoType, encoded(made.signature))
		of := func(b []byte) map[string]any {
			sum := sha256.Sum256(b)
			return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
		}
		return s.entry("dsse", "0.0.1", map[string]any{
			"envelopeHash": of([]byte(envelope)), "payloadHash": of(payload),
			"signatures": []any{map[string]any{"signature": encoded(made.signature), "verifier": encoded(certificatePEM(made.certificate))}},
		}, o.logged(), true)
	})
}

// made is a signature with the certificate that it needs; a key's needs none.
type made struct {
	signature   []byte
	certificate *x509.Certificate
}

func (s *Service) sign(o Signing, sum []byte) (m made, err error) {
	key := o.Key
	if key == nil {
		if key, err = newKey(); err != nil {
			return m, err
		}
		if m.certificate, err = s.certificate(o, key.Public()); err != nil {
			return m, err
		}
	}
	m.signature, err = key.Sign(rand.Reader, sum, crypto.SHA256)
	return m, err
}

func (o Signing) logged() time.Time {
	if o.Logged.IsZero() {
		return time.Now()
	}
	return o.Logged
}

// record is the log's entry of a signature of a hash.
func (s *Service) record(m made, hash string, o Signing, proved bool) (*rekor.TransparencyLogEntry, error) {
	encoded := base64.StdEncoding.EncodeToString
	return s.entry("hashedrekord", "0.0.1", map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hash}},
		"signature": map[string]any{"content": encoded(m.signature), "publicKey": map[string]any{"content": encoded(certificatePEM(m.certificate))}},
	}, o.logged(), proved)
}

// finish adds what is to be known of a signature to a bundle, as JSON.
func (s *Service) finish(b *bundles.Bundle, m made, o Signing, entry func() (*rekor.TransparencyLogEntry, error)) ([]byte, error) {
	b.VerificationMaterial = &bundles.VerificationMaterial{Content: &bundles.VerificationMaterial_PublicKey{
		PublicKey: &common.PublicKeyIdentifier{Hint: "key"},
	}}
	if m.certificate != nil {
		b.VerificationMaterial.Content = &bundles.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: m.certificate.Raw}}
		if !o.NoEntry {
			e, err := entry()
			if err != nil {
				return nil, err
			}
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{e}
		}
	}
	if o.Timestamped {
		stamp, err := s.logs.TimestampResponse(m.signature)
		if err != nil {
			return nil, err
		}
		b.VerificationMaterial.TimestampVerificationData = &bundles.TimestampVerificationData{
			Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
		}
	}
	return protojson.Marshal(b)
}

// Tag is the tag that cosign's first format puts signatures of a digest at.
func Tag(about digest.Digest) string { return strings.Replace(about.String(), ":", "-", 1) + ".sig" }
