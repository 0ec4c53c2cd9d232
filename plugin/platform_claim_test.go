package plugin

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// TestWrongPlatform: who asks for a platform gets no image that is for another one, or says something that is none.
func TestWrongPlatform(t *testing.T) {
	t.Parallel()
	want := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	for is, refused := range map[string]bool{"linux/amd64": false, "": false, "linux/arm64": true, "linux/am d64/;": true} {
		a := &app{opts: &options{platform: "linux/amd64"}}
		err := a.wrongPlatform(trust.Verdict{Evidence: trust.Evidence{Platform: is}}, want)
		if (err != nil) != refused {
			t.Errorf("%q: %v, want refused %v", is, err, refused)
		}
	}
}
