package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// idLen is the length of a UUID as text; maxID that of the longest id that is
// taken over from a trusted client.
const (
	idLen = 36
	maxID = 128
)

// identify gives the call its request id: the trusted client's, or a new one.
func (p *Proxy) identify(c *Call) {
	id := c.id[:]
	if c.Client.Trusted {
		if said := c.said(message.XRequestID, nil); validID(said) {
			id = said
		}
	}
	if len(id) == idLen && &id[0] == &c.id[0] {
		newID(&c.id, c.Started)
	}
	c.add(message.XRequestID, id)
}

func validID(id []byte) bool {
	if len(id) == 0 || len(id) > maxID {
		return false
	}
	for _, b := range id {
		letter := b | 0x20
		if !('a' <= letter && letter <= 'z' || '0' <= b && b <= '9' || b == '.' || b == '_' || b == '-') {
			return false
		}
	}
	return true
}

// newID writes a UUID of version 7 (RFC 9562 section 5.7): milliseconds, then
// random bits. An id need not be secret, so the runtime's generator will do; it
// takes no lock.
func newID(id *[idLen]byte, now time.Time) {
	var u [16]byte
	binary.BigEndian.PutUint64(u[0:], uint64(now.UnixMilli())<<16|rand.Uint64()&0xffff)
	binary.BigEndian.PutUint64(u[8:], rand.Uint64())
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	const digits = "0123456789abcdef"
	at := 0
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			id[at] = '-'
			at++
		}
		id[at], id[at+1] = digits[b>>4], digits[b&15]
		at += 2
	}
}
