package telemetry

import (
	"strconv"

	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/table"
)

// A method is one of those that have a value of the label method. A client may
// send any token; only these become series.
type method uint8

const (
	otherMethod method = iota
	methodGet
	methodHead
	methodPost
	methodPut
	methodDelete
	methodOptions
	methodPatch
	methodTrace
	methodConnect
)

func (m method) String() string {
	return [...]string{"_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"}[m]
}

func methodOf(text []byte) method {
	switch string(text) {
	case "GET":
		return methodGet
	case "HEAD":
		return methodHead
	case "POST":
		return methodPost
	case "PUT":
		return methodPut
	case "DELETE":
		return methodDelete
	case "OPTIONS":
		return methodOptions
	case "PATCH":
		return methodPatch
	case "TRACE":
		return methodTrace
	case "CONNECT":
		return methodConnect
	}
	return otherMethod
}

func codeLabel(code uint16) string {
	if code == otherCode {
		return "_other"
	}
	return strconv.Itoa(int(code))
}

// regionOf is where the call's last endpoint is, or else home.
func regionOf(ep *table.Endpoint, home string) string {
	if ep != nil && ep.Region != "" {
		return ep.Region
	}
	return home
}

// answerBroke tells whether the endpoint's answer began and did not end.
func answerBroke(c *proxy.Call) bool { return c.Cause() == "UC" && c.UpstreamStatus() != 0 }

// outcome is what standing in line came to. The causes are those of
// proxy/fault.go; one that can come later too counts only if the call had no
// try, and so never left the line with a slot.
func outcome(c *proxy.Call) string {
	cause := c.Cause()
	switch {
	case cause == "CST" || cause == "UT" && c.Tries() == 0:
		return "timeout"
	case cause == "OM" && c.Tries() == 0:
		return "queue_timeout"
	case cause == "CSW":
		return "waiting_page"
	case cause == "CSF":
		return "failed"
	case c.Tries() > 0:
		return "served"
	case cause == "DC":
		return "client_gone"
	case cause == "NC" || cause == "UH":
		return "removed"
	case cause == "SD":
		return "shut_down"
	}
	return "served"
}
