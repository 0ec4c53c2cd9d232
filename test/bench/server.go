//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// patience bounds the wait for a server to listen.
	patience = time.Minute
	// stopTime is what a server gets between SIGTERM and SIGKILL.
	stopTime = 20 * time.Second
	// clockTicks a second is what Linux counts processor time in for user programs.
	clockTicks = 100
)

// server is a program that runs until it is stopped.
type server struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start runs a program; what it writes goes to a file of the folder.
func (w *world) start(name, program string, args ...string) (*server, error) {
	s := &server{log: filepath.Join(w.dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(program, args...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = w.env, out, out
	// Ctrl-C on the terminal is for this program, which then stops the servers in order. If it is killed they go too.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	w.servers = append(w.servers, s)
	return s, nil
}

// await asks until ready answers nil.
func (s *server) await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended: %w\n%s", s.cmd.Path, errors.Join(s.err, err), s.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", s.cmd.Path, errors.Join(ctx.Err(), err), s.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// awaitAddress waits until the address answers.
func (s *server) awaitAddress(ctx context.Context, address string) error {
	return s.await(ctx, func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// stop ends the server. It may be called more than once.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.done:
	case <-time.After(stopTime):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// tail is the end of what the server wrote.
func (s *server) tail() []byte {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-2000):]
}

// busy is the processor time that the server has used, with the processes that it started.
func (s *server) busy() (all time.Duration, err error) {
	for _, pid := range s.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		busy, err := processorTime(b)
		if err != nil {
			return 0, err
		}
		all += busy
	}
	return all, nil
}

// processes are the server's own and those that it started.
func (s *server) processes() []int {
	pid := s.cmd.Process.Pid
	all := []int{pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return all
	}
	for _, f := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(f); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// resident is the memory that the server has now.
func (s *server) resident() (all int64) {
	for _, pid := range s.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has ended
		}
		if n, err := memoryOf(b, "VmRSS:"); err == nil {
			all += n
		}
	}
	return all
}

// processorTime reads /proc/PID/stat.
func processorTime(stat []byte) (time.Duration, error) {
	// The second field is the program's name in parentheses, and may hold anything. User and system time are the 12th
	// and 13th behind it.
	_, rest, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("stat of %d fields", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

// peak is the most memory that a process had resident so far.
func peak(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return memoryOf(b, "VmHWM:")
}

// memoryOf reads a line of /proc/PID/status.
func memoryOf(status []byte, name string) (int64, error) {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("status without %s", name) // the process has ended
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
