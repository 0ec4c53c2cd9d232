package config

import "net/url"

func (c *Config) checkReputation(at origins) error {
	if key, err := c.Reputation.Check(); err != nil {
		return at.errorf("reputation."+key, "%w", err)
	}
	if c.Reputation.Snapshot == "" {
		return nil
	}
	if _, err := readFile(c.Reputation.Snapshot, maxSnapshot); err != nil {
		return at.errorf("reputation.snapshot", "%w", err)
	}
	return nil
}

// maxSnapshot bounds the file of records.
const maxSnapshot = 64 << 20

// ownURL is where a registry is read where nobody says otherwise.
func ownURL(host string) string {
	if host == dockerHub {
		return "https://registry-1.docker.io"
	}
	return "https://" + host
}

// Elsewhere is the host where the registry is read when that is not its own address; else it is empty.
func (u Upstream) Elsewhere() string {
	at, err := url.Parse(u.URL)
	if u.URL == "" || u.URL == ownURL(u.Host) || err != nil {
		return ""
	}
	return at.Host
}
