package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Progress is what there is to tell while a run goes on.
type Progress struct {
	Gone, Of      time.Duration // of the measurement; negative while it warms up
	Second        Second        // the last complete one
	Calls, Failed int64
}

// watching tells of the progress once a second, until stop is called.
func watching(l *Load, t *tape, start time.Time, watch func(Progress)) (stop func()) {
	if watch == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				p := Progress{Gone: time.Since(start), Of: l.Duration}
				p.Second, p.Calls, p.Failed = t.latest()
				watch(p)
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// Show prints progress: on a terminal one line with a bar, elsewhere a line
// every second.
func Show(out io.Writer) (watch func(Progress), done func()) {
	terminal := isTerminal(out)
	drawn := false
	watch = func(p Progress) {
		line := p.line()
		if !terminal {
			fmt.Fprintln(out, line)
			return
		}
		const width = 24
		full := int(float64(width) * min(1, max(0, p.Gone.Seconds()/p.Of.Seconds())))
		fmt.Fprintf(out, "\r\x1b[K[%s%s] %s", strings.Repeat("█", full), strings.Repeat("░", width-full), line)
		drawn = true
	}
	done = func() {
		if drawn {
			fmt.Fprint(out, "\r\x1b[K")
		}
	}
	return watch, done
}

func (p Progress) line() string {
	if p.Gone < 0 {
		return fmt.Sprintf("warming up, %s to go", (-p.Gone).Round(time.Second))
	}
	return fmt.Sprintf("%s of %s: %d calls/s, p50 %s, p99 %s, %d failed of %d", p.Gone.Round(time.Second), p.Of.Round(time.Second),
		p.Second.Calls, brief(p.Second.P50), brief(p.Second.P99), p.Failed, p.Calls)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(interface{ Fd() uintptr })
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// brief is a duration with three digits.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}
