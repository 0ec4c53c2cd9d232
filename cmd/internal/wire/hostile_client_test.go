package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/test/registrytest"
)

// TestHostileClients: no spelling of a path gets at what another spelling is refused, and no range gets more than it names.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	good, bad := clean(), mining(t)
	put(r, "acme/good", "latest", good)
	put(r, "acme/bad", "latest", bad)
	p := start(t, r, "")
	if resp, _ := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if resp, _ := p.get(t, "/v2/acme/bad/manifests/latest"); resp.StatusCode != http.StatusForbidden {
		t.Fatal(resp.Status)
	}
	asked := len(r.Requests())
	tryPaths(t, p, "acme/bad/manifests/latest")
	for _, b := range bad.Blobs {
		tryPaths(t, p, "acme/bad/blobs/"+b.Descriptor.Digest.String())
		// A digest that is served nowhere is not served where another image is.
		if status, said := raw(t, p, "/v2/acme/good/blobs/"+b.Descriptor.Digest.String(), ""); status == 200 && said == string(b.Content) {
			t.Errorf("%s of the refused image is served in another repository", b.Descriptor.Digest)
		}
	}
	for _, q := range r.Requests()[asked:] {
		if strings.Contains(q.Path, "..") || strings.Contains(q.Path, "//") || strings.Contains(q.Path, "%") {
			t.Errorf("the upstream was asked for %q", q.Path)
		}
	}
	tryRanges(t, p, "/v2/acme/good/blobs/"+good.Blobs[1].Descriptor.Digest.String(), string(good.Blobs[1].Content))
}

func tryPaths(t *testing.T, p *running, what string) {
	t.Helper()
	repository, rest, _ := strings.Cut(what, "/bad/")
	for _, path := range []string{
		"/v2/" + what, "/v2//" + what, "//v2/" + what, "/v2/./" + what, "/v2/x/../" + what, "/v2/" + repository + "/good/../bad/" + rest,
		"/v2/" + repository + "%2fbad/" + rest, "/v2/" + repository + "%2Fbad/" + rest, "/v2/" + repository + "/%62ad/" + rest, "/v2/" + repository + "/bad%00/" + rest,
		"/v2/" + repository + "/good/v2/" + what, "/v2/" + repository + "/good/manifests/latest/../../../bad/" + rest, "/v2/" + repository + "/BAD/" + rest,
		"/v2/" + what + "/", "/v2/" + what + "%20", "/v2/" + what + ";x", "/v2/" + what + "?ns=docker.io", "/v2/" + what + "?ns=DOCKER.io.", "/v2/" + what + "#x",
		"/v2/docker.io/" + what, "/v2/docker.io:443/" + what, "/v2/index.docker.io/" + what, "/v2/" + what + "?ns=docker.io%00", "\\v2\\" + what,
		"http://registry-1.docker.io/v2/" + what, "http://x@docker.io/v2/" + what, "/v2/" + strings.Repeat("a/", 2000) + what, "*", "",
	} {
		status, said := raw(t, p, path, "")
		if status < 300 || status >= 500 {
			t.Errorf("%q: %d %.200s", path, status, said)
		}
	}
}

func tryRanges(t *testing.T, p *running, path, content string) {
	t.Helper()
	n := len(content)
	for ranges, want := range map[string]string{
		"bytes=0-0": content[:1], "bytes=-1": content[n-1:], fmt.Sprintf("bytes=%d-", n-1): content[n-1:], "bytes=0-": content,
		"bytes=0-999999999999": content, fmt.Sprintf("bytes=-%d", 10*n): content,
		// The others may be answered with the whole or with an error.
		fmt.Sprintf("bytes=%d-", n): "", "bytes=5-2": "", "bytes=--1": "", "bytes=-0": "", "bytes=a-b": "", "items=0-1": "", "bytes": "", "bytes=": "",
		"bytes=0-18446744073709551616": "", "bytes=99999999999999999999-": "", "bytes=-9223372036854775809": "",
		"bytes=0-0,1-1": "", "bytes=0-,0-,0-": "", "bytes=" + strings.Repeat("0-,", 10_000) + "0-": "", "bytes=0x0-0x1": "", "bytes=0-0\t": "",
	} {
		status, said := raw(t, p, path, ranges)
		switch {
		case want != "" && status != http.StatusPartialContent && status != http.StatusOK, status >= 500:
			t.Errorf("%.60q: %d", ranges, status)
		case want != "" && said != want, status == http.StatusOK && said != content:
			t.Errorf("%.60q: %d with %d bytes", ranges, status, len(said))
		case status == http.StatusPartialContent && !strings.Contains(content, said):
			t.Errorf("%.60q: bytes that are none of the blob's", ranges)
		}
	}
}

// raw asks with a request line that no client library would write.
func raw(t *testing.T, p *running, path, ranges string) (int, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	request := "GET " + path + " HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n"
	if ranges != "" {
		request += "Range: " + ranges + "\r\n"
	}
	go func() { _, _ = io.WriteString(conn, request+"\r\n") }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%q %.60q: %v", path, ranges, err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%q %.60q broke off: %v", path, ranges, err)
	}
	return resp.StatusCode, string(body)
}
