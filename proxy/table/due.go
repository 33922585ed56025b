package table

import "time"

// When what calls go by changes by itself: an endpoint is not set aside any more, a
// region or an endpoint has a step more of its calls.

// dueAt notes when the shares of a function change by themselves; zero: they do not.
func (k *Keeper) dueAt(w *watch, due time.Time) {
	if due.IsZero() {
		delete(k.due, w)
	} else {
		k.due[w] = due
	}
}

// fareAnew has what calls go by follow from how a function's endpoints fare now.
func (k *Keeper) fareAnew(w *watch, now time.Time) {
	if w.minds() {
		k.rearrange(w)
	} else {
		k.splitAnew(w, now)
	}
}

// splitDue has the shares follow from time alone, where they do.
func (k *Keeper) splitDue(now time.Time) {
	for w, at := range k.due {
		if !now.Before(at) {
			k.fareAnew(w, now)
		}
	}
}

// nextDue sets the timer to when splitDue has to look again.
func (k *Keeper) nextDue(timer *time.Timer) {
	next := time.Time{}
	for _, at := range k.due {
		next = sooner(next, at)
	}
	if next.IsZero() {
		timer.Stop()
	} else {
		timer.Reset(time.Until(next))
	}
}
