package tags

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-gateway/weir/config"
)

// options are those of weir.route.
func options(name string) option {
	switch name {
	case "exact":
		return flag(name, func(r *Route) { r.Exact = true })
	case "methods":
		return setMethods
	case "priority":
		return func(r *Route, value string, _ bool) error {
			r.Priority = value
			if !slices.Contains([]string{"high", "normal", "low"}, value) {
				return fmt.Errorf("its priority must be high, normal or low, not %q", value)
			}
			return nil
		}
	case "strip":
		return func(r *Route, value string, given bool) (err error) {
			if !given {
				r.Strip = r.Path // all of it
				return nil
			}
			r.Strip, err = readPath("strip", value)
			return err
		}
	case "prepend":
		return setPrepend
	case "host":
		return setHost
	case "redirect":
		return setRedirect
	case "allow", "deny":
		return func(r *Route, value string, _ bool) error { return setAccess(r, name, value) }
	case "tls":
		return flag(name, func(r *Route) { r.TLS = true })
	case "weight":
		return setWeight
	}
	return nil
}

// fabioOptions are those of urlprefix-, as Fabio 1.7 has them.
func fabioOptions(name string) option {
	switch name {
	case "strip":
		return func(r *Route, value string, _ bool) (err error) {
			r.Strip, err = readPath("strip", value)
			return err
		}
	case "prepend":
		return setPrepend
	case "host":
		return setHost
	case "redirect":
		return setRedirect
	case "allow", "deny":
		return setFabioAccess(name)
	case "weight":
		return setWeight
	case "proto":
		return setProto
	case "tlsskipverify":
		return func(r *Route, value string, _ bool) error {
			r.Insecure = value == "true"
			return nil
		}
	case "register":
		return func(r *Route, value string, _ bool) error {
			r.Notes = append(r.Notes, fmt.Sprintf("its option register=%s is left out, the route stands: weir registers nothing in Consul; register the name yourself", value))
			return nil
		}
	case "auth":
		return refuse("has the option auth: weir asks nobody for a password, and without one the route would be open to all")
	case "pxyproto":
		return refuse("has the option pxyproto: weir sends no PROXY protocol to endpoints; X-Forwarded-For has the client's address")
	case "grpcservername":
		return refuse("has the option grpcservername, which is for proto=grpcs")
	}
	return nil
}

func refuse(why string) option {
	return func(*Route, string, bool) error { return errors.New(why) }
}

func flag(name string, set func(*Route)) option {
	return func(r *Route, _ string, given bool) error {
		if given {
			return fmt.Errorf("its option %s has no value", name)
		}
		set(r)
		return nil
	}
}

func setMethods(r *Route, value string, _ bool) error {
	for method := range strings.SplitSeq(value, ",") {
		if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fmt.Errorf("its methods have what is none: %q", method)
		}
		r.Methods = append(r.Methods, method)
	}
	slices.Sort(r.Methods)
	r.Methods = slices.Compact(r.Methods)
	return nil
}

func setPrepend(r *Route, value string, _ bool) (err error) {
	r.Prepend, err = readPath("prepend", value)
	return err
}

// setHost is what the endpoint is told. Fabio's host=dst is the address of the
// endpoint that the call comes to.
func setHost(r *Route, value string, _ bool) error {
	if r.EndpointHost = value == "dst"; r.EndpointHost {
		return nil
	}
	r.RewriteHost = strings.ToLower(value)
	if err := config.CheckHost(r.RewriteHost); err != nil || strings.HasPrefix(value, "*") {
		return fmt.Errorf("its option host is not the name of a host: %q", value)
	}
	return nil
}

func setWeight(r *Route, value string, _ bool) (err error) {
	r.Weight, err = readShare(value)
	return err
}

func setAccess(r *Route, name, value string) error {
	list := &r.Access.Allow
	if name == "deny" {
		list = &r.Access.Deny
	}
	prefixes, err := readPrefixes(name, value)
	*list = prefixes
	return err
}

// setFabioAccess is ip:10.0.0.0/8,ip:fe80::/10. An example of Fabio's leaves ip:
// out from the second on.
func setFabioAccess(name string) option {
	return func(r *Route, value string, _ bool) error {
		items := strings.Split(value, ",")
		for i, item := range items {
			network, ok := strings.CutPrefix(item, "ip:")
			if !ok && i == 0 {
				return fmt.Errorf("its %s is not about ip: %q", name, item)
			}
			items[i] = network
		}
		return setAccess(r, name, strings.Join(items, ","))
	}
}

func setProto(r *Route, value string, _ bool) error {
	switch value {
	case "http":
		return nil
	case "https":
		r.TLS = true
		return nil
	case "tcp", "tcp+sni", "tcp-dynamic", "https+tcp+sni", "grpc", "grpcs", "fcgi":
		return fmt.Errorf("has proto=%s, which weir does not speak to endpoints", value)
	}
	return fmt.Errorf("has an unknown proto=%s", value)
}

// setRedirect is STATUS,URL.
func setRedirect(r *Route, value string, _ bool) error {
	code, to, _ := strings.Cut(value, ",")
	status, err := strconv.Atoi(code)
	switch {
	case err != nil || to == "":
		return fmt.Errorf("its redirect must be a status and a URL, as in 301,https://example.com$path, not %q", value)
	case !slices.Contains(config.RedirectStatuses, status):
		return fmt.Errorf("its redirect must have one of the statuses 301, 302, 303, 307 and 308, which send a client elsewhere, not %d", status)
	}
	r.Redirect, err = readTarget(to)
	if err == nil {
		r.Redirect.Status = status
	}
	return err
}

// readTarget reads where a redirect leads. $path, at the end, is the path of the
// call, with or without a slash in front; $host is whom the client asked.
func readTarget(to string) (*Redirect, error) {
	whole, path := strings.CutSuffix(to, "$path")
	if path {
		whole = strings.TrimSuffix(whole, "/")
	}
	if strings.ContainsAny(whole, "{}") {
		return nil, errBrace
	}
	scheme, rest, _ := strings.Cut(whole, "://")
	rest, same := strings.CutPrefix(rest, "$host")
	if same && rest != "" && rest[0] != '/' {
		return nil, fmt.Errorf("its redirect has something behind $host: %q", to)
	}
	if strings.Contains(rest, "$") || strings.Contains(scheme, "$") {
		return nil, fmt.Errorf("its redirect may have $host, alone, and $path, at the end, and no other variable: %q", to)
	}
	if same {
		rest = "host" + rest
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("its redirect does not lead to a URL with http:// or https://: %q", to)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("its redirect has a query or a fragment, which weir does not set: %q", to)
	}
	d := &Redirect{Scheme: u.Scheme, Path: strings.TrimSuffix(u.EscapedPath(), "/"), KeepsPath: path}
	if u.EscapedPath() != "" {
		if err := config.CheckPathPrefix(u.EscapedPath()); err != nil {
			return nil, fmt.Errorf("the path of its redirect %w", err)
		}
	}
	if !path {
		d.Path = cmp.Or(u.EscapedPath(), "/")
	}
	if same {
		return d, nil
	}
	d.Host = strings.ToLower(u.Hostname())
	if err := config.CheckHost(d.Host); err != nil || strings.HasPrefix(d.Host, "*") {
		return nil, fmt.Errorf("its redirect does not lead to a host: %q", to)
	}
	if port := u.Port(); port != "" {
		if d.Port, err = strconv.Atoi(port); err != nil || d.Port < 1 || d.Port > 65535 {
			return nil, fmt.Errorf("its redirect leads to no port: %q", to)
		}
	}
	return d, nil
}
