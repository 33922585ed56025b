package geo

import (
	"math"
	"strconv"
)

// A Point is a place on earth, as a vector of length 1: to compare distances takes
// a few multiplications and no trigonometry. The zero value is no place.
type Point [3]float64

// isPlace tells whether there is such a place on earth.
func isPlace(latitude, longitude float64) bool {
	return math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180
}

// At is the point at a latitude and a longitude, in degrees; there must be such a place.
func At(latitude, longitude float64) Point {
	sinNorth, cosNorth := sincos(latitude)
	sinEast, cosEast := sincos(longitude)
	return Point{cosNorth * cosEast, cosNorth * sinEast, sinNorth}
}

// wholes are the sine and the cosine of each whole number of degrees from -180 on.
var wholes = func() (w [361][2]float64) {
	for i := range w {
		w[i][0], w[i][1] = math.Sincos(float64(i-180) * math.Pi / 180)
	}
	return w
}()

// sincos is math.Sincos of degrees from -180 to 180, up to 1e-14: that of the whole
// degrees, turned by the rest by the first terms of its series. For who goes to the
// nearest region it is part of each call, and takes half as long so.
func sincos(degrees float64) (sine, cosine float64) {
	whole := int(degrees)
	rest := (degrees - float64(whole)) * (math.Pi / 180)
	square := rest * rest
	s := rest * (1 - square*(1.0/6)*(1-square*(1.0/20)))
	c := 1 - square*(1.0/2)*(1-square*(1.0/12)*(1-square*(1.0/30)))
	w := &wholes[whole+180]
	return w[0]*c + w[1]*s, w[1]*c - w[0]*s
}

// ParsePoint reads a latitude and a longitude, as in "48.86, 2.35".
func ParsePoint(text string) (Point, bool) {
	latitude, rest, ok := readDegrees(text)
	if !ok || len(rest) == 0 || rest[0] != ',' {
		return Point{}, false
	}
	longitude, rest, ok := readDegrees(rest[1:])
	if !ok || len(rest) > 0 || !isPlace(latitude, longitude) {
		return Point{}, false
	}
	return At(latitude, longitude), true
}

// exactDigits are as many as a float64 has room for, so that one division by a power of
// ten, which has room too, is rounded right.
const exactDigits = 15

var tens = [exactDigits + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// readDegrees reads a decimal, with spaces around it, and returns what comes then. Whoever
// goes to the nearest region has two of them in each call: strconv takes three times as
// long, and has what is longer left to it.
func readDegrees(text string) (degrees float64, rest string, ok bool) {
	text = trimLeft(text)
	i, sign := 0, 1.0
	if len(text) > 0 && text[0] == '-' {
		i, sign = 1, -1
	}
	number, first := uint64(0), i
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		number = 10*number + uint64(text[i]-'0')
	}
	digits, behind := i-first, 0
	if i < len(text) && text[i] == '.' {
		point := i
		for i++; i < len(text) && text[i]-'0' <= 9; i++ {
			number = 10*number + uint64(text[i]-'0')
		}
		behind = i - point - 1
		digits += behind
	}
	switch {
	case digits == 0:
		return 0, "", false
	case digits > exactDigits:
		var err error
		if degrees, err = strconv.ParseFloat(text[:i], 64); err != nil {
			return 0, "", false
		}
	default:
		degrees = sign * float64(number) / tens[behind]
	}
	return degrees, trimLeft(text[i:]), true
}

func trimLeft(text string) string {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	return text
}

// Closeness is larger the nearer p is to q: 1 where they are the same, -1 where
// they are opposite.
func (p Point) Closeness(q Point) float64 { return p[0]*q[0] + p[1]*q[1] + p[2]*q[2] }

// Kilometres is the distance from p to q over the surface of a sphere of earth's
// mean radius.
func (p Point) Kilometres(q Point) float64 {
	return 6371 * math.Acos(max(-1, min(1, p.Closeness(q))))
}
