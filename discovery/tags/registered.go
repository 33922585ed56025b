package tags

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Known tells whether a tag says something about routes, or that metadata does.
func Known(tag string) bool {
	tag = strings.TrimSpace(tag)
	return tag == strings.TrimSuffix(ours, "=") || config.Declares(tag)
}

// Registered are the routes as a configuration takes them up, and those that it
// cannot.
func Registered(routes []Route) (all []config.Registered, refused []discovery.Refusal) {
	for _, r := range routes {
		what := fmt.Sprintf("service %s, %s", r.Service, shown(r.Tag))
		for _, note := range r.Notes {
			refused = append(refused, discovery.Refusal{What: what, Reason: note})
		}
		one := config.Registered{
			What: what, Service: r.Service, HTTPS: r.TLS, Insecure: r.Insecure,
			Serving: r.Serving, Weight: r.Weight, Origin: r.origin(), Route: r.route(),
		}
		if r.Partial {
			one.Tag = r.Tag
		}
		all = append(all, one)
	}
	return all, refused
}

// origin is where the route is said.
func (r *Route) origin() config.Origin {
	place := fmt.Sprintf("service %s, %s", r.Service, shown(r.Tag))
	if len(r.Datacenters) > 0 {
		place += " in " + strings.Join(r.Datacenters, ", ")
	}
	return config.Origin{Layer: "registry", Place: place}
}

// route is what a configuration would say. What is in it is checked by now.
func (r *Route) route() config.Route {
	route := config.Route{Methods: r.Methods, Priority: r.Priority, Access: r.Access}
	if r.Host != "" {
		route.Hosts = []string{r.Host}
	}
	if r.Scheme != "" {
		route.Headers = []config.Condition{{Name: "x-forwarded-proto", Exact: &r.Scheme}}
	}
	if r.Exact {
		route.Path = r.Path
	} else {
		route.PathPrefix = r.Path
	}
	if r.Redirect != nil {
		route.Redirect = r.redirect()
		return route
	}
	w := config.Rewrite{Host: r.RewriteHost, EndpointHost: r.EndpointHost}
	switch path := r.Forwarded(); {
	case path == cmp.Or(strings.TrimRight(r.Path, "/"), "/"): // as it came
	case r.Exact:
		w.Path = path
	default:
		w.Prefix = path
	}
	if w != (config.Rewrite{}) {
		route.Rewrite = &w
	}
	return route
}

func (r *Route) redirect() *config.Redirect {
	to := r.Redirect
	d := &config.Redirect{Status: to.Status, Scheme: to.Scheme, Host: to.Host, Port: to.Port}
	if !to.KeepsPath {
		d.Path, d.DropQuery = to.Path, true
		return d
	}
	path := cmp.Or(to.Path+strings.TrimRight(r.Forwarded(), "/"), "/")
	switch {
	case path == cmp.Or(strings.TrimRight(r.Path, "/"), "/"):
	case r.Exact:
		d.Path = path
	default:
		d.Prefix = path
	}
	return d
}
