package netns

import (
	"crypto/rand"
	"io"
	"net"
	"sync"
)

// Decoy listens where nobody inside must be able to come, and says a token to whoever does. That it can be reached from
// outside shows that it is not the test which fails.
type Decoy struct {
	Try      Try
	listener net.Listener
	serves   sync.WaitGroup
}

// NewDecoy listens on a network and address of net.Listen.
func NewDecoy(network, address string) (*Decoy, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	d := &Decoy{Try: Try{Network: network, Address: l.Addr().String(), Token: rand.Text()}, listener: l}
	d.serves.Go(d.serve)
	return d, nil
}

func (d *Decoy) serve() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, d.Try.Token) // it fits into any buffer
		_ = c.Close()
	}
}

// Close stops listening.
func (d *Decoy) Close() {
	_ = d.listener.Close()
	d.serves.Wait()
}
