package caller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/safepull/safepull/proxy/caller"
)

func TestCallerTravelsInTheContext(t *testing.T) {
	t.Parallel()
	if got := caller.Of(context.Background()); got.Identity != "" || got.Logins != nil {
		t.Errorf("somebody is in an empty context: %v", got)
	}
	ctx := caller.With(context.Background(), caller.Caller{Identity: "alice", Method: "htpasswd"})
	if got := caller.Of(ctx); got.Identity != "alice" || got.Method != "htpasswd" {
		t.Errorf("%+v", got)
	}
}

// TestSecretsAreNotShown: whatever prints, encodes or logs a caller shows no secret.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const hidden = "correct-horse"
	c := caller.Caller{Identity: "alice", Logins: map[string]caller.Login{"docker.io": {Username: "a", Password: hidden, Token: hidden}}}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "login", c.Logins["docker.io"], "password", c.Logins["docker.io"].Password)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s", c.Logins), string(encoded), log.String()} {
		if strings.Contains(shown, hidden) {
			t.Errorf("shown: %s", shown)
		}
	}
	if c.Logins["docker.io"].Password.Reveal() != hidden || c.Logins["docker.io"].Empty() || !(caller.Login{Username: "a"}).Empty() {
		t.Error("a login is not what it was")
	}
}
