package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Where blobs are kept.
const (
	DriverFilesystem = "filesystem"
	DriverInMemory   = "inMemory"
	DriverS3         = "s3"
)

// maxStale bounds how old an answer may be: a tag that does not move for longer is what an attacker wants.
const maxStale = 30 * 24 * time.Hour

// minScrub is the slowest scrub that comes to an end.
const minScrub = 64 << 10

// Cache says where verified blobs are kept, how many, and how long it is believed what a tag points at.
type Cache struct {
	MaxBytes Bytes  `yaml:"maxBytes"`
	Driver   string `yaml:"driver"`
	Path     string `yaml:"path"`
	S3       S3     `yaml:"s3"`
	// ScrubBytesPerSecond is how fast files of the driver filesystem are read to see whether they are still right; 0 is never.
	ScrubBytesPerSecond Bytes `yaml:"scrubBytesPerSecond"`

	TagTTL      time.Duration `yaml:"tagTTL"`
	StaleIfDown time.Duration `yaml:"staleIfDown"`
}

// S3 is a bucket, which any number of proxies may share.
type S3 struct {
	Bucket   string `yaml:"bucket"`
	Region   string `yaml:"region"`
	Endpoint string `yaml:"endpoint"`
	Prefix   string `yaml:"prefix"`
	// PathStyle puts the bucket into the path of URLs instead of their host.
	PathStyle     bool   `yaml:"pathStyle"`
	AccessKey     string `yaml:"accessKey"`
	SecretKeyFile string `yaml:"secretKeyFile"`
	// SecretKey comes from the environment only.
	SecretKey Secret `yaml:"-" env:"secretKey"`
}

// Secret is the key that belongs to AccessKey.
func (s S3) Secret() (Secret, error) {
	if s.SecretKey != "" || s.SecretKeyFile == "" {
		return s.SecretKey, nil
	}
	line, err := secretLine(s.SecretKeyFile)
	return Secret(line), err
}

var (
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionPattern = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
)

func (c *Config) checkCache(at origins) error {
	switch k := c.Cache; {
	case k.MaxBytes <= 0:
		return at.errorf("cache.maxBytes", "the cache needs room for at least one layer: write for example 20GiB")
	case k.ScrubBytesPerSecond < 0 || k.ScrubBytesPerSecond > 0 && k.ScrubBytesPerSecond < minScrub:
		return at.errorf("cache.scrubBytesPerSecond", "%d is neither 0, for never, nor at least 64KiB", k.ScrubBytesPerSecond)
	case k.TagTTL < 0 || k.TagTTL > 24*time.Hour:
		return at.errorf("cache.tagTTL", "%s is not between 0s and 24h", k.TagTTL)
	case k.StaleIfDown < 0 || k.StaleIfDown > maxStale:
		return at.errorf("cache.staleIfDown", "%s is not between 0s and %s", k.StaleIfDown, maxStale)
	case k.Path != "" && k.Driver != DriverFilesystem:
		return at.errorf("cache.path", "it belongs to the driver filesystem")
	case k.S3 != (S3{}) && k.Driver != DriverS3:
		return at.errorf("cache.s3", "it belongs to the driver s3: write driver: s3")
	}
	switch c.Cache.Driver {
	case DriverFilesystem, DriverInMemory:
		return nil
	case DriverS3:
		return c.Cache.S3.check(at)
	}
	return at.errorf("cache.driver", "%q is no driver: use filesystem, inMemory or s3", c.Cache.Driver)
}

func (s S3) check(at origins) error {
	switch {
	case !bucketPattern.MatchString(s.Bucket):
		return at.errorf("cache.s3.bucket", "%q is no name of a bucket", s.Bucket)
	case !regionPattern.MatchString(s.Region):
		return at.errorf("cache.s3.region", "%q is no region: write for example us-east-1, which other servers than Amazon's take too", s.Region)
	case s.Prefix != "" && !prefixPattern.MatchString(s.Prefix):
		return at.errorf("cache.s3.prefix", "%q is no prefix: write names with / between them", s.Prefix)
	case s.AccessKey == "" && (s.SecretKey != "" || s.SecretKeyFile != ""):
		return at.errorf("cache.s3.accessKey", "the secret key belongs to an access key: write that too")
	case s.AccessKey != "" && s.SecretKey == "" && s.SecretKeyFile == "":
		return at.errorf("cache.s3.secretKeyFile", "the access key needs its secret key: write the file, or set SAFEPULL_CACHE_S3_SECRET_KEY")
	}
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return at.errorf("cache.s3.endpoint", "write for example https://s3.example.com")
		}
	}
	if _, err := s.Secret(); err != nil {
		return at.errorf("cache.s3.secretKeyFile", "%w", err)
	}
	return nil
}
