package table

import (
	"math"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// A Sameness says of the fields of two requests whether both ask for the same. Frozen.
type Sameness struct {
	// The places of fields: of those whose names weir knows anyway by their ids, of those
	// that have a number by that, and of all others by the length of their names, as of
	// one length there are few. Of two places of one name the first counts.
	byID     [message.XForwarded]int8
	byNumber [math.MaxUint8 + 1]int8
	places   [message.LongestName + 1][]place
	// told are the fields in the question that weir writes into requests, whatever the
	// client says: the same value is not known from the client's own.
	told []message.ID
}

// A place is where a field stands in the question, from 1 on.
type place struct {
	name []byte
	at   int8
}

// Of fields that stand nowhere.
const (
	noDifference = -1
	unknown      = 0 // a call that has one goes by itself
)

func newSameness(fn *config.Function) *Sameness {
	if fn.Collapse == nil {
		return nil
	}
	s := &Sameness{}
	for i, name := range fn.Collapse.Vary {
		s.addNumbered(name, int8(1+i)) //nolint:gosec // of few
		switch id := message.Lookup([]byte(name)); id {
		case message.XForwardedFor, message.Forwarded, message.XRequestID:
			s.told = append(s.told, id)
		}
	}
	for _, name := range append([]string{fn.Deadline.Header}, fn.Collapse.Ignore...) {
		s.addNumbered(name, noDifference)
	}
	for _, name := range indifferent {
		s.add(name, noDifference)
	}
	return s
}

// addNumbered is add for a name that the configuration says.
func (s *Sameness) addNumbered(name string, at int8) {
	key := message.NewKey(fieldName(name))
	if key.Number != 0 && s.byNumber[key.Number] == unknown {
		s.byNumber[key.Number] = at
	}
	s.add(name, at)
}

func (s *Sameness) add(name string, at int8) {
	if id := message.Lookup([]byte(name)); id != message.Other && id != message.XForwarded {
		if s.byID[id] == unknown {
			s.byID[id] = at
		}
		return
	}
	s.places[len(name)] = append(s.places[len(name)], place{fieldName(name), at})
}

// Ask completes a Question with what of the client's fields belongs to it, and of those
// that weir has added. ok is false if one may make a difference of which nothing is known.
func (s *Sameness) Ask(q *Question, fields, added []message.Field) (ok bool) {
	q.begin()
	for i, id := range s.told {
		q.add(-1-i, message.Get(added, id))
	}
	for i := range fields {
		f := &fields[i]
		if f.Drop {
			continue
		}
		at := s.byNumber[f.Number] // that of no number is unknown
		if f.ID != message.Other && f.ID != message.XForwarded {
			at = s.byID[f.ID]
		} else if at == unknown {
			at = s.byName(f.Name)
		}
		switch at {
		case unknown:
			return false
		case noDifference:
		default:
			q.add(int(at), f.Value)
		}
	}
	return true
}

// Covers tells whether all who have asked the same have the same value of a field
// that an answer varies by, or all have none.
func (s *Sameness) Covers(name []byte) bool {
	if id := message.Lookup(name); id != message.Other && id != message.XForwarded {
		return s.byID[id] != noDifference
	}
	return s.byName(name) != noDifference
}

// byName is where a field stands in the question that weir does not know otherwise.
func (s *Sameness) byName(name []byte) int8 {
	if len(name) >= len(s.places) {
		return unknown
	}
	for i := range s.places[len(name)] {
		if p := &s.places[len(name)][i]; message.EqualNames(p.name, name) {
			return p.at
		}
	}
	for _, prefix := range indifferentPrefixes {
		if len(name) > len(prefix) && message.EqualNames(name[:len(prefix)], prefix) {
			return noDifference
		}
	}
	return unknown
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
