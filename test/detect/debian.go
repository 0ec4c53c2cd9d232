package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
)

// lookAlikes are packages that resemble mining, or that name what mining images hold: anonymisers, a node with its
// wallets, rules and databases of security tools, hash functions, and what reads pools and processors. The files that
// ClamAV is tested with (clamav-testfiles) are none: archives without end are what they are, and what cannot be read is
// held.
var lookAlikes = []string{
	"tor", "torsocks", "nyx", "obfs4proxy", "onionshare-cli", "proxychains4", "proxychains", "tsocks", "privoxy", "i2pd", "redsocks", "shadowsocks-libev", "dnscrypt-proxy",
	"monero", "monero-tests", "electrum", "python3-electrum", "python3-base58", "python3-web3", "libsecp256k1-1", "node-bn.js", "libsodium23", "libargon2-1", "libb2-1", "python3-argon2",
	"yara", "clamav", "clamav-base", "rkhunter", "chkrootkit", "lynis", "suricata", "snort-rules-default", "snort-common", "zeek", "fail2ban", "unhide", "tiger", "samhain", "aide", "debsums",
	"wireshark-common", "libwireshark16", "libwireshark-data", "tshark", "nmap", "nmap-common", "masscan", "zmap", "pnscan", "hydra", "john", "john-data", "hashcat", "hashcat-data", "aircrack-ng", "metasploit-framework", "sqlmap",
	"hwloc", "libhwloc15", "numactl", "msr-tools", "cpufrequtils", "cpuid", "hugeadm", "libhugetlbfs-bin", "stress-ng", "sysbench", "boinc-client", "ocl-icd-libopencl1", "pocl-opencl-icd", "clinfo",
	"upx-ucl", "makeself", "python3-pyinstaller-hooks-contrib", "binwalk", "p7zip-full", "unrar-free", "sharutils", "uudeview", "patchelf", "prelink", "libfakeroot", "fakeroot", "faketime", "libfaketime", "eatmydata", "libeatmydata1", "libjemalloc2",
	"python3-scapy", "docker.io", "docker-compose", "podman", "skopeo", "crun", "supervisor", "cron", "anacron", "tini", "dumb-init", "gosu", "runit", "s6", "monit", "systemd", "sudo", "openssh-server", "postgresql-15", "redis-server", "memcached", "nginx-core", "apache2-bin",
	"adblock-plus", "webext-ublock-origin-chromium", "webext-ublock-origin-firefox", "dnsmasq-base", "unbound", "pdns-recursor", "bind9", "grafana", "prometheus", "prometheus-node-exporter",
}

// maxPackage bounds the packages that are judged, in bytes as they are fetched: they are held in memory, unpacked.
const maxPackage = 24 << 20

// debian judges Debian packages.
func debian(ctx context.Context, j *judge.Judge, t *table, cache string, n int) error {
	dir := filepath.Join(cache, "packages")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	update := exec.CommandContext(ctx, "apt-get", "update")
	_ = update.Run() // lists of before may do
	known, err := available(ctx)
	if err != nil {
		return err
	}
	hard, ordinary := choose(known, n)
	if err := fetch(ctx, dir, append(slices.Clone(hard), ordinary...)); err != nil {
		return err
	}
	for _, set := range []struct {
		name  string
		names []string
		most  trust.Action
	}{
		{"Debian packages that are allowed", ordinary, trust.Allow}, {"hard look-alikes that are not held back", hard, trust.Warn},
	} {
		var count tally
		var wrong []string
		for _, name := range set.names {
			image, err := packageImage(ctx, dir, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			v, err := verdict(ctx, j, "debian/"+name, image)
			if err != nil {
				return err
			}
			count.all++
			if v.Action.Severity() <= set.most.Severity() {
				count.right++
			} else {
				wrong = append(wrong, describe(name, false, v))
			}
			if set.most == trust.Warn && v.Action == trust.Warn {
				fmt.Fprintln(os.Stderr, "detect: a warning:", describe(name, false, v))
			}
		}
		t.share(set.name, count)
		for _, w := range wrong {
			t.row("wrong", w, "-", false)
		}
	}
	return nil
}

// known is a package that apt knows, and its size.
type known struct {
	name string
	size int64
}

// available are the packages that apt could fetch, small enough.
func available(ctx context.Context) ([]known, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "dumpavail").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-cache: %w", err)
	}
	var all []known
	var next known
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
			next = known{name: v}
		} else if v, ok := strings.CutPrefix(lines.Text(), "Size: "); ok {
			if next.size, err = strconv.ParseInt(v, 10, 64); err == nil && next.size < maxPackage {
				all = append(all, next)
			}
		}
	}
	slices.SortFunc(all, func(a, b known) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b known) bool { return a.name == b.name }), lines.Err()
}

// choose are the look-alikes that there are, and n other packages, always the same ones of one release.
func choose(all []known, n int) (hard, ordinary []string) {
	var rest []string
	for _, k := range all {
		switch {
		case slices.Contains(lookAlikes, k.name):
			hard = append(hard, k.name)
		case !strings.HasSuffix(k.name, "-dbg") && !strings.HasSuffix(k.name, "-dbgsym") && k.size > 20<<10:
			rest = append(rest, k.name)
		}
	}
	slices.SortFunc(rest, func(a, b string) int {
		if x, y := spread(a), spread(b); x != y {
			return int(x>>1) - int(y>>1)
		}
		return strings.Compare(a, b)
	})
	return hard, rest[:min(n, len(rest))]
}

// spread mixes the names, so that neighbours are nothing alike.
func spread(name string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name)
	return h.Sum32()
}

// fetch downloads what is not there yet.
func fetch(ctx context.Context, dir string, names []string) error {
	var missing []string
	for _, name := range names {
		if found, _ := filepath.Glob(filepath.Join(dir, name+"_*.deb")); len(found) == 0 {
			missing = append(missing, name)
		}
	}
	for part := range slices.Chunk(missing, 50) {
		fmt.Fprintf(os.Stderr, "detect: fetching %d Debian packages\n", len(part))
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "download"}, part...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get download: %w\n%s", err, out)
		}
	}
	return nil
}

// packageImage is an image of one layer with a package's files, that runs the first program among them.
func packageImage(ctx context.Context, dir, name string) (imagetest.Built, error) {
	found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if err != nil || len(found) == 0 {
		return imagetest.Built{}, errors.Join(errors.New("the package was not fetched"), err)
	}
	archive, err := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", found[0]).Output()
	if err != nil {
		return imagetest.Built{}, fmt.Errorf("dpkg-deb: %w", err)
	}
	image := imagetest.Image{Layers: []imagetest.Blob{imagetest.PlainLayer(archive)}}
	image.Config = ocispec.ImageConfig{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	if program := firstProgram(archive); program != "" {
		image.Config.Entrypoint = []string{program}
	}
	return image.Build(), nil
}
