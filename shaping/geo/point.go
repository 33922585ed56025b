package geo

import (
	"math"
	"strconv"
	"strings"
)

// A Point is a place on earth, as a vector of length 1: to compare distances takes
// a few multiplications and no trigonometry. The zero value is no place.
type Point [3]float64

// At is the point at a latitude and a longitude, in degrees.
func At(latitude, longitude float64) Point {
	north, east := latitude*math.Pi/180, longitude*math.Pi/180
	return Point{math.Cos(north) * math.Cos(east), math.Cos(north) * math.Sin(east), math.Sin(north)}
}

// ParsePoint reads a latitude and a longitude, as in "48.86, 2.35".
func ParsePoint(text string) (Point, bool) {
	first, second, two := strings.Cut(text, ",")
	latitude, err1 := strconv.ParseFloat(strings.TrimSpace(first), 64)
	longitude, err2 := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if !two || err1 != nil || err2 != nil || !(math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180) {
		return Point{}, false
	}
	return At(latitude, longitude), true
}

// Closeness is larger the nearer p is to q: 1 where they are the same, -1 where
// they are opposite.
func (p Point) Closeness(q Point) float64 { return p[0]*q[0] + p[1]*q[1] + p[2]*q[2] }

// Kilometres is the distance from p to q over the surface of a sphere of earth's
// mean radius.
func (p Point) Kilometres(q Point) float64 {
	return 6371 * math.Acos(max(-1, min(1, p.Closeness(q))))
}
