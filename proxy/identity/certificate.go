package identity

import (
	"net/http"

	"github.com/safepull/safepull/trust"
)

// What of a client certificate can name who asks.
const (
	CommonName = "commonName"
	DNSName    = "dns"
	Email      = "email"
	URI        = "uri"
)

// certified is the identity that a verified client certificate proves, "" when there is none.
func (d *Door) certified(r *http.Request) string {
	if d.options.Certificate == "" || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	leaf := r.TLS.VerifiedChains[0][0]
	name := ""
	switch d.options.Certificate {
	case CommonName:
		name = leaf.Subject.CommonName
	case DNSName:
		name = first(leaf.DNSNames)
	case Email:
		name = first(leaf.EmailAddresses)
	case URI:
		if len(leaf.URIs) > 0 {
			name = leaf.URIs[0].String()
		}
	}
	return trust.Sanitise(name, maxName)
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
