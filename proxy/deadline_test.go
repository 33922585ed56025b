package proxy

import (
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
)

func TestReadTimes(t *testing.T) {
	f := func(read func([]byte) (time.Duration, bool), text string, want time.Duration, wantOK bool) {
		t.Helper()
		if d, ok := read([]byte(text)); d != want || ok != wantOK {
			t.Errorf("%q is %v, %v; want %v, %v", text, d, ok, want, wantOK)
		}
	}
	const days = 24 * time.Hour
	f(readMillis, "1500", 1500*time.Millisecond, true)
	f(readMillis, "0", 0, true)
	f(readMillis, "9999999999999999999", 100*days, true)
	f(readMillis, "99999999999999999999", 0, false)
	for _, bad := range []string{"", "-1", "1.5", "1 ", "1s", "+1", "１"} {
		f(readMillis, bad, 0, false)
	}
	f(readGrpcTimeout, "2S", 2*time.Second, true)
	f(readGrpcTimeout, "150m", 150*time.Millisecond, true)
	f(readGrpcTimeout, "99999999n", 99999999, true)
	f(readGrpcTimeout, "7u", 7*time.Microsecond, true)
	f(readGrpcTimeout, "1M", time.Minute, true)
	f(readGrpcTimeout, "99999999H", 100*days, true)
	for _, bad := range []string{"", "S", "1", "123456789S", "1s", "1h", "-1S", "1 S"} {
		f(readGrpcTimeout, bad, 0, false)
	}
}

func TestPreferredWait(t *testing.T) {
	f := func(want int, wantSaid bool, values ...string) {
		t.Helper()
		var fields []message.Field
		for _, v := range values {
			fields = append(fields, message.Field{Name: []byte("prefer"), Value: []byte(v), ID: message.Prefer})
		}
		if n, said := preferredWait(fields); n != want || said != wantSaid {
			t.Errorf("%q: %d, %v", values, n, said)
		}
	}
	f(0, false)
	f(10, true, "wait=10")
	f(10, true, "respond-async, Wait = 10 ; foo=bar")
	f(5, true, "return=minimal", "wait=5, wait=7")
	f(0, true, "wait=0")
	f(0, false, "wait")
	f(0, false, "wait=soon")
	f(3, true, "wait=soon, wait=3")
	f(0, false, "await=3")
}

func TestReadPriority(t *testing.T) {
	f := func(text string, want coldstart.Priority, wantOK bool) {
		t.Helper()
		if p, ok := readPriority([]byte(text)); p != want || ok != wantOK {
			t.Errorf("%q is %d, %v", text, p, ok)
		}
	}
	f("high", coldstart.High, true)
	f("Low", coldstart.Low, true)
	f("normal", coldstart.Normal, true)
	f("u=0, i", coldstart.High, true)
	f("i, u=2", coldstart.High, true)
	f("u=3", coldstart.Normal, true)
	f("u=4", coldstart.Normal, true)
	f("u=5", coldstart.Low, true)
	f("u=8", 0, false)
	f("u=-1", 0, false)
	f("", 0, false)
	f("urgent", 0, false)
}

// Whatever a caller says, it is read or it is not.
func FuzzCallerSays(f *testing.F) {
	for _, seed := range []string{"wait=10", "u=1, i", "1500", "2S", "99999999H", "respond-async;a=b,wait = 3", "=,;"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (time.Duration, bool){readMillis, readGrpcTimeout} {
			if d, ok := read(b); d < 0 || d > mostMillis*time.Millisecond || !ok && d != 0 {
				t.Errorf("%q is %v", b, d)
			}
		}
		if p, _ := readPriority(b); p < coldstart.High || p > coldstart.Low {
			t.Errorf("%q is priority %d", b, p)
		}
		if n, _ := preferredWait([]message.Field{{Value: b, ID: message.Prefer}}); n < 0 {
			t.Errorf("%q waits %d", b, n)
		}
	})
}

func TestWholeSeconds(t *testing.T) {
	f := func(wait time.Duration, low, high int) {
		t.Helper()
		for range 100 {
			if n := wholeSeconds(wait); n < low || n > high {
				t.Fatalf("%v is %d s", wait, n)
			}
		}
	}
	f(0, 1, 1)
	f(-time.Second, 1, 1)
	f(time.Second, 1, 1)
	f(1001*time.Millisecond, 2, 2)
	f(5*time.Second, 5, 5)
	f(10*time.Second, 10, 12)
}
