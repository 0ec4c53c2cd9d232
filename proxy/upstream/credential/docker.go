package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// DockerConfig is the login that docker itself would use, found by docker's own code: from the file, from its
// credential store or helpers, or from DOCKER_AUTH_CONFIG. The path is that of a config.json or of its folder; empty
// means docker's own choice. The file is read each time; as with docker, no file means no login.
func DockerConfig(path string) auth.CredentialFunc {
	// Docker's code cannot be interrupted: a helper that hangs costs this one turn, not a goroutine per request.
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, host string) (auth.Credential, error) {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return auth.EmptyCredential, fmt.Errorf("waiting for docker's credential store: %w", ctx.Err())
		}
		type answer struct {
			cred auth.Credential
			err  error
		}
		found := make(chan answer, 1)
		go func() {
			defer func() { <-turn }()
			cred, err := lookUp(path, key(host))
			found <- answer{cred, err}
		}()
		select {
		case a := <-found:
			return a.cred, a.err
		case <-ctx.Done():
			return auth.EmptyCredential, fmt.Errorf("waiting for docker's credential store: %w", ctx.Err())
		}
	}
}

func lookUp(path, key string) (auth.Credential, error) {
	file, err := load(path)
	if err != nil {
		return auth.EmptyCredential, err
	}
	found, err := file.GetAuthConfig(key)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("credential store of %q: %w", file.Filename, withoutOutput(err))
	}
	return credentialOf(found), nil
}

// credentialOf translates docker's words: an identity token buys access tokens, a registry token is one.
func credentialOf(a types.AuthConfig) auth.Credential {
	switch {
	case a.RegistryToken != "":
		return auth.Credential{AccessToken: a.RegistryToken}
	case a.IdentityToken != "":
		return auth.Credential{RefreshToken: a.IdentityToken}
	case a.Username == "" || a.Password == "":
		return auth.EmptyCredential
	}
	return auth.Credential{Username: a.Username, Password: a.Password}
}

func load(path string) (*configfile.ConfigFile, error) {
	if path == "" {
		path = config.Dir()
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, config.ConfigFileName)
	}
	file := configfile.New(path)
	f, err := os.Open(path) //nolint:gosec // the user names it, as with docker
	if errors.Is(err, os.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("docker's configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := file.LoadFromReader(f); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("docker's configuration %q: not JSON at byte %d", path, syntax.Offset)
		}
		return nil, fmt.Errorf("docker's configuration %q cannot be read as such", path) // the reason may quote a login
	}
	return file, nil
}

// withoutOutput keeps of a helper's error how the program ended, not what it printed. Docker's code hands both over as
// one text.
func withoutOutput(err error) error {
	how, _, found := strings.Cut(err.Error(), ", out: `")
	if !found {
		return errors.New("the answer of its helper is not understood")
	}
	return errors.New(how)
}
