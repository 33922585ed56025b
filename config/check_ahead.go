package config

import (
	"time"

	"github.com/weir-gateway/weir/internal/cron"
)

// ahead checks what raises a function before it is called.
func (c *checker) ahead(p *path, fn Function) {
	cs := fn.ColdStart
	for i, window := range cs.Schedule {
		c.schedule(p.key("schedule").item(i), window, cs.MaxScale)
	}
	if len(cs.Schedule) > 0 && cs.Scaler == "" && c.d.sound(p, p.key("scaler")) {
		c.fail(p.key("schedule"), "add scaler: process", "says when to run, but nothing runs it")
	}
	if cs.Predict == "histogram" && cs.Scaler == "" && c.d.sound(p, p.key("scaler"), p.key("predict")) {
		c.fail(p.key("predict"), "add scaler: process, or take it out", "is %s, but nothing can raise the function", cs.Predict)
	}
	if cs.PredictRange < leastRange {
		c.fail(p.key("predict_range"), "of what is called more often there is nothing to predict", "must be %v or more, not %v", leastRange, cs.PredictRange)
	}
	c.chain(p.key("chain"), fn)
}

// leastRange has buckets of 1 ms.
const leastRange = 240 * time.Millisecond

func (c *checker) schedule(p *path, s Schedule, maxScale int) {
	if s.Cron == "" {
		c.missing(p.key("cron"), `say cron: "0 8 * * MON-FRI"`)
	} else if _, err := cron.Parse(s.Cron); err != nil {
		c.fail(p.key("cron"), "", "%v", err)
	}
	if s.Duration == 0 && !c.d.isGiven(p.key("duration").String()) {
		c.missing(p.key("duration"), "say duration: 10h")
	} else {
		c.positive(p.key("duration"), s.Duration)
	}
	if s.Timezone == "" || s.Timezone == "Local" {
		c.fail(p.key("timezone"), "say timezone: Europe/Berlin", "must be the IANA name of a time zone")
	} else if _, err := time.LoadLocation(s.Timezone); err != nil {
		c.fail(p.key("timezone"), "say timezone: Europe/Berlin", "is no time zone: %q", s.Timezone)
	}
	switch {
	case s.Instances < 1:
		c.fail(p.key("instances"), "a window that wants none does nothing", "must be 1 or more, not %d", s.Instances)
	case s.Instances > max(maxScale, 1):
		c.fail(p.key("instances"), "lower it, or raise max_scale", "%d is over max_scale %d", s.Instances, maxScale)
	}
}

// chain checks that those who are to be raised exist and can be.
func (c *checker) chain(p *path, fn Function) {
	first := map[string]int{}
	for i, name := range fn.ColdStart.Chain {
		at := p.item(i)
		next, exists := c.cfg.Functions[name]
		_, twice := first[name]
		first[name] = i
		switch {
		case name == fn.Name:
			c.fail(at, "take it out", "is the function itself")
		case twice:
			c.fail(at, "take it out", "%q is in it already", name)
		case !exists:
			c.fail(at, didYouMean(name, sortedKeys(c.cfg.Functions)), "%q is not under functions", name)
		case next.ColdStart.Scaler == "":
			c.fail(at, "give it a cold_start.scaler, or take it out", "%q cannot be raised: it has no scaler", name)
		}
	}
}
