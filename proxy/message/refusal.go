package message

// A Refusal is a request that weir does not accept, and why. They are compared
// by identity; proxy/fault.go has the answers.
type Refusal struct{ Detail string }

func (r *Refusal) Error() string { return r.Detail }

// The refusals, by what a client is told. Those that share an answer share a
// Kind.
var (
	KindBad          = &Refusal{"the request is malformed"}
	KindHeadTooLarge = &Refusal{"the head of the request is too large"}
	KindTargetLong   = &Refusal{"the request target is too long"}
	KindBodyTooLarge = &Refusal{"the body of the request is too large"}
	KindSlow         = &Refusal{"the request came too slowly"}
	KindCoding       = &Refusal{"the transfer coding is not supported"}
	KindMethod       = &Refusal{"the method is not supported"}
	KindVersion      = &Refusal{"the version of HTTP is not supported"}
)

// Refuse makes the error for one reason of a kind.
func Refuse(kind *Refusal, detail string) error { return &reason{kind, detail} }

type reason struct {
	kind   *Refusal
	detail string
}

func (r *reason) Error() string { return r.detail }
func (r *reason) Unwrap() error { return r.kind }
