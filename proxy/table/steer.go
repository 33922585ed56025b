package table

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
)

// steer has the calls of a function divided as a configuration says in which nothing
// else of it differs. To drain a region of ten thousand functions is to do this ten
// thousand times before it is done, so it leaves alone what endpoints follow from.
func (k *Keeper) steer(ctx context.Context, w *watch, spread *config.Spread) {
	w.spread = spread
	regions := w.steered(w.fn.Set().Split)
	if regions == nil {
		k.assemble(ctx, w)
		return
	}
	k.publish(w.fn, k.divided(w, regions, time.Now()), w.seen)
}

// alike remembers of the last two Spreads whether they say the same: nearly always
// the next two are those again.
type alike struct {
	a, b *config.Spread
	are  bool
}

func (l *alike) spread(a, b *config.Spread) bool {
	if a != l.a || b != l.b || a == nil {
		*l = alike{a, b, a == b || reflect.DeepEqual(a, b)}
	}
	return l.are
}

// steered are the regions of a Split as the configuration has them now; nil if they
// are not the same ones any more, or others of them are disabled: which endpoints are
// looked at follows from that.
func (w *watch) steered(was *Split) []Region {
	configured := w.spread.Regions
	if was == nil || len(configured) == 0 {
		return nil
	}
	regions, found := slices.Clone(was.Regions), 0
	for i := range regions {
		r := &regions[i]
		next, known := configured[r.Name]
		switch {
		case known:
			found++
		case r.endpoints == 0:
			return nil // it was there for being configured
		default:
			next = config.Unsaid
		}
		if next.Disabled != r.Disabled {
			return nil
		}
		r.Region, r.at = next, pointOf(next)
	}
	if found < len(configured) {
		return nil
	}
	return regions
}
