package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/e2e/engines"
	"github.com/safepull/safepull/test/registrytest"
)

// commands are what scripts can say besides testscript's own commands:
//
//	engine [-mirror URL] [-hub]     start a private engine; docker talks to it. -hub: its road to the internet is $HUB
//	  [-through ADDRESS CA]         its road to the internet is that HTTP proxy, and it trusts that authority alone
//	free NAME                       put an address that nothing listens on into a variable
//	upstream [auth [user password]] start a registry with the corpus that can misbehave; $UPSTREAM. auth: basic, bearer
//	upstream -as NAME auth user password  the same with https, as NAME below example.com: $ROAD is an HTTP proxy that
//	                                leads there, and the file upstream.crt is its certificate
//	misbehave PATH key=value...     arm a fault (registrytest.Fault's fields, in lower case) for a path or prefix*
//	behave                          disarm all faults
//	publisher NAME key=value...     what the APIs beside $UPSTREAM tell of an account (publisher_test.go)
//	becomes REPOSITORY TAG WHAT     make a tag of $UPSTREAM point at another image (tag_test.go)
//	hostile                         put the images of hostile_test.go into $UPSTREAM as hostile/NAME:1
//	sigstore FILE                   start a Sigstore, whose trusted root becomes FILE, and a registry that lists
//	                                referrers; $REFERRERS
//	sign FORM IMAGE [key=value...]  sign the image behind a tag as simple, bundle or statement (signing_test.go)
//	close upstream | close bucket   stop the registry, or the server of the bucket
//	bucket                          start an S3 server with the bucket blobs; $BUCKET is its address
//	proxy start [FILE]              start safepull-proxy, with FILE or in front of $UPSTREAM, else $REGISTRY; $PROXY
//	proxy kill | proxy stop         end it at once, or by SIGTERM, which must end it with status 0
//	status N[,M...] PROGRAM ARGS... run a program, which must end with one of these statuses
//	requests METHOD PATH N | +      how often $UPSTREAM was asked; + means at least once. METHOD * is any
//	forget                          forget $UPSTREAM's requests so far
//	await METHOD PATH               wait until $UPSTREAM was asked
//	[!] contacts TEXT               whom the engine wanted to reach on the internet
//	clean                           the engine has no image nor part of one, and nothing lies in temporary folders
//	tidy                            nothing lies in temporary folders
//	json PATH VALUE                 what a field of the JSON in stdout is: "reasons.0"; VALUE * is anything but empty
//	[!] says REGEXP                 what stdout or stderr of the last program contains
//	capture NAME REGEXP             put what the regexp's first group finds in stdout or stderr into a variable
//	lines N                         stdout has N lines at most
//	get STATUS[,...] URL            fetch a URL; its body becomes stdout
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	with := func(do func(*story, *testscript.TestScript, bool, []string)) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			st, ok := ts.Value(storyKey{}).(*story)
			if !ok {
				ts.Fatalf("setup did not run")
			}
			do(st, ts, neg, args)
		}
	}
	return map[string]func(*testscript.TestScript, bool, []string){
		"engine": with(cmdEngine), "upstream": with(cmdUpstream), "misbehave": with(cmdMisbehave), "behave": with(cmdBehave),
		"close": with(cmdClose), "proxy": with(cmdProxy), "status": with(cmdStatus), "requests": with(cmdRequests),
		"forget": with(cmdForget), "await": with(cmdAwait), "contacts": with(cmdContacts), "clean": with(cmdClean),
		"tidy": with(cmdTidy), "json": with(cmdJSON), "capture": with(cmdCapture), "get": with(cmdGet),
		"bucket": with(cmdBucket), "hostile": with(cmdHostile), "says": with(cmdSays), "lines": with(cmdLines), "free": with(cmdFree), "publisher": with(cmdPublisher),
		"sigstore": with(cmdSigstore), "sign": with(cmdSign),
		"becomes": with(cmdBecomes),
	}
}

func cmdEngine(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if s.engine != nil {
		ts.Fatalf("the engine runs already")
	}
	options := engines.Options{Config: map[string]any{}}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-mirror" && i+1 < len(args):
			i++
			options.Config["registry-mirrors"] = []string{args[i]}
		case args[i] == "-hub":
			h, err := startHub()
			ts.Check(err)
			s.hub = h
			ts.Setenv("HUB", h.addr)
			options.Env = []string{"HTTP_PROXY=http://" + h.addr, "HTTPS_PROXY=http://" + h.addr, "NO_PROXY=127.0.0.1,localhost"}
		case args[i] == "-through" && i+2 < len(args):
			options.Env = []string{"HTTPS_PROXY=http://" + args[i+1], "SSL_CERT_FILE=" + ts.MkAbs(args[i+2]), "SSL_CERT_DIR=" + ts.MkAbs(".")}
			i += 2
		default:
			ts.Fatalf("usage: engine [-mirror URL] [-hub] [-through ADDRESS CA]")
		}
	}
	e, err := s.start(context.Background(), options)
	ts.Check(err)
	s.engine = e
	ts.Setenv("DOCKER_HOST", e.Host)
	ts.Logf("engine %s, %s", e.Version, e.Driver)
}

func cmdFree(_ *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: free NAME")
	}
	address, err := listenOnce()
	ts.Check(err)
	ts.Setenv(args[0], address)
}

func cmdUpstream(s *story, ts *testscript.TestScript, _ bool, args []string) {
	var options registrytest.Options
	if len(args) == 5 && args[0] == "-as" {
		name := args[1]
		args, options.TLS, options.Realm = args[2:], true, "https://"+name+"/token"
		defer func() {
			ts.Check(os.WriteFile(ts.MkAbs("upstream.crt"), s.upstream.Certificate(), 0o600))
			r, err := startRoad(name, s.upstream.Host())
			ts.Check(err)
			s.road = r
			ts.Setenv("ROAD", r.addr)
		}()
	}
	switch len(args) {
	case 3:
		options.User, options.Password = args[1], args[2]
		fallthrough
	case 1:
		options.Auth = args[0]
	case 0:
	default:
		ts.Fatalf("usage: upstream [auth [user password]]")
	}
	s.upstream = registrytest.New(options)
	fill(s.upstream, samples())
	ts.Setenv("UPSTREAM", s.upstream.Host())
}

func cmdMisbehave(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: misbehave PATH key=value...")
	}
	var f registrytest.Fault
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		n, notNumber := strconv.Atoi(value)
		d, notDuration := time.ParseDuration(value)
		numbers := map[string]*int{"times": &f.Times, "status": &f.Status, "short": &f.Short, "extra": &f.Extra, "cutafter": &f.CutAfter, "stallafter": &f.StallAfter}
		durations := map[string]*time.Duration{"headerdelay": &f.HeaderDelay, "bodydelay": &f.BodyDelay}
		flags := map[string]*bool{"wrong": &f.Wrong, "chunked": &f.Chunked, "endless": &f.Endless, "norange": &f.NoRange}
		switch {
		case numbers[key] != nil && notNumber == nil:
			*numbers[key] = n
		case durations[key] != nil && notDuration == nil:
			*durations[key] = d
		case flags[key] != nil && value == "":
			*flags[key] = true
		case key == "method":
			f.Method = value
		case key == "header":
			name, text, _ := strings.Cut(value, ":")
			f.Header = http.Header{name: {text}}
		default:
			ts.Fatalf("unknown fault %q", arg)
		}
	}
	s.upstream.Misbehave(args[0], f)
}

func cmdBehave(s *story, _ *testscript.TestScript, _ bool, _ []string) { s.upstream.Behave() }

func cmdClose(s *story, ts *testscript.TestScript, _ bool, args []string) {
	switch strings.Join(args, " ") {
	case "upstream":
		s.upstream.Close()
	case "bucket":
		s.bucket.Close()
	default:
		ts.Fatalf("usage: close upstream | bucket")
	}
}

func cmdBucket(s *story, ts *testscript.TestScript, _ bool, _ []string) {
	backend := s3mem.New()
	ts.Check(backend.CreateBucket("blobs"))
	s.bucket = httptest.NewServer(gofakes3.New(backend).Server())
	ts.Setenv("BUCKET", strings.TrimPrefix(s.bucket.URL, "http://"))
}

func cmdProxy(s *story, ts *testscript.TestScript, _ bool, args []string) {
	usage := "usage: proxy start [FILE] | kill | stop"
	if len(args) == 0 {
		ts.Fatalf("%s", usage)
	}
	switch args[0] {
	case "start":
		s.startProxy(ts, args[1:])
	case "kill":
		s.proxy.kill()
	case "stop":
		status, err := s.proxy.stop()
		ts.Check(err)
		if status != 0 {
			ts.Fatalf("safepull-proxy ended with status %d on SIGTERM\n%s", status, lastLines(s.proxy.output(), 20))
		}
	default:
		ts.Fatalf("%s", usage)
	}
}

// startProxy starts safepull-proxy, or starts it again where it was.
func (s *story) startProxy(ts *testscript.TestScript, files []string) {
	address := ts.Getenv("PROXY")
	if address == "" {
		var err error
		address, err = listenOnce()
		ts.Check(err)
		ts.Setenv("PROXY", address)
	}
	upstream := ts.Getenv("REGISTRY")
	if s.upstream != nil {
		upstream = s.upstream.Host()
	}
	text := proxyConfig(address, ts.MkAbs("proxy-state"), upstream, "")
	if len(files) == 1 {
		text = os.Expand(ts.ReadFile(files[0]), ts.Getenv)
	}
	file := ts.MkAbs("proxy.generated.yaml")
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
	env := []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR")}
	proxy, err := startServer(filepath.Join(s.tools.bin, "safepull-proxy"), []string{"serve", "--config", file}, env, ts.MkAbs("proxy.log"))
	ts.Check(err)
	s.proxy = proxy
	ts.Check(proxy.await(address))
}

func cmdStatus(_ *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N[,M...] PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := strconv.Itoa(exitStatus(err))
	if !slices.Contains(strings.Split(args[0], ","), got) {
		ts.Fatalf("%s ended with status %s, want %s (%v)", filepath.Base(args[1]), got, args[0], err)
	}
}

func cmdRequests(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: requests METHOD PATH N | +")
	}
	method := strings.Trim(args[0], "*")
	got := s.upstream.Count(method, args[1])
	if args[2] == "+" && got > 0 || args[2] == strconv.Itoa(got) {
		return
	}
	var all []string
	for _, r := range s.upstream.Requests() {
		all = append(all, fmt.Sprint(r))
	}
	ts.Fatalf("%d requests %s %s, want %s; all requests:\n%s", got, args[0], args[1], args[2], strings.Join(all, "\n"))
}

func cmdForget(s *story, _ *testscript.TestScript, _ bool, _ []string) { s.upstream.ForgetRequests() }

func cmdAwait(s *story, ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await METHOD PATH")
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s.upstream.Count(args[0], args[1]) > 0 {
			return
		}
	}
	ts.Fatalf("the upstream was not asked %s %s", args[0], args[1])
}

func cmdContacts(s *story, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || s.hub == nil {
		ts.Fatalf("usage: [!] contacts TEXT, after engine -hub")
	}
	seen := s.hub.seen()
	if found := slices.ContainsFunc(seen, func(c string) bool { return strings.Contains(c, args[0]) }); found == neg {
		ts.Fatalf("the engine wanted to reach %q", seen)
	}
}

func cmdClean(s *story, ts *testscript.TestScript, _ bool, _ []string) {
	if s.engine == nil {
		ts.Fatalf("no engine runs")
	}
	ts.Check(ts.Exec("docker", "images", "--all", "--quiet"))
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("the engine has images:\n%s", out)
	}
	cmdTidy(s, ts, false, nil)
}

func cmdTidy(s *story, ts *testscript.TestScript, _ bool, _ []string) {
	engine := s.engine
	if engine != nil && len(images(ts)) > 0 {
		s.engine = nil // its images are wanted; look at temporary folders only
	}
	left, err := s.residue(ts.Getenv("TMPDIR"))
	// An engine sweeps in the background.
	for deadline := time.Now().Add(10 * time.Second); err == nil && len(left) > 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		left, err = s.residue(ts.Getenv("TMPDIR"))
	}
	s.engine = engine
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// images are the IDs of the engine's images, without touching the script's stdout.
func images(ts *testscript.TestScript) []string {
	cmd := exec.Command("docker", "images", "--all", "--quiet")
	cmd.Env = []string{"DOCKER_HOST=" + ts.Getenv("DOCKER_HOST"), "HOME=" + ts.Getenv("HOME")}
	out, err := cmd.Output()
	ts.Check(err)
	return strings.Fields(string(out))
}

func cmdJSON(_ *story, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &document))
	value, found := lookup(document, strings.Split(args[0], "."))
	text := fmt.Sprint(value)
	fits := found && (text == args[1] || args[1] == "*" && text != "" && text != "[]" && text != "map[]" && value != nil)
	if fits == neg {
		ts.Fatalf("%s is %q (found: %t), want %q\n%s", args[0], text, found, args[1], ts.ReadFile("stdout"))
	}
}

func lookup(v any, path []string) (any, bool) {
	for _, key := range path {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}
