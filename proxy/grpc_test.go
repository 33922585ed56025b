package proxy

import (
	"net/url"
	"testing"
)

func TestGrpcKind(t *testing.T) {
	for contentType, want := range map[string]string{
		"application/grpc":                             "application/grpc",
		"application/grpc+proto":                       "application/grpc",
		"Application/GRPC; charset=utf-8":              "application/grpc",
		"application/grpc-web":                         "application/grpc-web",
		"application/grpc-web+proto":                   "application/grpc-web",
		"application/grpc-web-text":                    "application/grpc-web-text",
		"application/grpc-web-text+proto; charset=x":   "application/grpc-web-text",
		"application/grpcish":                          "",
		"application/grpc-webby":                       "",
		"application/json":                             "",
		"application/grp":                              "",
		"":                                             "",
		"text/plain; note=application/grpc":            "",
		"multipart/form-data; boundary=application/gr": "",
	} {
		if got := string(grpcKind([]byte(contentType))); got != want {
			t.Errorf("%q is answered as %q, want %q", contentType, got, want)
		}
	}
}

// Every fault has a code, and those that a client may try again are Unavailable:
// the only one that clients try again by default.
func TestGrpcStatus(t *testing.T) {
	for i := range faults {
		f := &faults[i]
		code := grpcStatus(f)
		switch {
		case f.status == 499 || f.status == 0: // nobody is told
		case f.wait && f.err != errExpired && code != grpcUnavailable:
			t.Errorf("%s may be tried again, and is code %d", f.slug, code)
		case f.err == errDeadline && code != grpcDeadlineExceeded:
			t.Errorf("a deadline is code %d", code)
		}
	}
	if code := grpcStatus(&internal); code != grpcUnknown {
		t.Errorf("a fault of weir's own is code %d", code)
	}
}

// A client decodes what weir has encoded.
func FuzzGrpcMessage(f *testing.F) {
	for _, s := range []string{"", "As many calls as may wait already do.", "50 % off\r\nX-Evil: 1", "\x00\x7f\xff", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := appendGrpcMessage(nil, s)
		for _, c := range encoded {
			if c < ' ' || c > '~' {
				t.Fatalf("%q is encoded as %q", s, encoded)
			}
		}
		if got, err := url.PathUnescape(string(encoded)); err != nil || got != s {
			t.Fatalf("%q comes back as %q, %v", s, got, err)
		}
	})
}
