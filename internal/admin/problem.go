package admin

import "github.com/valyala/fasthttp"

// A problem is an answer that says what is wrong, RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// refuse answers with a problem; slug names its kind.
func refuse(ctx *fasthttp.RequestCtx, status int, slug, detail string) {
	answerJSON(ctx, problem{"urn:weir:problem:" + slug, fasthttp.StatusMessage(status), status, detail})
	ctx.Response.Header.SetContentType("application/problem+json")
	ctx.Response.SetStatusCode(status)
}
