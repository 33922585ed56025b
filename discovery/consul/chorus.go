package consul

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/discovery"
)

// A chorus is what is heard of services in all datacenters.
type chorus struct {
	bell  chan struct{} // capacity one: there may be something to report
	parts []*part

	mu   sync.Mutex // guards all below, and what is in parts
	late bool       // nobody is waited for any more

	told  map[string][]Instance // take's own
	begun bool                  // something was taken
}

// A part is what is heard in one datacenter. Its methods may be called from any
// goroutine, and wait for nobody.
type part struct {
	*chorus
	dc   *datacenter
	note *discovery.Note[map[string][]Instance]
	kept map[string][]Instance // from before weir was started

	listed bool // it is known which services there are
	voices map[string]*voice
	news   bool // since the note was told

	spoken bool
	said   map[string][]Instance // as the note passes it on
}

// A voice is one service.
type voice struct {
	since     time.Time // when it was first listed
	heard     bool
	instances []Instance
}

func (c *chorus) add(memory *discovery.Memory, dc *datacenter) *part {
	p := &part{chorus: c, dc: dc, voices: map[string]*voice{}}
	p.note = discovery.NewNote(memory, dc.String(), "declared", func(said map[string][]Instance) {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.said, p.spoken = said, true
		c.ring()
	})
	kept, _ := p.note.Kept()
	p.kept = maps.Clone(kept)
	c.parts = append(c.parts, p)
	return p
}

// named are the services from before weir was started, as a listing has them.
func (p *part) named(keep func(tag string) bool) map[string][]string {
	if len(p.kept) == 0 {
		return nil
	}
	named := map[string][]string{}
	for name, instances := range p.kept {
		var tags []string
		for _, i := range instances {
			tags = append(tags, slices.DeleteFunc(slices.Clone(i.Tags), func(tag string) bool { return !keep(tag) })...)
		}
		slices.Sort(tags)
		named[name] = slices.Compact(tags)
	}
	return named
}

// list notes which services there are.
func (p *part) list(services map[string][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range services {
		if p.voices[name] == nil {
			p.voices[name] = &voice{since: time.Now(), instances: p.kept[name]}
			delete(p.kept, name)
			time.AfterFunc(lateAfter, p.ring)
		}
	}
	maps.DeleteFunc(p.voices, func(name string, _ *voice) bool {
		_, here := services[name]
		return !here
	})
	p.listed, p.news = true, true
	p.ring()
}

// hear notes what the instances of a service say.
func (p *part) hear(name string, all []Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.voices[name]
	if v == nil {
		return
	}
	if len(all) == 0 { // what they said stands until the service is not named any more
		all = slices.Clone(v.instances)
		for i := range all {
			all[i].Serves = false
		}
	}
	v.heard, v.instances, p.news = true, all, true
	p.ring()
}

func (c *chorus) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = true
}

func (c *chorus) ring() {
	select {
	case c.bell <- struct{}{}:
	default: // it rings
	}
}

// take returns the services that have changed; nil if there is nothing to report,
// or not yet. Only one goroutine calls it.
func (c *chorus) take() map[string][]Instance {
	for _, p := range c.parts {
		if all := p.whole(); all != nil {
			p.note.Say(all)
		}
	}
	now, ready := c.together()
	if !ready {
		return nil
	}
	news := map[string][]Instance{}
	for name, all := range now {
		if was, told := c.told[name]; !told || !sameInstances(all, was) {
			news[name] = all
		}
	}
	for name := range c.told {
		if _, here := now[name]; !here {
			news[name] = nil
		}
	}
	if c.begun && len(news) == 0 {
		return nil
	}
	c.told, c.begun = now, true
	return news
}

// whole is what is heard in a datacenter, if that is news and everybody has been
// heard, or could have been.
func (p *part) whole() map[string][]Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.news || !p.listed {
		return nil
	}
	all := map[string][]Instance{}
	for name, v := range p.voices {
		if !v.heard && time.Since(v.since) < lateAfter {
			return nil
		}
		if len(v.instances) > 0 {
			all[name] = v.instances
		}
	}
	p.news = false
	return all
}

// together is what all datacenters say, once each has spoken, or could have.
func (c *chorus) together() (now map[string][]Instance, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, silent := map[string][]Instance{}, 0
	for _, p := range c.parts {
		if !p.spoken {
			silent++
		}
		for name, instances := range p.said {
			now[name] = append(now[name], instances...)
		}
	}
	for _, all := range now {
		slices.SortFunc(all, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	}
	return now, silent == 0 || c.late && silent < len(c.parts)
}

// speak is what instances say: those that an answer names, and those that stand
// beside it.
func speak(seen []sighting, set []instance) []Instance {
	all := make([]Instance, 0, len(seen))
	add := func(i instance, serves bool) {
		all = append(all, Instance{ID: i.ID, Datacenter: i.datacenter, Tags: i.tags, Metadata: i.metadata, Serves: serves})
	}
	stands := make(map[string]bool, len(set))
	for _, i := range set {
		stands[i.ID] = true
		add(i, i.Weight > 0 && !i.Unproven)
	}
	for _, s := range seen {
		if !stands[s.ID] {
			add(s.instance, false)
		}
	}
	slices.SortFunc(all, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func sameInstances(a, b []Instance) bool {
	return slices.EqualFunc(a, b, func(a, b Instance) bool {
		return a.ID == b.ID && a.Datacenter == b.Datacenter && a.Serves == b.Serves && slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Metadata, b.Metadata)
	})
}
