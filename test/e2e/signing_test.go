package e2e

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/sigstoretest"
)

// signing is a Sigstore and a registry that lists referrers.
type signing struct {
	service  *sigstoretest.Service
	registry *httptest.Server
}

func cmdSigstore(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: sigstore FILE")
	}
	service, err := sigstoretest.New()
	ts.Check(err)
	root, err := service.TrustedRoot(true)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), root, 0o600))
	s.signing = &signing{service, httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))}
	ts.Setenv("REFERRERS", strings.TrimPrefix(s.signing.registry.URL, "http://"))
}

// cmdSign signs the image behind a tag.
func cmdSign(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || s.signing == nil {
		ts.Fatalf("usage: sign FORM HOST/REPOSITORY:TAG [key=value...], after sigstore")
	}
	host, rest, _ := strings.Cut(args[1], "/")
	repository, tag, _ := strings.Cut(rest, ":")
	p := imagetest.Pusher{URL: "http://" + host}
	subject := head(ts, p.URL, repository, tag)
	o := sigstoretest.Signing{Identity: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com"}
	about, predicate, named, listed := subject.Digest, sigstoretest.CosignSign, host+"/"+repository, false
	service := s.signing.service
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "identity":
			o.Identity = value
		case "issuer":
			o.Issuer = value
		case "expired": // before the log took it
			o.At = time.Now().Add(-30 * time.Minute)
		case "unlogged":
			o.Unlogged = true
		case "noentry":
			o.NoEntry = true
		case "about":
			about = digest.Digest(value)
		case "predicate":
			predicate = value
		case "repository":
			named = value
		case "tag": // the list of referrers is a tag
			listed = true
		case "stranger":
			var err error
			service, err = sigstoretest.New()
			ts.Check(err)
		default:
			ts.Fatalf("sign: %s", arg)
		}
	}
	var text []byte
	var err error
	switch args[0] {
	case "simple":
		payload := sigstoretest.Payload(named, about)
		notes, err := service.Simple(payload, o)
		ts.Check(err)
		attach(ts, p, repository, sigstoretest.Tag(subject.Digest), imagetest.NewBlob(sigstoretest.SimpleSigning, payload), notes, nil)
		return
	case "bundle":
		text, err = service.Bundle(about, o)
	case "statement":
		text, err = service.Statement(about, predicate, o)
	default:
		ts.Fatalf("sign: %s is none of simple, bundle, statement", args[0])
	}
	ts.Check(err)
	d := attach(ts, p, repository, "", imagetest.NewBlob(sigstoretest.BundleV03, text), nil, &subject)
	if listed {
		index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
		ts.Check(err)
		ts.Check(p.Push(context.Background(), repository, strings.Replace(subject.Digest.String(), ":", "-", 1), imagetest.Built{
			Root: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex}, Manifest: index,
		}))
	}
}

// attach puts an artifact with one layer beside an image.
func attach(ts *testscript.TestScript, p imagetest.Pusher, repository, tag string, layer imagetest.Blob, notes map[string]string, subject *ocispec.Descriptor) ocispec.Descriptor {
	empty := imagetest.NewBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: empty.Descriptor,
		Layers: []ocispec.Descriptor{layer.Descriptor}, Subject: subject,
	}
	m.Layers[0].Annotations = notes
	if subject != nil {
		m.ArtifactType = layer.Descriptor.MediaType
	}
	body, err := json.Marshal(m)
	ts.Check(err)
	d := ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	if tag == "" {
		tag = d.Digest.String()
	}
	ts.Check(p.Push(context.Background(), repository, tag, imagetest.Built{Root: d, Manifest: body, Blobs: []imagetest.Blob{empty, layer}}))
	return d
}

// head describes what a tag points at.
func head(ts *testscript.TestScript, url, repository, tag string) ocispec.Descriptor {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url+"/v2/"+repository+"/manifests/"+tag, http.NoBody)
	ts.Check(err)
	for _, kind := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, imagetest.DockerManifest} {
		req.Header.Add("Accept", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	ts.Check(resp.Body.Close())
	d := ocispec.Descriptor{MediaType: resp.Header.Get("Content-Type"), Digest: digest.Digest(resp.Header.Get("Docker-Content-Digest")), Size: resp.ContentLength}
	if resp.StatusCode != http.StatusOK || d.Digest == "" {
		ts.Fatalf("%s/%s:%s: %s", url, repository, tag, resp.Status)
	}
	return d
}
