// Package bucket opens the S3 storage of the cache. It is apart from cmd/internal/wire so that programs without such
// storage do not carry its 8 MB.
package bucket

import (
	"context"
	"fmt"
	"net/url"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	s3 "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"

	"github.com/safepull/safepull/proxy/config"
)

// part is the size of parts, of which S3 takes 10,000 an object; one is in memory for each object that is written.
const part = 32 << 20

// Open makes a driver. It asks no network.
func Open(ctx context.Context, c config.S3) (storagedriver.StorageDriver, error) {
	secret, err := c.Secret()
	if err != nil {
		return nil, fmt.Errorf("bucket: the secret key: %w", err)
	}
	secure := true
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("bucket: the endpoint: %w", err)
		}
		secure = u.Scheme != "http"
	}
	driver, err := s3.New(ctx, s3.DriverParameters{
		AccessKey: c.AccessKey, SecretKey: secret.Reveal(), Bucket: c.Bucket, Region: c.Region, RegionEndpoint: c.Endpoint,
		ForcePathStyle: c.PathStyle, Secure: secure, V4Auth: true, RootDirectory: c.Prefix, ChunkSize: part,
		MultipartCopyChunkSize: part, MultipartCopyMaxConcurrency: 1, MultipartCopyThresholdSize: part,
		StorageClass: "STANDARD", ObjectACL: "private", UserAgent: "safepull-proxy",
	})
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return driver, nil
}
