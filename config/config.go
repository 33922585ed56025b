package config

import (
	"net/netip"
	"time"
)

// A Config is one whole configuration: defaults filled in, references
// resolved, frozen. Read it from any goroutine; never change it.
type Config struct {
	// Version of the configuration's language. Only 1 exists.
	Version int `yaml:"version" default:"1"`
	// Include names further files of the configuration, relative to the one that
	// says it: conf.d/*.yaml. Functions, scalers and whatever else has names are
	// put together, listeners and routes are put one behind the other; of the
	// rest each block stands in one file. What is said twice is a mistake.
	Include Patterns `yaml:"include" shown:"never"`
	// Region in which this weir runs; the label of everything it measures.
	Region string `yaml:"region" default:"local"`
	// Zone of that region in which it runs, for functions that prefer endpoints of
	// their own (load_balancing.zones).
	Zone string `yaml:"zone"`
	// Listeners take calls. At least one.
	Listeners []Listener `yaml:"listeners"`
	// Admin is the operator's window. On loopback unless told otherwise,
	// because it has no authentication yet.
	Admin Admin `yaml:"admin"`
	// Discovery is where else endpoints are learned from.
	Discovery Discovery `yaml:"discovery"`
	// Peers are the routers that share limits with this one.
	Peers *Peers `yaml:"peers"`
	// Defaults hold for every function that does not say otherwise.
	Defaults Defaults `yaml:"defaults"`
	// ColdStart bounds what all functions together may do while starting.
	ColdStart ColdStartLimits `yaml:"cold_start"`
	// Async bounds what is kept for clients that do not wait for their answer.
	Async Async `yaml:"async"`
	// Regions by name: what they are to every function.
	Regions map[string]Region `yaml:"regions"`
	// Failover is how calls are divided between regions that are not all well.
	Failover Failover `yaml:"failover"`
	// Geography says where clients are.
	Geography Geography `yaml:"geography"`
	// Tenants are those on whose behalf calls come.
	Tenants Tenants `yaml:"tenants"`
	// Functions by name.
	Functions map[string]*Function `yaml:"functions"`
	// Scalers by name; a function's cold_start.scaler points here. One may be
	// used without being declared: process, as { type: process }.
	Scalers map[string]Scaler `yaml:"scalers"`
	// Routes say which calls go to which function.
	Routes []Route `yaml:"routes"`
	// Shutdown is how weir leaves.
	Shutdown Shutdown `yaml:"shutdown"`
	// Telemetry is what weir tells about finished calls.
	Telemetry Telemetry `yaml:"telemetry"`

	// Path is the file it was read from, absolute; empty for a document that
	// came from memory. Relative commands of functions are relative to its
	// folder.
	Path string `yaml:"-"`
	// Files are all that was read, absolute, Path first: those that are included
	// and those that are named by settings and read with them. What lies in them
	// is the configuration until it is loaded anew.
	Files []string `yaml:"-"`
	// Patterns are those of include, absolute. A file that comes to match one
	// belongs to the configuration.
	Patterns []string `yaml:"-"`
	// Warnings are about what is possible but hardly meant, each with its place.
	Warnings []string `yaml:"-"`
	// Refused are the values of the layers over the file that it does without.
	Refused []Refused `yaml:"-"`

	spread     *Spread           // of functions that say nothing of regions
	upon       *upon             // nil: it is not known what it has in common with another one; whoever changes a copy of a Config has to empty it
	origins    *document         // where each value comes from; nil for a Config made by hand
	registered map[string]Origin // of routes and functions that are in no layer, by path
	// Hash tells two configurations apart: the first 12 hex digits of the
	// SHA-256 of all that it was made of.
	Hash string `yaml:"-"`
}

// A Listener takes calls on one address.
type Listener struct {
	// Name in logs and metrics; the address if not given.
	Name string `yaml:"name"`
	// Address as host:port; an empty host is every interface.
	Address string `yaml:"address"`
	// TrustedProxies are the peers whose X-Forwarded-*, Forwarded (if it is
	// passed on at all) and X-Request-Id fields are believed. Nobody's, by
	// default.
	//
	// Who the client of a call is behind them: the right-most address of
	// X-Forwarded-For that is not a trusted proxy's itself. That is client_ip
	// in the access log, and whom access is about.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// Forwarded is whether endpoints get the field of that name (RFC 7239)
	// beside X-Forwarded-*. With "append" its last element is weir's own: for,
	// host and proto as weir saw them, behind what a trusted proxy said. With
	// "off" it never passes, whoever sent it: an endpoint that reads it would
	// take an element for the last hop that is not.
	Forwarded string `yaml:"forwarded" default:"off" enum:"off,append"`
	// HalfClose is what it means when a client ends its side of the connection
	// before it has its answer. "leave": it has left, and the call ends. So do
	// nearly all clients leave, and TCP cannot tell the two apart. "wait": it has
	// only no more to send, as nc -N does, and has its answer; then one that has
	// left is noticed when it is written to, or resets the connection. A request
	// that is not whole by then is one whose client has left, either way.
	HalfClose string `yaml:"half_close" default:"leave" enum:"leave,wait"`
	// ProxyProtocol says whose connections begin with a PROXY header.
	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol"`
	// Access says who may connect. Others are hung up on. Where a proxy
	// tells who the client is, the connection is the proxy's, and the client's
	// calls are answered 403 instead.
	Access Access `yaml:"access"`
	// Limits of what a client may ask of the listener.
	Limits Limits `yaml:"limits"`
}

// ProxyProtocol is how a proxy that passes bytes and not calls says whose they
// are: by a header of the PROXY protocol, version 1 or 2, in front of the first
// of them. The client in it is then the peer: trusted_proxies, access and
// limits are about that one. A peer that is not listed and sends such a header
// has sent a malformed request.
type ProxyProtocol struct {
	// From lists the peers that send it, and are believed.
	From []netip.Prefix `yaml:"from"`
	// Header is whether each of their connections must begin with one. A
	// "required" one that is missing, malformed, or not whole within
	// limits.head_timeout closes the connection. With "optional" a connection
	// without one is the peer's own; then whoever reaches weir through a peer
	// that adds none can write one and pass for anybody.
	Header string `yaml:"header" default:"required" enum:"required,optional"`
}

// Access says by the client's address who may come in. The most specific
// network that the client is in decides, whichever list it stands in; if it
// stands in both, it is denied. With an allow list everybody else is denied,
// without one everybody else may.
type Access struct {
	// Allow lists networks and addresses that may.
	Allow []netip.Prefix `yaml:"allow" shown:"given"`
	// Deny lists networks and addresses that may not.
	Deny []netip.Prefix `yaml:"deny" shown:"given"`
}

// Limits of one listener. 0 is no limit, save for the head's.
type Limits struct {
	// HeadBytes is the longest request head: enough for 8 KiB of cookies and
	// a long target. Beyond it 431.
	HeadBytes Size `yaml:"head_bytes" default:"16KiB"`
	// Fields is the most header fields of one request. Browsers send about 20.
	// Beyond it 431.
	Fields int `yaml:"fields" default:"100"`
	// TargetBytes is the longest request target. Beyond it 414.
	TargetBytes Size `yaml:"target_bytes" default:"8KiB"`
	// BodyBytes is the longest request body. Beyond it 413.
	BodyBytes Size `yaml:"body_bytes" default:"0"`
	// HeadTimeout is how long a head may take from its first byte to its
	// last. Beyond it 408.
	HeadTimeout time.Duration `yaml:"head_timeout" default:"10s"`
	// BodyProgress is how long a body, in either direction, may stand still
	// because of the client. It is about progress, not age.
	BodyProgress time.Duration `yaml:"body_progress" default:"30s"`
	// Connections is how many may be open at once. When that many are, the
	// one that has idled the longest is closed to make room; only if none
	// idles is the new one.
	Connections int `yaml:"connections" default:"0"`
	// ConnectionsPerClient is how many one client may have open: one address,
	// or of IPv6 one /64, which a client can choose its address from. Beyond it
	// new ones are closed. Trusted proxies, which stand for many clients, have
	// no such limit.
	ConnectionsPerClient int `yaml:"connections_per_client" default:"0"`
}

// Admin is the operator's listener.
type Admin struct {
	// Address as host:port.
	Address string `yaml:"address" default:"127.0.0.1:9901"`
	// OverridesFile is where overrides are kept for the next start. Without it,
	// overrides.json in the folder that systemd gives weir (StateDirectory); if
	// there is none, a restart forgets them.
	OverridesFile string `yaml:"overrides_file"`
	// Pprof shows profiles of the process under /debug/pprof, for go tool pprof. Off by
	// default: a profile takes processor time, and a dump tells what weir has in memory.
	Pprof bool `yaml:"pprof" default:"false"`
}

// Defaults of every function.
type Defaults struct {
	Timeouts Timeouts `yaml:"timeouts"`
	// Deadline says how far the callers' own deadlines count.
	Deadline Deadline `yaml:"deadline"`
}

// A Function is a name that calls are routed to, with no, one or many
// endpoints behind it.
type Function struct {
	// Name is the key in Config.Functions.
	Name string `yaml:"-"`
	// Endpoints that are always there.
	Endpoints []Endpoint `yaml:"endpoints"`
	// Service is its name in a source of discovery, whose instances are its
	// endpoints too: checkout in Consul, file:checkout, http:checkout,
	// dns:checkout.internal:8080 (A and AAAA) or dns:_http._tcp.checkout.internal
	// (SRV). Without discovery.consul the only other source may be left out.
	// Several functions may have the same one.
	Service string `yaml:"service"`
	// ServiceTags an instance must have, all of them, to be an endpoint of this
	// function.
	ServiceTags []string `yaml:"service_tags"`
	// ServiceScheme is https for a service whose instances speak TLS.
	ServiceScheme string `yaml:"service_scheme" default:"http" enum:"http,https"`
	// Timeouts of this function; what is not given comes from
	// Config.Defaults.
	Timeouts Timeouts `yaml:"timeouts"`
	// Trailers are the trailer fields that pass behind a chunked body, in both
	// directions, to a client only if it said TE: trailers. All others are
	// dropped: whoever merges them into the head would believe them.
	Trailers []string `yaml:"trailers"`
	// Deadline of this function's callers; what is not given comes from
	// Config.Defaults.
	Deadline Deadline `yaml:"deadline"`
	// Priority of its calls in line: those of a higher one are let go first,
	// though never more than eight before the one that waits longest. A trusted
	// proxy can say another for a call with the field Priority: high, normal,
	// low, or an urgency of RFC 9218.
	Priority string `yaml:"priority" default:"normal" enum:"high,normal,low"`
	// Retries says when a call is tried again.
	Retries *Retries `yaml:"retries"`
	// LoadBalancing says which of the endpoints has a call.
	LoadBalancing LoadBalancing `yaml:"load_balancing"`
	// Regions says what they are to this function, by their names under
	// Config.Regions.
	Regions map[string]FunctionRegion `yaml:"regions"`
	// Spread follows from Regions, Config.Regions and Config.Failover; nil if it says
	// nothing of regions. See Config.SpreadOf.
	Spread *Spread `yaml:"-"`
	// HealthCheck asks the endpoints whether they are well.
	HealthCheck *HealthCheck `yaml:"health_check"`
	// RateLimit bounds how many calls may come: one limit, or a list of them, all of
	// which have to let a call in.
	RateLimit RateLimits `yaml:"rate_limit" shown:"given"`
	// CircuitBreaker turns calls away while the function fails too often.
	CircuitBreaker *CircuitBreaker `yaml:"circuit_breaker"`
	// OutlierDetection sets endpoints aside that fail while others do not.
	OutlierDetection *OutlierDetection `yaml:"outlier_detection"`
	// Upstream bounds the connections to each of the endpoints.
	Upstream Upstream `yaml:"upstream"`
	// TLS is how weir meets the endpoints whose address begins with https://.
	TLS *UpstreamTLS `yaml:"tls"`
	// Concurrency bounds what the function as a whole takes at once.
	Concurrency Concurrency `yaml:"concurrency"`
	// Hedging tries a call that takes long at a second endpoint too.
	Hedging *Hedging `yaml:"hedging"`
	// Collapse has calls that ask for the same at once wait for one of them.
	Collapse *Collapse `yaml:"collapse"`
	// ColdStart says how the function is raised from nothing and put back.
	ColdStart ColdStart `yaml:"cold_start"`
	// RespondAsync lets clients come back for the answer: a call with Prefer:
	// respond-async (RFC 7240) goes on without its client, who is told 202 and
	// where the answer will be. Off by default, because whoever calls so takes
	// memory that async bounds.
	RespondAsync bool `yaml:"respond_async" default:"false"`
	// WhileCold says what callers get while it is down, other than to be held.
	WhileCold *WhileCold `yaml:"while_cold"`
	// Fallback has the calls that the function cannot answer.
	Fallback *LastResort `yaml:"fallback"`
	// Process is what a scaler of type process runs.
	Process *Process `yaml:"process"`
	// Docker is what a scaler of type docker runs.
	Docker *Docker `yaml:"docker"`
	// Webhook is what the platform behind a scaler of type webhook is told
	// about the function, word for word.
	Webhook map[string]string `yaml:"webhook"`
}

// An Endpoint is one address that serves one function. In YAML it is
// "host:port", "http://host:port", "https://host:port", "unix:/path", or a
// mapping.
type Endpoint struct {
	// Address as host:port, https://host:port or unix:/path.
	Address string `yaml:"address"`
	// Region and Zone in which it is; the region of this weir if not given.
	Region string `yaml:"region"`
	Zone   string `yaml:"zone"`
	// Weight is its share among equals; 0 takes no new calls.
	Weight int `yaml:"weight" default:"1"`
	// Slots is how many calls it carries at once; 0 is no limit.
	Slots int `yaml:"slots" default:"0"`
}

// A Route is a rule from what a call looks like to a function. Of the routes
// that match, the first counts: by precedence, then the more specific host, then
// the more specific path, then the more conditions, then the earlier one
// (docs/routing.md).
type Route struct {
	// Hosts it holds for: "api.example.com", or "*.example.com" for every
	// name below it. None: every host.
	Hosts []string `yaml:"hosts"`
	// Path, whole: /a matches neither /a/ nor /a/b.
	Path string `yaml:"path"`
	// PathTemplate is a whole path in which {name} stands for one segment,
	// whatever it is: /users/{id}/posts.
	PathTemplate string `yaml:"path_template"`
	// PathRegex is a regular expression (RE2) that the whole path matches. It is
	// looked at in normal form, with what is percent-encoded left so.
	PathRegex string `yaml:"path_regex"`
	// PathPrefix by whole segments: /a matches /a and /a/b, not /ab.
	PathPrefix string `yaml:"path_prefix" default:"/"`
	// Methods it holds for; GET includes HEAD. None: every method. A call that
	// lacks nothing but the method is answered 405.
	Methods []string `yaml:"methods"`
	// Headers are conditions on fields of the request, all of which have to
	// hold. Looked at is what the endpoint gets.
	Headers []Condition `yaml:"headers"`
	// Query are conditions on parameters in the query, decoded.
	Query []Condition `yaml:"query"`
	// Cookies are conditions on cookies.
	Cookies []Condition `yaml:"cookies"`
	// Precedence puts the route before all with a lower one, however specific
	// those are.
	Precedence int `yaml:"precedence" default:"0"`
	// Function it leads to. Instead of one a route may have a split, a redirect
	// or an answer of its own.
	Function string `yaml:"function"`
	// Split shares the calls out among functions by weight.
	Split []Share `yaml:"split" shown:"given"`
	// Sticky keeps a client's calls with one function of the split.
	Sticky *Sticky `yaml:"sticky"`
	// Redirect sends clients elsewhere.
	Redirect *Redirect `yaml:"redirect"`
	// Respond answers by itself.
	Respond *Response `yaml:"respond"`
	// Rewrite changes the path and the host on the way to the endpoint.
	Rewrite *Rewrite `yaml:"rewrite"`
	// RequestHeaders are changed on the way to the endpoint.
	RequestHeaders *HeaderRules `yaml:"request_headers"`
	// ResponseHeaders are changed on the way to the client, in answers of
	// endpoints, of redirect and of respond, not in those to mistakes.
	ResponseHeaders *HeaderRules `yaml:"response_headers"`
	// Mirror sends copies of the calls to another function.
	Mirror *Mirror `yaml:"mirror"`
	// Priority of calls that come this way; without it the function's.
	Priority string `yaml:"priority" enum:"high,normal,low"`
	// RawPath forwards the path as the client wrote it. It is matched in
	// normal form all the same, so an endpoint that reads the raw form in
	// another way can be led out of path_prefix: it has to look for itself.
	RawPath bool `yaml:"raw_path"`
	// EncodedSlash is what %2F in a path means. "keep": it is no separator
	// and stays as it is; a path that would be another route's, or would go up
	// a level, if it did separate is refused. "decode": it separates; the path
	// is normalized and matched anew with it. "refuse": 400.
	EncodedSlash string `yaml:"encoded_slash" default:"keep" enum:"keep,decode,refuse"`
	// Access says who may call it. Others are answered 403. A more specific
	// route does not inherit it.
	Access Access `yaml:"access"`
	// RespondAsync lets clients that come this way come back for the answer;
	// without it as the function says.
	RespondAsync bool `yaml:"respond_async"`
	// WhileCold is what callers that come this way get while the function is
	// down; without it the function's.
	WhileCold *WhileCold `yaml:"while_cold"`
	// Fallback has the calls that come this way and that the function cannot answer;
	// without it the function's.
	Fallback *LastResort `yaml:"fallback"`
}

// Shutdown is how weir leaves on SIGTERM.
type Shutdown struct {
	// DrainDelay is how long weir goes on serving while /readyz is red, so
	// that what is in front of it stops sending.
	DrainDelay time.Duration `yaml:"drain_delay" default:"0s"`
	// Grace is how long running and held calls may take to end.
	Grace time.Duration `yaml:"grace" default:"30s"`
}

// Telemetry is what weir tells about finished calls.
type Telemetry struct {
	AccessLog AccessLog `yaml:"access_log"`
	// Tracing is how weir takes part in traces.
	Tracing Tracing `yaml:"tracing"`
}

// AccessLog is one line for each call.
type AccessLog struct {
	// Output: stdout, stderr, none, or the path of a file, which SIGUSR1
	// reopens.
	Output string `yaml:"output" default:"stdout"`
	// Format of a line. Only json so far.
	Format string `yaml:"format" default:"json" enum:"json"`
}

// A Size is a number of bytes. In YAML a number, or one with a unit: 512,
// 16KiB, 1MiB, 2GiB, and the decimal kB, MB, GB.
type Size int64
