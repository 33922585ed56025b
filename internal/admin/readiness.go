package admin

import (
	"fmt"
	"sync"
)

// Readiness is whether weir should be sent calls: when all of its conditions
// hold. Its methods may be called from any goroutine.
type Readiness struct {
	mu         sync.Mutex // guards conditions
	conditions []condition
}

type condition struct {
	name  string
	holds bool
}

// NewReadiness makes a Readiness of named conditions. None of them holds yet.
func NewReadiness(names ...string) *Readiness {
	r := &Readiness{}
	for _, name := range names {
		r.conditions = append(r.conditions, condition{name: name})
	}
	return r
}

// Set says whether a condition holds from now on.
func (r *Readiness) Set(name string, holds bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.conditions {
		if r.conditions[i].name == name {
			r.conditions[i].holds = holds
			return
		}
	}
	panic(fmt.Sprintf("BUG: %q is not a condition of readiness", name))
}

// Ready tells whether all conditions hold.
func (r *Readiness) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conditions {
		if !c.holds {
			return false
		}
	}
	return true
}

// report writes a line for each condition, or for those that do not hold, and
// tells whether all do.
func (r *Readiness) report(b []byte, verbose bool) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := true
	for _, c := range r.conditions {
		ready = ready && c.holds
		switch {
		case !c.holds:
			b = fmt.Appendf(b, "[-] %s failed\n", c.name)
		case verbose:
			b = fmt.Appendf(b, "[+] %s ok\n", c.name)
		}
	}
	if ready {
		return append(b, "ready\n"...), true
	}
	return append(b, "not ready\n"...), false
}
