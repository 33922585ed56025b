package table

import (
	"encoding/binary"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// A Sameness says of the fields of two requests whether both ask for the same. Frozen.
type Sameness struct {
	// places of the fields that are known, by the length of their names: of one length
	// there are few. Of two places of one name the first counts.
	places [longestName + 1][]place
	// Told are the fields in the question that weir writes into requests, whatever the
	// client says: the same value is not known from the client's own.
	Told []message.ID
}

// A place is where a field stands in the question, from 1 on; 0: it makes no difference.
type place struct {
	name []byte
	at   int
}

func newSameness(fn *config.Function) *Sameness {
	if fn.Collapse == nil {
		return nil
	}
	s := &Sameness{}
	for i, name := range fn.Collapse.Vary {
		s.add(name, 1+i)
		switch id := message.Lookup([]byte(name)); id {
		case message.XForwardedFor, message.Forwarded, message.XRequestID:
			s.Told = append(s.Told, id)
		}
	}
	for _, names := range [...][]string{{fn.Deadline.Header}, fn.Collapse.Ignore, indifferent[:]} {
		for _, name := range names {
			s.add(name, 0)
		}
	}
	return s
}

func (s *Sameness) add(name string, at int) {
	s.places[len(name)] = append(s.places[len(name)], place{fieldName(name), at})
}

// longestName is how long the name of a field may be in the configuration.
const longestName = 64

// mostAsked is more fields than clients send.
const mostAsked = 64

// AppendFields adds what of the fields belongs to the question. ok is false if one of
// them may make a difference of which nothing is known.
func (s *Sameness) AppendFields(b []byte, fields []message.Field) (question []byte, ok bool) {
	var places [mostAsked]uint8
	n := 0 // fields that count
	if len(fields) > len(places) {
		return b, false
	}
	for i := range fields {
		if fields[i].Drop {
			continue
		}
		at, known := s.place(fields[i].Name)
		if !known {
			return b, false
		}
		if at > 0 {
			places[i] = uint8(at)
			n++
		}
	}
	for at := uint8(1); n > 0; at++ {
		for i := range fields {
			if places[i] == at {
				b = AppendPart(append(b, at), fields[i].Value)
				n--
			}
		}
	}
	return b, true
}

// AppendPart adds a part of the question. It is plain where it ends.
func AppendPart(b, part []byte) []byte {
	if len(part) < 1<<7 {
		b = append(b, byte(len(part)))
	} else {
		b = binary.AppendUvarint(b, uint64(len(part)))
	}
	return append(b, part...)
}

// Covers tells whether all who have asked the same have the same value of a field
// that an answer varies by, or all have none.
func (s *Sameness) Covers(name []byte) bool {
	place, known := s.place(name)
	return place > 0 || !known
}

// place is where a field stands in the question, 0 if it makes no difference. known is
// false if a call that has it goes by itself.
func (s *Sameness) place(name []byte) (at int, known bool) {
	if len(name) >= len(s.places) {
		return 0, false
	}
	for _, p := range s.places[len(name)] {
		if message.EqualNames(p.name, name) {
			return p.at, true
		}
	}
	for _, prefix := range indifferentPrefixes {
		if len(name) > len(prefix) && message.EqualNames(name[:len(prefix)], prefix) {
			return 0, true
		}
	}
	return 0, false
}

// indifferent are the fields by which answers differ only if they say so in Vary, or not
// at all. Every other may say who asks, or for what, in a way that nobody here knows of.
var indifferent = [...]string{
	"accept", "accept-charset", "accept-encoding", "accept-language", "dnt", "priority", "referer", "save-data",
	"sec-gpc", "sec-purpose", "upgrade-insecure-requests", "user-agent", // of content, RFC 9110 section 12.5, and what browsers send
	"b3", "traceparent", "tracestate", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context", "x-correlation-id", "x-request-id", // of traces
	"forwarded", "true-client-ip", "via", "x-client-ip", "x-cluster-client-ip", "x-forwarded-for", "x-real-ip", "x-weir-overflow", // of the way here
	"grpc-timeout", "max-forwards", "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-rq-timeout-ms", "x-request-timeout-ms",
}

var indifferentPrefixes = [...][]byte{[]byte("sec-ch-"), []byte("sec-fetch-"), []byte("x-b3-")}
