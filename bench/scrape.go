package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// operator asks weir's admin interface.
var operator = http.Client{Timeout: 5 * time.Second}

// metrics calls visit with each sample of weir's.
func (st *story) metrics(visit func(series string, value float64)) {
	r, err := operator.Get("http://" + st.admin + "/metrics")
	if err != nil {
		return
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			visit(series, v)
		}
	}
}

func (st *story) metric(name string) (value float64) {
	st.metrics(func(series string, v float64) {
		if series == name {
			value = v
		}
	})
	return value
}

// sum adds up what begins so.
func (st *story) sum(prefix string) (all float64) {
	st.metrics(func(series string, v float64) {
		if strings.HasPrefix(series, prefix) {
			all += v
		}
	})
	return all
}

func (st *story) phase(name string) (Phase, bool) {
	var seconds, n float64
	st.metrics(func(series string, v float64) {
		if !strings.Contains(series, `phase="`+name+`"`) {
			return
		}
		if strings.HasPrefix(series, "weir_coldstart_duration_seconds_sum{") {
			seconds += v
		} else if strings.HasPrefix(series, "weir_coldstart_duration_seconds_count{") {
			n += v
		}
	})
	if n == 0 {
		return Phase{}, false
	}
	return Phase{Name: name, Mean: time.Duration(seconds / n * float64(time.Second))}, true
}

// drain has weir send no call to a region any more, or again.
func (st *story) drain(ctx context.Context, region string, drain bool) error {
	body := fmt.Sprintf(`{"drain":%t,"reason":"scenario %s"}`, drain, st.name)
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+st.admin+"/api/v1/regions/"+url.PathEscape(region), strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := operator.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return fmt.Errorf("region %s is not drained: %s: %s", region, answer.Status, text)
	}
	return nil
}

// state is what weir says of a function: cold, starting, warm or draining.
func (st *story) state(function string) (string, error) {
	r, err := operator.Get("http://" + st.admin + "/api/v1/functions")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var all []struct{ Name, State string }
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		return "", err
	}
	for _, f := range all {
		if f.Name == function {
			return f.State, nil
		}
	}
	return "", fmt.Errorf("weir does not know the function %s", function)
}
