package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust/namespace/signed"
)

// fakeOrganization serves the list of a file and keeps it in another.
type fakeOrganization struct {
	signed.Kept
	served string
}

func (o fakeOrganization) Fetch(context.Context, string) ([]byte, error) {
	return os.ReadFile(o.served)
}

func (o fakeOrganization) Enrol(ctx context.Context, at, key string) (signed.Statement, error) {
	public, err := signed.ParsePublic(key)
	if err != nil {
		return signed.Statement{}, err
	}
	text, err := o.Fetch(ctx, at)
	if err != nil {
		return signed.Statement{}, err
	}
	return o.Kept.Enrol(at, public, text, time.Now())
}

func (o fakeOrganization) Refresh(ctx context.Context) (signed.Statement, error) {
	text, err := o.Fetch(ctx, "")
	return o.Kept.Refresh(text, err, time.Now())
}

func (o fakeOrganization) Status() (signed.Enrolment, signed.Statement, error) { return o.Load() }
func (o fakeOrganization) Leave() error                                        { return o.Forget() }

func TestOrganization(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	w := newWorld(t)
	w.organization = fakeOrganization{signed.Kept{Path: file("kept")}, file("org.signed")}
	list := listFile(t, "org.yaml", "  - {pattern: evil/x, action: deny}\n")
	broken := listFile(t, "broken.yaml", "  - {pattern: evil/x, action: perhaps}\n")
	made := w.run("trust", "keygen", file("key"))
	_, key, ok := strings.Cut(strings.TrimSpace(made.out), "Public key:  ")
	if made.status != 0 || !ok {
		t.Fatalf("%+v", made)
	}
	if info, err := os.Stat(file("key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file("pub"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sign := "sign " + list + " --key " + file("key") + " --name Acme -o " + file("org.signed")
	for i, tt := range []struct {
		args   string
		status int
		say    string
	}{
		{"keygen " + file("key"), 1, "file exists"},
		{"status", 1, "not enrolled"},
		{"refresh", 1, "not enrolled"},
		{"leave", 1, "not enrolled"},
		{"sign " + list, 1, "--key and --name"},
		{"sign " + list + " --name a --key " + file("pub"), 1, "private key in PEM"},
		{"sign " + list + " --name a --key " + file("none"), 1, "no such file"},
		{"sign " + broken + " --name a --key " + file("key"), 1, ":3:31: the entry's action"},
		{sign + " --max-age 2999-01-01", 1, "--max-age"},
		{sign + " --max-age 1000d", 1, "maxAge must be from"},
		{sign + " --sequence 7", 0, "Signed: Acme, list 7 with 1 entries"},
		{"verify " + file("org.signed"), 1, "name the key with --key"},
		{"verify --key " + key + " " + file("org.signed"), 0, "Good signature: Acme, list 7"},
		{"verify --key " + file("pub") + " https://a.b", 0, "Good signature: Acme, list 7"},
		{"verify --key " + file("pub") + " " + list, 1, "no signed list"},
		{"enrol https://a.b", 1, "--key is needed"},
		{"enrol https://a.b --key " + key, 0, "From:     https://a.b"},
		{"verify " + file("org.signed") + " --format json", 0, `"sequence": 7`},
		{sign + " --sequence 6", 0, "list 6"},
		{"refresh", 1, "older than the list that was seen last"},
		{"status", 0, "Organization: Acme, list 7 with 1 entries"},
		{"status --format json", 0, `"problem": "list 6 is refused`},
		{sign + " --sequence 8", 0, "list 8"},
		{"refresh", 0, "Up to date: Acme, list 8"},
		{"leave", 0, "no longer counts"},
		{"sign " + list + " --name Acme --key " + file("key"), 0, `"payloadType":"application/vnd.safepull`},
	} {
		r := w.run(append([]string{"trust"}, strings.Fields(tt.args)...)...)
		if r.status != tt.status || !strings.Contains(r.out+r.err, tt.say) {
			t.Errorf("%d: trust %s: status %d, want %d and %q:\n%s%s", i, tt.args, r.status, tt.status, tt.say, r.out, r.err)
		}
	}
	if notEnrolled(fmt.Errorf("x: %w", fs.ErrNotExist)).Error() == "x" || notEnrolled(errors.New("y")).Error() != "y" {
		t.Error("other errors than a missing enrolment stay")
	}
}
