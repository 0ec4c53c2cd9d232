package clamav

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon is a stand-in for clamd.
type daemon struct {
	t        *testing.T
	listener net.Listener
	running  sync.WaitGroup
	version  atomic.Pointer[string]
	asked    atomic.Int64 // commands
	mu       sync.Mutex   // of what follows
	// stream answers about a file; nil is the real protocol.
	stream func(conn net.Conn)
	// limit is StreamMaxLength; zero means none.
	limit int
	got   chan []byte
}

// testFile is the file that every scanner knows, and that harms nobody. It is made of pieces, because scanners know it.
func testFile() []byte {
	return []byte("X5O!P%@AP[4\\PZX54(P^)" + "7CC)7}$" + strings.ToUpper("eicar") + "-STANDARD-" + "ANTIVIRUS-" + "TEST-FILE!$H+H*")
}

func serve(t *testing.T, network string) *daemon {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "clamd.ctl")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, listener: l, got: make(chan []byte, 100)}
	d.loads("ClamAV 1.4.1/27480/Sat Nov 21 09:26:33 2026")
	d.running.Add(1)
	go func() {
		defer d.running.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.running.Add(1)
			go func() {
				defer d.running.Done()
				defer conn.Close()
				d.talk(conn)
			}()
		}
	}()
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) stop() {
	_ = d.listener.Close()
	d.running.Wait()
}

// streams changes how it answers about files.
func (d *daemon) streams(answer func(net.Conn)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stream = answer
}

func (d *daemon) limits(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = n
}

func (d *daemon) loads(version string) { d.version.Store(&version) }

func (d *daemon) address() string {
	a := d.listener.Addr()
	return a.Network() + "://" + a.String()
}

func (d *daemon) talk(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	command, err := r.ReadString(0)
	if err != nil {
		return
	}
	d.asked.Add(1)
	switch command {
	case "zVERSION\x00":
		fmt.Fprintf(conn, "%s\x00", *d.version.Load())
	case "zINSTREAM\x00":
		d.mu.Lock()
		stream, limit := d.stream, d.limit
		d.mu.Unlock()
		if stream != nil {
			stream(conn)
			return
		}
		fmt.Fprintf(conn, "%s\x00", d.file(r, limit))
	default:
		fmt.Fprint(conn, "UNKNOWN COMMAND\x00")
	}
}

func (d *daemon) file(r io.Reader, limit int) string {
	var body []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return "stream: broken ERROR"
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 {
			break
		}
		if limit > 0 && len(body)+int(n) > limit {
			return "INSTREAM size limit exceeded. ERROR"
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return "stream: broken ERROR"
		}
		body = append(body, chunk...)
	}
	d.got <- body
	switch {
	case bytes.Contains(body, testFile()):
		return "stream: Eicar-Test-Signature FOUND"
	case bytes.HasPrefix(body, []byte("answer ")):
		return string(body[len("answer "):])
	}
	return "stream: OK"
}

// ask sends a file in chunks of a size, and returns what was found and what was left unread.
func ask(ind *Indicator, content []byte, chunk int) ([]trust.Finding, string) {
	watch := ind.Watch(indicator.File{Path: "opt/x", Kind: trust.KindData, Size: int64(len(content))})
	bytesOf := watch.(indicator.ByteWatch)
	for len(content) > 0 {
		n := min(chunk, len(content))
		bytesOf.Bytes(content[:n])
		content = content[n:]
	}
	found := watch.Close()
	return found, watch.(indicator.Bounded).Unread()
}

func newIndicator(t *testing.T, o Options) *Indicator {
	t.Helper()
	ind, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		d := serve(t, network)
		ind := newIndicator(t, Options{Address: d.address(), Timeout: 5 * time.Second})
		for name, tt := range map[string]struct {
			content string
			want    trust.Strength
			sign    string
		}{
			"clean":       {content: strings.Repeat("nothing", 1000)},
			"test-file":   {content: "head" + string(testFile()), want: trust.Strong, sign: "Eicar-Test-Signature"},
			"coin-miner":  {content: "answer stream: Unix.Coinminer.Generic-1 FOUND", want: trust.Proof, sign: "Unix.Coinminer.Generic-1"},
			"pua":         {content: "answer stream: PUA.Unix.Coinminer.X-1 FOUND", want: trust.Weak, sign: "PUA.Unix.Coinminer.X-1"},
			"with-spaces": {content: "answer stream: A name\x1b[2J FOUND", want: trust.Strong, sign: "A name·[2J"},
		} {
			for _, chunk := range []int{1 << 20, 7} {
				found, unread := ask(ind, []byte(tt.content), chunk)
				if sent := <-d.got; string(sent) != tt.content {
					t.Errorf("%s: %d bytes arrived, want %d", name, len(sent), len(tt.content))
				}
				if unread != "" || (len(found) == 0) != (tt.sign == "") {
					t.Errorf("%s, %s: %+v, unread %q", network, name, found, unread)
					continue
				}
				if tt.sign != "" && (found[0].Strength != tt.want || !strings.HasSuffix(found[0].Why, "ClamAV as "+tt.sign)) {
					t.Errorf("%s: %+v", name, found[0])
				}
			}
		}
		if n := ind.Failures(); n > 0 {
			t.Errorf("%d failures", n)
		}
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	say := func(s string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, s)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	for name, tt := range map[string]struct {
		daemon  func(*daemon)
		options func(*Options)
		content string
		want    string
		passing bool
	}{
		"size-limit":    {daemon: func(d *daemon) { d.limits(100) }, content: strings.Repeat("x", 5000), want: "raise StreamMaxLength"},
		"size-limit-at": {daemon: func(d *daemon) { d.limits(4999) }, content: strings.Repeat("x", 5000), want: "raise StreamMaxLength"},
		"own-limit":     {options: func(o *Options) { o.MaxStream = 4999 }, content: strings.Repeat("x", 5000), want: "larger than the 4999 bytes"},
		"inner-limits":  {content: "answer stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", want: "clamd's own limits"},
		"error":         {content: "answer stream: Can't allocate memory ERROR", want: `it says "stream: Can't allocate memory ERROR"`, passing: true},
		"lies":          {daemon: func(d *daemon) { d.streams(say("fine, thank you\x00")) }, content: "x", want: "not its protocol", passing: true},
		"nameless":      {daemon: func(d *daemon) { d.streams(say("stream:  FOUND\x00")) }, content: "x", want: "not its protocol", passing: true},
		"half":          {daemon: func(d *daemon) { d.streams(func(c net.Conn) { _, _ = io.WriteString(c, "stream: O") }) }, content: "x", want: "not answered by clamd", passing: true},
		"silent-end":    {daemon: func(d *daemon) { d.streams(func(net.Conn) {}) }, content: "x", want: "not answered by clamd", passing: true},
		"endless":       {daemon: func(d *daemon) { d.streams(say(strings.Repeat("A", 1<<20))) }, content: "x", want: "more than 1024 bytes", passing: true},
		"hangs": {
			daemon:  func(d *daemon) { d.streams(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) },
			options: func(o *Options) { o.Timeout = 100 * time.Millisecond }, content: "x", want: "timeout", passing: true,
		},
		"drips": {
			daemon: func(d *daemon) {
				d.streams(func(c net.Conn) {
					for range 100 {
						if _, err := io.WriteString(c, "s"); err != nil {
							return
						}
						time.Sleep(20 * time.Millisecond)
					}
				})
			},
			options: func(o *Options) { o.Timeout = 200 * time.Millisecond }, content: "x", want: "timeout", passing: true,
		},
		"takes-nothing": {
			daemon: func(d *daemon) {
				d.streams(func(net.Conn) { time.Sleep(500 * time.Millisecond) })
			},
			options: func(o *Options) { o.Timeout = 100 * time.Millisecond }, content: strings.Repeat("x", 8<<20), want: "timeout", passing: true,
		},
		"gone":       {daemon: func(d *daemon) { d.stop() }, content: "x", want: "cannot be reached", passing: true},
		"never-sent": {daemon: func(d *daemon) { d.stop() }, options: func(o *Options) { o.MaxStream = 1 }, content: "xx", want: "larger than the 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, "unix")
			o := Options{Address: d.address(), Timeout: 5 * time.Second}
			if tt.daemon != nil {
				tt.daemon(d)
			}
			if tt.options != nil {
				tt.options(&o)
			}
			ind := newIndicator(t, o)
			found, unread := ask(ind, []byte(tt.content), 1000)
			if len(found) > 0 || !strings.Contains(unread, tt.want) {
				t.Errorf("%+v, unread %q, want %q", found, unread, tt.want)
			}
			if passing := ind.Failures() > 0; passing != tt.passing {
				t.Errorf("may pass: %t, want %t", passing, tt.passing)
			}
		})
	}
}

// TestUnread_growing: a file may have more bytes than its entry says.
func TestUnread_growing(t *testing.T) {
	t.Parallel()
	d := serve(t, "unix")
	ind := newIndicator(t, Options{Address: d.address(), MaxStream: 10})
	w := ind.Watch(indicator.File{Path: "x", Size: 5}).(*watch)
	w.Bytes(make([]byte, 6))
	w.Bytes(make([]byte, 6))
	w.Bytes(make([]byte, 6))
	if found := w.Close(); found != nil || !strings.Contains(w.Unread(), "larger than") {
		t.Errorf("%v, %q", found, w.Unread())
	}
}

func TestWatch_concerns(t *testing.T) {
	t.Parallel()
	ind := newIndicator(t, Options{Address: "unix:///nonexistent"})
	for name, tt := range map[string]struct {
		file indicator.File
		want bool
	}{
		"file":          {indicator.File{Path: "x", Kind: trust.KindText}, true},
		"configuration": {indicator.File{Path: "config:env", Kind: trust.KindConfig}, false},
		"nested":        {indicator.File{Path: "a.tgz" + trust.Nested + "x"}, false},
	} {
		if got := ind.Watch(tt.file) != nil; got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if found, unread := ask(ind, nil, 1); found != nil || unread != "" {
		t.Errorf("an empty file: %v %q", found, unread)
	}
}

// TestRest: a daemon that cannot be reached, or hangs again and again, is not asked for every file of an image.
func TestRest(t *testing.T) {
	t.Parallel()
	d := serve(t, "unix")
	ind := newIndicator(t, Options{Address: d.address(), Timeout: 50 * time.Millisecond})
	d.streams(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for range 20 {
		if _, unread := ask(ind, []byte("x"), 1); unread == "" {
			t.Fatal("read")
		}
	}
	if n := d.asked.Load(); n != patience {
		t.Errorf("asked %d times, want %d", n, patience)
	}
	if n := ind.Failures(); n != 20 {
		t.Errorf("%d failures, want 20", n)
	}
	now := time.Now()
	ind.client.now = func() time.Time { return now.Add(rest + time.Minute) }
	d.streams(nil)
	if _, unread := ask(ind, []byte("x"), 1); unread != "" {
		t.Errorf("after the rest: %s", unread)
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	d := serve(t, "unix")
	ind := newIndicator(t, Options{Address: d.address(), Timeout: time.Second})
	now := time.Now()
	ind.client.now = func() time.Time { return now }
	first := ind.Database()
	if first != "ClamAV 1.4.1/27480/Sat Nov 21 09:26:33 2026" || ind.Database() != first || d.asked.Load() != 1 {
		t.Errorf("%q after %d questions", first, d.asked.Load())
	}
	d.loads("ClamAV 1.4.1/27481/Sun Nov 22 09:26:33 2026")
	now = now.Add(databaseFresh)
	if second := ind.Database(); second == first || !strings.HasPrefix(second, "ClamAV ") {
		t.Errorf("after an update: %q", second)
	}
	d.loads("SomethingElse")
	now = now.Add(databaseFresh)
	odd := ind.Database()
	if !strings.HasPrefix(odd, "unknown ") || ind.Database() != odd {
		t.Errorf("a stranger: %q", odd)
	}
	d.loads("ClamAV 2")
	now = now.Add(databaseRetry)
	if ind.Database() != "ClamAV 2" {
		t.Error("not asked again")
	}
	d.stop()
	now = now.Add(databaseFresh)
	if gone := ind.Database(); !strings.HasPrefix(gone, "unknown ") || gone == odd {
		t.Errorf("gone: %q, and %q before", gone, odd)
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "clamd.ctl", "/run/clamd.ctl", "unix://run/clamd.ctl", "unix:", "tcp://host", "tcp://:3310", "tcp://h:0", "tcp://h:70000", "tcp://h:1/x", "http://h:1", "tcp://u@h:1", "unix:///x?y", "%zz"} {
		if _, err := New(Options{Address: address}); err == nil || !strings.Contains(err.Error(), "unix:///PATH") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, o := range []Options{{Address: "unix:///x", Timeout: -1}, {Address: "unix:///x", MaxStream: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	ind := newIndicator(t, Options{Address: "tcp://[::1]:3310"})
	if ind.Name() != Name || ind.Version() != version || ind.Literals() != nil {
		t.Error("not what it says")
	}
}

// FuzzReply reads what a daemon may answer: whatever it is, a file is clean only if it says so in its protocol.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"stream: OK\x00", "stream: A FOUND\x00", "INSTREAM size limit exceeded. ERROR\x00", "", "\x00", "stream: OK", "stream: OK FOUND\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(body)
			_ = theirs.Close()
		}()
		defer ours.Close()
		c := &client{timeout: time.Second, now: time.Now}
		name, err := (&conversation{client: c, conn: ours}).answer()
		said, _, _ := bytes.Cut(body, []byte{0})
		if err == nil && name == "" && string(said) != "stream: OK" {
			t.Errorf("%q is taken for clean", body)
		}
	})
}
