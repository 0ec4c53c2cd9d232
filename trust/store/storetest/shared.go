package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// writerEnv tells the test's binary to be a writer instead of a test: its number, a colon, and the folder.
const writerEnv = "SAFEPULL_STORETEST_WRITER"

// OpenIn opens the store in a folder, also one that others have open.
type OpenIn func(folder string) (Store, error)

// piecesEach is how much a writer process writes.
const piecesEach = 40

// Main is for TestMain of a store that lasts. It runs the tests by run, or, in a process that RunShared started,
// writes and ends.
func Main(open OpenIn, run func()) {
	number, folder, isWriter := strings.Cut(os.Getenv(writerEnv), ":")
	if !isWriter {
		run()
		return
	}
	worker, err := strconv.Atoi(number)
	if err == nil {
		err = writeAll(open, folder, worker)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeAll(open OpenIn, folder string, worker int) error {
	s, err := open(folder)
	if err != nil {
		return err
	}
	for n := range piecesEach {
		if err := writeOne(context.Background(), s, worker, n); err != nil {
			return err
		}
		fmt.Println(n)
	}
	return s.Close()
}

// RunShared proves a store that lasts: across a restart, and with several processes that write at once.
func RunShared(t *testing.T, open OpenIn) {
	reopen := func(t *testing.T, folder string) Store {
		t.Helper()
		s, err := open(folder)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("Restart", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		for n := range 3 {
			s := reopen(t, folder)
			if err := writeOne(t.Context(), s, 0, n); err != nil {
				t.Fatal(err)
			}
			wantWork(t, s, 1, n+1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("TwoInOneProcess", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		a, b := reopen(t, folder), reopen(t, folder)
		for _, s := range []Store{a, b} {
			t.Cleanup(func() { _ = s.Close() })
		}
		keepVerdict(t, a, sum("key"), NewVerdict("a", 1))
		wantVerdict(t, b, sum("key"), NewVerdict("a", 1))
	})
	t.Run("Killed", func(t *testing.T) { testKilled(t, open) })
	t.Run("Processes", func(t *testing.T) {
		t.Parallel()
		const processes = 3
		folder := t.TempDir() // nothing is there yet: all begin at once
		ended := make(chan error, processes)
		for w := range processes {
			go func() { ended <- startWriter(t.Context(), w, folder) }()
		}
		for range processes {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		s := reopen(t, folder)
		t.Cleanup(func() { _ = s.Close() })
		wantWork(t, s, processes, piecesEach)
	})
}

// testKilled: what a process kept before it was killed is there, and the store opens as if nothing had happened.
func testKilled(t *testing.T, open OpenIn) {
	t.Parallel()
	const pieces = 5
	folder := t.TempDir()
	cmd, err := writer(t.Context(), 0, folder)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range pieces {
		if !lines.Scan() {
			t.Errorf("the writer ended early: %v", lines.Err())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // "signal: killed", or nothing when it was done already
	s, err := open(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	wantWork(t, s, 1, pieces)
	if err := writeOne(t.Context(), s, 1, 0); err != nil {
		t.Error(err)
	}
}

func writer(ctx context.Context, worker int, folder string) (*exec.Cmd, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s", writerEnv, worker, folder))
	return cmd, nil
}

func startWriter(ctx context.Context, worker int, folder string) error {
	cmd, err := writer(ctx, worker, folder)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("writer %d: %w: %s", worker, err, out)
	}
	return nil
}
