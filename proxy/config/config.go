// Package config reads the proxy's one YAML file and its SAFEPULL_… environment, checks both and fills in defaults.
// Every key is documented in configs/proxy/default.yaml. An error is one sentence that begins with its place.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/safepull/safepull/proxy/config/reputation"
)

// Config is the whole configuration, checked. Keys carry the names of the file; the environment spells them
// SAFEPULL_ and upper-case words: upstreams[0].plainHTTP is SAFEPULL_UPSTREAMS_0_PLAIN_HTTP.
type Config struct {
	Version        int           `yaml:"version"`
	Listen         string        `yaml:"listen"`
	TLS            TLS           `yaml:"tls"`
	Connect        Connect       `yaml:"connect"`
	Door           Door          `yaml:"door"`
	Admin          Admin         `yaml:"admin"`
	StateDir       string        `yaml:"stateDir"`
	MaxConnections int           `yaml:"maxConnections"`
	StopGrace      time.Duration `yaml:"stopGrace"`
	Cache          Cache         `yaml:"cache"`
	Log            Log           `yaml:"log"`
	Upstreams      []Upstream    `yaml:"upstreams"`
	Platforms      []string      `yaml:"platforms"`
	Enrolment      Enrolment     `yaml:"enrolment"`
	Judge          Judge         `yaml:"judge"`
	TrustLists     []string      `yaml:"trustLists"`
	Organization   Organization  `yaml:"organization"`
	// Signatures is what the signatures that trust entries require are checked against.
	Signatures struct {
		TrustedRoot string `yaml:"trustedRoot"`
	} `yaml:"signatures"`
	Policy     string            `yaml:"policy"`
	Rules      string            `yaml:"rules"`
	YARA       []string          `yaml:"yara"`
	Clamd      Clamd             `yaml:"clamd"`
	Reputation reputation.Config `yaml:"reputation"`
}

// TLS has both files or none. Any certificate makes Config.Listen serve https.
type TLS struct {
	CertFile string     `yaml:"certFile"`
	KeyFile  string     `yaml:"keyFile"`
	Hosts    []HostCert `yaml:"hosts"`
	CA       CA         `yaml:"ca"`
	Names    []string   `yaml:"names"`
}

// Admin is the loopback address of health and metrics; empty means that Config.Listen serves them.
type Admin struct {
	Listen string `yaml:"listen"`
	// Profiles needs Listen.
	Profiles bool `yaml:"profiles"`
}

// Log says what is logged and how: format is auto, text or json.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Enrolment names a file of secrets, one a line, by which enrolled engines are known; empty means that there are none.
type Enrolment struct {
	SecretFile string `yaml:"secretFile"`
}

// The modes of Upstream.HardDeny.
const (
	HardDenyAuto = "auto"
	HardDenyOn   = "on"
	HardDenyOff  = "off"
)

// The ways of Upstream.Delivery.
const (
	DeliverySealed = "sealed"
	DeliveryHold   = "hold"
)

// Upstream is one registry that the proxy reads.
type Upstream struct {
	Host        string        `yaml:"host"`
	Alias       string        `yaml:"alias"`
	URL         string        `yaml:"url"`
	PlainHTTP   bool          `yaml:"plainHTTP"`
	CA          string        `yaml:"ca"`
	Default     bool          `yaml:"default"`
	Timeout     time.Duration `yaml:"timeout"`
	HardDeny    string        `yaml:"hardDeny"`
	Delivery    string        `yaml:"delivery"`
	Credentials Credentials   `yaml:"credentials"`
	// TransparentHosts are names under which engines take the proxy for this registry.
	TransparentHosts []string `yaml:"transparentHosts"`
	// Mirrors are asked for content before URL.
	Mirrors           []Mirror      `yaml:"mirrors"`
	RequestsPerSecond int           `yaml:"requestsPerSecond"`
	BytesPerSecond    Bytes         `yaml:"bytesPerSecond"`
	Retries           int           `yaml:"retries"`
	RetryAfter        time.Duration `yaml:"retryAfter"`
	RedirectHosts     []string      `yaml:"redirectHosts"`
	TokenHosts        []string      `yaml:"tokenHosts"`
	AllowPrivate      bool          `yaml:"allowPrivate"`
}

// Mirror is another place with an upstream's content.
type Mirror struct {
	URL     string `yaml:"url"`
	Resolve bool   `yaml:"resolve"`
}

// The kinds of credentials.
const (
	CredentialsNone         = "none"
	CredentialsStatic       = "static"
	CredentialsFile         = "file"
	CredentialsDockerConfig = "dockerConfig" //nolint:gosec // the name of a kind
	CredentialsHelper       = "helper"
	CredentialsPassThrough  = "passThrough"
)

// Credentials are the proxy's own login at an upstream, or say that callers bring theirs. Whoever reaches the proxy
// reads with its own what ShareWithEveryone names, who logs in at it everything where ShareWithAuthenticated says so,
// and nothing else may be read with it.
type Credentials struct {
	Kind         string `yaml:"kind"`
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	// Password comes from the environment only.
	Password          Secret   `yaml:"-" env:"password"`
	Path              string   `yaml:"path"`
	Helper            string   `yaml:"helper"`
	ShareWithEveryone []string `yaml:"shareWithEveryone"`

	ShareWithAuthenticated bool `yaml:"shareWithAuthenticated"`
}

// Judge bounds judgements.
type Judge struct {
	HoldFor      time.Duration `yaml:"holdFor"`
	Deadline     time.Duration `yaml:"deadline"`
	LayersInWork int           `yaml:"layersInWork"`
	Concurrent   int           `yaml:"concurrent"`
	Waiting      int           `yaml:"waiting"`
	Inflate      string        `yaml:"inflate"`
	Limits       Limits        `yaml:"limits"`
}

// Limits bound the inspection of one layer, and of one image; zero means the inspection's own default.
type Limits struct {
	Files       int           `yaml:"files"`
	Bytes       Bytes         `yaml:"bytes"`
	Ratio       int           `yaml:"ratio"`
	PathBytes   int           `yaml:"pathBytes"`
	HeaderBytes Bytes         `yaml:"headerBytes"`
	Window      Bytes         `yaml:"window"`
	FileTime    time.Duration `yaml:"fileTime"`
	Depth       int           `yaml:"depth"`
	Encodings   int           `yaml:"encodings"`
	NestedBytes Bytes         `yaml:"nestedBytes"`
	NestedFiles int           `yaml:"nestedFiles"`
	Steps       int           `yaml:"steps"`
	Spool       Bytes         `yaml:"spool"`
	ImageBytes  Bytes         `yaml:"imageBytes"`
	// ArtifactBytes is about manifests that are no images.
	ArtifactBytes Bytes `yaml:"artifactBytes"`
}

// Clamd is a ClamAV daemon that is asked about every file; an empty address means that none is.
type Clamd struct {
	Address   string        `yaml:"address"`
	Timeout   time.Duration `yaml:"timeout"`
	MaxStream Bytes         `yaml:"maxStream"`
}

// Default is the configuration of no file and no environment, before directories are found.
func Default() Config {
	return Config{
		Version:        1,
		Listen:         "127.0.0.1:5000",
		MaxConnections: 1024,
		StopGrace:      30 * time.Second,
		Organization:   Organization{MaxAge: 14 * 24 * time.Hour},
		Cache:          Cache{MaxBytes: 20 << 30, Driver: DriverFilesystem, ScrubBytesPerSecond: 8 << 20, StaleIfDown: 24 * time.Hour},
		Log:            Log{Level: "info", Format: "auto"},
		Upstreams:      []Upstream{{Host: "docker.io", Default: true}},
		Platforms:      []string{"linux/amd64", "linux/arm64"},
		Judge: Judge{
			HoldFor: 20 * time.Second, Deadline: 30 * time.Minute, LayersInWork: 4, Concurrent: 8, Waiting: 256,
			Inflate: "fast",
		},
		Clamd:      Clamd{Timeout: time.Minute},
		Reputation: reputation.Default(),
		Door:       Door{OIDC: OIDC{Claim: "sub"}, MTLS: MTLS{Identity: "commonName"}},
	}
}

// Secret is text that never shows itself, neither printed nor marshalled.
type Secret string

const hidden = "[hidden]"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// maxSecret bounds a file that holds a login.
const maxSecret = 64 << 10

// Login reads the login of kind static or file, anew each time, so that a file may change.
func (c Credentials) Login() (username string, password Secret, err error) {
	switch c.Kind {
	case CredentialsStatic:
		if c.Password != "" {
			return c.Username, c.Password, nil
		}
		line, err := secretLine(c.PasswordFile)
		return c.Username, Secret(line), err
	case CredentialsFile:
		line, err := secretLine(c.Path)
		if err != nil {
			return "", "", err
		}
		user, pass, ok := strings.Cut(line, ":")
		if !ok || user == "" || pass == "" {
			return "", "", fmt.Errorf("%q does not hold one line username:password", c.Path)
		}
		return user, Secret(pass), nil
	}
	return "", "", fmt.Errorf("credentials of kind %q hold no login", c.Kind)
}

// secretLine is the one line of a file.
func secretLine(path string) (string, error) {
	body, err := readFile(path, maxSecret)
	if err != nil {
		return "", err
	}
	line := strings.TrimRight(string(body), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%q does not hold exactly one line", path)
	}
	return line, nil
}

// SharedWith reports whether everyone may read the repository ("acme/app") with these credentials.
func (c Credentials) SharedWith(repository string) bool {
	for _, pattern := range c.ShareWithEveryone {
		if ok, err := doublestar.Match(pattern, repository); ok && err == nil {
			return true
		}
	}
	return false
}

// complete fills in what depends on other keys and on the machine.
func (c *Config) complete(environ map[string]string, root bool) {
	if c.StateDir == "" {
		c.StateDir = stateDir(environ, root)
	}
	c.Door.BasicIsFor = canonicalHost(c.Door.BasicIsFor)
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		u.Host = canonicalHost(u.Host)
		for j, host := range u.TransparentHosts {
			u.TransparentHosts[j] = strings.ToLower(strings.TrimSuffix(host, "."))
		}
		if u.Alias == "" && !strings.Contains(u.Host, ":") {
			u.Alias = u.Host
		}
		if u.URL == "" && u.Host != dockerHub && u.PlainHTTP {
			u.URL = "http://" + u.Host
		} else if u.URL == "" {
			u.URL = ownURL(u.Host)
		}
		if u.Timeout == 0 {
			u.Timeout = 30 * time.Second
		}
		if u.Retries == 0 {
			u.Retries = 3
		}
		if u.RetryAfter == 0 {
			u.RetryAfter = 3 * time.Second
		}
		if u.HardDeny == "" {
			u.HardDeny = HardDenyAuto
		}
		if u.Delivery == "" {
			u.Delivery = DeliverySealed
		}
		if u.Credentials.Kind == "" {
			u.Credentials.Kind = CredentialsNone
		}
	}
}

const dockerHub = "docker.io"

// canonicalHost is the one name of a registry.
func canonicalHost(host string) string {
	switch host = strings.ToLower(host); host {
	case "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// stateDir is empty when no place can be found, which validation reports.
func stateDir(environ map[string]string, root bool) string {
	if root {
		return "/var/lib/safepull"
	}
	if dir := environ["XDG_DATA_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "safepull")
	}
	if home := environ["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "safepull")
	}
	return ""
}

// absolute reads paths as relative to the folder of the configuration file.
func (c *Config) absolute(file string) error {
	base, err := os.Getwd()
	if file != "" {
		base, err = filepath.Abs(filepath.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("find the folder of relative paths: %w", err)
	}
	paths := append(c.Door.paths(), &c.TLS.CertFile, &c.TLS.KeyFile, &c.StateDir, &c.Cache.Path, &c.Cache.S3.SecretKeyFile, &c.Policy, &c.Rules, &c.Enrolment.SecretFile, &c.Organization.List, &c.Organization.SigningKeyFile, &c.Reputation.Snapshot, &c.Signatures.TrustedRoot)
	paths = append(paths, &c.TLS.CA.CertFile, &c.TLS.CA.KeyFile)
	for i := range c.TLS.Hosts {
		paths = append(paths, &c.TLS.Hosts[i].CertFile, &c.TLS.Hosts[i].KeyFile)
	}
	for i := range c.TrustLists {
		paths = append(paths, &c.TrustLists[i])
	}
	for i := range c.YARA {
		paths = append(paths, &c.YARA[i])
	}
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		paths = append(paths, &u.CA, &u.Credentials.PasswordFile, &u.Credentials.Path)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
	}
	return nil
}
