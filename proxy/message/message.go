package message

import (
	"errors"
	"net/netip"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// The ways in which a try fails. They are wrapped with what happened.
var (
	// ErrConnect: no connection to the endpoint could be made; nothing was
	// sent.
	ErrConnect = errors.New("cannot connect to the endpoint")
	// ErrConnectTimeout: the same, because it took too long.
	ErrConnectTimeout = errors.New("cannot connect to the endpoint in time")
	// ErrBusy: no connection came free in time, and no more could be made; nothing
	// was sent.
	ErrBusy = errors.New("no connection to the endpoint came free in time")
	// ErrCertificate: a connection stands, but the endpoint's certificate is not
	// that of whom it should be; nothing was sent.
	ErrCertificate = errors.New("the endpoint's certificate is not valid")
	// ErrTLS: the same, because TLS could not be agreed on otherwise.
	ErrTLS = errors.New("TLS with the endpoint failed")
	// ErrTLSEnded: the endpoint said that TLS has failed after the request was
	// sent. With TLS 1.3 that is how it refuses weir's own certificate.
	ErrTLSEnded = errors.New("the endpoint ended TLS before it answered")
	// ErrReset: the connection ended before the head of the response was
	// whole.
	ErrReset = errors.New("the endpoint closed the connection before it answered")
	// ErrProtocol: what came is not a response of HTTP/1.1.
	ErrProtocol = errors.New("the endpoint's response is malformed")
)

// ErrStalled: nothing came, or could be sent, for as long as a body or a tunnel
// may stand still.
var ErrStalled = errors.New("nothing has moved for too long")

// ErrClientGone: the client closed its connection, or its side of it, before
// it had its answer.
var ErrClientGone = errors.New("the client has gone")

// A Field is one line of a head.
type Field struct {
	Name, Value []byte
	ID          ID     // which of the names weir knows it is
	Number      Number // else which of the configuration's; it may have none though it is one of these
	Drop        bool   // it does not pass
}

// Framing is how the end of a body is found.
type Framing uint8

// The framings of HTTP/1.1, RFC 9112 section 6.3. Other protocols map theirs
// to NoBody, Sized and Chunked.
const (
	NoBody     Framing = iota // there is none
	Sized                     // Length says it
	Chunked                   // it says so itself
	UntilClose                // responses only: the connection ends with it
)

// A Request is a request's head.
type Request struct {
	Method    []byte // case-sensitive, RFC 9110 section 9.1
	Path      []byte // normalized; begins with a slash, or is "*"
	RawPath   []byte // the path as the client wrote it
	NewPath   []byte // what goes on to the endpoint instead of Path; nil: Path
	NewHost   []byte // and instead of Authority
	Slashes   bool   // Path has encoded slashes
	Doubtful  bool   // Path has something encoded, or parameters: not all read it alike
	Query     []byte // without the question mark; nil if there was none
	Authority []byte // host, or host:port, as the client wrote it
	Host      []byte // the host in it, lower-case
	Fields    []Field
	Framing   Framing
	Length    int64 // of a Sized body
	Minor     int   // HTTP/1.Minor
	Close     bool  // the client's connection ends with this call
	Expect    bool  // the body comes after a 100 (Continue)
	// TakesTrailers: the client said TE: trailers, RFC 9110 section 10.1.4.
	TakesTrailers bool
	// Upgrade is what the client would like to speak instead, RFC 9110 section
	// 7.8; nil if nothing.
	Upgrade []byte

	// Added are the fields that weir adds on the way to the endpoint.
	Added []Field
	// Scratch holds what of the above is not in the connection's buffer.
	Scratch []byte
}

// A Response is a response's head.
type Response struct {
	Status  int
	Reason  []byte
	Fields  []Field
	Framing Framing
	Length  int64 // of a Sized body; of one that HEAD or 304 left out; or -1

	// Added are the fields that weir adds on the way to the client.
	Added []Field
}

// A Body is the body of a message as it comes in. One goroutine uses it.
type Body interface {
	// Next returns the next bytes, at least one, valid until the call after.
	// The end is io.EOF if the body was whole, io.ErrUnexpectedEOF if it was
	// cut short, and another error otherwise.
	Next() ([]byte, error)
	// Ready tells whether Next would return without waiting.
	Ready() bool
	// Trailers are the trailer fields that came behind the body, all of them:
	// once Next has returned io.EOF, and until the body's connection is used
	// for another call. None of them is one that weir knows.
	Trailers() []Field
}

// A Canceler ends a try from another goroutine: Cancel closes the try's
// connection if its generation is still gen, and does nothing if that try is
// over.
type Canceler interface{ Cancel(gen uint64) }

// A Hedge is told how a try goes, so that there may be another one beside it.
type Hedge interface {
	// Trying says, once there is a connection, what ends the try from outside.
	Trying(c Canceler, gen uint64)
	// Late says that the moment LateAt has come without a head of an answer. It is
	// called by the goroutine of the try, which goes on, and again if it sets another
	// LateAt.
	Late()
}

// Downstream is the client's side of one call, whatever the protocol: an
// HTTP/1.1 connection, an HTTP/2 stream. One goroutine uses it; only Wake may
// come from elsewhere, and while a body is sent to the endpoint Body, Continue
// and CutBody belong to the goroutine that sends it.
type Downstream interface {
	Body // of the request

	// Continue tells the client to send the body it announced with Expect.
	Continue() error
	// CutBody makes a Next that waits in another goroutine return an error,
	// and every later one: nobody wants the rest of the body.
	CutBody()

	// Rewind makes the body begin anew, for another try, and tells whether that
	// could be done: all that was read of it must still be here.
	Rewind() bool

	// Switch makes the connection a tunnel: Next returns what the client sends
	// until it closes its side. Called before WriteHead gets the 101.
	Switch()

	// Interim sends a 1xx head.
	Interim(r *Response) error
	// WriteHead begins the answer. It may be buffered until Flush or Finish.
	WriteHead(r *Response) error
	// Write sends bytes of the answer's body; p is the caller's again when it
	// returns.
	Write(p []byte) error
	// WriteTrailers ends the answer's body with those of the fields that are
	// not dropped, if its framing has room for them. Finish comes next.
	WriteTrailers(fields []Field)
	// Take moves bytes of the response's body from the endpoint straight to the
	// client, if both sides can, and returns how many. up's Next goes on after
	// them, and tells how they ended.
	Take(up Upstream) (int64, error)
	// Flush sends what is buffered.
	Flush() error
	// Finish ends the answer; in a tunnel, the way to the client.
	Finish() error
	// Retract takes back an answer that WriteHead began, if no byte of it has
	// gone out, and tells whether it could: then WriteHead may begin another.
	Retract() bool
	// Abort ends the connection so that the client sees that the answer is
	// not whole.
	Abort()

	// Memory tells how many bytes of memory the head of the request, and what
	// has come of its body, take while nobody reads.
	Memory() int

	// Wait parks the call until Wake (nil), the moment until
	// (os.ErrDeadlineExceeded), or the client's leaving (ErrClientGone). A
	// Wake that came before Wait counts.
	Wait(until time.Time) error
	// Wake ends Wait; from any goroutine, without blocking, any number of
	// times.
	Wake()

	// Watch has c.Cancel(gen) called, from another goroutine, when the client
	// leaves. Unwatch ends that and tells whether the client has left; after
	// it nobody calls c.
	Watch(c Canceler, gen uint64)
	Unwatch() (gone bool)
}

// Upstream is the endpoint's side of one try that brought a response.
type Upstream interface {
	Body // of the response; after a 101 what comes through the tunnel

	// AwaitSent returns when everything that the client sends has been passed
	// on: in a tunnel, when it has closed its side. Only a tunnel has it.
	AwaitSent() error
	// Adopt makes the response x's from now on, which was another exchange's: nobody
	// may be at the same of the two.
	Adopt(x *Exchange)
	// Release ends the try: the connection is kept for another if the
	// response was read to its end and nothing forbids it, and closed
	// otherwise. Twice is once.
	Release()
}

// A Client is who sent the call: the peer, as the connection says, or whom
// trusted proxies say it passed the call on for.
type Client struct {
	Addr    netip.Addr
	Text    []byte // Addr as text
	Peer    []byte // the peer's address as text
	Scheme  []byte // http or https
	Port    []byte // the port that the peer came to, as text
	Trusted bool   // the listener believes what the peer says of others
	Barred  bool   // the listener's access rules turn it away

	Forwarded bool // the listener has endpoints told of it in Forwarded, RFC 7239, too
}

// An Exchange is one call as a transport sees it: what to send, where the
// answer goes, and until when.
type Exchange struct {
	Request  Request
	Response Response // filled by a Try without error
	Down     Downstream
	Up       Upstream      // set by a Try without error; the caller releases it
	Started  time.Time     // when the head was complete
	Sent     moment.Moment // when the present try began
	Deadline moment.Moment // for the head of the answer

	// Hedge is told of the present try, and at LateAt if it is not over then; nil:
	// nobody is.
	Hedge  Hedge
	LateAt moment.Moment

	// AfterBody is how long after the last byte of the request's body the head
	// of the answer may come, where that is later than Deadline. 0: Deadline
	// stands.
	AfterBody time.Duration

	// Idle is how long the endpoint may pause in its answer, and both sides of
	// a tunnel; 0 is for ever.
	Idle time.Duration

	Client Client

	// Trailers are the names, in lower case, of the trailer fields that pass,
	// in either direction.
	Trailers []string

	// BodyTouched is set when a byte of the request's body was read: the call can
	// be tried again only after Rewind.
	BodyTouched bool
	// Reused is set by a Try that used a connection which had carried another
	// call: if that was closed, it may have been in good order.
	Reused bool
	// Dialed is set by a Try to how long the connection took that was made for it,
	// which is one round trip; 0 if it was there.
	Dialed time.Duration
	// BytesIn and BytesOut count body bytes: from the client, to the client.
	BytesIn, BytesOut int64
}
