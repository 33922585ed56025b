package admin

import (
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/internal/shift"
)

func (s *Server) shiftEndpoints() []endpoint {
	return []endpoint{
		{"/api/v1/shifts", "weights that move little by little; POST {function, to, at, over, max_error_percent, on_errors, author, reason}: begin to move some", s.layered(s.shifts), "GET, HEAD, POST"},
		{"/api/v1/shifts/{s}", "one of them; POST {do, author, reason}: pause, resume, rollback or cancel it", s.layered(s.shift), "GET, HEAD, POST"},
	}
}

// A ShiftWish is what is asked of a shift that is under way.
type ShiftWish struct {
	Do     string `json:"do"`
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (s *Server) shifts(ctx *fasthttp.RequestCtx, _ string) {
	if !ctx.IsPost() {
		answerJSON(ctx, s.Shifts.List())
		return
	}
	order := shift.Order{}
	if !readJSON(ctx, &order) {
		return
	}
	status, err := s.Shifts.Start(order)
	if s.unshifted(ctx, err) {
		return
	}
	answerJSON(ctx, status)
	ctx.Response.SetStatusCode(fasthttp.StatusCreated)
	ctx.Response.Header.Set("Location", "/api/v1/shifts/"+status.ID)
}

func (s *Server) shift(ctx *fasthttp.RequestCtx, id string) {
	var status shift.Status
	var err error
	if ctx.IsPost() {
		wish := ShiftWish{}
		if !readJSON(ctx, &wish) {
			return
		}
		status, err = s.Shifts.Steer(id, wish.Do, wish.Author, wish.Reason)
	} else {
		status, err = s.Shifts.Get(id)
	}
	if !s.unshifted(ctx, err) {
		answerJSON(ctx, status)
	}
}

// unshifted answers with why something was not done, if so.
func (s *Server) unshifted(ctx *fasthttp.RequestCtx, err error) bool {
	var refusal *shift.Refusal
	switch {
	case err == nil:
		return false
	case !errors.As(err, &refusal):
		panic(fmt.Sprintf("BUG: %v", err))
	}
	status := map[string]int{
		shift.Invalid: fasthttp.StatusUnprocessableEntity, shift.NotFound: fasthttp.StatusNotFound, shift.Conflict: fasthttp.StatusConflict,
	}[refusal.Kind]
	refuse(ctx, status, refusal.Kind, refusal.Detail)
	return true
}
