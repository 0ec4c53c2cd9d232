package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a server. It is no measure of anything.
const patience = time.Minute

// server is a program that runs until it is stopped.
type server struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// startServer runs a program; what it writes goes to a file.
func startServer(program string, args, env []string, log string) (*server, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &server{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = env, out, out
	// A test that is killed takes its servers along.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// await waits until the address answers.
func (s *server) await(address string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.done:
			return fmt.Errorf("%s ended: %w\n%s", s.cmd.Path, s.err, s.output())
		default:
		}
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("%s does not listen on %s\n%s", s.cmd.Path, address, s.output())
}

func (s *server) output() []byte {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// kill ends the program at once, as a power cut would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// stop asks the program to end and returns its exit status.
func (s *server) stop() (int, error) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return -1, err
	}
	select {
	case <-s.done:
		return exitStatus(s.err), nil
	case <-time.After(patience):
		s.kill()
		return -1, fmt.Errorf("%s does not end on SIGTERM", s.cmd.Path)
	}
}

// freeAddress is an address on loopback that nothing listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	address, err := listenOnce()
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

func listenOnce() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// hub stands in for every registry of the internet: it is the engine's HTTP proxy, writes down whom the engine wants to
// reach, and refuses.
type hub struct {
	server *http.Server
	addr   string

	// name is whom it leads to, at an address; empty leads nowhere.
	name, at string

	mu       sync.Mutex
	contacts []string
}

// startRoad is an HTTP proxy that connects to one registry, which is at another address than its name says.
func startRoad(name, at string) (*hub, error) {
	h, err := startHub()
	if err == nil {
		h.name, h.at = name+":443", at
	}
	return h, err
}

func startHub() (*hub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hub{addr: l.Addr().String()}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: patience}
	go func() { _ = h.server.Serve(l) }() // ends with close
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.contacts = append(h.contacts, r.Method+" "+r.Host)
	h.mu.Unlock()
	if r.Method != http.MethodConnect || r.Host != h.name {
		http.Error(w, "this machine has no road to the internet", http.StatusForbidden)
		return
	}
	there, err := net.DialTimeout("tcp", h.at, patience)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // it ends when one of them does
			done <- struct{}{}
		}()
	}
	<-done
}

func (h *hub) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.contacts...)
}

func (h *hub) close() { _ = h.server.Close() }

// lastLines of a log, for failures.
func lastLines(b []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
