package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// wrong says what is wrong with a value, without saying whose it is: it goes on
// after the name of the key.
type wrong struct{ what, hint string }

func (w *wrong) Error() string {
	if w.hint == "" {
		return w.what
	}
	return w.what + "; " + w.hint
}

// setText sets one plain value from its text. Defaults and documents both come
// through here, so that neither can say what the other cannot.
func setText(v reflect.Value, text string) *wrong {
	switch target := v.Addr().Interface().(type) {
	case *string:
		*target = text
	case *bool:
		if text != "true" && text != "false" {
			return &wrong{fmt.Sprintf("must be true or false, not %q", text), ""}
		}
		*target = text == "true"
	case *int:
		n, bad := readInt(text)
		if bad != nil {
			return bad
		}
		*target = int(n)
	case *float64:
		f, bad := readDecimal(text)
		if bad != nil {
			return bad
		}
		*target = f
	case *Degrees:
		f, bad := readDegrees(text)
		if bad != nil {
			return bad
		}
		*target = f
	case *time.Duration:
		d, bad := readDuration(text)
		if bad != nil {
			return bad
		}
		*target = d
	case *Size:
		s, bad := readSize(text)
		if bad != nil {
			return bad
		}
		*target = s
	case *netip.Prefix:
		p, bad := readPrefix(text)
		if bad != nil {
			return bad
		}
		*target = p
	default:
		panic("BUG: nobody reads a " + v.Type().String())
	}
	return nil
}

// isText tells whether setText reads the type.
func isText(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[Size](), reflect.TypeFor[netip.Prefix]():
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Bool, reflect.Float64:
		return true
	}
	return false
}

// readInt reads a whole number that is not negative. Nothing that weir counts
// is.
func readInt(text string) (int64, *wrong) {
	n, err := strconv.ParseUint(text, 10, 63)
	switch {
	case err == nil && strconv.FormatUint(n, 10) == text: // no leading zeros: is 010 ten or eight?
		return int64(n), nil
	case digitsOnly(text) && err != nil:
		return 0, &wrong{"is too large", ""}
	case strings.HasPrefix(text, "-") && digitsOnly(text[1:]):
		return 0, &wrong{"cannot be negative", ""}
	}
	return 0, &wrong{fmt.Sprintf("must be a whole number, not %q", text), ""}
}

// readDecimal reads a number that may have a fraction and is not negative.
func readDecimal(text string) (float64, *wrong) {
	if strings.HasPrefix(text, "-") {
		return 0, &wrong{"cannot be negative", ""}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "0123456789.") != "" {
		return 0, &wrong{fmt.Sprintf("must be a number, not %q", text), "write it as in 2 or 0.5"}
	}
	return f, nil
}

func readDuration(text string) (time.Duration, *wrong) {
	if text == "0" {
		return 0, nil
	}
	if strings.HasPrefix(text, "-") {
		return 0, &wrong{"cannot be negative", ""}
	}
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		return 0, &wrong{"is " + text + " without a unit", fmt.Sprintf("say %ss or %sms", text, text)}
	}
	if d, err := time.ParseDuration(text); err == nil && !strings.HasPrefix(text, "+") {
		return d, nil
	}
	hint := "write it as in 250ms, 10s, 1m30s or 2h"
	if days, ok := strings.CutSuffix(text, "d"); ok && digitsOnly(days) {
		hint = "there is no unit of days; write them in hours, as in 24h"
	}
	return 0, &wrong{fmt.Sprintf("is not a duration: %q", text), hint}
}

// readPrefix reads a network, or an address as the network of itself. IPv4 in
// IPv6 clothes becomes IPv4, because clients are compared as that.
func readPrefix(text string) (netip.Prefix, *wrong) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, &wrong{fmt.Sprintf("is not a network: %q", text), "write it as in 10.0.0.0/8, 192.0.2.1 or fd00::/8"}
	}
	if p != p.Masked() {
		return p, &wrong{fmt.Sprintf("is an address inside a network: %q", text),
			fmt.Sprintf("say %s for the network or %s for the address", p.Masked(), p.Addr())}
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
