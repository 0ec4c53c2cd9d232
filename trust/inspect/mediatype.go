package inspect

import "strings"

// Treatment says how the content of a descriptor is inspected.
type Treatment int

// The treatments.
const (
	// Unknown content cannot be inspected: the question stays unanswered.
	Unknown Treatment = iota
	// Layer content is walked as a layer.
	Layer
	// Data content is inspected as it is: an attestation, a signature, a bill of materials.
	Data
	// Encrypted content cannot be read by anybody without its keys.
	Encrypted
)

// treatments are the media types that are known here. What a layer really is, its first bytes say (trust/layer); this
// table only says what it may be.
var treatments = map[string]Treatment{
	"application/vnd.oci.image.layer.v1.tar":                                 Layer,
	"application/vnd.oci.image.layer.v1.tar+gzip":                            Layer,
	"application/vnd.oci.image.layer.v1.tar+zstd":                            Layer,
	"application/vnd.oci.image.layer.nondistributable.v1.tar":                Layer,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip":           Layer,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":           Layer,
	"application/vnd.docker.image.rootfs.diff.tar":                           Layer,
	"application/vnd.docker.image.rootfs.diff.tar.gzip":                      Layer,
	"application/vnd.docker.image.rootfs.diff.tar.zstd":                      Layer,
	"application/vnd.docker.image.rootfs.foreign.diff.tar":                   Layer,
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":              Layer,
	"application/vnd.cncf.helm.chart.content.v1.tar+gzip":                    Layer,
	"application/vnd.oci.image.layer.v1.tar+encrypted":                       Encrypted,
	"application/vnd.oci.image.layer.v1.tar+gzip+encrypted":                  Encrypted,
	"application/vnd.oci.image.layer.v1.tar+zstd+encrypted":                  Encrypted,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+encrypted":      Encrypted,
	"application/vnd.in-toto+json":                                           Data,
	"application/vnd.dsse.envelope.v1+json":                                  Data,
	"application/vnd.dev.cosign.simplesigning.v1+json":                       Data,
	"application/vnd.dev.sigstore.bundle.v0.3+json":                          Data,
	"application/vnd.cncf.notary.signature":                                  Data,
	"application/jose+json":                                                  Data,
	"application/cose":                                                       Data,
	"application/spdx+json":                                                  Data,
	"text/spdx":                                                              Data,
	"application/vnd.cyclonedx+json":                                         Data,
	"application/vnd.cyclonedx+xml":                                          Data,
	"application/vnd.cncf.helm.config.v1+json":                               Data,
	"application/vnd.cncf.helm.chart.provenance.v1.prov":                     Data,
	"application/vnd.oci.empty.v1+json":                                      Data,
	"application/vnd.oci.image.config.v1+json":                               Data,
	"application/vnd.docker.container.image.v1+json":                         Data,
	"application/vnd.oci.descriptor.v1+json":                                 Data,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted": Encrypted,
}

// IsEngineLayer reports whether an engine may unpack content of this media type into a root file system.
func IsEngineLayer(mediaType string) bool {
	t := plainMediaType(mediaType)
	return strings.HasPrefix(t, "application/vnd.oci.image.layer.") || strings.HasPrefix(t, "application/vnd.docker.image.rootfs.")
}

// TreatmentOf looks a media type up; what is not known is Unknown.
func TreatmentOf(mediaType string) Treatment { return treatments[plainMediaType(mediaType)] }
