package proxy

import (
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// A Call is one request on its way through weir. It belongs to the goroutine
// that serves it and is never shared. The zero value is ready for Begin.
type Call struct {
	message.Exchange

	table        *table.Table
	fn           *table.Function
	ep           *table.Endpoint           // set while the call occupies a slot
	last         *table.Endpoint           // the endpoint of the last try, for the record
	spill        *table.Spill              // of the region that it went to as this one is cold, while it occupies a place there
	luck         uint64                    // what decides whether it does; 0: nothing has yet
	spiltTo      string                    // that region
	hopped       bool                      // another weir sent it here for such a reason
	overflew     int                       // 1 + where in Request.Added the endpoint is told that this one did; 0 is nowhere
	handed       []byte                    // the function that another router handed the call over for; nil: none did
	away         bool                      // it has a place with another router
	returnable   bool                      // that one did not take it
	notTaken     int                       // how many of its tries ended so, or did not reach one
	heldBy       *table.Endpoint           // the router that had it; nil: it stayed here
	askedHolders int                       // how many of the function's holders it has asked
	toldHolder   int                       // 1 + where in Request.Added that one is told the function; 0 is nowhere
	tried        [maxTried]*table.Endpoint // by its last tries
	stale        *table.Endpoint           // had closed a connection it kept: another is better
	stales       int                       // how many tries met such a connection
	tries        int
	results      [NumResults]uint16 // of its tries: how many ended so
	inside       bool               // it has entered the function's gate
	crowd        shaping.Key        // of its tenant
	headcount    *shaping.Headcount // of its tenant's calls, where it is counted; nil if it is not
	answered     bool               // the head of an answer has been given to the client's side
	relayed      bool               // and it was the endpoint's
	err          error
	fault        *fault // why it ended, if not well

	trace     trace
	recording *Recording // nil: its trace is not recorded

	hedge    *hedge           // the second try beside the present one; nil: there is none
	hedged   bool             // there was one
	hedgeWon bool             // and its answer was the first
	trying   message.Canceler // what ends the present try, if it may be hedged
	tryGen   uint64
	lateness int           // how often the present try was told that it takes long
	whole    moment.Moment // the deadline of the call, while Deadline is that of a try

	to       *table.Route
	allowed  table.Methods   // that there are routes for, if there is none for its own
	timed    bool            // the client has said how much time it gives,
	own      bool            // that is less than the function's,
	grpc     bool            // and it was said in grpc-timeout
	budget   int             // 1 + where in Request.Added it is told to the endpoint; 0 is nowhere
	prefers  int             // 1 + the seconds that the client prefers to be held at most; 0 is nothing
	trial    shaping.Trial   // whether the present try decides on the function's circuit,
	kept     bool            // its endpoint is that of its cookie
	outcome  shaping.Outcome // and what it says of the function
	returned int             // how often an endpoint did not take it
	waiter   coldstart.Waiter
	ours     reply           // an answer of weir's own, instead of the endpoint's
	coldAs   *message.Field  // how X-Weir-Cold calls the answer, if it is not hit or held
	dormant  bool            // it was answered by a wake filter
	detached bool            // it has no client any more
	copy     *Call           // to be sent elsewhere when this one has ended; nil: none
	unseen   bool            // it met one: it does not keep the function up
	cold     bool            // it stood in line while no instance was up
	joined   bool            // and was not the one that caused the start
	leads    bool            // it is the first one let go since the start
	held     time.Duration   // in line
	waited   time.Duration   // in that of the function it fell back from
	from     *table.Function // that function; nil if it did not
	before   *Visit          // there, if it had tries
	reached  bool            // an endpoint may have carried it out
	gaveUp   error           // what it had come to when it got its fixed answer
	resorted string          // why, if that was the last resort

	limits    *shaping.Limits                  // it is counted in; nil: none
	quotas    [config.MostLimits]shaping.Quota // what is left to its key of each
	limitedBy int                              // which of them turned it away

	question  *table.Question // what it asks for, if that was seen; Begin leaves it
	lead      table.Lead      // while others may follow
	flight    *table.Flight   // of those who do, when its answer is in and they are to have it
	follower  table.Follower  // while it follows another, and reads its answer
	asked     *table.Sameness // by which it was seen whether another asks the same; nil: it was not yet
	collapsed Collapsed
	leader    []byte // the request id of the call whose answer it was given
	followers int    // that were given its own

	began    moment.Moment // Started
	sent     time.Duration // after that, when the last try began
	answer   time.Duration // after Started, when the head of the answer was in
	failed   time.Duration // after Started, when it was clear that none comes
	duration time.Duration // of the whole call

	id      [idLen]byte
	added   [maxAdded]message.Field
	scratch []byte // texts made on the way; its length is reset by Begin
	dated   dated  // Begin leaves it
}

// dated is a moment as answers have it.
type dated struct {
	second int64
	text   [len("Mon, 02 Jan 2006 15:04:05 GMT")]byte
}

// maxTried is more than the tries that the configuration can ask for.
const maxTried = 12

// manyFields is more than clients send; room for more is not kept.
const manyFields = 32

// Begin makes the Call ready for another request; the buffers stay.
func (c *Call) Begin() {
	if cap(c.Request.Fields) > manyFields {
		c.Request.Fields = nil
	}
	if cap(c.Response.Fields) > manyFields {
		c.Response.Fields = nil
	}
	fields, scratch, answered := c.Request.Fields[:0], c.Request.Scratch[:0], c.Response.Fields[:0]
	down, client, texts, dated, question := c.Down, c.Client, c.scratch[:0], c.dated, c.question
	// Emptied in place: a literal with values would be made on the stack first, and
	// a goroutine's stack stays as large as it once was while its call is held.
	*c = Call{}
	c.Request.Fields, c.Request.Scratch, c.Response.Fields = fields, scratch, answered
	c.Down, c.Client, c.scratch, c.dated, c.question = down, client, texts, dated, question
}

// Forget lets go of everything the Call refers to, its buffers aside.
func (c *Call) Forget() {
	c.Begin()
	clear(c.added[:])
	clear(c.Request.Fields[:cap(c.Request.Fields)])
	clear(c.Response.Fields[:cap(c.Response.Fields)])
	if c.question != nil {
		c.question.Forget()
	}
	c.Down, c.Client = nil, message.Client{}
}

// Start says when the call came: when its head was complete.
func (c *Call) Start(at time.Time) { c.Started, c.began = at, moment.Of(at) }

// What telemetry asks of a call that has ended.

// Function is the one it was routed to, or table.Unrouted.
func (c *Call) Function() *table.Function { return c.fn }

// Route is the rule that led to the function; nil if none did.
func (c *Call) Route() *table.Route { return c.to }

// Endpoint is that of its last try; nil if there was none.
func (c *Call) Endpoint() *table.Endpoint { return c.last }

// ID is the request id.
func (c *Call) ID() []byte {
	if id := message.Get(c.Request.Added, message.XRequestID); id != nil {
		return id
	}
	return c.id[:]
}

// Status is that of the answer, or of the fault that a gRPC client was told in
// another way; 499 if the client left before it was whole. A
// tunnel has no whole, and stays 101.
func (c *Call) Status() int {
	if c.fault != nil && (!c.relayed || c.fault.status == 499 && !c.switched()) {
		return c.fault.status
	}
	return c.Response.Status
}

// UpstreamStatus is what the endpoint answered; 0 if it did not.
func (c *Call) UpstreamStatus() int {
	if !c.relayed {
		return 0
	}
	return c.Response.Status
}

// Cause is the short name of the fault it ended with, or empty.
func (c *Call) Cause() string {
	if c.fault == nil {
		return ""
	}
	return c.fault.cause
}

// Err is what went wrong, for the log; nil if nothing did.
func (c *Call) Err() error { return c.err }

// Tries is how many tries it took.
func (c *Call) Tries() int { return c.tries }

// Tried is how many of its tries ended with r.
func (c *Call) Tried(r Result) int { return int(c.results[r]) }

// Cold tells whether it stood in line while no instance was up.
func (c *Call) Cold() bool { return c.cold }

// Joined tells whether it waited for a start that another call had caused.
func (c *Call) Joined() bool { return c.joined }

// Held is how long it stood in line, in all.
func (c *Call) Held() time.Duration { return c.waited + c.held }

// Duration is from the end of the request's head to the end of the answer.
func (c *Call) Duration() time.Duration { return c.duration }

// UpstreamDuration is from the begin of the last try to the head of its
// response; 0 if none came.
func (c *Call) UpstreamDuration() time.Duration {
	if c.answer == 0 {
		return 0
	}
	return c.answer - c.sent
}

// Ended is the moment when the call ended; the zero time before the first.
func (c *Call) Ended() time.Time {
	if c.Started.IsZero() {
		return c.Started
	}
	return c.Started.Add(c.duration)
}

// Recent is a moment not long ago, good enough for a generous timeout.
func (c *Call) Recent() moment.Moment { return c.now() }

// since is how long after Started it is now. It costs one clock read.
func (c *Call) since() time.Duration { return time.Since(c.Started) }

// now is the present moment by the call's own reckoning, without a clock read:
// Started plus what is known to have passed.
func (c *Call) now() moment.Moment { return c.at(c.passed()) }

func (c *Call) passed() time.Duration { return max(c.sent, c.answer, c.held, c.failed, c.duration) }

// at is the moment that is so long after Started.
func (c *Call) at(after time.Duration) moment.Moment { return c.began.Add(after) }
