package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// source is a ResponseWriter that notes what ReadFrom is given.
type source struct {
	*httptest.ResponseRecorder
	given []io.Reader
	sizes []int64
	fail  error
}

func (s *source) ReadFrom(r io.Reader) (int64, error) {
	lr, _ := r.(*io.LimitedReader)
	s.given, s.sizes = append(s.given, lr.R), append(s.sizes, lr.N)
	n, _ := io.Copy(struct{ io.Writer }{s.ResponseRecorder}, r)
	return n, s.fail
}

func TestRecorderSendsFiles(t *testing.T) {
	t.Parallel()
	const size = 3*sendAtOnce + 17
	path := filepath.Join(t.TempDir(), "file")
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		limit int64 // 0: the file itself
		fail  error
		want  int64
		parts int
	}{
		"part":         {limit: sendAtOnce + 1, want: sendAtOnce + 1, parts: 2},
		"exact":        {limit: sendAtOnce, want: sendAtOnce, parts: 1},
		"nothing-left": {limit: 2 * sendAtOnce, want: 2 * sendAtOnce, parts: 2},
		"whole":        {want: size, parts: 4},
		"short-file":   {limit: size + 100, want: size, parts: 4},
		"client-gone":  {limit: size, fail: syscall.EPIPE, want: sendAtOnce, parts: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			to := &source{ResponseRecorder: httptest.NewRecorder(), fail: tt.fail}
			w := &recorder{ResponseWriter: to, control: http.NewResponseController(to)}
			from := io.Reader(f)
			if tt.limit > 0 {
				from = io.LimitReader(f, tt.limit)
			}
			n, err := w.ReadFrom(from)
			if n != tt.want || w.written != tt.want || !errors.Is(err, tt.fail) || w.status != 200 {
				t.Errorf("%d bytes, counted %d, status %d, %v", n, w.written, w.status, err)
			}
			if len(to.sizes) != tt.parts {
				t.Errorf("in parts of %v", to.sizes)
			}
			for _, r := range to.given {
				if r != io.Reader(f) {
					t.Errorf("net does not see the file behind a %T", r)
				}
			}
			if !bytes.Equal(to.Body.Bytes(), body[:tt.want]) {
				t.Error("other bytes")
			}
		})
	}
}

func TestRecorderWithoutReadFrom(t *testing.T) {
	t.Parallel()
	to := httptest.NewRecorder()
	w := &recorder{ResponseWriter: to, control: http.NewResponseController(to)}
	if n, err := w.ReadFrom(bytes.NewReader(make([]byte, 100_000))); n != 100_000 || w.written != 100_000 || err != nil {
		t.Errorf("%d, %d, %v", n, w.written, err)
	}
}

// What net/http serves over is what it can send files to.
func TestLimitedConnectionsReadFrom(t *testing.T) {
	t.Parallel()
	l, err := listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		for range 2 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
		}
	})
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := first.(io.ReaderFrom); !ok {
		t.Errorf("a %T is sent to by copying", first)
	}
	follow(first, http.StateActive)
	second := make(chan net.Conn)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	select {
	case <-second:
		t.Error("two connections where one may be open")
	case <-time.After(30 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	_ = first.Close() // gives no second place back
	c := <-second
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	_ = c.Close()
}

type pipeListener struct{ conns chan net.Conn }

func (p pipeListener) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipeListener) Close() error { return nil }
func (pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestLimitedConnectionsOfOtherKinds(t *testing.T) {
	t.Parallel()
	conns := make(chan net.Conn, 2)
	here, there := net.Pipe()
	defer there.Close()
	conns <- here
	close(conns)
	l := limited(pipeListener{conns}, 1)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
