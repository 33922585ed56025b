package admin

import (
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"
)

// pprof shows what the process does and what it keeps, if the configuration that
// stands says so (admin.pprof): a profile costs processor time while it is taken, and a
// dump of goroutines or of the heap says more of a platform than a list of functions.
func (s *Server) pprof(ctx *fasthttp.RequestCtx, name string) {
	scene := s.Scene()
	if scene.Table == nil || !scene.Table.Config.Admin.Pprof {
		refuse(ctx, fasthttp.StatusNotFound, "not_found", "Profiles are not shown; admin.pprof: true has them shown.")
		return
	}
	if name == "" { // whose links are relative, so it has a slash at its end, where the handler wants none
		ctx.URI().SetPath("/debug/pprof")
	}
	pprofhandler.PprofHandler(ctx)
}
