package web

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// maxClients bounds the clients that are remembered. Where there are more, those that have been
// silent longest are forgotten.
const maxClients = 4096

// rates bounds the requests a second of each client. A client is an IPv4 address, or the first
// 64 bits of an IPv6 address, which one machine can choose the rest of.
type rates struct {
	rate rate.Limit

	mu sync.Mutex
	// What was used lately, at most maxClients/2, and what was before that. Once recent is
	// full it becomes old.
	recent, old map[netip.Addr]*rate.Limiter
}

func newRates(perSecond float64) *rates {
	return &rates{rate: rate.Limit(perSecond), recent: map[netip.Addr]*rate.Limiter{}}
}

// allow counts a request, and says whether it is within the rate. A second's requests may come at
// once.
func (r *rates) allow(client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	if client.Is6() {
		if p, err := client.Prefix(64); err == nil {
			client = p.Addr()
		}
	}
	r.mu.Lock()
	l := r.recent[client]
	if l == nil {
		if l = r.old[client]; l == nil {
			l = rate.NewLimiter(r.rate, max(1, int(r.rate)))
		}
		if len(r.recent) >= maxClients/2 {
			r.old, r.recent = r.recent, map[netip.Addr]*rate.Limiter{}
		}
		r.recent[client] = l
	}
	r.mu.Unlock()
	return l.Allow()
}

// limit returns a listener that has at most n connections open: further ones wait to be
// accepted until another is closed. Other than those of golang.org/x/net/netutil, its connections are
// TCP connections to net/http, which ends an answer by CloseWrite where a client is still sending.
func limit(l *net.TCPListener, n int) net.Listener {
	return &limited{TCPListener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	*net.TCPListener
	slots  chan struct{} // one element an open connection
	once   sync.Once
	closed chan struct{}
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.AcceptTCP()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &connection{TCPConn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements [net.Listener].
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

// A connection frees its slot once it is closed.
type connection struct {
	*net.TCPConn
	free func()
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}
