package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/trust"
)

// engineCerts is where engines and docker's own command line find the certificates of private registries, in a folder
// for each host.
const engineCerts = "/etc/docker/certs.d"

// maxCert bounds a file of certificates.
const maxCert = 1 << 20

// certified is a transport that knows a registry's own certificates: every *.crt in its folder is an authority beside the
// system's, every *.cert with its *.key identifies us. It is nil where there is no folder, and for Docker Hub, for
// which the engine has none either.
func certified(root, host string) (*http.Transport, error) {
	if host == trust.DockerHub || host != filepath.Base(host) {
		return nil, nil
	}
	dir := filepath.Join(root, host)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certificates of %s: %w", host, err)
	}
	authorities, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificates: %w", err)
	}
	var own []tls.Certificate
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case ".crt":
			pem, err := readCert(path)
			if err != nil {
				return nil, fmt.Errorf("certificates of %s: %w", host, err)
			}
			if !authorities.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("certificates of %s: %s holds no PEM certificate", host, path)
			}
		case ".cert":
			pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
			if err != nil {
				return nil, fmt.Errorf("certificates of %s: %s and its key: %w", host, path, err)
			}
			own = append(own, pair)
		}
	}
	transport := upstream.NewTransport(upstream.Timeouts{})
	transport.TLSClientConfig.RootCAs, transport.TLSClientConfig.Certificates = authorities, own
	return transport, nil
}

func readCert(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCert {
		return nil, fmt.Errorf("%s is no file of at most %d bytes: %w", path, maxCert, trust.ErrLimit)
	}
	return os.ReadFile(path) //nolint:gosec // the operator's own folder
}
