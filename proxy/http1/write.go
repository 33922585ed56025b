package http1

import (
	"strconv"

	"github.com/weir-gateway/weir/proxy/message"
)

// appendRequest writes a request head for an endpoint; host stands in for an
// authority that the client did not send, trailers are those that may come
// back.
func appendRequest(b []byte, r *message.Request, host string, trailers []string) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	if r.NewPath != nil {
		b = append(b, r.NewPath...)
	} else {
		b = append(b, r.Path...)
	}
	if r.Query != nil {
		b = append(b, '?')
		b = append(b, r.Query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if r.NewHost != nil {
		b = append(b, r.NewHost...)
	} else if len(r.Authority) > 0 {
		b = append(b, r.Authority...)
	} else {
		b = append(b, host...)
	}
	b = append(b, "\r\n"...)
	b = appendFields(b, r.Fields)
	b = appendFields(b, r.Added)
	switch r.Framing {
	case message.Sized:
		b = appendLength(b, r.Length)
	case message.Chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if r.Expect {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	if r.Upgrade == nil && len(trailers) > 0 && r.TakesTrailers {
		b = append(b, "TE: trailers\r\nConnection: TE\r\n"...)
	}
	if r.Upgrade != nil {
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.Upgrade...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendResponse writes a response head for a client. framing is how the body
// will end on its connection; connection is the value of that field, or empty.
func appendResponse(b []byte, r *message.Response, framing message.Framing, connection string) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = append(b, r.Reason...)
	b = append(b, "\r\n"...)
	b = appendFields(b, r.Fields)
	b = appendFields(b, r.Added)
	switch {
	case framing == message.Chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case framing == message.Sized, framing == message.NoBody && r.Length >= 0 && r.Status >= 200 && r.Status != 204:
		b = appendLength(b, r.Length)
	}
	if connection != "" {
		b = append(b, "Connection: "...)
		b = append(b, connection...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendFields(b []byte, fields []message.Field) []byte {
	for i := range fields {
		f := &fields[i]
		if f.Drop {
			continue
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	return b
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}

// appendChunkSize begins a chunk of n bytes, RFC 9112 section 7.1.
func appendChunkSize(b []byte, n int) []byte {
	b = strconv.AppendInt(b, int64(n), 16)
	return append(b, "\r\n"...)
}

// appendLast ends a chunked body, with those of its trailers that pass.
func appendLast(b []byte, trailers []message.Field, allowed []string) []byte {
	if len(trailers) == 0 || message.KeepTrailers(trailers, allowed) == 0 {
		return append(b, lastChunk...)
	}
	b = append(b, "0\r\n"...)
	b = appendFields(b, trailers)
	return append(b, crlf...)
}

const lastChunk = "0\r\n\r\n"
