package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

const longExplain = `Print everything that is known about a verdict: every finding with its place and
excerpt, the trust entries that decided and those that lost, what could not be
answered and what was not asked.

The verdict is looked for on this machine, and then at the proxy that --proxy,
SAFEPULL_PROXY or plugins.safepull.proxy in docker's config.json names. For an
image it is the newest one.`

const (
	// maxVerdict bounds what a proxy answers.
	maxVerdict = 16 << 20
	// proxyPatience is how long a proxy may take to answer.
	proxyPatience = 30 * time.Second
	// maxRemembered is how many verdicts of a repository are searched for a tag.
	maxRemembered = 200
)

// verdictID is how verdicts are named; no image can be, since a repository is lower case.
var verdictID = regexp.MustCompile(`^SP-[0-9A-Za-z]{10}$`)

func (a *app) explainCommand() *cobra.Command {
	cmd := a.command("explain [OPTIONS] ID|IMAGE", "Print all the evidence behind a verdict", longExplain, 1, a.explain)
	cmd.Flags().StringVar(&a.opts.proxy, "proxy", "", "URL of the safepull-proxy to ask for what this machine does not know")
	return cmd
}

func (a *app) explain(ctx context.Context, args []string) error {
	find := a.byName
	if verdictID.MatchString(args[0]) {
		find = a.byID
	}
	v, err := find(ctx, args[0])
	if err != nil {
		return err
	}
	return a.answer(render.NewDocument(v, ""), func() error { return a.text().Explain(a.cli.Out(), v) })
}

// byID asks this machine, then the proxy. A local memory that fails does not keep the proxy from being asked.
func (a *app) byID(ctx context.Context, id string) (trust.Verdict, error) {
	v, ok, err := a.remembered(ctx, id)
	if ok && err == nil {
		return v, nil
	}
	proxy := a.proxy()
	if proxy == "" {
		if err != nil {
			return trust.Verdict{}, err
		}
		return trust.Verdict{}, fmt.Errorf("verdict %s: %w on this machine; name the proxy that gave it with --proxy URL", id, trust.ErrNotFound)
	}
	v, perr := a.askProxy(ctx, proxy, id)
	if perr != nil {
		return trust.Verdict{}, errors.Join(perr, err)
	}
	return v, nil
}

func (a *app) remembered(ctx context.Context, id string) (trust.Verdict, bool, error) {
	memory, err := need(ctx, a.deps.Verdicts)
	if err != nil {
		return trust.Verdict{}, false, fmt.Errorf("open the memory: %w", err)
	}
	v, ok, err := memory.VerdictByID(ctx, id)
	if err != nil {
		return v, false, fmt.Errorf("read the memory: %w", err)
	}
	return v, ok, nil
}

// byName finds the newest verdict on an image, by the digest or tag that was named: on this machine, else at the proxy.
func (a *app) byName(ctx context.Context, image string) (trust.Verdict, error) {
	ref, err := reference.Parse(image)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("%q is no verdict's ID (SP- and 10 characters), and as an image: %w", image, err)
	}
	memory, err := need(ctx, a.deps.Verdicts)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("open the memory: %w", err)
	}
	verdicts, err := memory.Verdicts(ctx, ref.Name(), maxRemembered)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("read the memory: %w", err)
	}
	if v, ok := newest(verdicts, ref); ok {
		return v, nil
	}
	proxy := a.proxy()
	if proxy == "" {
		return trust.Verdict{}, fmt.Errorf("verdict on %q: %w on this machine; \"docker safepull check %s\" makes one",
			ref, trust.ErrNotFound, reference.Familiar(ref))
	}
	if verdicts, err = a.askProxyAbout(ctx, proxy, ref); err != nil {
		return trust.Verdict{}, err
	}
	if v, ok := newest(verdicts, ref); ok {
		return v, nil
	}
	return trust.Verdict{}, fmt.Errorf("verdict on %q: %w, neither on this machine nor at the proxy", ref, trust.ErrNotFound)
}

// newest is the first verdict on a reference: by its digest, which may be an index's, else by its tag.
func newest(verdicts []trust.Verdict, ref trust.Reference) (trust.Verdict, bool) {
	for _, v := range verdicts {
		if v.Reference.Name() != ref.Name() {
			continue
		}
		if ref.Digest == "" && v.Reference.Tag == ref.Tag ||
			ref.Digest != "" && (v.Manifest == ref.Digest || v.Reference.Digest == ref.Digest || v.Reference.Index == ref.Digest) {
			return v, true
		}
	}
	return trust.Verdict{}, false
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

// askProxy reads one verdict.
func (a *app) askProxy(ctx context.Context, proxy, id string) (trust.Verdict, error) {
	var v trust.Verdict
	err := a.getVerdicts(ctx, proxy, id, nil, &v)
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

// askProxyAbout reads the proxy's verdicts on a reference's repository, newest first.
func (a *app) askProxyAbout(ctx context.Context, proxy string, ref trust.Reference) ([]trust.Verdict, error) {
	var list struct {
		Verdicts []trust.Verdict `json:"verdicts"`
	}
	err := a.getVerdicts(ctx, proxy, "", url.Values{"reference": {ref.Name()}}, &list)
	return list.Verdicts, err
}

// getVerdicts asks a proxy below its path of verdicts, with docker's login at it, if there is one. Errors never show the
// password of a URL.
func (a *app) getVerdicts(ctx context.Context, proxy, path string, query url.Values, into any) error {
	base, err := url.Parse(proxy)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return errors.New("the proxy (--proxy, SAFEPULL_PROXY or plugins.safepull.proxy) must be a URL such as http://127.0.0.1:5000")
	}
	at := base.JoinPath("safepull", "v1", "verdicts", path)
	at.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, proxyPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return errors.New("the proxy's URL cannot be asked")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := a.withLogin(req).Do(req)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err
		}
		return fmt.Errorf("ask the proxy at %s: %w", base.Redacted(), err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w at the proxy %s", trust.ErrNotFound, base.Redacted())
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the proxy at %s wants a login: \"docker login %s\" makes one", base.Redacted(), base.Host)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the proxy at %s answered %s", base.Redacted(), trust.Sanitise(resp.Status, 100))
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

// withLogin adds docker's login at the request's host, unless the URL has one, and returns the client to send it with. A
// login stays with its host: an answer that leads elsewhere is none.
func (a *app) withLogin(req *http.Request) *http.Client {
	if req.URL.User != nil {
		return http.DefaultClient
	}
	login, err := a.cli.ConfigFile().GetAuthConfig(req.URL.Host)
	if err != nil || login.Username == "" || login.Password == "" {
		return http.DefaultClient // a proxy that wants a login says so
	}
	req.SetBasicAuth(login.Username, login.Password)
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
