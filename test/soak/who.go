//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/safepull/safepull/test/registrytest"
)

// accounts are those who have images of their own at the private upstreams.
var accounts = []string{"ada", "bob"}

// nobody is who shows no login.
const nobody = "nobody"

// who is somebody who pulls: one of the accounts, nobody, or an impostor, who shows an account's name and guesses.
type who struct {
	name     string
	password string
}

func passwordOf(account string) string { return "for-tests-only-" + account }

// everybody are all kinds of people.
func everybody() []who {
	all := []who{{name: nobody}}
	for _, a := range accounts {
		all = append(all, who{a, passwordOf(a)}, who{a, "guess"})
	}
	return all
}

// rights are the accounts of a private upstream: each may read what is below its name.
func rights() map[string]registrytest.Account {
	all := map[string]registrytest.Account{}
	for _, a := range accounts {
		all[a] = registrytest.Account{Password: passwordOf(a), Repositories: []string{a + "/*"}}
	}
	return all
}

// mayRead says whether somebody may have an image.
func (w who) mayRead(i image) bool {
	return !i.upstream.private || w.name == i.owner && w.password == passwordOf(i.owner)
}

// String names somebody in the table.
func (w who) String() string {
	switch {
	case w.name == nobody:
		return nobody
	case w.password != passwordOf(w.name):
		return "an impostor"
	}
	return w.name
}

// pickWho prefers the one who may have the image.
func pickWho(rng *rand.Rand, i image) who {
	if i.upstream.private && rng.IntN(2) == 0 {
		return who{i.owner, passwordOf(i.owner)}
	}
	all := everybody()
	return all[rng.IntN(len(all))]
}

// show puts the login into a request: as a login at the proxy, which is for the first private upstream, and handed over by
// name for the others.
func (w who) show(h http.Header, upstreams []*upstream) {
	if w.name == nobody {
		return
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(w.name+":"+w.password))
	for n, u := range private(upstreams) {
		if n == 0 {
			h.Set("Authorization", basic)
			continue
		}
		h.Add("X-Meta-Safepull-Authorization", u.host+" "+basic)
	}
}

func private(upstreams []*upstream) []*upstream {
	var all []*upstream
	for _, u := range upstreams {
		if u.private {
			all = append(all, u)
		}
	}
	return all
}

// direction is whose image it is, and who asks, as the table counts it.
func direction(owner string, w who) string { return fmt.Sprintf("%s's for %s", owner, w) }

// directions are all in which nothing may come.
func directions() []string {
	var all []string
	for _, owner := range accounts {
		for _, w := range everybody() {
			if d := direction(owner, w); w.String() != owner && !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return all
}

// astray counts the requests by which a public upstream saw somebody's login.
func astray(requests []registrytest.Request) int64 {
	n := int64(0)
	for _, r := range requests {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
			n++
		}
	}
	return n
}
