package proxy

import (
	"bytes"
	"strconv"

	"github.com/weir-gateway/weir/proxy/message"
)

// A fault as a gRPC client reads it. It takes no notice of a status other than
// 200 but to guess, and of no body that is not framed: it is told in the head
// of an answer without a body ("gRPC over HTTP2", Trailers-Only). gRPC-Web reads
// the same.

var (
	nameGrpcStatus   = []byte("grpc-status")
	nameGrpcMessage  = []byte("grpc-message")
	nameGrpcPushback = []byte("grpc-retry-pushback-ms")

	kindGrpc        = []byte("application/grpc")
	kindGrpcWeb     = []byte("application/grpc-web")
	kindGrpcWebText = []byte("application/grpc-web-text")
)

// grpcKind is the content type of an answer to a request of this one; nil if it
// is not of gRPC.
func grpcKind(contentType []byte) []byte {
	for _, kind := range [][]byte{kindGrpcWebText, kindGrpcWeb, kindGrpc} {
		if n := len(kind); len(contentType) >= n && message.EqualNames(contentType[:n], kind) &&
			(len(contentType) == n || bytes.IndexByte([]byte("+; \t"), contentType[n]) >= 0) {
			return kind
		}
	}
	return nil
}

// composeGrpc makes the fault an answer of gRPC. When to come again is said as
// a server pushes back (gRFC A6), which clients with a retry policy obey.
func (c *Call) composeGrpc(kind []byte, retry int) {
	c.compose(200, kind)
	c.Response.Fields = append(c.Response.Fields,
		message.Field{Name: nameGrpcStatus, Value: c.write(func(b []byte) []byte { return strconv.AppendInt(b, int64(grpcStatus(c.fault)), 10) })},
		message.Field{Name: nameGrpcMessage, Value: c.write(func(b []byte) []byte { return appendGrpcMessage(b, c.detail()) })})
	if retry > 0 {
		c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameGrpcPushback, Value: c.write(func(b []byte) []byte {
			return append(strconv.AppendInt(b, int64(retry), 10), "000"...)
		})})
	}
}

// The codes of gRPC that weir answers with.
const (
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcStatus is a fault's code: what a client would make of its status ("HTTP to
// gRPC Status Code Mapping"), but for a deadline, of which weir knows more.
func grpcStatus(f *fault) int {
	if f.err == errDeadline || f.err == errTryTime || f.err == errExpired {
		return grpcDeadlineExceeded
	}
	switch f.status {
	case 400:
		return grpcInternal
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404:
		return grpcUnimplemented
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// appendGrpcMessage writes a text as grpc-message has it: what is not printable
// ASCII, and the percent sign, percent-encoded.
func appendGrpcMessage(b []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
