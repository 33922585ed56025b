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
	// Region in which this weir runs; the label of everything it measures.
	Region string `yaml:"region" default:"local"`
	// Listeners take calls. At least one.
	Listeners []Listener `yaml:"listeners"`
	// Admin is the operator's window. On loopback unless told otherwise,
	// because it has no authentication yet.
	Admin Admin `yaml:"admin"`
	// Defaults hold for every function that does not say otherwise.
	Defaults Defaults `yaml:"defaults"`
	// ColdStart bounds what all functions together may do while starting.
	ColdStart ColdStartLimits `yaml:"cold_start"`
	// Functions by name.
	Functions map[string]Function `yaml:"functions"`
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
	// Hash tells two configurations apart: the first 12 hex digits of the
	// SHA-256 of the document.
	Hash string `yaml:"-"`
}

// A Listener takes calls on one address.
type Listener struct {
	// Name in logs and metrics; the address if not given.
	Name string `yaml:"name"`
	// Address as host:port; an empty host is every interface.
	Address string `yaml:"address"`
	// TrustedProxies are the peers whose X-Forwarded-*, Forwarded and
	// X-Request-Id fields are believed. Nobody's, by default.
	//
	// Who the client of a call is behind them: the right-most address of
	// X-Forwarded-For that is not a trusted proxy's itself. That is client_ip
	// in the access log, and whom access is about.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
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
}

// Defaults of every function.
type Defaults struct {
	Timeouts Timeouts `yaml:"timeouts"`
	// Deadline says how far the callers' own deadlines count.
	Deadline Deadline `yaml:"deadline"`
}

// A Deadline is the time that a caller gives its call. It can only shorten what
// timeouts.request allows. Beyond it 504.
type Deadline struct {
	// Header in which a caller says it, in milliseconds. Understood besides:
	// x-envoy-upstream-rq-timeout-ms, x-envoy-expected-rq-timeout-ms, and
	// grpc-timeout with its units.
	Header string `yaml:"header" default:"x-request-timeout-ms"`
	// Max is the most that is believed; more counts as this much. 0 is no
	// bound.
	Max time.Duration `yaml:"max" default:"0s"`
	// Propagate tells the endpoint, in X-Request-Timeout-Ms, how much time is
	// left when the call is sent, so that it can give up when nobody waits any
	// more.
	Propagate bool `yaml:"propagate" default:"true"`
}

// Timeouts are lengths of time; each becomes a deadline when it meets a call.
type Timeouts struct {
	// Connect is how long one connection to an endpoint may take to stand.
	Connect time.Duration `yaml:"connect" default:"1s"`
	// Request is the whole call, holding and further tries included, until
	// the head of the answer. Beyond it 504. Bodies may flow for longer as long
	// as they make progress: an upload is answered within this time after its
	// last byte, unless the caller gave a deadline of its own.
	Request time.Duration `yaml:"request" default:"15s"`
	// Idle is how long a connection may stand unused: towards clients the
	// keep-alive wait, towards endpoints the life of a pooled connection.
	Idle time.Duration `yaml:"idle" default:"60s"`
	// StreamIdle is how long an answer that has begun may pause, and how long a
	// tunnel may carry nothing in either direction. It is about progress, not
	// age: an event stream that says something once in a while lives on. 0 is
	// for ever.
	StreamIdle time.Duration `yaml:"stream_idle" default:"1h"`
}

// A Function is a name that calls are routed to, with no, one or many
// endpoints behind it.
type Function struct {
	// Name is the key in Config.Functions.
	Name string `yaml:"-"`
	// Endpoints that are always there.
	Endpoints []Endpoint `yaml:"endpoints"`
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
	// Upstream bounds the connections to each of the endpoints.
	Upstream Upstream `yaml:"upstream"`
	// TLS is how weir meets the endpoints whose address begins with https://.
	TLS *UpstreamTLS `yaml:"tls"`
	// Concurrency bounds what the function as a whole takes at once.
	Concurrency Concurrency `yaml:"concurrency"`
	// ColdStart says how the function is raised from nothing and put back.
	ColdStart ColdStart `yaml:"cold_start"`
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

// Concurrency bounds the calls inside one function.
type Concurrency struct {
	// MaxRequests is how many calls may be inside the function at once, held
	// ones included. 0 is no limit. Beyond it 503.
	MaxRequests int `yaml:"max_requests" default:"0"`
}

// A Route is a rule from host and path to a function. The most specific
// wins: an exact host before a wildcard before none, then the longest prefix.
type Route struct {
	// Hosts it holds for: "api.example.com", or "*.example.com" for every
	// name below it. None: every host.
	Hosts []string `yaml:"hosts"`
	// PathPrefix by whole segments: /a matches /a and /a/b, not /ab.
	PathPrefix string `yaml:"path_prefix" default:"/"`
	// Function it leads to.
	Function string `yaml:"function"`
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
