package caller

import "fmt"

// LoginError is a registry's refusal of which it is known that a login is why, and whose: neither another name nor
// another repository would help. Err wraps trust.ErrUnauthorized.
type LoginError struct {
	// Own says that the registry refused the proxy's own login. Else the caller's is missing, where only callers' count.
	Own bool
	Err error
}

// Error says whose login it is.
func (e *LoginError) Error() string {
	if e.Own {
		return fmt.Sprintf("the configured login was refused: %v", e.Err)
	}
	return fmt.Sprintf("the caller brought no login: %v", e.Err)
}

// Unwrap gives the refusal.
func (e *LoginError) Unwrap() error { return e.Err }
