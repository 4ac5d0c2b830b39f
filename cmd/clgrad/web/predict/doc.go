// Package predict answers requests for predictions over HTTP.
//
//	POST /v1/predict  classes of rows, records or pictures
//	GET  /v1/model    what is known of the model
//	GET  /healthz     the process answers
//	GET  /readyz      the device computes; after a failure it is tried
//	GET  /metrics     figures for Prometheus
//
// # Requests
//
// Rows are raw features, in the order of the training set and before any scaling, as clgrad
// predict reads them. A request is, by its content type,
//
//	application/json     {"row":[5.1,3.5]}, {"rows":[[5.1,3.5],[4.9,3]]} or
//	                     {"records":[{"width":5.1,"length":3.5}]} by the names of columns
//	text/csv             a table, read as clgrad predict --data does
//	image/png, image/jpeg, multipart/form-data
//	                     a picture, or several, converted as clgrad predict does
//
// In JSON null is a value that is missing. "top":K and "probabilities":true, in JSON or as
// parameters of the URL, ask for the K most probable classes and the probabilities of all.
//
// The answer has an element a row, in their order:
//
//	{"predictions":[{"label":"7","class":7,"probability":0.9981}]}
//
// What is wrong with a request is answered by problem details that say where ([web.Problem]).
//
// # Memory
//
// The bodies, rows and answers of all requests under way take at most 128 MB, those of one request 32 MB of it for
// its rows. Where there is no more, a request is answered with 503. A picture counts as the row that it becomes.
//
// # Batches
//
// One goroutine owns the network on its device ([Batcher]). While it computes, requests
// queue; then it takes what has come, up to a number of rows, as one batch. Where the queue is full, a request
// is answered with 503. The rows of a client that has gone are not computed.
//
// Each output of a network's products is a sum over the inputs in an order that does not depend on the other
// rows, so a row's result has the same bits in any batch: with the CPU backends over gonum and with all
// kernels for OpenCL. OpenBLAS does not promise it.
package predict
