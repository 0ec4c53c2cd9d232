package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestS3(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := `
cache:
  driver: s3
  scrubBytesPerSecond: 0
  tagTTL: 1m
  staleIfDown: 0s
  s3: {bucket: blobs, region: us-east-1, endpoint: "http://127.0.0.1:9000", prefix: a/b, pathStyle: true, accessKey: me, secretKeyFile: key}
`
	for name, want := range map[string]struct{ env, secret string }{"file": {"SAFEPULL_CACHE_S3_BUCKET=blobs", "hunter2"}, "environment": {"SAFEPULL_CACHE_S3_SECRET_KEY=other", "other"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := parse(filepath.Join(dir, "p.yaml"), []byte(body), append(home, want.env), true)
			if err != nil {
				t.Fatal(err)
			}
			secret, err := c.Cache.S3.Secret()
			if secret.Reveal() != want.secret || err != nil || c.Cache.TagTTL != time.Minute || c.Cache.StaleIfDown != 0 {
				t.Errorf("%+v, %v", c.Cache, err)
			}
			if shown := fmt.Sprintf("%v %+v %#v", c, c.Cache, c.Cache.S3); strings.Contains(shown, want.secret) && name == "environment" {
				t.Errorf("the secret is shown: %s", shown)
			}
		})
	}
	c, err := parse(filepath.Join(dir, "p.yaml"), []byte("cache: {path: blobs}"), home, true)
	if err != nil || c.Cache.Path != filepath.Join(dir, "blobs") {
		t.Errorf("path %q, %v", c.Cache.Path, err)
	}
	if secret, err := (S3{}).Secret(); secret != "" || err != nil {
		t.Errorf("%v", err)
	}
}
