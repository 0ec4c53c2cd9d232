// Package document reads the JSON that registries' APIs answer with.
package document

import (
	"encoding/json"
	"fmt"

	"github.com/safepull/safepull/trust"
)

// Read decodes a body. Its error wraps trust.ErrMalformed.
func Read(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s", trust.ErrMalformed, trust.Sanitise(err.Error(), 200))
	}
	return nil
}

// Lacks is the error for an answer without what it must have.
func Lacks(what string) error {
	return fmt.Errorf("%w: an answer without %s", trust.ErrMalformed, what)
}
