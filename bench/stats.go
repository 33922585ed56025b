package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// A Verdict is what can be said about two sets of rounds: by how much B differs
// from A in percent, and where the truth lies with a probability of 99 %.
type Verdict struct {
	Percent float64 `json:"percent"` // B over A, positive is more
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	P       float64 `json:"p"`       // that chance alone makes such a difference
	Differs bool    `json:"differs"` // P is under 1 % and the difference matters
}

// matters is how much of a difference is worth a sentence, in percent. Two runs
// of the same program differ by so much because of where the kernel put them.
const matters = 2.0

// significant is the chance of a false alarm that we take.
const significant = 0.01

// paired compares rounds that were interleaved: the n-th of A and of B saw the
// same weather. It takes the ratio of each pair, of which outliers say little:
// Wilcoxon's signed ranks for whether, a bootstrap of the median for how much.
func paired(a, b []float64) Verdict {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = math.Log(b[i] / a[i])
	}
	v := interval(func(r *rand.Rand) float64 { return median(resample(ratios, r)) })
	v.Percent = percent(median(ratios))
	v.P = signedRanks(ratios)
	return v.judge()
}

// unpaired compares rounds of different times (Mann–Whitney).
func unpaired(a, b []float64) Verdict {
	v := interval(func(r *rand.Rand) float64 { return math.Log(median(resample(b, r)) / median(resample(a, r))) })
	v.Percent = percent(math.Log(median(b) / median(a)))
	v.P = mannWhitney(a, b)
	return v.judge()
}

func (v Verdict) judge() Verdict {
	v.Differs = v.P < significant && math.Abs(v.Percent) >= matters && (v.Low > 0 || v.High < 0)
	return v
}

func percent(logRatio float64) float64 { return 100 * (math.Exp(logRatio) - 1) }

// interval is where 99 % of the resampled values lie.
func interval(draw func(*rand.Rand) float64) Verdict {
	r := rand.New(rand.NewPCG(1, 2)) // the same data, the same words
	values := make([]float64, 2000)
	for i := range values {
		values[i] = draw(r)
	}
	slices.Sort(values)
	return Verdict{Low: percent(values[len(values)/200]), High: percent(values[len(values)-1-len(values)/200])}
}

func resample(x []float64, r *rand.Rand) []float64 {
	y := make([]float64, len(x))
	for i := range y {
		y[i] = x[r.IntN(len(x))]
	}
	return y
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	if n := len(s); n%2 == 1 {
		return s[n/2]
	} else if n > 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return math.NaN()
}

// signedRanks is the two-sided p of Wilcoxon's test that differences lie
// around 0. Up to 25 of them it is exact.
func signedRanks(d []float64) float64 {
	d = slices.DeleteFunc(slices.Clone(d), func(x float64) bool { return x == 0 })
	n := len(d)
	if n == 0 {
		return 1
	}
	ranks := ranksOf(d, math.Abs)
	plus := 0.0
	for i, x := range d {
		if x > 0 {
			plus += ranks[i]
		}
	}
	total := float64(n*(n+1)) / 2
	w := min(plus, total-plus)
	if n <= 25 {
		// ways[s] is how many of the 2^n choices of signs have ranks with sum s.
		ways := make([]float64, int(total)+1)
		ways[0] = 1
		for rank := 1; rank <= n; rank++ {
			for s := len(ways) - 1; s >= rank; s-- {
				ways[s] += ways[s-rank]
			}
		}
		below := 0.0
		for s := 0; s <= int(w); s++ {
			below += ways[s]
		}
		return min(1, 2*below/math.Pow(2, float64(n)))
	}
	deviation := math.Sqrt(float64(n*(n+1)*(2*n+1)) / 24)
	return twoSided((w + 0.5 - total/2) / deviation)
}

// mannWhitney is the two-sided p that two sets are drawn alike, by the normal
// approximation.
func mannWhitney(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	ranks := ranksOf(slices.Concat(a, b), func(x float64) float64 { return x })
	sum := 0.0
	for _, r := range ranks[:len(a)] {
		sum += r
	}
	n, m := float64(len(a)), float64(len(b))
	u := sum - n*(n+1)/2
	u = min(u, n*m-u)
	return twoSided((u + 0.5 - n*m/2) / math.Sqrt(n*m*(n+m+1)/12))
}

func twoSided(z float64) float64 { return min(1, math.Erfc(math.Abs(min(z, 0))/math.Sqrt2)) }

// ranksOf gives each its place, from 1; equals share theirs.
func ranksOf(x []float64, by func(float64) float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch a, b := by(x[i]), by(x[j]); {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	ranks := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && by(x[order[j]]) == by(x[order[i]]) {
			j++
		}
		for k := i; k < j; k++ {
			ranks[order[k]] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}
