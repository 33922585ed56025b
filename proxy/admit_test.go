package proxy

import (
	"encoding/hex"
	"testing"

	"github.com/weir-gateway/weir/proxy/message"
)

func TestTraceID(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	for value, want := range map[string]string{
		"00-" + id + "-b7ad6b7169203331-01":                       id,
		"cc-" + id + "-b7ad6b7169203331-01-what-else":             id, // a later version
		"00-" + id + "-b7ad6b7169203331":                          "",
		"00" + id + "--b7ad6b7169203331-01":                       "",
		"00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01": "",
		"": "",
	} {
		var c Call
		c.Request.Fields = append(c.Request.Fields,
			message.Field{Name: []byte("tracestate"), Value: []byte("a=b")},
			message.Field{Name: []byte("Traceparent"), Value: []byte(value)})
		got := c.traceID()
		if want == "" && got != [16]byte{} || want != "" && hex.EncodeToString(got[:]) != want {
			t.Errorf("%q: %x, want %q", value, got, want)
		}
	}
}
