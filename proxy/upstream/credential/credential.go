// Package credential finds the login for a registry host: fixed, from a file, from docker's configuration, or from a
// credential helper. No error that it makes contains a secret.
package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	// maxFile bounds a file with a login and the output of a helper: tokens of some clouds take several KiB.
	maxFile = 64 << 10
	// helperTimeout bounds a helper that hangs, as one does that waits for somebody at a desktop.
	helperTimeout = 30 * time.Second
	// helperPrefix begins the names of credential helpers' programs.
	helperPrefix = "docker-credential-"
	// dockerHubKey is what docker files the login of Docker Hub under.
	dockerHubKey = "https://index.docker.io/v1/"
	// tokenUser is how helpers say that the secret is an identity token.
	tokenUser = "<token>"
)

// key is the name under which docker and its helpers know a host.
func key(host string) string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return dockerHubKey
	}
	return host
}

// Static is always the same login. upstream asks it for the configured host only.
func Static(user, password string) auth.CredentialFunc {
	return func(context.Context, string) (auth.Credential, error) {
		return auth.Credential{Username: user, Password: password}, nil
	}
}

// File is the login in the first line of a file, "user:password". It is read each time, so that it may be replaced
// while the program runs.
func File(path string) auth.CredentialFunc {
	return func(context.Context, string) (auth.Credential, error) {
		f, err := os.Open(path) //nolint:gosec // the operator names it
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("login file: %w", err)
		}
		defer func() { _ = f.Close() }()
		content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("login file: %w", err)
		}
		if len(content) > maxFile {
			return auth.EmptyCredential, fmt.Errorf("login file %q has more than %d bytes", path, maxFile)
		}
		line, _, _ := bytes.Cut(content, []byte("\n"))
		user, password, ok := strings.Cut(strings.TrimSuffix(string(line), "\r"), ":")
		if !ok || user == "" || password == "" {
			return auth.EmptyCredential, fmt.Errorf("login file %q: its first line must be user:password", path)
		}
		return auth.Credential{Username: user, Password: password}, nil
	}
}

// Helper asks a docker credential helper, by its name as in docker's configuration ("ecr-login") or by its path. A
// host that the helper does not know is read anonymously.
func Helper(program string) auth.CredentialFunc {
	if !strings.ContainsRune(program, filepath.Separator) && !strings.HasPrefix(program, helperPrefix) {
		program = helperPrefix + program
	}
	return func(ctx context.Context, host string) (auth.Credential, error) {
		ctx, cancel := context.WithTimeout(ctx, helperTimeout)
		defer cancel()
		out := &limitedBuffer{left: maxFile, overflow: cancel}
		cmd := exec.CommandContext(ctx, program, "get")
		cmd.Stdin = strings.NewReader(key(host))
		cmd.Stdout = out
		cmd.WaitDelay = time.Second // a child of the helper may keep its output open
		err := cmd.Run()
		if out.left < 0 {
			return auth.EmptyCredential, fmt.Errorf("credential helper %q printed more than %d bytes", program, maxFile)
		}
		if err != nil && credentials.IsErrCredentialsNotFoundMessage(strings.TrimSpace(string(out.kept))) {
			return auth.EmptyCredential, nil
		}
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("credential helper %q: %w", program, err) // not what it printed
		}
		var answer credentials.Credentials
		if json.Unmarshal(out.kept, &answer) != nil {
			return auth.EmptyCredential, fmt.Errorf("credential helper %q: its answer is not understood", program)
		}
		if answer.Username == tokenUser {
			return auth.Credential{RefreshToken: answer.Secret}, nil
		}
		return auth.Credential{Username: answer.Username, Password: answer.Secret}, nil
	}
}

// limitedBuffer keeps what is written up to a limit; at the first byte beyond it calls overflow. It embeds no
// bytes.Buffer, whose ReadFrom would go round the limit.
type limitedBuffer struct {
	kept     []byte
	left     int
	overflow func()
}

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.overflow()
		return 0, errors.New("too much output")
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}
