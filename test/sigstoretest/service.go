// Package sigstoretest is a Sigstore in memory: an authority that certifies identities, its log of certificates, a
// transparency log and a timestamping authority, with the trusted root that names them. It signs as clients do, and wrongly
// where a test wants that. Its keys are made anew each time and sign nothing that anybody trusts.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// validFor is how long a certificate of an identity is good.
const validFor = 10 * time.Minute

// Extensions of certificates, from https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md and RFC 6962.
var (
	oldIssuer = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	newIssuer = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	sctList   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// Service is a Sigstore.
type Service struct {
	// logs has the transparency log and the timestamping authority.
	logs                   *ca.VirtualSigstore
	root, intermediate     *x509.Certificate
	intermediateKey, ctKey *ecdsa.PrivateKey
	rekorID                []byte
	rekorKey               crypto.PublicKey
}

// New makes a service.
func New() (*Service, error) {
	s := &Service{}
	var err error
	if s.logs, err = ca.NewVirtualSigstore(); err != nil {
		return nil, err
	}
	for _, log := range s.logs.RekorLogs() {
		s.rekorKey = log.PublicKey
	}
	if s.rekorID, err = logID(s.rekorKey); err != nil {
		return nil, err
	}
	if s.ctKey, err = newKey(); err != nil {
		return nil, err
	}
	return s, s.certify()
}

// certify makes the authority.
func (s *Service) certify() error {
	rootKey, err := newKey()
	if err != nil {
		return err
	}
	if s.intermediateKey, err = newKey(); err != nil {
		return err
	}
	authority := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"sigstore.example"}},
			NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		}
	}
	top := authority(1, "root")
	if s.root, err = create(top, top, rootKey.Public(), rootKey); err != nil {
		return err
	}
	below := authority(2, "intermediate")
	below.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	s.intermediate, err = create(below, s.root, s.intermediateKey.Public(), rootKey)
	return err
}

// TrustedRoot is what "trusted_root.json" is: who may certify, and which logs count. Without certificateLog, it names no
// log of certificates, like those of many private services.
func (s *Service) TrustedRoot(certificateLog bool) ([]byte, error) {
	start, end := time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour)
	log := func(key crypto.PublicKey, url string) (map[string]*root.TransparencyLog, error) {
		id, err := logID(key)
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: url, ID: id, ValidityPeriodStart: start, ValidityPeriodEnd: end,
			HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: crypto.SHA256,
		}}, err
	}
	entries, err := log(s.rekorKey, "https://rekor.localhost")
	if err != nil {
		return nil, err
	}
	certificates := map[string]*root.TransparencyLog{}
	if certificateLog {
		if certificates, err = log(s.ctKey.Public(), "https://ctfe.sigstore.example"); err != nil {
			return nil, err
		}
	}
	authorities := []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.intermediate}, ValidityPeriodStart: start, ValidityPeriodEnd: end,
		URI: "https://fulcio.sigstore.example",
	}}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, certificates, s.logs.TimestampingAuthorities(), entries)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// certificate certifies a key for an identity from a time on. With logged, the log of certificates has promised to take it.
func (s *Service) certificate(o Signing, key crypto.PublicKey) (*x509.Certificate, error) {
	from := o.At
	if from.IsZero() {
		from = time.Now().Add(-time.Minute)
	}
	issuer, err := asn1.MarshalWithParams(o.Issuer, "utf8")
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: from, NotAfter: from.Add(validFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: oldIssuer, Value: []byte(o.Issuer)}, {Id: newIssuer, Value: issuer}},
	}
	if strings.HasPrefix(o.Identity, "https://") {
		at, err := url.Parse(o.Identity)
		if err != nil {
			return nil, err
		}
		leaf.URIs = []*url.URL{at}
	} else {
		leaf.EmailAddresses = []string{o.Identity}
	}
	before, err := create(leaf, s.intermediate, key, s.intermediateKey)
	if err != nil || o.Unlogged {
		return before, err
	}
	promise, err := s.promise(before, from)
	if err != nil {
		return nil, err
	}
	leaf.ExtraExtensions = append(leaf.ExtraExtensions, pkix.Extension{Id: sctList, Value: promise})
	return create(leaf, s.intermediate, key, s.intermediateKey)
}

// promise is a list of one signed certificate timestamp (RFC 6962, section 3.2), as a certificate holds it. before is the
// certificate without it.
func (s *Service) promise(before *x509.Certificate, at time.Time) ([]byte, error) {
	id, err := logID(s.ctKey.Public())
	if err != nil {
		return nil, err
	}
	issuer := sha256.Sum256(s.intermediate.RawSubjectPublicKeyInfo)
	tbs := before.RawTBSCertificate
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	signed := append([]byte{0, 0}, stamp...)                                       // version, certificate_timestamp
	signed = append(signed, 0, 1)                                                  // precert_entry
	signed = append(signed, issuer[:]...)                                          // who issued it
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs))) // what is to be signed
	signed = append(append(signed, tbs...), 0, 0)                                  // no extensions
	sum := sha256.Sum256(signed)
	signature, err := s.ctKey.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	one := append(append([]byte{0}, id...), stamp...)
	one = append(one, 0, 0, 4, 3) // no extensions; SHA-256 with ECDSA
	one = append(binary.BigEndian.AppendUint16(one, uint16(len(signature))), signature...)
	list := binary.BigEndian.AppendUint16(nil, uint16(len(one)+2))
	list = append(binary.BigEndian.AppendUint16(list, uint16(len(one))), one...)
	return asn1.Marshal(list)
}

// entry is an entry of the transparency log, with the log's promise and, where proved, with the proof that bundles of
// newer versions need.
func (s *Service) entry(kind, version string, spec map[string]any, at time.Time, proved bool) (*rekor.TransparencyLogEntry, error) {
	body, err := json.Marshal(map[string]any{"apiVersion": version, "kind": kind, "spec": spec})
	if err != nil {
		return nil, err
	}
	promise, err := s.logs.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at.Unix(), LogID: hex.EncodeToString(s.rekorID),
	})
	if err != nil {
		return nil, err
	}
	e := &rekor.TransparencyLogEntry{
		LogId: &common.LogId{KeyId: s.rekorID}, KindVersion: &rekor.KindVersion{Kind: kind, Version: version},
		IntegratedTime: at.Unix(), CanonicalizedBody: body, InclusionPromise: &rekor.InclusionPromise{SignedEntryTimestamp: promise},
	}
	if !proved {
		return e, nil
	}
	proof, err := s.logs.GetInclusionProof(body)
	if err != nil {
		return nil, err
	}
	hash, err := hex.DecodeString(*proof.RootHash)
	if err != nil {
		return nil, err
	}
	e.InclusionProof = &rekor.InclusionProof{
		TreeSize: *proof.TreeSize, RootHash: hash, Checkpoint: &rekor.Checkpoint{Envelope: *proof.Checkpoint},
	}
	return e, nil
}

func create(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func logID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	sum := sha256.Sum256(der)
	return sum[:], err
}

// PublicKey is a key as PEM has it.
func PublicKey(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
