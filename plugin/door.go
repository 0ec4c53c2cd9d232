package plugin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const (
	// maxVerdict bounds what a proxy answers.
	maxVerdict = 16 << 20
	// maxRefusal bounds what is read of a refusal.
	maxRefusal = 64 << 10
	// maxSentence bounds what is shown of it.
	maxSentence = 1000
	// proxyPatience is how long a proxy may take to answer what it knows, proxyHolds what it has to find out.
	proxyPatience = 30 * time.Second
	proxyHolds    = 6 * time.Minute
)

// What a proxy says about a manifest to programs.
const (
	actionHeader  = "X-Safepull-Action"
	verdictHeader = "X-Safepull-Verdict"
	pending       = "pending"
	notConfigured = "not-configured"
)

// door is a safepull-proxy.
type door struct {
	app       *app
	base      *url.URL
	transport http.RoundTripper
	source    trust.Source // nil where no image is asked for
}

func (a *app) proxyFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&a.opts.proxy, "proxy", "", usage)
}

// proxy is the URL that the user configured, "" when none.
func (a *app) proxy() string {
	if a.opts.proxy != "" {
		return a.opts.proxy
	}
	if p := a.env("SAFEPULL_PROXY"); p != "" {
		return p
	}
	p, _ := a.cli.ConfigFile().PluginConfig("safepull", "proxy")
	return p
}

// doorOf is the proxy at a URL. With a reference, the user's right to its repository is handed over to it.
func (a *app) doorOf(ctx context.Context, proxy string, ref *trust.Reference) (*door, error) {
	base, err := url.Parse(proxy)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the proxy (--proxy, SAFEPULL_PROXY or plugins.safepull.proxy) must be a URL such as http://127.0.0.1:5000")
	}
	d := &door{app: a, base: base, transport: http.DefaultTransport}
	if ref != nil && a.deps.Proxy != nil {
		proxied, err := a.deps.Proxy(ctx, base, *ref)
		if err != nil {
			return nil, fmt.Errorf("the proxy at %s: %w", base.Redacted(), err)
		}
		d.transport, d.source = proxied.Transport, proxied.Source
	}
	return d, nil
}

// verdict reads one verdict.
func (d *door) verdict(ctx context.Context, id string) (trust.Verdict, error) {
	var v trust.Verdict
	err := d.get(ctx, id, nil, &v)
	if errors.Is(err, trust.ErrNotFound) {
		return trust.Verdict{}, fmt.Errorf("verdict %s: %w", id, err)
	}
	if err == nil && !strings.EqualFold(v.ID, id) {
		err = fmt.Errorf("the proxy answered with another verdict: %w", trust.ErrMalformed)
	}
	if err != nil {
		return trust.Verdict{}, err
	}
	return v, nil
}

// verdicts reads the proxy's verdicts on a reference's repository, newest first.
func (d *door) verdicts(ctx context.Context, ref trust.Reference) ([]trust.Verdict, error) {
	var list struct {
		Verdicts []trust.Verdict `json:"verdicts"`
	}
	err := d.get(ctx, "", url.Values{"reference": {ref.Name()}}, &list)
	return list.Verdicts, err
}

// get asks below the path of verdicts.
func (d *door) get(ctx context.Context, path string, query url.Values, into any) error {
	at := d.base.JoinPath("safepull", "v1", "verdicts", path)
	at.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, proxyPatience)
	defer cancel()
	resp, err := d.do(ctx, at, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w at the proxy %s", trust.ErrNotFound, d.base.Redacted())
	case resp.StatusCode == http.StatusUnauthorized:
		return d.wantsLogin()
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the proxy at %s answered %s", d.base.Redacted(), trust.Sanitise(resp.Status, 100))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxVerdict+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the proxy's answer: %w", err)
	case len(body) > maxVerdict:
		return fmt.Errorf("the proxy's answer: %w", trust.ErrLimit)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the proxy's answer: %w: %w", trust.ErrMalformed, err)
	}
	return nil
}

func (d *door) wantsLogin() error {
	return fmt.Errorf("the proxy at %s wants a login (\"docker login %s\" makes one): %w", d.base.Redacted(), d.base.Host, trust.ErrUnauthorized)
}

// signed asks the proxy who signed an image: an empty string when the signer did, and what is wrong otherwise. An error
// means that it could not be found out.
func (d *door) signed(ctx context.Context, ref trust.Reference, signer trust.Signer) (string, error) {
	question, err := json.Marshal(map[string]any{"reference": ref.Name() + "@" + ref.Digest.String(), "index": ref.Index, "signer": signer})
	if err != nil {
		return "", fmt.Errorf("ask who signed it: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, proxyHolds)
	defer cancel()
	resp, err := d.send(ctx, http.MethodPost, d.base.JoinPath("safepull", "v1", "signatures"), "application/json", bytes.NewReader(question))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal+1))
	var told struct {
		Signed            bool
		Wrong, Unanswered string
		Error             string
	}
	known := err == nil && len(body) <= maxRefusal && json.Unmarshal(body, &told) == nil
	switch {
	case err != nil:
		return "", fmt.Errorf("read the proxy's answer: %w", err)
	case resp.StatusCode == http.StatusUnauthorized:
		return "", d.wantsLogin()
	case resp.StatusCode == http.StatusNotFound && !known:
		return "", fmt.Errorf("the proxy at %s is one that checks no signatures: %w", d.base.Redacted(), trust.ErrUnsupported)
	case resp.StatusCode != http.StatusOK || !known:
		return "", fmt.Errorf("the proxy at %s does not say who signed it: %s: %w", d.base.Redacted(), trust.Sanitise(cmp.Or(told.Error, resp.Status), maxSentence), trust.ErrUnsupported)
	case told.Unanswered != "":
		return "", fmt.Errorf("the proxy at %s cannot say who signed it: %s: %w", d.base.Redacted(), trust.Sanitise(told.Unanswered, maxSentence), trust.ErrUnsupported)
	case told.Signed:
		return "", nil
	}
	return cmp.Or(trust.Sanitise(told.Wrong, maxSentence), "the proxy says that it is not signed so"), nil
}

// do asks the proxy, with docker's login at it, if there is one. Errors never show the password of a URL.
func (d *door) do(ctx context.Context, at *url.URL, accept string) (*http.Response, error) {
	return d.send(ctx, http.MethodGet, at, accept, http.NoBody)
}

func (d *door) send(ctx context.Context, method string, at *url.URL, accept string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, errors.New("the proxy's URL cannot be asked")
	}
	req.Header.Set("Accept", accept)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "docker-safepull/"+d.app.deps.Version.Version)
	// A login stays with its host: an answer that leads elsewhere is none.
	client := &http.Client{Transport: d.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if req.URL.User == nil {
		login, err := d.app.cli.ConfigFile().GetAuthConfig(req.URL.Host)
		if err == nil && login.Username != "" && login.Password != "" { // a proxy that wants a login says so
			req.SetBasicAuth(login.Username, login.Password)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err
		}
		return nil, fmt.Errorf("ask the proxy at %s: %w", d.base.Redacted(), err)
	}
	return resp, nil
}

// told is what a proxy says about one manifest.
type told struct {
	status int
	// digest is the manifest's, where it is served.
	digest digest.Digest
	// action is a verdict's, or unanswered, pending or notConfigured; id is the verdict's. Both are empty where the answer depends on
	// no judgement, and where the image is delivered while it is judged.
	action, id string
	// sentence is why it is not served.
	sentence string
	after    time.Duration
}

func (t told) served() bool { return t.status == http.StatusOK }

// ask is what the proxy says about a manifest by tag or digest.
func (d *door) ask(ctx context.Context, ref trust.Reference) (told, error) {
	what := ref.Tag
	if ref.Digest != "" {
		what = ref.Digest.String()
	}
	ctx, cancel := context.WithTimeout(ctx, proxyHolds)
	defer cancel()
	accept := strings.Join([]string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, inspect.DockerIndex, inspect.DockerManifest}, ", ")
	resp, err := d.do(ctx, d.base.JoinPath("v2", ref.Registry, ref.Repository, "manifests", what), accept)
	if err != nil {
		return told{}, err
	}
	defer resp.Body.Close()
	t := told{
		status: resp.StatusCode, digest: digest.Digest(resp.Header.Get("Docker-Content-Digest")),
		action: resp.Header.Get(actionHeader), id: resp.Header.Get(verdictHeader),
	}
	if t.id != "" && !verdictID.MatchString(t.id) {
		return told{}, fmt.Errorf("the proxy at %s names a verdict that cannot be one: %w", d.base.Redacted(), trust.ErrMalformed)
	}
	if !t.served() {
		t.sentence = sentence(resp)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		t.after = time.Duration(min(max(seconds, 1), 60)) * time.Second
	}
	return t, nil
}

// sentence is what an answer that is not the content says to people: its message, else its status.
func sentence(resp *http.Response) string {
	text := resp.Status
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	var listed struct {
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if err == nil && json.Unmarshal(body, &listed) == nil && len(listed.Errors) > 0 && listed.Errors[0].Message != "" {
		text = listed.Errors[0].Message
	}
	return trust.Sanitise(text, maxSentence)
}
