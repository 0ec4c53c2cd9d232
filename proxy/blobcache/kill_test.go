package blobcache_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/proxy/blobcache"
)

// victimEnv makes the test program fill the cache in the folder it names, until it is killed.
const victimEnv = "BLOBCACHE_TEST_VICTIM"

func numbered(i int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), 20_000+i)
}

func fillUntilKilled() {
	dir := os.Getenv(victimEnv)
	c, err := blobcache.Open(context.Background(), onDisk(dir), blobcache.Options{Root: dir, MaxBytes: 4 << 20, Recent: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	up := newUpstream()
	fmt.Println("ready")
	for i := 0; ; i++ {
		rc, err := c.Source(up).Fetch(context.Background(), ref, up.put(numbered(i%100)))
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
}

// Whenever the program is killed, every entry that the next one finds holds the right bytes.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	uploads, entries, rebuilt := 0, 0, 0
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Errorf("the program said %q, %v", line, err)
		}
		time.Sleep(time.Duration(20+7*round) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()

		for _, path := range files(t, dir) {
			if strings.Contains(path, "/uploads/") {
				uploads++
			}
		}
		c := disk(t, dir, blobcache.Options{MaxBytes: 4 << 20, Recent: -1})
		for _, path := range files(t, dir) {
			if strings.Contains(path, "/uploads/") {
				t.Errorf("unfinished write left after Open: %s", path)
			}
		}
		c.Settle()
		s := c.Stats()
		for i := range 100 {
			if body := numbered(i); has(t, c, body) {
				entries++
			}
		}
		if s.Rebuilt {
			rebuilt++
		}
		if s.Damaged != 0 || s.Entries != len(files(t, dir)) {
			t.Errorf("%+v, %d files", s, len(files(t, dir)))
		}
	}
	if rebuilt > 0 {
		t.Errorf("the inventory was not usable in %d rounds", rebuilt)
	}
	if uploads == 0 || entries == 0 {
		t.Errorf("%d unfinished writes and %d entries in all rounds: the test killed at no interesting moment", uploads, entries)
	}
}
