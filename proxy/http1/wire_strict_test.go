package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What stands in this file reads HTTP/1.1 as RFC 9112 writes it and not one
// byte more. It shares nothing with the engine, and is the judge of what the
// engine puts on a wire.

// A message is a request or a response as a strict reader sees it.
type wireMessage struct {
	start    [3]string // of the first line, its parts
	fields   [][2]string
	body     string
	chunked  bool
	trailers [][2]string
}

func (m *wireMessage) all(name string) (values []string) {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return values
}

func (m *wireMessage) get(name string) string {
	if values := m.all(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// errStrict is what is wrong with bytes that are no HTTP/1.1.
type errStrict string

func (e errStrict) Error() string { return string(e) }

func strictly(format string, args ...any) error { return errStrict(fmt.Sprintf(format, args...)) }

// strictLine reads one line that ends with CRLF and has neither of the two
// before that.
func strictLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		if err == io.EOF && line != "" {
			err = io.ErrUnexpectedEOF
		}
		return line, err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(line, "\r\n") {
		return line, strictly("line end in %q", line)
	}
	return line, nil
}

// strictFields reads field lines and the empty line behind them.
func strictFields(br *bufio.Reader) (fields [][2]string, err error) {
	for {
		line, err := strictLine(br)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || line == "" {
			return fields, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !strictToken(name) {
			return fields, strictly("field line %q", line)
		}
		value = strings.Trim(value, " \t")
		if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
			return fields, strictly("field value %q", value)
		}
		fields = append(fields, [2]string{name, value})
	}
}

func strictToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// strictRequest reads one whole request. io.EOF is the end before it.
func strictRequest(br *bufio.Reader, head func(*wireMessage)) (*wireMessage, error) {
	line, err := strictLine(br)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !strictToken(parts[0]) || parts[1] == "" || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return nil, strictly("request line %q", line)
	}
	m := &wireMessage{start: [3]string(parts)}
	if m.fields, err = strictFields(br); err != nil {
		return nil, err
	}
	if hosts := m.all("Host"); (len(hosts) != 1 || hosts[0] == "") && parts[2] == "HTTP/1.1" || strings.ContainsAny(strings.Join(hosts, ","), " ,/@") {
		return nil, strictly("Host %q", hosts)
	}
	if len(m.all("Content-Type")) > 1 {
		return nil, strictly("two Content-Types")
	}
	if target := parts[1]; target[0] != '/' && (target != "*" || parts[0] != "OPTIONS") || strings.ContainsAny(target, "#\x7f") {
		return nil, strictly("target %q", target)
	}
	if head != nil {
		head(m)
	}
	if parts[0] == "CONNECT" {
		return nil, strictly("CONNECT")
	}
	return m, m.readBody(br, 0)
}

// strictResponse reads one whole response to a request with the method.
func strictResponse(br *bufio.Reader, method string) (*wireMessage, error) {
	line, err := strictLine(br)
	if err != nil {
		return nil, err
	}
	if len(line) < 13 || line[:9] != "HTTP/1.1 " || line[12] != ' ' {
		return nil, strictly("status line %q", line)
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil || status < 100 || status > 599 {
		return nil, strictly("status line %q", line)
	}
	m := &wireMessage{start: [3]string{line[:8], line[9:12], line[13:]}}
	if m.fields, err = strictFields(br); err != nil {
		return nil, err
	}
	if status < 200 || status == 204 {
		if len(m.all("Content-Length"))+len(m.all("Transfer-Encoding")) > 0 {
			return nil, strictly("%d with a framing", status)
		}
		return m, nil
	}
	if status == 304 || method == "HEAD" {
		return m, nil
	}
	return m, m.readBody(br, -1)
}

// readBody reads the body that the head announces; without says what there is
// if it does not: nothing (0), or what comes until the end (-1).
func (m *wireMessage) readBody(br *bufio.Reader, without int) error {
	lengths, codings := m.all("Content-Length"), m.all("Transfer-Encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		return strictly("lengths %q and codings %q", lengths, codings)
	case len(codings) == 1:
		if codings[0] != "chunked" {
			return strictly("coding %q", codings[0])
		}
		m.chunked = true
		return m.readChunks(br)
	case len(lengths) == 1:
		n, err := strconv.ParseUint(lengths[0], 10, 62)
		if err != nil {
			return strictly("length %q", lengths[0])
		}
		body, err := io.ReadAll(io.LimitReader(br, int64(n)))
		m.body = string(body)
		if err == nil && uint64(len(body)) < n {
			err = io.ErrUnexpectedEOF
		}
		return err
	case without < 0:
		body, err := io.ReadAll(br)
		m.body = string(body)
		return err
	}
	return nil
}

func (m *wireMessage) readChunks(br *bufio.Reader) error {
	var body strings.Builder
	for {
		line, err := strictLine(br)
		if err != nil {
			m.body = body.String()
			return unexpected(err)
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil || strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return strictly("chunk size %q", line)
		}
		if n == 0 {
			m.body = body.String()
			m.trailers, err = strictFields(br)
			return unexpected(err)
		}
		if _, err := io.CopyN(&body, br, int64(n)); err != nil {
			m.body = body.String()
			return unexpected(err)
		}
		if end, err := strictLine(br); err != nil || end != "" {
			m.body = body.String()
			if err == nil {
				err = strictly("chunk end %q", end)
			}
			return unexpected(err)
		}
	}
}

// unexpected is err, but an end where there should be none is not called one.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
