package signature

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	bundles "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	signatures "github.com/sigstore/sigstore/pkg/signature"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// Predicates of statements by which somebody puts their name to an image: cosign's own, and who built it
// (https://slsa.dev/provenance), which is what most projects publish from their workflows.
const (
	signPredicate       = "https://sigstore.dev/cosign/sign/v1"
	provenancePredicate = "https://slsa.dev/provenance/"
)

// oldBundle is the media type of bundles as the annotations of cosign's signatures describe them.
const oldBundle = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// verifier holds signatures against one signer.
type verifier struct {
	key      signatures.Verifier // nil for identities
	entities *verify.Verifier
	policy   verify.PolicyOption
	// repository is what a payload may name beside the image's own; nil when nothing else.
	repository *regexp.Regexp
}

// against is a verifier for a signer.
func (c *Checker) against(s trust.Signer) (v verifier, err error) {
	if s.Key != "" {
		v, err = withKey(s.Key)
	} else {
		v, err = c.withIdentity(s)
	}
	if err == nil && s.Repository != "" {
		v.repository, err = regexp.Compile(globbed(s.Repository))
	}
	return v, err
}

// globbed is a text with "*" for any run of characters as a regular expression.
func globbed(text string) string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$"
}

func (c *Checker) withIdentity(s trust.Signer) (verifier, error) {
	if c.material == nil {
		return verifier{}, fmt.Errorf("identities cannot be checked here, for lack of a trusted root (signatures.trustedRoot): %w", trust.ErrUnsupported)
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)}
	if len(c.material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	entities, err := verify.NewVerifier(c.material, options...)
	if err != nil {
		return verifier{}, fmt.Errorf("trusted root: %w: %w", trust.ErrMalformed, err)
	}
	exact, pattern := s.Identity, ""
	if strings.Contains(exact, "*") {
		exact, pattern = "", globbed(s.Identity)
	}
	identity, err := verify.NewShortCertificateIdentity(s.Issuer, "", exact, pattern)
	if err != nil {
		return verifier{}, fmt.Errorf("identity: %w: %w", trust.ErrMalformed, err)
	}
	return verifier{entities: entities, policy: verify.WithCertificateIdentity(identity)}, nil
}

func withKey(text string) (verifier, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return verifier{}, fmt.Errorf("the key is not in PEM: %w", trust.ErrMalformed)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return verifier{}, fmt.Errorf("the key: %w: %w", trust.ErrMalformed, err)
	}
	v, err := signatures.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return verifier{}, fmt.Errorf("the key: %w: %w", trust.ErrUnsupported, err)
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
	entities, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps())
	if err != nil {
		return verifier{}, fmt.Errorf("the key: %w: %w", trust.ErrUnsupported, err)
	}
	return verifier{key: v, entities: entities, policy: verify.WithKey()}, nil
}

// bundled is a Sigstore bundle: JSON.
type bundled []byte

func (b bundled) verify(check verifier, about trust.Reference) error {
	var parsed bundle.Bundle
	if err := parsed.UnmarshalJSON(b); err != nil {
		return err
	}
	raw, err := hex.DecodeString(about.Digest.Encoded())
	if err != nil {
		return err
	}
	result, err := check.entities.Verify(&parsed, verify.NewPolicy(verify.WithArtifactDigest(about.Digest.Algorithm().String(), raw), check.policy))
	if err != nil {
		return err
	}
	if parsed.GetDsseEnvelope() == nil {
		return nil // it is the digest itself that was signed
	}
	return approves(result.Statement.GetPredicateType())
}

// approves is nil for statements by which somebody puts their name to an image: that they signed it, or that they built it.
// Others say something about an image that may well speak against it, such as the result of a scan.
func approves(predicate string) error {
	if predicate == signPredicate || strings.HasPrefix(predicate, provenancePredicate) {
		return nil
	}
	return fmt.Errorf("it is a statement of the type %q, which is no signature", trust.Sanitise(predicate, 100))
}

// simple is a signature of cosign's first format: a payload that names an image, with annotations.
type simple struct {
	payload []byte
	notes   map[string]string
}

func (s simple) verify(check verifier, about trust.Reference) error {
	sig, err := base64.StdEncoding.DecodeString(s.notes[signatureNote])
	if err != nil || len(sig) == 0 {
		return errors.New("the signature is no base 64")
	}
	if err := s.signed(check, sig); err != nil {
		return err
	}
	return s.names(check, about)
}

// signed checks who signed the payload.
func (s simple) signed(check verifier, sig []byte) error {
	if check.key != nil {
		return check.key.VerifySignature(bytes.NewReader(sig), bytes.NewReader(s.payload))
	}
	entity, err := s.bundle(sig)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(s.payload)
	_, err = check.entities.Verify(entity, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum[:]), check.policy))
	return err
}

// names checks that the payload is about an image: of its digest, and in its repository where it names one. The same
// bytes elsewhere are something else: who signs what they try out does not release it.
func (s simple) names(check verifier, about trust.Reference) error {
	var payload struct {
		Critical struct {
			Type     string `json:"type"`
			Identity struct {
				Reference string `json:"docker-reference"`
			} `json:"identity"`
			Image struct {
				Digest digest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(s.payload, &payload); err != nil {
		return fmt.Errorf("the payload: %w", err)
	}
	critical := payload.Critical
	if critical.Type != "cosign container image signature" || critical.Image.Digest != about.Digest {
		return fmt.Errorf("the payload is about %s", trust.Sanitise(critical.Image.Digest.String(), 80))
	}
	if critical.Identity.Reference == "" {
		return nil
	}
	named, err := reference.Parse(critical.Identity.Reference)
	if err != nil {
		return fmt.Errorf("the payload names a repository that is none: %w", err)
	}
	if named.Name() == about.Name() || check.repository != nil && check.repository.MatchString(named.Name()) {
		return nil
	}
	return fmt.Errorf("the payload is about the repository %s (requireSignature.repository takes another one)", trust.Sanitise(named.Name(), 200))
}

// bundle is what the annotations say, as Sigstore's libraries have it.
func (s simple) bundle(sig []byte) (*bundle.Bundle, error) {
	block, _ := pem.Decode([]byte(s.notes[certNote]))
	if block == nil {
		return nil, errors.New("it has no certificate")
	}
	entry, err := s.entry()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(s.payload)
	return bundle.NewBundle(&bundles.Bundle{
		MediaType: oldBundle,
		VerificationMaterial: &bundles.VerificationMaterial{
			Content: &bundles.VerificationMaterial_X509CertificateChain{
				X509CertificateChain: &common.X509CertificateChain{Certificates: []*common.X509Certificate{{RawBytes: block.Bytes}}},
			},
			TlogEntries: []*rekor.TransparencyLogEntry{entry},
		},
		Content: &bundles.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: sig,
		}},
	})
}

// entry is the entry of the transparency log that the annotations hold.
func (s simple) entry() (*rekor.TransparencyLogEntry, error) {
	var note struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(s.notes[rekorNote]), &note); err != nil {
		return nil, errors.New("it has no entry of a transparency log")
	}
	var body struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(note.Payload.Body, &body); err != nil {
		return nil, fmt.Errorf("the entry of the transparency log: %w", err)
	}
	id, err := hex.DecodeString(note.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("the name of the transparency log: %w", err)
	}
	return &rekor.TransparencyLogEntry{
		LogIndex: note.Payload.LogIndex, LogId: &common.LogId{KeyId: id},
		KindVersion:    &rekor.KindVersion{Kind: body.Kind, Version: body.Version},
		IntegratedTime: note.Payload.IntegratedTime, CanonicalizedBody: note.Payload.Body,
		InclusionPromise: &rekor.InclusionPromise{SignedEntryTimestamp: note.SignedEntryTimestamp},
	}, nil
}
