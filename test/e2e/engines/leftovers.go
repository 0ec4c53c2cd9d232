//go:build linux

package engines

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearLeftovers ends every process that was started for dir (an engine whose test was killed, the containerd that an
// engine started itself, container shims) and unmounts everything below it. Processes are found by dir standing in
// their own command line, never by name.
func clearLeftovers(dir string) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		deadline := time.Now().Add(stopTimeout)
		for pids := owned(dir); len(pids) > 0 && time.Now().Before(deadline); pids = owned(dir) {
			for _, pid := range pids {
				if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
					return fmt.Errorf("end process %d: %w", pid, err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	if pids := owned(dir); len(pids) > 0 {
		return fmt.Errorf("processes %v still use %s", pids, dir)
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	// What is true only while an engine runs. An old process id in it would pass for a living containerd.
	for _, name := range []string{"d.pid", "d.sock", "c.sock", execRoot, stateRoot} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// owned lists live engine processes, other than this one, one of whose arguments is a path below dir. Test programs and
// shells that merely name the directory are not touched: only dockerd, containerd and its shims are.
func owned(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !bytes.Contains(cmdline, []byte(dir+"/")) || zombie(pid) {
			continue
		}
		binary, _, _ := strings.Cut(string(cmdline), "\x00")
		if base := filepath.Base(binary); base == "dockerd" || strings.HasPrefix(base, "containerd") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// unmountBelow detaches every mount below dir, deepest first.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	points := mountsBelow(string(b), dir)
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// mountsBelow lists the mount points below dir that mountinfo names, deepest first.
func mountsBelow(mountinfo, dir string) []string {
	var points []string
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 {
			if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	slices.SortFunc(points, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	return points
}
