package proxy

import (
	"errors"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
)

// What ends a call inside this package.
var (
	errNoRoute      = errors.New("no route matches the host and path")
	errMethod       = errors.New("routes match, but not for this method")
	errNeverSeen    = errors.New("the function has never had an endpoint")
	errForbidden    = errors.New("the access rules turn the client away")
	errNoEndpoint   = errors.New("the function has no endpoint now")
	errDrained      = errors.New("every region of the function is drained or disabled")
	errUnasked      = errors.New("every region of the function has weight 0")
	errUnwell       = errors.New("no endpoint of the function is healthy")
	errNoneLeft     = errors.New("every endpoint was tried")
	errDeadline     = errors.New("the deadline of the call passed")
	errLoop         = errors.New("the call has passed weir too often")
	errShuttingDown = errors.New("weir is shutting down")
	errBroken       = errors.New("the endpoint's answer broke off")
	errBug          = errors.New("a fault in weir itself")
)

// retry is when a call that ended so may be tried again.
type retry uint8

const (
	never      retry = iota
	beforeSent       // nothing reached the endpoint
	unanswered       // no byte of an answer came; if the call is idempotent
)

// A fault is a way for a call to end badly: what the client is told, and
// whether another try may mend it. This table is the only place where an error
// meets HTTP. It is also the page of the documentation, the set of values of
// the metrics' label cause, and the list that fault_test.go goes through.
type fault struct {
	err    error
	status int    // 0: the answer had begun, there is nothing left to say
	slug   string // urn:weir:problem:<slug>
	proxy  string // the error of Proxy-Status, RFC 9209 section 2.3
	cause  string // in logs and metrics
	again  retry
	wait   bool // it says Retry-After
	close  bool // the client's connection ends with it
	detail string
}

// faults are looked through in this order; an error is the first that it Is.
var faults = []fault{
	{message.ErrClientGone, 499, "client_gone", "", "DC", never, false, true,
		"The client closed the connection."},
	{errNoRoute, 404, "no_route", "destination_not_found", "NR", never, false, false,
		"No route matches this host and path."},
	{errMethod, 405, "method_not_allowed", "http_request_denied", "DPE", never, false, false,
		"The routes for this host and path do not take the method."},
	{errForbidden, 403, "forbidden", "http_request_denied", "UAEX", never, false, false,
		"The client's address may not call this."},
	{errNotTaken, 503, "overloaded", "connection_limit_reached", "OM", never, true, false,
		"The router that holds the function does not take the call."},
	{errMisdirected, 421, "misdirected", "http_request_denied", "MIS", never, false, false,
		"Another weir handed the call over, and this one does not take it."},
	{errNeverSeen, 503, "no_function", "destination_not_found", "NC", never, true, false,
		"The function has never had an endpoint."},
	{errNoEndpoint, 503, "no_healthy_upstream", "destination_unavailable", "UH", never, true, false,
		"The function has no endpoint now."},
	{errDrained, 503, "drained", "destination_unavailable", "DRN", never, true, false,
		"An operator lets no call in."},
	{errUnasked, 503, "no_healthy_upstream", "destination_unavailable", "UH", never, true, false,
		"No region of the function has a weight."},
	{errUnwell, 503, "no_healthy_upstream", "destination_unavailable", "UH", never, true, false,
		"No endpoint of the function is healthy."},
	{shaping.ErrShed, 503, "overloaded", "connection_limit_reached", "OM", never, true, false,
		"As many calls of the function as may be in flight are, and as many as may wait do."},
	{errQueueTime, 503, "overloaded", "connection_limit_reached", "OM", never, true, false,
		"As many calls of the function as may be in flight were, for as long as a call may wait for that."},
	{shaping.ErrLimited, 429, "rate_limited", "http_request_denied", "RL", never, true, false,
		"As many calls as may come have come; Retry-After says when the next may."},
	{shaping.ErrCrowd, 429, "concurrency_limited", "http_request_denied", "RL", never, true, false,
		"As many calls of the tenant as may be under way at once are."},
	{shaping.ErrOpen, 503, "circuit_open", "connection_limit_reached", "UO", never, true, false,
		"The function has failed too often, and is left alone for a while."},
	{message.ErrBusy, 503, "overloaded", "connection_limit_reached", "OM", beforeSent, true, false,
		"No connection to the endpoint came free in time."},
	{coldstart.ErrLineFull, 503, "cold_start_queue_full", "connection_limit_reached", "CSQ", never, true, false,
		"As many calls as may wait for the function already do."},
	{coldstart.ErrShare, 429, "cold_start_share", "connection_limit_reached", "CSS", never, true, false,
		"The function holds its share of all calls that may wait."},
	{coldstart.ErrNoStart, 503, "scaler_failed", "destination_unavailable", "CSF", never, true, false,
		"No instance of the function could be started."},
	{coldstart.ErrMaxWait, 503, "cold_start_timeout", "destination_unavailable", "CST", never, true, false,
		"No instance of the function was ready in the time a call may be held."},
	{errWaiting, 503, "starting", "destination_unavailable", "CSW", never, true, false,
		"An instance is starting; a page says so, and comes again when it is ready."},
	{coldstart.ErrAudienceFull, 503, "too_many_watch", "connection_limit_reached", "CSA", never, true, false,
		"As many waiting pages are told of starts as may be."},
	{coldstart.ErrGone, 503, "no_function", "destination_not_found", "NC", never, true, false,
		"The function was removed while the call waited."},
	{errDormant, 503, "dormant", "destination_unavailable", "DOR", never, true, false,
		"The function is down, and calls like this one do not start it."},
	{errAsyncFull, 503, "async_full", "connection_limit_reached", "ASF", never, true, false,
		"As much is kept for clients that do not wait for their answer as may be."},
	{errAsyncLost, 502, "async_lost", "http_response_incomplete", "ASL", never, false, false,
		"The function's answer was not whole, or is larger than is kept."},
	{errNoCall, 404, "no_call", "destination_not_found", "NCL", never, false, false,
		"No call is kept under this id, or not any more."},
	{errExpired, 504, "deadline_expired", "http_request_denied", "DTX", never, true, false,
		"The caller's deadline has passed, or will have before an instance is ready."},
	{errTryTime, 504, "deadline_exceeded", "http_response_timeout", "UT", never, false, false,
		"The endpoint did not answer in the time that one try has."},
	{errDeadline, 504, "deadline_exceeded", "http_response_timeout", "UT", never, false, false,
		"The deadline of the call passed before the endpoint answered."},
	{message.ErrConnectTimeout, 502, "connect_failed", "connection_timeout", "UF", beforeSent, false, false,
		"The endpoint did not accept a connection in time."},
	{message.ErrConnect, 502, "connect_failed", "connection_refused", "UF", beforeSent, false, false,
		"The endpoint did not accept a connection."},
	{message.ErrCertificate, 502, "connect_failed", "tls_certificate_error", "UF", beforeSent, false, false,
		"The endpoint's certificate is not valid."},
	{message.ErrTLS, 502, "connect_failed", "tls_protocol_error", "UF", beforeSent, false, false,
		"TLS with the endpoint failed."},
	{message.ErrTLSEnded, 502, "connect_failed", "tls_protocol_error", "UF", unanswered, false, false,
		"The endpoint ended TLS before it answered."},
	{message.ErrReset, 502, "upstream_protocol", "http_response_incomplete", "UC", unanswered, false, false,
		"The endpoint closed the connection before it answered."},
	{message.ErrProtocol, 502, "upstream_protocol", "http_protocol_error", "UPE", never, false, false,
		"The endpoint's answer is not HTTP/1.1."},
	{errBroken, 0, "upstream_protocol", "http_response_incomplete", "UC", never, false, true,
		"The endpoint's answer broke off."},
	{message.KindHeadTooLarge, 431, "head_too_large", "http_request_error", "DPE", never, false, true,
		"The head of the request is too large."},
	{message.KindTargetLong, 414, "target_too_long", "http_request_error", "DPE", never, false, true,
		"The request target is too long."},
	{message.KindBodyTooLarge, 413, "body_too_large", "http_request_error", "DPE", never, false, true,
		"The body of the request is too large."},
	{message.KindSlow, 408, "request_timeout", "connection_read_timeout", "SI", never, false, true,
		"The request came too slowly."},
	{message.KindCoding, 501, "transfer_coding", "http_request_error", "DPE", never, false, true,
		"The transfer coding of the request is not supported."},
	{message.KindMethod, 501, "method", "http_request_error", "DPE", never, false, true,
		"The method is not supported."},
	{message.KindVersion, 505, "http_version", "http_request_error", "DPE", never, false, true,
		"The version of HTTP is not supported."},
	{message.KindBad, 400, "bad_request", "http_request_error", "DPE", never, false, true,
		"The request is malformed."},
	{errLoop, 508, "loop", "proxy_loop_detected", "LOOP", never, false, false,
		"The call has passed weir too often."},
	{errShuttingDown, 503, "shutting_down", "proxy_internal_response", "SD", never, true, true,
		"weir is shutting down."},
}

// internal is the answer to what should not be.
var internal = fault{errBug, 500, "internal", "proxy_internal_error", "INT", never, false, true,
	"Something went wrong inside weir."}

// faultOf finds the fault that an error is.
func faultOf(err error) *fault {
	for i := range faults {
		if errors.Is(err, faults[i].err) {
			return &faults[i]
		}
	}
	return &internal
}
