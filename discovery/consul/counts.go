package consul

import "maps"

// snapshot is what there is to tell now.
func (d *datacenter) snapshot() Counts {
	services, guarded := 0, 0
	d.Registry.mu.Lock()
	for k, q := range d.queries {
		if k.dc != d {
			continue
		}
		services++
		if q.isGuarded() {
			guarded++
		}
	}
	d.Registry.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counts
	c.Datacenter, c.Region, c.Services, c.Guarded = d.name, d.region, services, guarded
	c.Failures = maps.Clone(c.Failures)
	return c
}

func (q *query) isGuarded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.guarded
}
