package upstream

import (
	"net/netip"
	"strings"
	"testing"
)

// A name whose addresses are not known now may have a forbidden one by the time it is dialled.
func TestRedirectToUnknownAddress(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"nowhere.invalid": "cannot be found out", "169.254.169.254": "refused"} {
		err := checkAddress(t.Context(), host, []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it refused: %s", host, err, want)
		}
	}
}
