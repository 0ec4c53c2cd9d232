package proxy

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// crowd is a listener with a bound on the connections that are open. When one more comes than there is room for, the one
// that has asked for nothing for longest has to go: idle connections, and those that take their time with a header,
// cannot keep others out. Where all of them are being answered, the next waits.
type crowd struct {
	net.Listener
	limit int

	mu   sync.Mutex
	room *sync.Cond
	open int
	// idle are the *guest that wait for a request, the longest first.
	idle   *list.List
	closed bool
}

// guest is a connection that counts.
type guest struct {
	net.Conn
	of   *crowd
	once sync.Once
	// at is the place in idle; nil while a request is answered. The crowd's lock guards it.
	at   *list.Element
	gone bool
}

// limited is l with at most so many connections open at one time. Those of TCP stay what they are to net/http, which
// sends files over them without copying.
func limited(l net.Listener, limit int) net.Listener {
	c := &crowd{Listener: l, limit: limit, idle: list.New()}
	c.room = sync.NewCond(&c.mu)
	return c
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, of: c}
	if !c.admit(g) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tcpGuest{g, tcp}, nil
	}
	return g, nil
}

// tcpGuest is a guest with what net/http looks for in a TCP connection.
type tcpGuest struct {
	*guest
	tcp *net.TCPConn
}

// ReadFrom implements io.ReaderFrom.
func (g *tcpGuest) ReadFrom(r io.Reader) (int64, error) { return g.tcp.ReadFrom(r) }

// CloseWrite tells the client that nothing more comes.
func (g *tcpGuest) CloseWrite() error { return g.tcp.CloseWrite() }

// admit makes room, waits for it, or reports that the listener was closed meanwhile.
func (c *crowd) admit(g *guest) bool {
	c.mu.Lock()
	for c.open >= c.limit && !c.closed {
		longest := c.idle.Front()
		if longest == nil {
			c.room.Wait()
			continue
		}
		out, _ := longest.Value.(*guest)
		c.mu.Unlock()
		_ = out.Close() // makes room
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.open++
	g.at = c.idle.PushBack(g)
	return true
}

// Close implements net.Listener.
func (c *crowd) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	if err := c.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Close implements net.Conn.
func (g *guest) Close() error {
	err := g.Conn.Close()
	g.once.Do(func() {
		c := g.of
		c.mu.Lock()
		defer c.mu.Unlock()
		g.gone = true
		if g.at != nil {
			c.idle.Remove(g.at)
			g.at = nil
		}
		c.open--
		c.room.Signal()
	})
	return err
}

// waits moves a connection to those that wait for a request, or away from them.
func (g *guest) waits(idle bool) {
	c := g.of
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case g.gone:
	case idle && g.at == nil:
		g.at = c.idle.PushBack(g)
		c.room.Signal()
	case !idle && g.at != nil:
		c.idle.Remove(g.at)
		g.at = nil
	}
}

// follow is http.Server.ConnState for servers whose connections come from a crowd.
func follow(conn net.Conn, state http.ConnState) {
	for {
		switch inner := conn.(type) {
		case *tls.Conn:
			conn = inner.NetConn()
			continue
		case *ahead:
			conn = inner.Conn
			continue
		case *tcpGuest:
			conn = inner.guest
			continue
		case *guest:
			switch state {
			case http.StateNew, http.StateIdle:
				inner.waits(true)
			case http.StateActive, http.StateHijacked:
				inner.waits(false)
			case http.StateClosed:
			}
		}
		return
	}
}
