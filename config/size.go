package config

import (
	"math"
	"strconv"
	"strings"
)

// sizeUnit is one unit of a Size.
type sizeUnit struct {
	name  string
	bytes int64
}

// sizeUnits are the binary units, then the decimal ones, the largest first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	}
}

// ParseSize reads a Size as the configuration writes it: 512, 16KiB, 1MB.
func ParseSize(text string) (Size, error) {
	size, bad := readSize(text)
	if bad != nil {
		return 0, bad
	}
	return size, nil
}

func readSize(text string) (Size, *wrong) {
	digits := strings.TrimRight(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ")
	unit := strings.TrimSpace(text[len(digits):])
	if strings.HasPrefix(digits, "-") {
		return 0, &wrong{"cannot be negative", ""}
	}
	n, bad := readInt(digits)
	if bad != nil || digits+unit != text {
		return 0, &wrong{"is not a size: " + strconv.Quote(text), `write it as in 512, 16KiB, 1MiB or 10MB`}
	}
	bytes, bad := readUnit(unit, digits)
	if bad != nil {
		return 0, bad
	}
	if n > math.MaxInt64/bytes {
		return 0, &wrong{"is too large", ""}
	}
	return Size(n * bytes), nil
}

func readUnit(unit, digits string) (int64, *wrong) {
	if unit == "" {
		return 1, nil
	}
	var near []string
	for _, u := range sizeUnits() {
		if u.name == unit {
			return u.bytes, nil
		}
		// K, k, KB, Kib: which of the two is meant, only the writer knows.
		if strings.EqualFold(u.name[:1], unit[:1]) && len(unit) <= 3 {
			near = append(near, digits+u.name)
		}
	}
	bad := &wrong{"has an unknown unit: " + strconv.Quote(unit), "the units are KiB, MiB, GiB, kB, MB and GB"}
	if near != nil {
		bad.hint = "did you mean " + either(near) + "?"
	}
	return 0, bad
}

// String is the shortest form that ParseSize reads back without loss, binary
// before decimal.
func (s Size) String() string {
	if s > 0 {
		for _, u := range sizeUnits() {
			if int64(s)%u.bytes == 0 {
				return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
			}
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
