package download

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// origin says how trustworthy the place is that something is fetched from, from harmless to suspicious.
type origin int

const (
	inside  origin = iota // this machine, or a private network
	named                 // a host with a name, over TLS
	plain                 // a host with a name, without TLS
	strange               // a bare address, an onion, a paste: nobody stands for it
)

var (
	urls = regexp.MustCompile(`(?i)\b(?:https?|ftps?|rsync|sftp|tftp|s3|gs)://[^\s"'` + "`" + `;|<>)\\]+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?/[^\s"'` + "`" + `;|<>)\\]+|\b[\w.-]{1,32}@[\w.-]{4,128}:[^\s"'` + "`" + `;|<>)\\]+|/dev/tcp/(?:\d{1,3}\.){3}\d{1,3}/\d{2,5}|\b[a-z2-7]+\.onion[^\s"'` + "`" + `;|<>)\\]*`)
	// storing is where a command line tool puts what it fetches.
	storing = regexp.MustCompile(`(?:\s-(?:\w*[oO]|-output(?:-document)?)[\s=]*|[^>0-9]>\s*|,\s*["'])["']?([^\s"'` + "`" + `;|&<>()-][^\s"'` + "`" + `;|&<>()]*)`)
	// written are files that a program writes: open("x", "wb").
	written = regexp.MustCompile(`(?:\b(?:File\.)?open|createWriteStream|file_put_contents|writeFileSync|writeFile|[cC]reate|WriteFile|WriteAllBytes|OpenFile|binwrite|File\.write|Bun\.write|\bwrite|FileOutputStream|Paths\.get|Path\.of|fopen)\(\s*(?:["'` + "`" + `]([^"'` + "`" + `\s]+)["'` + "`" + `]|([A-Za-z_]\w*)\s*,\s*["']w)|\bopen\s+([\w./-]+)\s+w`)
)

var origins = map[origin]string{named: "a host on the network", plain: "a host on the network without encryption", strange: "where nobody stands for it (an address, an onion service, a paste)"}

// scheduled: the file is one that makes something run again and again.
func (w *watch) scheduled() bool {
	p := "/" + strings.TrimPrefix(w.file.Path, "/")
	return strings.Contains(p, "/etc/cron") || strings.Contains(p, "/var/spool/cron/") || strings.Contains(p, "/etc/periodic/")
}

// source is the address that something is fetched from: the one behind the fetching word, else one that a variable of
// the same script was given.
func (w *watch) source(near, line []byte) (string, origin) {
	if u := urls.Find(line); u != nil {
		return string(u), w.originOf(string(u))
	}
	best, address := inside, ""
	for _, u := range urls.FindAll(near, 8) {
		if o := w.originOf(string(u)); o > best {
			best, address = o, string(u)
		}
	}
	return address, best
}

func (w *watch) originOf(address string) origin {
	lower := strings.TrimPrefix(strings.ToLower(address), "/dev/tcp/")
	if user, rest, ok := strings.Cut(lower, "@"); ok && !strings.Contains(lower, "://") && !strings.ContainsAny(user, "/:") { // scp user@host:file
		host, _, _ := strings.Cut(rest, ":")
		lower = "ssh://" + host
	}
	if !strings.Contains(lower, "://") {
		lower = "http://" + lower
	}
	u, err := url.Parse(lower)
	if err != nil {
		return named // variables in the host's place
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
			return inside
		}
		return strange
	}
	switch {
	case !strings.Contains(host, "."), strings.HasSuffix(host, ".local"), strings.HasSuffix(host, ".internal"), strings.HasSuffix(host, ".localhost"):
		if strings.ContainsAny(host, "$%{") {
			return named
		}
		return inside
	case strings.HasSuffix(host, ".onion"):
		return strange
	case slices.ContainsFunc(w.ind.pastes, func(p string) bool {
		domain, path, _ := strings.Cut(p, "/")
		return (host == domain || strings.HasSuffix(host, "."+domain)) && strings.HasPrefix(strings.TrimPrefix(u.Path, "/"), path)
	}):
		return strange
	case u.Scheme == "http", u.Scheme == "ftp", u.Scheme == "rsync", u.Scheme == "tftp":
		return plain
	}
	return named
}
