package shaping

import (
	"math/rand/v2"
	"testing"
	"time"
)

// As many answers are faster as should be, whatever they are like, and it follows
// when they change.
func TestQuantile(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) time.Duration{
		"exponential": exponential(50 * time.Millisecond), "lognormal": lognormal(time.Millisecond, 1),
		"uniform": func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
	} {
		for _, share := range []float64{0.5, 0.9, 0.95, 0.99} {
			var q Quantile
			r := rand.New(rand.NewPCG(1, 2))
			for _, faster := range []time.Duration{1, 10, 1} {
				for range 12_000 {
					q.Note(draw(r)/faster, share)
				}
				var rank float64
				for range 3000 {
					q.Note(draw(r)/faster, share)
					at, _ := q.Value()
					below := 0
					for range 50 {
						if draw(r)/faster <= at {
							below++
						}
					}
					rank += float64(below) / 50 / 3000
				}
				if off := rank - share; off < -0.03 || off > 0.03 || share == 0.99 && off > 0.008 {
					t.Errorf("%s: the %v quantile is at %.3f", name, share, rank)
				}
			}
		}
	}
}

func TestQuantileIsUnknownAtFirst(t *testing.T) {
	var q Quantile
	for i := range enoughAnswers {
		if _, known := q.Value(); known {
			t.Fatalf("known after %d answers", i)
		}
		q.Note(time.Millisecond, 0.95)
	}
	if d, known := q.Value(); !known || d < time.Millisecond/2 || d > 2*time.Millisecond {
		t.Errorf("of answers that take 1 ms: %v, %v", d, known)
	}
}

func BenchmarkQuantile(b *testing.B) {
	var q Quantile
	b.ReportAllocs()
	for b.Loop() {
		q.Note(time.Millisecond, 0.95)
	}
}
