//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// requestTime bounds one request and its answer.
	requestTime = 20 * time.Minute
	// readBytes is what a client takes at once.
	readBytes = 256 << 10
	// manifestTypes are what clients ask for.
	manifestTypes = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)

// client is one connection to a registry that is used again and again. It does as little as possible, so that what is
// measured is the server: it writes a request, reads the header, and takes as many bytes as that announces. It is for
// one goroutine.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	buf  []byte
	// taken counts bytes of bodies, over all clients that share it.
	taken *atomic.Int64
	ended bool // by the server, after its last answer
}

// answer is what came of a request.
type answer struct {
	status     int
	length     int64
	digest     string
	retryAfter time.Duration
	body       []byte // only where it was asked for
}

func dial(ctx context.Context, address string, taken *atomic.Int64) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 4<<10), buf: make([]byte, readBytes), taken: taken}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// do asks and throws the body away; with a hash, it goes there.
func (c *client) do(method, path string, into hash.Hash) (answer, error) {
	if err := c.ask(method, path); err != nil {
		return answer{}, err
	}
	a, err := c.header()
	if err != nil || method == "HEAD" {
		return a, err
	}
	return a, c.take(a.length, func(p []byte) {
		if into != nil {
			into.Write(p)
		}
	})
}

// get asks for something small and keeps it.
func (c *client) get(path string) (answer, error) {
	if err := c.ask("GET", path); err != nil {
		return answer{}, err
	}
	a, err := c.header()
	if err != nil {
		return a, err
	}
	if a.length > 4<<20 {
		return a, fmt.Errorf("GET %s: %d bytes are no manifest", path, a.length)
	}
	return a, c.take(a.length, func(p []byte) { a.body = append(a.body, p...) })
}

func (c *client) ask(method, path string) error {
	if c.ended {
		again, err := dial(context.Background(), c.conn.RemoteAddr().String(), c.taken)
		if err != nil {
			return err
		}
		c.close()
		*c = *again
	}
	if err := c.conn.SetDeadline(time.Now().Add(requestTime)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/1\r\nAccept: %s\r\n\r\n", method, path, c.conn.RemoteAddr(), manifestTypes)
	return err
}

// header reads up to the body.
func (c *client) header() (answer, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	a := answer{length: -1}
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.Equal(fields[0], []byte("HTTP/1.1")) {
		return a, fmt.Errorf("no answer: %q", line)
	}
	if a.status, err = strconv.Atoi(string(fields[1])); err != nil {
		return a, fmt.Errorf("no answer: %w", err)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return a, fmt.Errorf("the header ends: %w", err)
		}
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "":
			if a.length < 0 {
				return a, fmt.Errorf("%d without a length", a.status)
			}
			return a, nil
		case "content-length":
			if a.length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return a, err
			}
		case "connection":
			c.ended = strings.EqualFold(value, "close")
		case "docker-content-digest":
			a.digest = value
		case "retry-after":
			seconds, _ := strconv.Atoi(value) // a date is not waited for
			a.retryAfter = time.Duration(seconds) * time.Second
		}
	}
}

// take reads n bytes.
func (c *client) take(n int64, use func([]byte)) error {
	for n > 0 {
		got, err := c.in.Read(c.buf[:min(n, readBytes)])
		n -= int64(got)
		c.taken.Add(int64(got))
		use(c.buf[:got])
		if err != nil && n > 0 {
			return fmt.Errorf("%d bytes are missing: %w", n, noEOF(err))
		}
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // a Reader's own
		return io.ErrUnexpectedEOF
	}
	return err
}
