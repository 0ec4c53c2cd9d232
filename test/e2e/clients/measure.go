//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// grace is how long an engine may take to remove what it had of an image that was refused.
const grace = 15 * time.Second

// measure asks one question, and says what happened.
func (w *world) measure(ctx context.Context, l lane, h how, s state, number int) (result, error) {
	mark := fmt.Sprintf("q%04d", number)
	q := question{repository: "contoso/" + mark, tag: "1", how: h, state: s, image: makeImage(mark, s)}
	var err error
	if q.home, err = w.folder("home-" + mark); err != nil {
		return result{}, err
	}
	q.image.put(w.upstream, q.repository, q.tag)
	q.image.put(w.hub.registry, q.repository, q.tag)
	for _, r := range []image{makeImage("friend"+mark, allowed)} {
		r.put(w.upstream, q.repository, friend)
		r.put(w.hub.registry, q.repository, friend)
	}
	if s.slow() {
		q.image.delay(w.upstream, q.repository)
	}
	act := l.pull
	if h == byLayer {
		act = l.layer
		if err := w.introduce(ctx, q); err != nil {
			return result{}, err
		}
	}
	began := time.Now()
	said, failed := act(ctx, q)
	// A loaded machine judges slowly too: try again, as the answer says.
	for try := 1; try < 4 && ctx.Err() == nil && failed != nil && !s.slow() && (s == allowed || strings.Contains(said, "inspection is running")); try++ {
		time.Sleep(holdFor)
		began = time.Now()
		said, failed = act(ctx, q)
	}
	if ctx.Err() != nil {
		return result{}, ctx.Err()
	}
	r := result{lane: l, how: h, state: s, goal: l.goal(h, s), took: time.Since(began), failed: failed != nil, said: w.plain(said, q)}
	// Of a refused image nothing may stay, and an engine may need a moment; one that arrived must be found, so that it is
	// known that we look where images lie.
	for deadline := time.Now().Add(grace); ; time.Sleep(200 * time.Millisecond) {
		r.layers, r.unread = q.image.found(append(slices.Clone(l.stores), q.home)...)
		if r.unread == nil && (failed == nil) == (len(r.layers) > 0) || time.Now().After(deadline) {
			break
		}
	}
	r.asked, r.given = w.hub.asked(q.repository)
	return r, nil
}

// introduce asks the proxy for the image's manifest, as somebody else would have done before: a layer by itself belongs to
// no image that the proxy knows.
func (w *world) introduce(ctx context.Context, q question) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.proxy+"/v2/docker.io/"+q.repository+"/manifests/"+q.tag, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", q.image.built.Root.MediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// found lists which of the image's layers lie somewhere below the folders: as blobs, whatever their name, or unpacked. What
// is gone by the time that it is looked at is not there; whatever else cannot be read is an error.
func (i image) found(folders ...string) ([]int, error) {
	found := map[int]bool{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			for n, l := range i.layers {
				if err != nil || d.IsDir() {
					break
				}
				if found[n] = found[n] || d.Name() == fmt.Sprintf("%s-%d.txt", i.mark, n); !found[n] {
					found[n], err = same(path, d, l.Descriptor.Size, l.Descriptor.Digest.Encoded())
				}
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the engine works while we look
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var layers []int
	for n := range i.layers {
		if found[n] {
			layers = append(layers, n)
		}
	}
	return layers, nil
}

// same says whether a file has that size and that SHA-256.
func same(path string, d fs.DirEntry, size int64, sum string) (bool, error) {
	info, err := d.Info()
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(hash.Sum(nil)) == sum, nil
}

var (
	// blame is where a client's last word begins.
	blame = regexp.MustCompile(`(?m)^(Error|ERROR|ctr:|error|.*level=(fatal|error)|Error response).*`)
	// chatter is what a client says besides.
	chatter = regexp.MustCompile(`(?m)^.*active check failed.*\n`)
	// varying is what differs from run to run.
	varying = []struct {
		what *regexp.Regexp
		as   string
	}{
		{regexp.MustCompile(`SP-[0-9A-Z]{10}`), "SP-…"},
		{regexp.MustCompile(`sha256:[0-9a-f]{12,64}`), "sha256:…"},
		{regexp.MustCompile(`time="[^"]*" `), ""},
		{regexp.MustCompile(`127\.0\.0\.1:\d+->127\.0\.0\.1:\d+`), "…"},
		{regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?s\b`), "…s"},
		{regexp.MustCompile(`\s+`), " "},
	}
)

// plain is what the client said last, on one line, without what differs from run to run.
func (w *world) plain(said string, q question) string {
	said = strings.TrimSpace(chatter.ReplaceAllString(said, ""))
	if at := blame.FindStringIndex(said); at != nil {
		said = said[at[0]:]
	} else if at := strings.LastIndexByte(said, '\n'); at >= 0 {
		said = said[at+1:]
	}
	said = strings.NewReplacer(w.proxy, "PROXY", strings.ReplaceAll(w.proxy, ":", "%3A"), "PROXY", w.hub.address, "HUB", q.repository, "contoso/app", q.image.mark, "app", q.home, "HOME").Replace(said)
	for _, v := range varying {
		said = v.what.ReplaceAllString(said, v.as)
	}
	return strings.TrimSpace(said)
}
