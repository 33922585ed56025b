package admin

import (
	"errors"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// A Refusal is an error that knows how it is answered.
type Refusal interface {
	error
	Refusal() (status int, problem string)
}

// announce is where instances say that they are ready, or platforms that
// instances are gone.
func (s *Server) announce(kind string) func(*fasthttp.RequestCtx, string) {
	return func(ctx *fasthttp.RequestCtx, name string) {
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		token, _ := strings.CutPrefix(string(ctx.Request.Header.Peek("Authorization")), "Bearer ")
		err := s.Announce(ctx, name, kind, token, ctx.PostBody())
		var refusal Refusal
		switch {
		case err == nil:
			ctx.SetStatusCode(fasthttp.StatusNoContent)
		case errors.As(err, &refusal):
			status, problem := refusal.Refusal()
			if status == fasthttp.StatusUnauthorized {
				ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
			}
			refuse(ctx, status, problem, refusal.Error())
		default:
			s.Log.Error("an announcement could not be taken", "function", name, "error", err.Error())
			refuse(ctx, fasthttp.StatusInternalServerError, "internal", "Something went wrong inside weir.")
		}
	}
}
