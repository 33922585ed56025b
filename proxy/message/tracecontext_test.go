package message

import (
	"encoding/hex"
	"strings"
	"testing"
)

const (
	aTrace = "0af7651916cd43dd8448eb211c80319c"
	aSpan  = "b7ad6b7169203331"
)

func traceFields(values ...string) (fields []Field) {
	for _, v := range values {
		fields = append(fields,
			Field{Name: []byte("tracestate"), Value: []byte("a=b"), ID: Lookup([]byte("tracestate"))},
			Field{Name: []byte("TraceParent"), Value: []byte(v), ID: Lookup([]byte("TraceParent"))})
	}
	return fields
}

func TestReadTraceContext(t *testing.T) {
	reads := func(value string, flags byte) {
		t.Helper()
		tc, ok := ReadTraceContext(traceFields(value))
		if !ok || hex.EncodeToString(tc.Trace[:]) != aTrace || hex.EncodeToString(tc.Span[:]) != aSpan || tc.Flags != flags {
			t.Errorf("%q: %x %v, want flags %x", value, tc, ok, flags)
		}
	}
	reads("00-"+aTrace+"-"+aSpan+"-01", TraceSampled)
	reads("00-"+aTrace+"-"+aSpan+"-00", 0)
	reads("00-"+aTrace+"-"+aSpan+"-ff", TraceSampled|TraceRandom) // unknown flags are not passed on
	reads("cc-"+aTrace+"-"+aSpan+"-01", TraceSampled)             // a later version
	reads("cc-"+aTrace+"-"+aSpan+"-01-what-else", TraceSampled)

	refuses := func(values ...string) {
		t.Helper()
		if tc, ok := ReadTraceContext(traceFields(values...)); ok || tc != (TraceContext{}) {
			t.Errorf("%q is read as %x", values, tc)
		}
	}
	refuses()
	refuses("")
	refuses("00-" + aTrace + "-" + aSpan)
	refuses("00-" + aTrace + "-" + aSpan + "-0")
	refuses("00-" + aTrace + "-" + aSpan + "-01-") // version 00 is as long as it is
	refuses("00-" + aTrace + "-" + aSpan + "-01x")
	refuses("cc-" + aTrace + "-" + aSpan + "-01x")
	refuses("ff-" + aTrace + "-" + aSpan + "-01")
	refuses("0g-" + aTrace + "-" + aSpan + "-01")
	refuses("00-" + strings.ToUpper(aTrace) + "-" + aSpan + "-01")
	refuses("00-" + strings.Repeat("0", 32) + "-" + aSpan + "-01")
	refuses("00-" + aTrace + "-" + strings.Repeat("0", 16) + "-01")
	refuses("00-" + aTrace + "-" + aSpan + "-0x")
	refuses("00" + aTrace + "--" + aSpan + "-01")
	refuses("00-"+aTrace+"-"+aSpan+"-01", "00-"+aTrace+"-"+aSpan+"-01") // which of them?
}

// What is read is written as it was, unknown flags aside.
func FuzzTraceparent(f *testing.F) {
	f.Add("00-" + aTrace + "-" + aSpan + "-01")
	f.Add("cc-" + aTrace + "-" + aSpan + "-03-more")
	f.Add("00-" + aTrace + "-" + aSpan + "-01-")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		tc, ok := readTraceparent([]byte(value))
		if !ok {
			if tc != (TraceContext{}) {
				t.Fatalf("%q is refused and says %x", value, tc)
			}
			return
		}
		written := string(AppendTraceparent(nil, tc))
		if len(written) != traceparentLen || written[2:flagsAt] != value[2:flagsAt] {
			t.Fatalf("%q is written as %q", value, written)
		}
		if again, ok := readTraceparent([]byte(written)); !ok || again != tc {
			t.Fatalf("%q is read back as %x %v, want %x", written, again, ok, tc)
		}
	})
}
