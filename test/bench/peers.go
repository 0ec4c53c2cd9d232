//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// peer is a server that others are compared with, running.
type peer struct {
	name    string
	server  *server
	address string
	// prefix is what a repository's name begins with there.
	prefix string
}

// alias is our name for the upstream in paths: requests that use it can go nowhere else.
const alias = "up"

// mirrors starts the two proxies in front of an upstream, both with empty caches. Each writes one line for each request
// to a file, as it does by itself.
func (w *world) mirrors(ctx context.Context, upstream, more string) (ours, cncf peer, err error) {
	if cncf, err = w.distributionProxy(ctx, upstream); err != nil {
		return ours, cncf, err
	}
	if ours, err = w.safepullProxy(ctx, upstream, more); err != nil {
		cncf.server.stop()
	}
	return ours, cncf, err
}

func (w *world) distributionProxy(ctx context.Context, upstream string) (peer, error) {
	s, address, err := w.startRegistry(ctx, "cncf", fmt.Sprintf(
		"log: {level: error, accesslog: {disabled: false}}\nproxy: {remoteurl: \"http://%s\"}\n", upstream))
	return peer{name: "distribution", server: s, address: address}, err
}

func (w *world) safepullProxy(ctx context.Context, upstream, more string) (peer, error) {
	address, err := freeAddress()
	if err != nil {
		return peer{}, err
	}
	file, state := filepath.Join(w.dir, "ours.yaml"), filepath.Join(w.dir, "ours")
	config := fmt.Sprintf("version: 1\nlisten: %s\nstateDir: %s\nupstreams:\n  - {host: %q, alias: %s, plainHTTP: true, default: true}\n%s",
		address, state, upstream, alias, more)
	if err := errors.Join(os.RemoveAll(state), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		return peer{}, err
	}
	s, err := w.start("ours", filepath.Join(w.bin, "safepull-proxy"), "serve", "--config", file)
	if err != nil {
		return peer{}, err
	}
	return peer{name: "safepull-proxy", server: s, address: address, prefix: alias + "/"}, s.awaitAddress(ctx, address)
}

// nginx serves the upstream registry's own files, configured as Debian does.
func (w *world) nginx(ctx context.Context) (peer, error) {
	address, err := freeAddress()
	if err != nil {
		return peer{}, err
	}
	dir := filepath.Join(w.dir, "nginx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return peer{}, err
	}
	file := filepath.Join(dir, "nginx.conf")
	config := strings.NewReplacer("DIR", dir, "ADDRESS", address, "BLOBS", filepath.Join(w.stored(), "docker/registry/v2/blobs/sha256")).Replace(`
user root;
worker_processes auto;
daemon off;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 768; }
http {
	sendfile on;
	tcp_nopush on;
	types_hash_max_size 2048;
	access_log DIR/access.log;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	server {
		listen ADDRESS;
		location ~ "/blobs/sha256:([0-9a-f]{2})([0-9a-f]{62})$" { alias BLOBS/$1/$1$2/data; }
	}
}
`)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return peer{}, err
	}
	s, err := w.start("nginx", "nginx", "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	if err != nil {
		return peer{}, err
	}
	return peer{name: "nginx", server: s, address: address}, s.awaitAddress(ctx, address)
}

// path is that of something in a repository.
func (p peer) path(repository, kind, reference string) string {
	return "/v2/" + p.prefix + repository + "/" + kind + "/" + reference
}

// image is what a client pulls there.
func (p peer) image(img image) string {
	return p.address + "/" + p.prefix + img.repository + ":" + img.tag
}

// stop ends the server and removes what it kept, so that there is room for the next.
func (p peer) stop(w *world) {
	if p.server == nil {
		return
	}
	p.server.stop()
	folder := map[string]string{"safepull-proxy": "ours", "distribution": "cncf", "nginx": "nginx"}[p.name]
	_ = os.RemoveAll(filepath.Join(w.dir, folder)) // else the world's end removes it
}

// spent runs f and returns its time and the processor time that the peer used meanwhile.
func (p peer) spent(f func() error) (took, busy time.Duration, err error) {
	before, err := p.server.busy()
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", p.name, err, p.server.tail())
	}
	took = time.Since(begin)
	after, err := p.server.busy()
	return took, after - before, err
}
