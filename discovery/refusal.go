package discovery

// A Refusal is an entry of a source that weir does without.
type Refusal struct {
	What   string // which one: where it stands
	Reason string
}
