package config

import "strings"

// An Origin is where a value comes from.
type Origin struct {
	// Layer is default, environment, file, consul, override, or registry: a service
	// says it of itself.
	Layer string `json:"layer"`
	// Place is file:line:column, the variable, what Consul's key or the override
	// is called, or which service says it; empty for a default.
	Place string `json:"place,omitempty"`
	// Via is the block that the value was taken over from, if it is another's:
	// defaults.
	Via string `json:"via,omitempty"`
}

// String is the origin on one line.
func (o Origin) String() string {
	text := o.Layer
	if o.Place != "" {
		text += " " + o.Place
	}
	if o.Via != "" {
		text += " (" + o.Via + ")"
	}
	return text
}

// Origin tells where the value of a path comes from, as it is written in
// messages: functions.checkout.timeouts.request.
func (c *Config) Origin(path string) Origin {
	if from, is := c.registered[path]; is {
		return from
	}
	d := c.origins
	if d == nil {
		return Origin{Layer: "default"}
	}
	if variable := d.variable(path); variable != "" {
		return Origin{Layer: "environment", Place: variable}
	}
	if at, _ := d.place(path); d.isGiven(path) {
		return originOf(at)
	}
	// What an alias or the short form of an endpoint says in one place.
	if up, ok := strings.CutSuffix(path, ".address"); ok && d.isGiven(up) && strings.HasSuffix(up, "]") {
		at, _ := d.place(up)
		return originOf(at)
	}
	if rest, ok := strings.CutPrefix(path, "functions."); ok {
		if _, region, ok := strings.Cut(rest, ".regions."); ok {
			if from := c.Origin("regions." + region); from.Layer != "default" {
				from.Via = "regions"
				return from
			}
		}
		for _, block := range []string{"timeouts", "deadline"} {
			if _, key, ok := strings.Cut(rest, "."+block+"."); ok {
				if from := c.Origin("defaults." + block + "." + key); from.Layer != "default" {
					from.Via = "defaults"
					return from
				}
			}
		}
	}
	return Origin{Layer: "default"}
}

func originOf(at place) Origin {
	if at.in.layer == "" {
		return Origin{Layer: "file", Place: at.String()}
	}
	o := Origin{Layer: at.in.layer, Place: at.in.name}
	if at.line > 1 || at.column > 1 {
		o.Place = at.String()
	}
	return o
}
