package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	// maxHold stays below the 30 s after which current engines give up on a response header.
	maxHold = 25 * time.Second
	// maxInput bounds each file that the configuration names.
	maxInput = 16 << 20
)

var (
	hostPattern   = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$`)
	aliasPattern  = regexp.MustCompile(`^[a-z0-9]+(?:[.-][a-z0-9]+)*$`)
	helperPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

func (c *Config) validate(at origins) error {
	checks := []func(origins) error{
		c.checkListeners, c.checkServer, c.checkCache, c.checkJudge, c.checkClamd, c.checkFiles, c.checkUpstreams,
		c.checkTransparent, c.checkClients, c.checkDoor, c.checkReputation,
	}
	for _, check := range checks {
		if err := check(at); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkListeners(at origins) error {
	if c.Version != 1 {
		return at.errorf("version", "version %d is not known: write 1", c.Version)
	}
	if err := checkAddress(c.Listen); err != nil {
		return at.errorf("listen", "%w", err)
	}
	if c.Admin.Listen == "" && c.Admin.Profiles {
		return at.errorf("admin.profiles", "profiles are served at admin.listen alone: write a loopback address there, for example 127.0.0.1:5001")
	}
	if c.Admin.Listen == "" {
		return nil
	}
	if err := checkAddress(c.Admin.Listen); err != nil {
		return at.errorf("admin.listen", "%w", err)
	}
	host, port, _ := net.SplitHostPort(c.Admin.Listen)
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return at.errorf("admin.listen", "%q is no loopback address: write for example 127.0.0.1:5001", c.Admin.Listen)
	}
	if c.Admin.Listen == c.Listen && port != "0" {
		return at.errorf("admin.listen", "%q is listen's address: choose another port, or leave it empty", c.Admin.Listen)
	}
	return nil
}

func checkAddress(s string) error {
	const example = "write host:port, for example 127.0.0.1:5000"
	_, port, err := net.SplitHostPort(s)
	var detail *net.AddrError
	switch {
	case errors.As(err, &detail) && detail.Err == "missing port in address":
		return fmt.Errorf("%q has no port: %s", s, example)
	case err != nil:
		return fmt.Errorf("%q is no address: %s", s, example)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q has the port %q, which is no number up to 65535: %s", s, port, example)
	}
	return nil
}

func (c *Config) checkServer(at origins) error {
	switch {
	case c.StateDir == "":
		return at.errorf("stateDir", "no home directory is known: write where state may be kept")
	case isFile(c.StateDir):
		return at.errorf("stateDir", "%q is a file: write a folder, which is made if need be", c.StateDir)
	case !slices.Contains([]string{"error", "warn", "info", "debug"}, c.Log.Level):
		return at.errorf("log.level", "%q is no level: use error, warn, info or debug", c.Log.Level)
	case !slices.Contains([]string{"auto", "text", "json"}, c.Log.Format):
		return at.errorf("log.format", "%q is no format: use auto, text or json", c.Log.Format)
	case c.StopGrace < 0 || c.StopGrace > time.Hour:
		return at.errorf("stopGrace", "%s is not between 0s and 1h", c.StopGrace)
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return at.errorf("tls", "certFile and keyFile belong together: write both or none")
	}
	if err := between(c.MaxConnections, 1, 1_000_000); err != nil {
		return at.errorf("maxConnections", "%w", err)
	}
	if c.TLS.CertFile == "" {
		return nil
	}
	return checkPair("tls", c.TLS.CertFile, c.TLS.KeyFile, at)
}

// isFile reports whether there is something at a path that is no folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func (c *Config) checkClamd(at origins) error {
	switch {
	case c.Clamd.Timeout < time.Second || c.Clamd.Timeout > time.Hour:
		return at.errorf("clamd.timeout", "%s is not between 1s and 1h", c.Clamd.Timeout)
	case c.Clamd.Address == "":
		return nil
	}
	u, err := url.Parse(c.Clamd.Address)
	switch {
	case err != nil:
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return nil
	case u.Scheme == "tcp" && u.Path == "" && u.Hostname() != "" && checkAddress(u.Host) == nil:
		return nil
	}
	return at.errorf("clamd.address", "%q is no address of a clamd: write unix:///PATH or tcp://HOST:PORT", c.Clamd.Address)
}

func between(n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%d is not between %d and %d", n, low, high)
	}
	return nil
}

func (c *Config) checkJudge(at origins) error {
	j := c.Judge
	switch {
	case j.HoldFor < time.Second || j.HoldFor > maxHold:
		return at.errorf("judge.holdFor", "%s is not between 1s and %s: engines give up after 30s", j.HoldFor, maxHold)
	case j.Deadline < j.HoldFor || j.Deadline > 24*time.Hour:
		return at.errorf("judge.deadline", "%s is not between judge.holdFor (%s) and 24h", j.Deadline, j.HoldFor)
	case !slices.Contains([]string{"fast", "klauspost", "stdlib"}, j.Inflate):
		return at.errorf("judge.inflate", "%q is not known: use fast, klauspost or stdlib", j.Inflate)
	}
	for _, n := range []struct {
		key              string
		value, low, high int
	}{
		{"judge.layersInWork", j.LayersInWork, 1, 256},
		{"judge.concurrent", j.Concurrent, 1, 1024},
		{"judge.waiting", j.Waiting, 1, 100_000},
		{"judge.limits.files", j.Limits.Files, 0, 100_000_000},
		{"judge.limits.ratio", j.Limits.Ratio, 0, 1_000_000},
		{"judge.limits.pathBytes", j.Limits.PathBytes, 0, 1 << 20},
		{"judge.limits.headerBytes", int(j.Limits.HeaderBytes), 0, 64 << 20},
		{"judge.limits.window", int(j.Limits.Window), 0, maxWindow},
		{"judge.limits.depth", j.Limits.Depth, 0, 16},
		{"judge.limits.encodings", j.Limits.Encodings, 0, 128},
		{"judge.limits.nestedFiles", j.Limits.NestedFiles, 0, 100_000_000},
		{"judge.limits.steps", j.Limits.Steps, 0, 1 << 50},
	} {
		if err := between(n.value, n.low, n.high); err != nil {
			return at.errorf(n.key, "%w", err)
		}
	}
	if t := j.Limits.FileTime; t < 0 || t > time.Hour {
		return at.errorf("judge.limits.fileTime", "%s is not between 0s and 1h", t)
	}
	return nil
}

// maxWindow keeps one layer in work below 64 MiB of memory.
const maxWindow = 32 << 20

func (c *Config) checkFiles(at origins) error {
	if err := c.checkOrganization(at); err != nil {
		return err
	}
	for i, path := range c.TrustLists {
		key := fmt.Sprintf("trustLists[%d]", i)
		if path == "" {
			return at.errorf(key, "the path is empty: write a file or remove the entry")
		}
		if _, err := readFile(path, maxInput); err != nil {
			return at.errorf(key, "%w", err)
		}
	}
	for i, path := range c.YARA {
		key := fmt.Sprintf("yara[%d]", i)
		if path == "" {
			return at.errorf(key, "the path is empty: write a file or a folder, or remove the entry")
		}
		if f, err := os.Open(path); err != nil { //nolint:gosec // the operator names it
			return at.errorf(key, "%w", cannotRead(path, err))
		} else if err := f.Close(); err != nil {
			return at.errorf(key, "%w", cannotRead(path, err))
		}
	}
	if !slices.Contains([]string{"", "default", "strict", "monitor"}, c.Policy) {
		if _, err := readFile(c.Policy, maxInput); err != nil {
			return at.errorf("policy", "%w: write default, strict, monitor or a file", err)
		}
	}
	if c.Rules != "" {
		if _, err := os.ReadDir(c.Rules); err != nil {
			return at.errorf("rules", "%w", cannotRead(c.Rules, err))
		}
	}
	return nil
}

func (c *Config) checkUpstreams(at origins) error {
	if len(c.Upstreams) == 0 {
		return at.errorf("upstreams", "the list is empty: name at least one registry, or remove the key to serve docker.io")
	}
	hosts, names, def := map[string]bool{}, map[string]string{}, ""
	for i := range c.Upstreams {
		u, key := c.Upstreams[i], fmt.Sprintf("upstreams[%d]", i)
		if err := u.check(key, at); err != nil {
			return err
		}
		if u.Credentials.ShareWithAuthenticated && !c.Door.Authenticates() {
			return at.errorf(key+".credentials.shareWithAuthenticated", "nobody logs in at this proxy: name a method in door, or remove it")
		}
		if hosts[u.Host] {
			return at.errorf(key+".host", "%q stands in the list twice: keep one", u.Host)
		}
		hosts[u.Host] = true
		for _, name := range []string{u.Host, u.Alias} {
			if other, ok := names[name]; ok && other != u.Host {
				return at.errorf(key+".alias", "%q already names %s: choose another", name, other)
			}
			if name != "" {
				names[name] = u.Host
			}
		}
		if u.Default && def != "" {
			return at.errorf(key+".default", "%s is the default already: keep one", def)
		}
		if u.Default {
			def = u.Host
		}
	}
	return nil
}

func (u Upstream) check(key string, at origins) error {
	switch {
	case u.Host == "":
		return at.errorf(key+".host", "the upstream has no host: write for example ghcr.io")
	case !hostPattern.MatchString(u.Host):
		return at.errorf(key+".host", "%q is no registry: write a host with an optional port, for example ghcr.io", u.Host)
	case u.Alias != "" && !aliasPattern.MatchString(u.Alias), u.Alias == "v2":
		return at.errorf(key+".alias", "%q cannot stand in a path: use a-z, 0-9, dots and dashes", u.Alias)
	case !slices.Contains([]string{HardDenyAuto, HardDenyOn, HardDenyOff}, u.HardDeny):
		return at.errorf(key+".hardDeny", "%q is not known: use auto, on or off", u.HardDeny)
	case !slices.Contains([]string{DeliverySealed, DeliveryHold}, u.Delivery):
		return at.errorf(key+".delivery", "%q is not known: use sealed or hold", u.Delivery)
	case u.Timeout < time.Second || u.Timeout > 10*time.Minute:
		return at.errorf(key+".timeout", "%s is not between 1s and 10m", u.Timeout)
	}
	if err := u.checkURL(u.URL); err != nil {
		return at.errorf(key+".url", "%w", err)
	}
	if err := u.checkReading(key, at); err != nil {
		return err
	}
	if err := checkCertificates(key+".ca", u.CA, at); err != nil {
		return err
	}
	return u.Credentials.check(key+".credentials", at)
}

// checkURL does not repeat a URL that holds a login.
func (u Upstream) checkURL(raw string) error {
	const example = "write for example https://registry.example.com"
	parsed, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("the value is no URL: %s", example)
	case parsed.User != nil:
		return errors.New("a URL holds no login here: use credentials")
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return fmt.Errorf("%q is no http or https URL: %s", raw, example)
	case strings.TrimSuffix(parsed.Path, "/") != "", parsed.RawQuery != "", parsed.Fragment != "", parsed.Opaque != "":
		return fmt.Errorf("%q has more than scheme, host and port: %s", raw, example)
	case parsed.Scheme == "http" && !u.PlainHTTP:
		return fmt.Errorf("%q is not encrypted: write https, or plainHTTP: true if you accept that", raw)
	case parsed.Scheme == "https" && u.PlainHTTP:
		return fmt.Errorf("%q is https, but plainHTTP is true: remove one of them", raw)
	}
	return nil
}

func (c Credentials) check(key string, at origins) error {
	if err := c.checkUnused(key, at); err != nil {
		return err
	}
	switch c.Kind {
	case CredentialsNone, CredentialsPassThrough:
		if c.ShareWithAuthenticated || len(c.ShareWithEveryone) > 0 && c.Kind == CredentialsPassThrough {
			return at.errorf(key, "kind %s has no login to share: remove shareWithEveryone and shareWithAuthenticated", c.Kind)
		}
		return nil
	case CredentialsStatic:
		if c.Username == "" || strings.Contains(c.Username, ":") {
			return at.errorf(key+".username", "kind static needs a username without a colon")
		}
		if (c.PasswordFile == "") == (c.Password == "") {
			return at.errorf(key, "kind static needs its password from one place: passwordFile, or the environment")
		}
		if _, _, err := c.Login(); err != nil {
			return at.errorf(key+".passwordFile", "%w", err)
		}
	case CredentialsFile:
		if _, _, err := c.Login(); err != nil {
			return at.errorf(key+".path", "%w", err)
		}
	case CredentialsDockerConfig:
		if _, err := readFile(c.Path, maxInput); err != nil {
			return at.errorf(key+".path", "%w", err)
		}
	case CredentialsHelper:
		if !helperPattern.MatchString(c.Helper) {
			return at.errorf(key+".helper", "%q is no helper: write NAME of the program docker-credential-NAME", c.Helper)
		}
	default:
		return at.errorf(key+".kind", "%q is no kind: use none, static, file, dockerConfig, helper or passThrough", c.Kind)
	}
	return c.checkSharing(key, at)
}

// checkUnused refuses a key that the kind does not read: somebody expects it to do something.
func (c Credentials) checkUnused(key string, at origins) error {
	for _, k := range []struct {
		name, value string
		kinds       []string
	}{
		{"username", c.Username, []string{CredentialsStatic}},
		{"passwordFile", c.PasswordFile, []string{CredentialsStatic}},
		{"password", c.Password.Reveal(), []string{CredentialsStatic}},
		{"path", c.Path, []string{CredentialsFile, CredentialsDockerConfig}},
		{"helper", c.Helper, []string{CredentialsHelper}},
	} {
		if k.value != "" && !slices.Contains(k.kinds, c.Kind) {
			return at.errorf(key+"."+k.name, "kind %s does not use it: write kind: %s, or remove it", c.Kind, k.kinds[0])
		}
	}
	return nil
}

func (c Credentials) checkSharing(key string, at origins) error {
	if len(c.ShareWithEveryone) == 0 && !c.ShareWithAuthenticated {
		return at.errorf(key+".shareWithEveryone", "everyone who reaches the proxy reads with this login: "+
			"list the repositories that all of them may read, for example [\"acme/**\"], or let callers log in (door) and write shareWithAuthenticated: true")
	}
	for i, pattern := range c.ShareWithEveryone {
		if pattern == "" || !doublestar.ValidatePattern(pattern) {
			return at.errorf(fmt.Sprintf("%s.shareWithEveryone[%d]", key, i), "%q is no pattern over repositories: write for example acme/**", pattern)
		}
	}
	return nil
}
