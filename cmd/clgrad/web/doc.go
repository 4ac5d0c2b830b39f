// Package web is what the HTTP servers of clgrad have in common: serve, which predicts, and
// train --watch, which shows a run. It knows nothing of networks.
//
//	s, err := web.New(web.Options{Address: "127.0.0.1:8080", Log: logger})
//	s.Handle("GET /{$}", web.File("draw.html"))
//	s.Handle("POST /v1/predict", handler)
//	fmt.Println(s.URL())
//	err = s.Run(ctx)
//
// # What a handler can rely on
//
// Before a handler is called, the request has passed these checks. What fails one is answered
// with problem details ([Problem]). A head that is no HTTP, or longer than 16 KiB, is answered by net/http
// itself, with status 400 or 431, a line of text, and the end of the connection.
//
//   - Its Host header names this server: localhost, a loopback address, the address that the
//     connection arrived at, the host of Options.Address, or one of Options.Hosts. A page of
//     another site that has its own name resolve to this machine (DNS rebinding) is refused.
//   - Unless its method is safe (GET, HEAD, OPTIONS) it does not come from a page of another
//     origin, by its Sec-Fetch-Site and Origin headers ([http.CrossOriginProtection]).
//   - Its client has not sent more requests than Options.Rate.
//   - Its body is not longer than Options.Body; more of it cannot be read, see [ReadError].
//
// A handler that panics is answered with status 500, and the server goes on. Every response has
// the security headers of headers.go. A page has neither scripts nor styles in its HTML, and nothing of other sites.
//
// # Time
//
// A connection ends where a request's head takes longer than Limits.Head, its body longer than
// Limits.Body, or its answer longer than Limits.Answer. A handler whose answer is a stream
// (server-sent events) extends that for itself, by SetWriteDeadline of
// [http.NewResponseController], and ends once [Server.Stopping] is closed.
//
// # Files
//
// The pages, scripts and styles in the folder static are part of the program. They are served
// below /static/, and by [File] anywhere. No other file can be reached.
package web
