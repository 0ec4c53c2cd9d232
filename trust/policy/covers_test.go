package policy

import "testing"

// TestCovers: a scope is never reached only where an earlier one fits all that it fits.
func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"**", "docker.io/acme/*", true},
		{"docker.io/**", "docker.io/acme/*", true},
		{"docker.io/acme/**", "docker.io/acme/**", true},
		{"docker.io/**", "docker.io/acme/**", true},
		{"docker.io/acme/*", "docker.io/acme/app", true},
		{"docker.io/acme/*", "docker.io/acme/app-*", true},
		{"docker.io/acme/*", "docker.io/acme/**", false},
		{"docker.io/acme/??", "docker.io/acme/**", false},
		{"docker.io/acme/?", "docker.io/acme/*", false},
		{"docker.io/*/app", "docker.io/**/app", false},
	} {
		if got := covers(tt.a, tt.b); got != tt.want {
			t.Errorf("covers(%q, %q) is %v", tt.a, tt.b, got)
		}
	}
}
