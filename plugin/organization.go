package plugin

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/trustlist"
	"github.com/safepull/safepull/trust/namespace/signed"
)

const longTrustKeygen = `Make the key with which your organization signs its trust list. The private key is
written to FILE, which must not exist; the public key is printed, for enrolments.

  docker safepull trust keygen acme.key`

const longTrustSign = `Sign a trust list for the machines of an organization. They take it by its sequence,
which must grow (the default is the time in milliseconds), and complain when it is
older than --max-age: sign it again before that. safepull-proxy signs by itself. To
give it out by https, serve the file; as an OCI artifact it is the only layer.

  docker safepull trust sign org.yaml --key acme.key --name Acme --max-age 7d -o org.signed
  oras push ghcr.io/acme/trust-list:latest org.signed`

const longTrustVerify = `Check a signed list and print what it is. Without --key the key of this machine's
enrolment is meant.

  docker safepull trust verify org.signed --key ed25519:…`

const longTrustEnrol = `Enrol this machine: pin the organization's public key and take its trust list, from a
safepull-proxy, by https or as an OCI artifact. From then on a list counts only when
that key signed it, and never one that is older than the last. It is asked for anew
every hour, when something is pulled.

  docker safepull trust enrol https://proxy.acme.example:5000 --key ed25519:…
  docker safepull trust enrol oci://ghcr.io/acme/trust-list:latest --key acme.pub`

// defaultMaxAge is for how long a signed list is fresh.
const defaultMaxAge = "14d"

// maxSigned bounds the files of lists that are signed or verified.
const maxSigned = signed.MaxEnvelope

func (a *app) organizationCommands() []*cobra.Command {
	o := &a.opts.trust
	keygen := a.command("keygen [OPTIONS] FILE", "Make a key that signs trust lists", longTrustKeygen, 1, a.keygen)
	sign := a.command("sign [OPTIONS] LIST", "Sign a trust list for an organization", longTrustSign, 1, a.sign)
	sign.Flags().StringVar(&o.key, "key", "", "The private key, a `FILE`")
	sign.Flags().StringVar(&o.name, "name", "", "The organization's name, as people see it")
	sign.Flags().Uint64Var(&o.sequence, "sequence", 0, "The number of the list, larger than that of the last (default: the time)")
	sign.Flags().StringVar(&o.maxAge, "max-age", defaultMaxAge, `For how long the list is fresh: "7d", "12h"`)
	sign.Flags().StringVarP(&a.opts.output, "output", "o", "", "Write to this `FILE` instead of printing")
	verify := a.command("verify [OPTIONS] FILE|URL", "Check a signed list", longTrustVerify, 1, a.verifyList)
	verify.Flags().StringVar(&o.key, "key", "", "The public key, or a `FILE` of it")
	enrol := a.command("enrol [OPTIONS] URL", "Pin an organization's key and take its trust list", longTrustEnrol, 1, a.enrol)
	enrol.Flags().StringVar(&o.key, "key", "", "The organization's public key, or a `FILE` of it")
	return []*cobra.Command{
		keygen, sign, verify, enrol,
		a.command("refresh [OPTIONS]", "Ask for a newer list of the organization now", "", 0, a.refresh),
		a.command("status [OPTIONS]", "Print where the organization's list comes from and how fresh it is", "", 0, a.listStatus),
		a.command("leave [OPTIONS]", "End the enrolment of this machine", "", 0, a.leave),
	}
}

func (a *app) keygen(_ context.Context, args []string) error {
	private, public, err := signed.NewKey()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the private key: %w", err)
	}
	_, err = f.Write(private)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the private key: %w", err)
	}
	answer := struct {
		Schema int    `json:"schema"`
		File   string `json:"file"`
		Public string `json:"public"`
	}{render.Schema, args[0], signed.Public(public)}
	return a.answer(answer, func() error {
		_, err := fmt.Fprintf(a.cli.Out(), "Private key: %s (keep it secret)\nPublic key:  %s\n", answer.File, answer.Public)
		return err
	})
}

func (a *app) sign(_ context.Context, args []string) error {
	o := a.opts.trust
	if o.key == "" || o.name == "" {
		return errors.New("--key and --name are needed: see \"docker safepull trust sign --help\"")
	}
	text, err := readFile(o.key, maxKeyFile)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	key, err := signed.ParsePrivate(text)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	list, err := readFile(args[0], maxSigned)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	until, err := parseExpiry(o.maxAge, now)
	if err != nil || strings.ContainsAny(o.maxAge, "-T") {
		return fmt.Errorf("--max-age %q: write how long, such as 7d or 12h", o.maxAge)
	}
	s := signed.Statement{
		Version: 1, Name: o.name, Sequence: o.sequence, Issued: now, MaxAge: int64(until.Sub(now) / time.Second), List: string(list),
	}
	if s.Sequence == 0 {
		s.Sequence = uint64(max(now.UnixMilli(), 1)) //nolint:gosec // not negative
	}
	envelope, err := signed.Sign(s, key)
	if err != nil {
		return err
	}
	if a.opts.output == "" {
		a.answered = true
		_, err := a.cli.Out().Write(envelope)
		return err
	}
	if err := os.WriteFile(a.opts.output, envelope, 0o644); err != nil { //nolint:gosec // it is to be published
		return err
	}
	return a.statement("Signed", s, nil)
}

// statement prints what a list is, with the enrolment where there is one.
func (a *app) statement(verb string, s signed.Statement, e *signed.Enrolment) error {
	list, err := s.Entries()
	if err != nil {
		return err
	}
	answer := trustlist.Signed{
		Schema: render.Schema, Name: s.Name, Sequence: s.Sequence, Entries: len(list.Entries()),
		Issued: s.Issued.UTC(), Until: s.Until().UTC(), Stale: !s.Until().After(time.Now()),
	}
	if e != nil {
		key, err := signed.ParsePublic(e.Key)
		if err != nil {
			return err
		}
		answer.URL, answer.KeyID, answer.Problem = e.URL, signed.KeyID(key), e.Problem
		answer.Fetched, answer.Tried = e.Fetched.UTC(), e.Tried.UTC()
	}
	return a.answer(answer, func() error { return answer.Text(a.cli.Out(), a.text(), verb) })
}

// publicKey is what --key says: the key itself, or a file of it.
func (a *app) publicKey() (string, error) {
	key := a.opts.trust.key
	if strings.HasPrefix(key, "ed25519:") {
		return key, nil
	}
	text, err := readFile(key, maxKeyFile)
	if err != nil {
		return "", fmt.Errorf("--key: %w", err)
	}
	return string(text), nil
}

func (a *app) theOrganization(ctx context.Context) (Organization, error) {
	o, err := need(ctx, a.deps.Organization)
	if err != nil {
		return nil, fmt.Errorf("the organization's list: %w", err)
	}
	return o, nil
}

func (a *app) verifyList(ctx context.Context, args []string) error {
	o, err := a.theOrganization(ctx)
	if err != nil {
		return err
	}
	key, err := a.verifyingKey(o)
	if err != nil {
		return err
	}
	var text []byte
	if strings.Contains(args[0], "://") {
		text, err = o.Fetch(ctx, args[0])
	} else {
		text, err = readFile(args[0], maxSigned)
	}
	if err != nil {
		return err
	}
	s, err := signed.Open(text, key)
	if err != nil {
		return err
	}
	if err := a.statement("Good signature", s, nil); err != nil {
		return err
	}
	if until := s.Until(); !until.After(time.Now()) {
		return fmt.Errorf("%w since %s", signed.ErrStale, until.UTC().Format(time.RFC3339))
	}
	return nil
}

func (a *app) verifyingKey(o Organization) (ed25519.PublicKey, error) {
	if a.opts.trust.key != "" {
		text, err := a.publicKey()
		if err != nil {
			return nil, err
		}
		return signed.ParsePublic(text)
	}
	e, _, err := o.Status()
	if err != nil {
		return nil, fmt.Errorf("name the key with --key: %w", err)
	}
	return signed.ParsePublic(e.Key)
}

func (a *app) enrol(ctx context.Context, args []string) error {
	if a.opts.trust.key == "" {
		return errors.New("--key is needed: ask whoever runs the list for the public key, over another road than this list")
	}
	key, err := a.publicKey()
	if err != nil {
		return err
	}
	o, err := a.theOrganization(ctx)
	if err != nil {
		return err
	}
	if _, err := o.Enrol(ctx, args[0], key); err != nil {
		return err
	}
	return a.shown(o, "Enrolled")
}

func (a *app) refresh(ctx context.Context, _ []string) error {
	o, err := a.theOrganization(ctx)
	if err != nil {
		return err
	}
	if _, err := o.Refresh(ctx); err != nil {
		return notEnrolled(err)
	}
	return a.shown(o, "Up to date")
}

func (a *app) listStatus(ctx context.Context, _ []string) error {
	o, err := a.theOrganization(ctx)
	if err != nil {
		return err
	}
	return a.shown(o, "Organization")
}

func (a *app) shown(o Organization, verb string) error {
	e, s, err := o.Status()
	if err != nil {
		return notEnrolled(err)
	}
	return a.statement(verb, s, &e)
}

func notEnrolled(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this machine is not enrolled: \"docker safepull trust enrol URL --key KEY\" does that")
	}
	return err
}

func (a *app) leave(ctx context.Context, _ []string) error {
	o, err := a.theOrganization(ctx)
	if err != nil {
		return err
	}
	if err := o.Leave(); err != nil {
		return notEnrolled(err)
	}
	return a.answer(struct {
		Schema int `json:"schema"`
	}{render.Schema}, func() error {
		_, err := fmt.Fprintln(a.cli.Out(), "Left: the organization's list no longer counts here")
		return err
	})
}
