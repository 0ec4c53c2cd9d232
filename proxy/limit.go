package proxy

import (
	"errors"
	"net"
	"sync"
)

// limited is l with at most so many connections open at one time. Those of TCP stay what they are to net/http, which
// sends files over them without copying.
func limited(l net.Listener, connections int) net.Listener {
	return &limitedListener{Listener: l, places: make(chan struct{}, connections), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.places })
	if tcp, ok := c.(*net.TCPConn); ok {
		return &tcpPlace{tcp, leave}, nil
	}
	return &place{c, leave}, nil
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// place is a connection that counts.
type place struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *place) Close() error {
	defer p.leave()
	return p.Conn.Close()
}

// tcpPlace is a connection that counts, and has ReadFrom.
type tcpPlace struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (p *tcpPlace) Close() error {
	defer p.leave()
	return p.TCPConn.Close()
}
