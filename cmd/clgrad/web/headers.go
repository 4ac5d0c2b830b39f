package web

import "net/http"

// securityHeaders are those of every response. Scripts, styles and connections are this server's own, pictures
// may also be data of a page. No page of another site may show one of these in a frame, or read an answer.
var securityHeaders = map[string][]string{
	"Content-Security-Policy": {"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
	"Cross-Origin-Embedder-Policy": {"require-corp"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"}, // browsers without frame-ancestors
}

// setHeaders sets the security headers. Their values are shared: nobody appends to them.
func setHeaders(h http.Header) {
	for name, value := range securityHeaders {
		h[name] = value
	}
}
