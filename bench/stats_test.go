package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSignedRanks(t *testing.T) {
	for _, c := range []struct {
		d    []float64
		want float64 // from the tables of the exact test
	}{
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8}, 2.0 / 256},
		{[]float64{-1, 2, 3, 4, 5, 6, 7, 8}, 4.0 / 256},
		{[]float64{-1, -2, -3, -4, 5, 6}, 1}, // 10 of 21, so 28+… more than half
		{[]float64{0, 0}, 1},
		{nil, 1},
	} {
		got := signedRanks(c.d)
		if c.want == 1 && got < 0.8 || c.want < 1 && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: p = %.5f, want %.5f", c.d, got, c.want)
		}
	}
}

func TestMannWhitney(t *testing.T) {
	// U = 0 of 8 and 8: z = -3.31 with the correction for continuity.
	a, b := []float64{1, 2, 3, 4, 5, 6, 7, 8}, []float64{9, 10, 11, 12, 13, 14, 15, 16}
	if p := mannWhitney(a, b); math.Abs(p-0.00094) > 0.00005 {
		t.Errorf("p = %.5f, want 0.00094", p)
	}
	if p := mannWhitney(a, a); p < 0.9 {
		t.Errorf("of equals p = %.5f", p)
	}
}

// Two hundred comparisons in bad weather, which both sides of a pair share:
// no more false alarms than promised, and 5 % is seen.
func TestWeatherIsNotARegression(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	alarms, caught := 0, 0
	const tries = 200
	for range tries {
		var a, b, slow []float64
		for range 20 {
			weather := math.Exp(0.3 * r.NormFloat64())
			round := func(by float64) float64 { return by * weather * math.Exp(0.02*r.NormFloat64()) }
			a, b, slow = append(a, round(1)), append(b, round(1)), append(slow, round(1.05))
		}
		if paired(a, b).Differs {
			alarms++
		}
		if v := paired(a, slow); v.Differs && v.Percent > 0 {
			caught++
		}
	}
	if alarms > 6 || caught < 190 {
		t.Errorf("%d false alarms and %d of 5 %% caught, of %d", alarms, caught, tries)
	}
}
