package clamav

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/safepull/safepull/trust"
)

// maxReply bounds what clamd may answer, in bytes.
const maxReply = 1 << 10

// How a daemon that does not answer is spared, and we with it: after a connection that failed, or patience conversations
// in a row that timed out, nobody asks for rest.
const (
	patience = 3
	rest     = 10 * time.Second
)

// client speaks clamd's protocol: one connection a command, NUL-terminated.
type client struct {
	network, address string
	timeout          time.Duration
	now              func() time.Time
	failures         atomic.Uint64

	mu       sync.Mutex
	timeouts int // in a row
	resting  time.Time
	why      string
}

// parseAddress splits "unix:///path" and "tcp://host:port".
func parseAddress(s string) (network, address string, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", "", fmt.Errorf("clamd address %q: use unix:///PATH or tcp://HOST:PORT", s)
	}
	plain := u.User == nil && u.RawQuery == "" && u.Fragment == ""
	port, perr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path) && plain:
		return "unix", u.Path, nil
	case u.Scheme == "tcp" && u.Hostname() != "" && u.Path == "" && perr == nil && port > 0 && plain:
		return "tcp", u.Host, nil
	}
	return "", "", fmt.Errorf("clamd address %q: use unix:///PATH or tcp://HOST:PORT", s)
}

// failed counts a failure that may pass.
func (c *client) failed(timedOut, unreachable bool, why string) {
	c.failures.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !timedOut {
		c.timeouts = 0
	} else if c.timeouts++; c.timeouts >= patience {
		unreachable = true
	}
	if unreachable {
		c.resting, c.why, c.timeouts = c.now().Add(rest), why, 0
	}
}

func (c *client) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeouts = 0
}

// dial opens a connection, unless the daemon is to be spared.
func (c *client) dial() (net.Conn, error) {
	c.mu.Lock()
	resting, why := c.now().Before(c.resting), c.why
	c.mu.Unlock()
	if resting {
		c.failures.Add(1)
		return nil, errors.New(why)
	}
	dialer := net.Dialer{Timeout: min(dialTime, c.timeout)}
	conn, err := dialer.DialContext(context.Background(), c.network, c.address) // an indicator is given no context
	if err != nil {
		err = fmt.Errorf("was not sent to clamd, which cannot be reached: %w", err)
		c.failed(false, true, err.Error())
		return nil, err
	}
	return conn, nil
}

// conversation is one file on its way.
type conversation struct {
	client *client
	conn   net.Conn
}

// begin opens the conversation about a file.
func (c *client) begin() (*conversation, error) {
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	t := &conversation{client: c, conn: conn}
	if err := t.write([]byte("zINSTREAM\x00")); err != nil {
		t.close()
		return nil, t.broken(err)
	}
	return t, nil
}

func (t *conversation) write(parts ...[]byte) error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.client.timeout)); err != nil {
		return err
	}
	buffers := net.Buffers(parts)
	_, err := buffers.WriteTo(t.conn)
	return err
}

// send sends a piece. A daemon that has had enough closes its end: then its answer says why.
func (t *conversation) send(chunk []byte) error {
	if len(chunk) > 1<<30 {
		return errors.New("has a piece that is too long for clamd")
	}
	err := t.write(binary.BigEndian.AppendUint32(nil, uint32(len(chunk))), chunk) //nolint:gosec // checked above
	if err == nil {
		return nil
	}
	if isTimeout(err) {
		return t.broken(err)
	}
	if _, said := t.answer(); said != nil {
		return said
	}
	return t.broken(err)
}

// end says that the file is complete, and reads the answer: the name of a signature, or "" for none.
func (t *conversation) end() (string, error) {
	defer t.close()
	if err := t.write([]byte{0, 0, 0, 0}); err != nil && isTimeout(err) {
		return "", t.broken(err)
	}
	return t.answer()
}

func (t *conversation) answer() (string, error) {
	reply, err := t.client.reply(t.conn)
	if err != nil {
		return "", t.broken(err)
	}
	if strings.HasSuffix(reply, "size limit exceeded. ERROR") {
		t.client.succeeded()
		return "", errors.New("is larger than clamd takes: raise StreamMaxLength in clamd.conf")
	}
	rest, ok := strings.CutPrefix(reply, "stream: ")
	name, found := strings.CutSuffix(rest, " FOUND")
	switch {
	case ok && rest == "OK":
		t.client.succeeded()
		return "", nil
	case ok && found && name != "":
		t.client.succeeded()
		return name, nil
	case strings.HasSuffix(reply, " ERROR"):
		return "", t.broken(fmt.Errorf("it says %q", trust.Sanitise(reply, maxName)))
	}
	return "", t.broken(fmt.Errorf("it answers %q, which is not its protocol", trust.Sanitise(reply, maxName)))
}

// broken is why clamd did not answer, for reasons that may pass.
func (t *conversation) broken(err error) error {
	err = fmt.Errorf("was not answered by clamd: %w", err)
	t.client.failed(isTimeout(err), false, err.Error())
	return err
}

func (t *conversation) close() { _ = t.conn.Close() }

// reply reads one answer up to its NUL.
func (c *client) reply(conn net.Conn) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return "", err
	}
	body := make([]byte, 0, 128)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := conn.Read(body[len(body):min(cap(body), maxReply+1)])
		body = body[:len(body)+n]
		if i := bytes.IndexByte(body, 0); i >= 0 {
			return string(body[:i]), nil
		}
		switch {
		case len(body) > maxReply:
			return "", fmt.Errorf("it answers more than %d bytes", maxReply)
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// How long the name of a database is believed, and how long a daemon that did not say it is left alone.
const (
	databaseFresh = 30 * time.Second
	databaseRetry = 5 * time.Second
)

// database remembers the engine and signatures for a while.
type database struct {
	mu    sync.Mutex
	known string
	until time.Time
	none  string // stands in while there is no answer
}

func (d *database) name(c *client) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.now().Before(d.until) {
		return d.known
	}
	reply, err := c.version()
	if err == nil {
		d.known, d.until, d.none = reply, c.now().Add(databaseFresh), ""
		return d.known
	}
	if d.none == "" {
		d.none = "unknown " + rand.Text()
	}
	d.known, d.until = d.none, c.now().Add(databaseRetry)
	return d.known
}

// version asks for engine and signatures: "ClamAV 1.4.1/27480/Sat Nov 21 09:26:33 2026".
func (c *client) version() (string, error) {
	conn, err := c.dial()
	if err != nil {
		return "", err
	}
	t := &conversation{client: c, conn: conn}
	defer t.close()
	if err := t.write([]byte("zVERSION\x00")); err != nil {
		return "", t.broken(err)
	}
	reply, err := c.reply(conn)
	if err == nil && !strings.HasPrefix(reply, "ClamAV ") {
		err = fmt.Errorf("it answers %q for its version", trust.Sanitise(reply, maxName))
	}
	if err != nil {
		return "", t.broken(err)
	}
	c.succeeded()
	return reply, nil
}
