package shaping

// A Part is what one of several routers has of a limit that they share: all have
// the same list of themselves, cut into Of equal parts, and this one has Own of them
// from First on. The zero Part is the whole.
//
// The parts are equal, and nothing is lent: of a limit whose calls all come to one
// of three routers, two thirds are never used. What the others have left would have
// to be known for each key, at the speed of calls.
type Part struct{ First, Own, Of int }

// rate is the part of a whole rate.
func (p Part) rate(whole float64) float64 {
	if p.Of == 0 {
		return whole
	}
	return whole * float64(p.Own) / float64(p.Of)
}

// burst is the part of a whole number. The parts of all routers add up to it,
// except that nobody has less than one: a bucket that holds none never lets
// anything through.
func (p Part) burst(whole int) int {
	if p.Of == 0 {
		return whole
	}
	upTo := func(n int) int { return n * whole / p.Of }
	return max(1, upTo(p.First+p.Own)-upTo(p.First))
}
