package config

import "testing"

func TestHostPatterns(t *testing.T) {
	t.Parallel()
	for pattern, ok := range map[string]bool{
		"cdn.example": true, "*.cdn.example": true, "cdn.example:8443": true, "10.0.0.1": true, "[2001:db8::1]:443": true, "*": true,
		"": false, "https://cdn.example": false, "cdn.example/x": false, "cdn[0-9].example": false, "a b": false, "cdn.example:http": false, "u@cdn.example": false, "?.x": false,
	} {
		if err := checkHostPattern(pattern); (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}
