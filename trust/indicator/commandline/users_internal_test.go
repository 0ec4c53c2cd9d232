package commandline

import (
	"strings"
	"testing"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	text := "-u a --url b -u c x-u d '--user' e"
	u := users{options: []string{"-u", "--user"}, text: []byte(text)}
	for _, tt := range []struct {
		start, end int
		want       bool
	}{
		{0, 10, false}, // what stands first is not behind a blank
		{0, 16, true},
		{5, 16, true},
		{13, 20, false},
		{13, len(text), true},
		{strings.Index(text, "--user"), len(text), false},
		{len(text), len(text), false},
	} {
		if tt.start == len(text) {
			u.text = u.text[:len(text):len(text)]
		}
		if got := u.within(tt.start, tt.end); got != tt.want {
			t.Errorf("within(%d, %d) = %v, want %v", tt.start, tt.end, got, tt.want)
		}
	}
}
