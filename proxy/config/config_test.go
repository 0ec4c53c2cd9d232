package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var home = []string{"HOME=/home/someone"}

func load(t *testing.T, body string, env ...string) (Config, error) {
	t.Helper()
	return parse("proxy.yaml", []byte(body), append(env, home...), false)
}

func TestShippedFileIsTheDefault(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../configs/proxy/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	with, err := parse("", body, home, false)
	if err != nil {
		t.Fatal(err)
	}
	without, err := parse("", nil, home, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(without, with); diff != "" {
		t.Errorf("the shipped file differs from the defaults:\n%s", diff)
	}
}

// TestShippedFileHasEveryKey keeps the documentation complete.
func TestShippedFileHasEveryKey(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../configs/proxy/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	var top yaml.Node
	if err := yaml.Unmarshal(body, &top); err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			written[prefix+n.Content[i].Value] = true
			walk(prefix+n.Content[i].Value+".", n.Content[i+1])
		}
		for _, child := range n.Content {
			if n.Kind != yaml.MappingNode {
				walk(prefix, child)
			}
		}
	}
	walk("", &top)
	var want []string
	var keys func(prefix string, c any)
	keys = func(prefix string, c any) {
		raw, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if yaml.Unmarshal(raw, &m) != nil {
			return
		}
		for k, v := range m {
			want = append(want, prefix+k)
			if sub, ok := v.(map[string]any); ok {
				keys(prefix+k+".", sub)
			}
			if list, ok := v.([]any); ok && len(list) > 0 {
				keys(prefix+k+".", list[0])
			}
		}
	}
	keys("", Default())
	for _, key := range want {
		if !written[key] {
			t.Errorf("configs/proxy/default.yaml lacks %s", key)
		}
	}
}

func TestZeroConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		root bool
		env  []string
		want string
	}{
		"root": {true, home, "/var/lib/safepull"},
		"xdg":  {false, []string{"HOME=/home/x", "XDG_DATA_HOME=/data"}, "/data/safepull"},
		"home": {false, home, "/home/someone/.local/share/safepull"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse("", nil, c.env, c.root)
			if err != nil {
				t.Fatal(err)
			}
			want := []Upstream{{
				Host: "docker.io", Alias: "docker.io", URL: "https://registry-1.docker.io", Default: true,
				Timeout: 30 * time.Second, Retries: 3, RetryAfter: 3 * time.Second, HardDeny: HardDenyAuto, Delivery: DeliverySealed, Credentials: Credentials{Kind: "none"},
			}}
			if got.StateDir != c.want || got.Listen != "127.0.0.1:5000" || !cmp.Equal(got.Upstreams, want) {
				t.Errorf("got %+v", got)
			}
		})
	}
	if _, err := parse("", nil, nil, false); err == nil || !strings.Contains(err.Error(), "stateDir") {
		t.Errorf("without a home: %v", err)
	}
}

func TestFileAndEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"pass", "list.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("hunter2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body := `
version: 1
stateDir: state
cache: {maxBytes: 5GiB}
upstreams:
- host: GHCR.io
  default: true
- host: 127.0.0.1:5443
  plainHTTP: true
  alias: local
  credentials:
    kind: static
    username: me
    passwordFile: pass
    shareWithEveryone: ["acme/**"]
trustLists: [list.yaml]
yara: [list.yaml]
clamd: {address: "unix:///run/clamav/clamd.ctl", maxStream: 100MiB}
`
	got, err := parse(filepath.Join(dir, "p.yaml"), []byte(body), append(home,
		"SAFEPULL_CONFIG=ignored", "SAFEPULL_PROXY=ignored", "SAFEPULL_LISTEN=:5000", "SAFEPULL_JUDGE_HOLD_FOR=5s", "SAFEPULL_UPSTREAMS_0_ALIAS=gh",
		"SAFEPULL_UPSTREAMS_1_TIMEOUT=5s", "SAFEPULL_UPSTREAMS_2_HOST=quay.io", "SAFEPULL_CACHE_MAX_BYTES=7",
		"SAFEPULL_TRUST_LISTS_1="+dir+"/list.yaml", "SAFEPULL_YARA_1="+dir, "SAFEPULL_JUDGE_LIMITS_FILES=9", "SAFEPULL_CLAMD_TIMEOUT=7s", "PATH=/bin"), true)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Clamd = Clamd{Address: "unix:///run/clamav/clamd.ctl", Timeout: 7 * time.Second, MaxStream: 100 << 20}
	want.StateDir, want.Listen, want.Cache.MaxBytes = filepath.Join(dir, "state"), ":5000", 7
	want.Judge.HoldFor, want.Judge.Limits.Files = 5*time.Second, 9
	want.TrustLists = []string{filepath.Join(dir, "list.yaml"), filepath.Join(dir, "list.yaml")}
	want.YARA = []string{filepath.Join(dir, "list.yaml"), dir}
	none := Credentials{Kind: "none"}
	want.Upstreams = []Upstream{
		{Host: "ghcr.io", Alias: "gh", URL: "https://ghcr.io", Default: true, Timeout: 30 * time.Second, Retries: 3, RetryAfter: 3 * time.Second, HardDeny: HardDenyAuto, Delivery: DeliverySealed, Credentials: none},
		{Host: "127.0.0.1:5443", Alias: "local", URL: "http://127.0.0.1:5443", PlainHTTP: true, Timeout: 5 * time.Second, Retries: 3, RetryAfter: 3 * time.Second, HardDeny: HardDenyAuto, Delivery: DeliverySealed, Credentials: Credentials{
			Kind: "static", Username: "me", PasswordFile: filepath.Join(dir, "pass"), ShareWithEveryone: []string{"acme/**"},
		}},
		{Host: "quay.io", Alias: "quay.io", URL: "https://quay.io", Timeout: 30 * time.Second, Retries: 3, RetryAfter: 3 * time.Second, HardDeny: HardDenyAuto, Delivery: DeliverySealed, Credentials: none},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	user, pass, err := got.Upstreams[1].Credentials.Login()
	if user != "me" || pass.Reveal() != "hunter2" || err != nil {
		t.Errorf("login %q, %v", user, err)
	}
}

// TestMistakes is what people do wrong, and the one sentence that they get.
func TestMistakes(t *testing.T) {
	t.Parallel()
	up := func(keys string) string { return "version: 1\nupstreams:\n- host: ghcr.io\n  " + keys }
	cases := map[string]struct {
		body string
		env  []string
		want string
	}{
		"cache_driver":       {"cache: {driver: disk}", nil, `cache.driver: "disk" is no driver: use filesystem, inMemory or s3`},
		"scrub_too_slow":     {"cache: {scrubBytesPerSecond: 65535}", nil, "cache.scrubBytesPerSecond: 65535 is neither 0, for never, nor at least 64KiB"},
		"cache_ttl":          {"cache: {tagTTL: 25h}", nil, "cache.tagTTL: 25h0m0s is not between 0s and 24h"},
		"cache_stale":        {"cache: {staleIfDown: -1s}", nil, "cache.staleIfDown: -1s is not between 0s and 720h0m0s"},
		"cache_path":         {"cache: {driver: inMemory, path: /x}", nil, "cache.path: it belongs to the driver filesystem"},
		"cache_s3_unused":    {"cache: {s3: {bucket: blobs}}", nil, "cache.s3: it belongs to the driver s3"},
		"s3_bucket":          {"cache: {driver: s3, s3: {bucket: A_B, region: x}}", nil, `cache.s3.bucket: "A_B" is no name of a bucket`},
		"s3_region":          {"cache: {driver: s3, s3: {bucket: blobs}}", nil, `cache.s3.region: "" is no region: write for example us-east-1`},
		"s3_prefix":          {"cache: {driver: s3, s3: {bucket: blobs, region: x, prefix: /a}}", nil, `cache.s3.prefix: "/a" is no prefix`},
		"s3_endpoint":        {"cache: {driver: s3, s3: {bucket: blobs, region: x, endpoint: 's3.example.com'}}", nil, "cache.s3.endpoint: write for example https://s3.example.com"},
		"s3_login":           {"cache: {driver: s3, s3: {bucket: blobs, region: x, accessKey: me}}", nil, "set SAFEPULL_CACHE_S3_SECRET_KEY"},
		"s3_no_access_key":   {"cache: {driver: s3, s3: {bucket: blobs, region: x}}", []string{"SAFEPULL_CACHE_S3_SECRET_KEY=hunter2"}, "cache.s3.accessKey: the secret key belongs to an access key"},
		"s3_secret_file":     {"cache: {driver: s3, s3: {bucket: blobs, region: x, accessKey: me, secretKeyFile: /nowhere/key}}", nil, "cache.s3.secretKeyFile"},
		"transparent_host":   {up("transparentHosts: [https://ghcr.io]"), nil, `upstreams[0].transparentHosts[0]: "https://ghcr.io" is no host`},
		"transparent_twice":  {"upstreams: [{host: ghcr.io, transparentHosts: [a.example]}, {host: quay.io, transparentHosts: [a.example]}]", nil, `upstreams[1].transparentHosts[0]: "a.example" is ghcr.io already`},
		"transparent_other":  {"upstreams: [{host: ghcr.io}, {host: quay.io, transparentHosts: [ghcr.io]}]", nil, `"ghcr.io" is ghcr.io already`},
		"ca_half":            {"tls: {ca: {certFile: x}}", nil, "tls.ca: certFile and keyFile belong together"},
		"authority_missing":  {"tls: {ca: {certFile: /nowhere/ca.crt, keyFile: /nowhere/ca.key}}", nil, `tls.ca.certFile: cannot read "/nowhere/ca.crt"`},
		"tls_host":           {"tls: {hosts: [{host: 'a b'}]}", nil, `tls.hosts[0].host: "a b" is no host`},
		"tls_host_files":     {"tls: {hosts: [{host: ghcr.io, certFile: /nowhere/x, keyFile: /nowhere/y}]}", nil, `tls.hosts[0].certFile: cannot read "/nowhere/x"`},
		"tls_name":           {"tls: {names: ['proxy:443']}", nil, `tls.names[0]: "proxy:443" is no host`},
		"connect_to_nothing": {"connect: {listen: 127.0.0.1:3128}", nil, "connect.listen: there is nothing to connect to"},
		"connect_is_listen":  {"connect: {listen: 127.0.0.1:5000}", nil, "connect.listen: \"127.0.0.1:5000\" is another listener's address"},
		"connect_no_port":    {"connect: {listen: host}", nil, `connect.listen: "host" has no port`},
		"requests_negative":  {up("requestsPerSecond: -1"), nil, "upstreams[0].requestsPerSecond: -1 is not between 0 (no limit) and 1000000"},
		"bytes_few":          {up("bytesPerSecond: 1KiB"), nil, "upstreams[0].bytesPerSecond: 1024 is less than 16KiB"},
		"retries_many":       {up("retries: 11"), nil, "upstreams[0].retries: 11 is not between -1 (never) and 10"},
		"retry_after_long":   {up("retryAfter: 16s"), nil, "upstreams[0].retryAfter: 16s is not between 0s and 15s"},
		"mirrors_many":       {up("mirrors: [" + strings.Repeat("{url: 'https://m.example'},", 9) + "]"), nil, "upstreams[0].mirrors: 9 mirrors, at most 8"},
		"mirror_no_url":      {up("mirrors: [{resolve: true}]"), nil, "upstreams[0].mirrors[0].url: the mirror has no URL"},
		"mirror_plain":       {up("mirrors: [{url: 'http://m.example'}]"), nil, `upstreams[0].mirrors[0].url: "http://m.example" is not encrypted`},
		"redirect_url":       {up("redirectHosts: ['https://cdn.example']"), nil, `upstreams[0].redirectHosts[0]: "https://cdn.example" is no host or pattern of hosts`},
		"redirect_class":     {up("redirectHosts: ['cdn[0-9].example']"), nil, `"cdn[0-9].example" is no host or pattern`},
		"token_port":         {up("tokenHosts: ['login.example:']"), nil, `upstreams[0].tokenHosts[0]: "login.example:" is no host or pattern`},
		"no_port":            {"version: 1\n\nlisten: host", nil, `proxy.yaml:3:9: listen: "host" has no port: write host:port, for example 127.0.0.1:5000`},
		"bad_port":           {"listen: host:70000", nil, `proxy.yaml:1:9: listen: "host:70000" has the port "70000", which is no number up to 65535`},
		"named_port":         {"listen: host:http", nil, `has the port "http"`},
		"env_port":           {"", []string{"SAFEPULL_LISTEN=host"}, `SAFEPULL_LISTEN: listen: "host" has no port`},
		"env_unknown":        {"", []string{"SAFEPULL_LISTNE=x:1"}, "SAFEPULL_LISTNE: no key of the configuration has this name"},
		"env_object":         {"", []string{"SAFEPULL_CACHE=1"}, "SAFEPULL_CACHE: no key"},
		"env_deep":           {"", []string{"SAFEPULL_LISTEN_X=1"}, "SAFEPULL_LISTEN_X: no key"},
		"env_value":          {"", []string{"SAFEPULL_MAX_CONNECTIONS=many"}, `SAFEPULL_MAX_CONNECTIONS: "many" is no whole number`},
		"env_gap":            {"", []string{"SAFEPULL_UPSTREAMS_7_HOST=x.example"}, "number the next one 1"},
		"env_sign":           {"", []string{"SAFEPULL_UPSTREAMS_-1_HOST=x.example"}, "no key"},
		"env_zero_first":     {"", []string{"SAFEPULL_UPSTREAMS_01_HOST=x.example"}, "no key"},
		"unknown_key":        {"lsten: x", nil, `proxy.yaml:1:1: unknown key "lsten": use one of version, listen`},
		"key_case":           {"cache:\n  maxbytes: 1", nil, `proxy.yaml:2:3: unknown key "cache.maxbytes": write "maxBytes"`},
		"password":           {up("credentials: {password: hunter2}"), nil, "passwords are not written here"},
		"key_twice":          {"listen: :1\nlisten: :2", nil, `proxy.yaml:2:1: the key "listen" stands here twice`},
		"not_yaml":           {"listen: [", nil, "proxy.yaml:1: not YAML"},
		"not_yaml_line":      {"version: 1\nlisten: a: b", nil, "proxy.yaml:2: not YAML"},
		"two_documents":      {"version: 1\n---\nversion: 1", nil, "more than one YAML document"},
		"anchor":             {"log: &a {level: info}\ntls: *a", nil, "proxy.yaml:1:6: anchors"},
		"top_list":           {"- a", nil, "proxy.yaml:1:1: the file must hold keys and values"},
		"list_for_value":     {"listen: [a]", nil, "proxy.yaml:1:9: listen: one value belongs here"},
		"value_for_list":     {"trustLists: a", nil, "trustLists: a list belongs here"},
		"value_for_keys":     {"cache: 1", nil, "cache: keys and values belong here: maxBytes"},
		"bool":               {up("default: yes please"), nil, `upstreams[0].default: "yes please" is neither true nor false`},
		"duration":           {"stopGrace: 20", nil, `stopGrace: "20" is no duration`},
		"bytes":              {"cache: {maxBytes: lots}", nil, `"lots" is no number of bytes`},
		"bytes_overflow":     {"cache: {maxBytes: 99999999999TiB}", nil, "no number of bytes"},
		"bytes_negative":     {"cache: {maxBytes: -1}", nil, "no number of bytes"},
		"cache_zero":         {"cache: {maxBytes: 0}", nil, "cache.maxBytes: the cache needs room"},
		"version":            {"version: 2", nil, "proxy.yaml:1:10: version: version 2 is not known"},
		"level":              {"log: {level: loud}", nil, `log.level: "loud" is no level`},
		"format":             {"log: {format: xml}", nil, `log.format: "xml" is no format`},
		"hold_long":          {"judge: {holdFor: 1m}", nil, "judge.holdFor: 1m0s is not between 1s and 25s"},
		"hold_zero":          {"judge: {holdFor: 0s}", nil, "judge.holdFor"},
		"deadline":           {"judge: {deadline: 5s}", nil, "judge.deadline"},
		"layers":             {"judge: {layersInWork: 0}", nil, "judge.layersInWork: 0 is not between 1 and 256"},
		"inflate":            {"judge: {inflate: slow}", nil, `judge.inflate: "slow" is not known`},
		"inflate_env":        {"", []string{"SAFEPULL_JUDGE_INFLATE=zlib"}, `"zlib" is not known`},
		"connections":        {"maxConnections: 0", nil, "maxConnections"},
		"grace":              {"stopGrace: 2h", nil, "stopGrace"},
		"admin_open":         {"admin: {listen: '0.0.0.0:9'}", nil, "no loopback address"},
		"admin_any":          {"admin: {listen: ':9'}", nil, "no loopback address"},
		"profiles_alone":     {"admin: {profiles: true}", nil, "admin.profiles: profiles are served at admin.listen alone"},
		"admin_same":         {"admin: {listen: '127.0.0.1:5000'}", nil, "is listen's address"},
		"tls_half":           {"tls: {certFile: x}", nil, "tls: certFile and keyFile belong together"},
		"tls_missing":        {"tls: {certFile: /nonexistent/x, keyFile: /nonexistent/y}", nil, `tls.certFile: cannot read "/nonexistent/x": no such file or directory`},
		"state_is_file":      {"\nstateDir: /dev/null", nil, `proxy.yaml:2:11: stateDir: "/dev/null" is a file: write a folder`},
		"policy_mistyped":    {"policy: stricct", nil, "no such file or directory: write default, strict, monitor or a file"},
		"policy_missing":     {"\npolicy: /nonexistent/p", nil, `proxy.yaml:2:9: policy: cannot read "/nonexistent/p": no such file or directory`},
		"list_missing":       {"trustLists:\n- /nonexistent/l", nil, `proxy.yaml:2:3: trustLists[0]: cannot read`},
		"list_empty":         {"trustLists: ['']", nil, "trustLists[0]: the path is empty"},
		"rules_missing":      {"rules: /nonexistent", nil, `rules: cannot read "/nonexistent"`},
		"rules_file":         {"rules: /dev/null", nil, "rules: cannot read"},
		"yara_missing":       {"yara:\n- /nonexistent/y", nil, `proxy.yaml:2:3: yara[0]: cannot read "/nonexistent/y": no such file or directory`},
		"yara_empty":         {"yara: ['']", nil, "yara[0]: the path is empty"},
		"yara_value":         {"yara: a.yar", nil, "yara: a list belongs here"},
		"clamd_address":      {"clamd: {address: /run/clamd.ctl}", nil, "proxy.yaml:1:18: clamd.address: \"/run/clamd.ctl\" is no address of a clamd: write unix:///PATH or tcp://HOST:PORT"},
		"clamd_port":         {"clamd: {address: tcp://host}", nil, "clamd.address"},
		"clamd_scheme":       {"clamd: {address: 'http://host:1'}", nil, "clamd.address"},
		"clamd_timeout":      {"clamd: {timeout: 0s}", nil, "clamd.timeout: 0s is not between 1s and 1h"},
		"clamd_stream":       {"clamd: {maxStream: -1}", nil, "no number of bytes"},
		"no_upstreams":       {"upstreams: []", nil, "proxy.yaml:1:12: upstreams: the list is empty"},
		"no_host":            {"upstreams:\n- alias: x", nil, "proxy.yaml:2:3: upstreams[0].host: the upstream has no host"},
		"bad_host":           {"upstreams:\n- host: https://ghcr.io", nil, "is no registry"},
		"host_path":          {"upstreams:\n- host: ghcr.io/acme", nil, "is no registry"},
		"host_twice":         {"upstreams:\n- host: docker.io\n- host: index.docker.io", nil, "proxy.yaml:3:9: upstreams[1].host: \"docker.io\" stands in the list twice"},
		"two_defaults":       {"upstreams:\n- {host: docker.io, default: true}\n- {host: ghcr.io, default: true}", nil, "docker.io is the default already"},
		"alias_taken":        {"upstreams:\n- {host: docker.io}\n- {host: ghcr.io, alias: docker.io}", nil, `"docker.io" already names docker.io`},
		"alias_bad":          {up("alias: a/b"), nil, `"a/b" cannot stand in a path`},
		"alias_v2":           {up("alias: v2"), nil, `"v2" cannot stand in a path`},
		"url_plain":          {up("url: http://ghcr.io"), nil, "is not encrypted"},
		"url_tls_plain":      {"", []string{"SAFEPULL_UPSTREAMS_0_PLAIN_HTTP=true", "SAFEPULL_UPSTREAMS_0_URL=https://x"}, "is https, but plainHTTP is true"},
		"url_login":          {up("url: https://me:hunter2@ghcr.io"), nil, "a URL holds no login here"},
		"url_path":           {up("url: https://ghcr.io/v2"), nil, "more than scheme, host and port"},
		"url_scheme":         {up("url: ftp://ghcr.io"), nil, "no http or https URL"},
		"ca_missing":         {up("ca: /nonexistent/ca"), nil, "upstreams[0].ca: cannot read"},
		"ca_empty":           {up("ca: /dev/null"), nil, "holds no certificate"},
		"timeout":            {up("timeout: 1h"), nil, "is not between 1s and 10m"},
		"kind":               {up("credentials: {kind: magic}"), nil, `"magic" is no kind`},
		"unused_username":    {up("credentials: {username: me}"), nil, "kind none does not use it: write kind: static"},
		"static_no_user":     {up("credentials: {kind: static}"), nil, "needs a username"},
		"static_no_pass":     {up("credentials: {kind: static, username: me}"), nil, "needs its password from one place"},
		"static_missing":     {up("credentials: {kind: static, username: me, passwordFile: /nonexistent/p}"), nil, `cannot read "/nonexistent/p"`},
		"static_unshared":    {up("credentials: {kind: static, username: me}"), []string{"SAFEPULL_UPSTREAMS_0_CREDENTIALS_PASSWORD=hunter2"}, "everyone who reaches the proxy"},
		"bad_pattern":        {up("credentials: {kind: helper, helper: pass, shareWithEveryone: ['[']}"), nil, "is no pattern"},
		"pass_shared":        {up("credentials: {kind: passThrough, shareWithEveryone: [a]}"), nil, "kind passThrough has no login to share"},
		"pass_login":         {up("credentials: {kind: passThrough, username: me}"), nil, "kind passThrough does not use it"},
		"share_nobody":       {up("credentials: {kind: helper, helper: pass, shareWithAuthenticated: true}"), nil, "nobody logs in at this proxy"},
		"door_open":          {"door: {anonymous: true}", nil, "everyone is let in already"},
		"door_url":           {"door: {url: 'https://me:hunter2@proxy.example'}", nil, "this is no address of the proxy"},
		"door_missing":       {"door: {htpasswd: /nonexistent/h}", nil, "door.htpasswd: cannot read"},
		"door_tokens":        {"door: {tokens: /nonexistent/h}", nil, "door.tokens: cannot read"},
		"door_http":          {"door: {url: 'http://p', oidc: {issuer: 'http://login.example', audience: a}}", nil, "must be an https URL"},
		"door_audience":      {"door: {url: 'http://p', oidc: {issuer: 'https://login.example'}}", nil, "a token made for anybody else"},
		"door_require":       {"door: {url: 'http://p', oidc: {issuer: 'https://login.example', audience: a, require: [x]}}", nil, "is no claim=value"},
		"door_half_oidc":     {"door: {oidc: {audience: a}}", nil, "without an issuer"},
		"door_no_tls":        {"door: {mtls: {ca: /nonexistent/ca}}", nil, "client certificates need https"},
		"door_asks":          {"door: {htpasswd: /dev/null}", nil, "door.url: callers log in here (door.htpasswd), and without its own address"},
		"door_asks_tokens":   {"", []string{"SAFEPULL_DOOR_TOKENS=/dev/null"}, "door.url: callers log in here (door.tokens)"},
		"door_asks_oidc":     {"door: {oidc: {issuer: 'https://login.example', audience: a}}", nil, "door.url: callers log in here (door.oidc)"},
		"door_asks_upstream": {up("credentials: {kind: passThrough}") + "\ndoor: {basicIsFor: ghcr.io}", nil, "door.url: callers log in here (door.basicIsFor)"},
		"door_basic":         {"door: {url: 'http://p', basicIsFor: docker.io}", nil, "is no upstream with credentials of kind passThrough"},
		"door_never_sent":    {"door: {url: 'http://p', basicIsFor: ghcr.io, tokens: /dev/null}\nupstreams:\n- host: ghcr.io\n  credentials: {kind: passThrough}", nil, "never sent on"},
		"bad_helper":         {up("credentials: {kind: helper, helper: ../x, shareWithEveryone: [a]}"), nil, "is no helper"},
		"docker_missing":     {up("credentials: {kind: dockerConfig, path: /nonexistent/c, shareWithEveryone: [a]}"), nil, "cannot read"},
		"file_missing":       {up("credentials: {kind: file, path: /nonexistent/c, shareWithEveryone: [a]}"), nil, "cannot read"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, c.body, c.env...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got:  %v\nwant: %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the sentence shows a secret")
			}
			if strings.Contains(err.Error(), "\n") || strings.HasSuffix(err.Error(), ".") {
				t.Errorf("not one sentence: %q", err)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	if _, err := Load(missing, home); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cannot read %q: no such file", missing)) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Load(dir, home); err == nil || !strings.Contains(err.Error(), "it is a folder") {
		t.Errorf("folder: %v", err)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big, home); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("big: %v", err)
	}
}

func TestLoginFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "login")
	for body, ok := range map[string]bool{
		"me:hunter2\n": true, "me:a:b": true, "me": false, ":x": false, "me:": false, "": false, "a:b\nc:d\n": false,
	} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Credentials{Kind: CredentialsFile, Path: path}.Login()
		if (err == nil) != ok {
			t.Errorf("%q: %v", body, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the secret", body)
		}
	}
}

func TestSecretsHide(t *testing.T) {
	t.Parallel()
	c := Credentials{Username: "me", Password: "hunter2"}
	marshalled, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.Password, c.Password), string(marshalled)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("%s", s)
		}
	}
}

func TestSharedWith(t *testing.T) {
	t.Parallel()
	c := Credentials{ShareWithEveryone: []string{"acme/**", "tools/*", "one"}}
	for repository, want := range map[string]bool{
		"acme/app": true, "acme/deep/app": true, "acmex/app": false, "tools/a": true, "tools/a/b": false, "one": true, "one/x": false, "": false,
	} {
		if c.SharedWith(repository) != want {
			t.Errorf("%q: %v", repository, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	body, err := os.ReadFile("../../configs/proxy/default.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, "SAFEPULL_LISTEN=:1")
	f.Add([]byte("upstreams: [{host: a.b, credentials: {kind: static}}]"), "SAFEPULL_UPSTREAMS_0_URL=x")
	f.Add([]byte("? {a: b}\n: c\n&x listen: *x"), "SAFEPULL_TRUST_LISTS_999999999=1")
	f.Fuzz(func(t *testing.T, body []byte, env string) {
		c, err := parse("f.yaml", body, []string{"HOME=/h", env}, false)
		if err == nil && (len(c.Upstreams) == 0 || c.StateDir == "" || checkAddress(c.Listen) != nil) {
			t.Fatalf("accepted %+v", c)
		}
	})
}
