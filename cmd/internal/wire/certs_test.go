package wire

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// server is an https server whose certificate nobody knows, with that certificate as PEM.
func server(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestCertified(t *testing.T) {
	t.Parallel()
	s, authority := server(t)
	host := strings.TrimPrefix(s.URL, "https://")
	for name, tt := range map[string]struct {
		files map[string][]byte
		host  string
		none  bool   // no folder counts
		err   string // what the error says
		fails bool   // the server is not trusted
	}{
		"no-folder":   {host: host, none: true},
		"authority":   {host: host, files: map[string][]byte{"ca.crt": authority, "README": []byte("x")}},
		"empty":       {host: host, files: map[string][]byte{"README": []byte("x")}, fails: true},
		"no-pem":      {host: host, files: map[string][]byte{"ca.crt": []byte("x")}, err: "holds no PEM certificate"},
		"no-key":      {host: host, files: map[string][]byte{"me.cert": authority}, err: "me.key"},
		"too-large":   {host: host, files: map[string][]byte{"ca.crt": append(authority, make([]byte, maxCert)...)}, err: "limit"},
		"docker-hub":  {host: "docker.io", files: map[string][]byte{"ca.crt": []byte("x")}, none: true},
		"other-place": {host: "up/../..", files: map[string][]byte{"ca.crt": []byte("x")}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for file, body := range tt.files {
				path := filepath.Join(root, tt.host, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			transport, err := certified(root, tt.host)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || (transport == nil) != tt.none {
				t.Fatalf("%v, %v", transport, err)
			}
			if tt.none {
				return
			}
			defer transport.CloseIdleConnections()
			transport.DialContext = (&net.Dialer{}).DialContext // no registry asks here, for which loopback would be allowed
			resp, err := (&http.Client{Transport: transport}).Get(s.URL)
			if (err != nil) != tt.fails {
				t.Errorf("asked the server: %v", err)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
}
