package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// Problem answers with problem details, as RFC 9457 has them: an object with title, status and
// detail, of type application/problem+json. The title is the same for all problems of a kind; the detail
// says what was expected, and where.
func Problem(w http.ResponseWriter, status int, title, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length") // of what would have been the answer
	w.WriteHeader(status)
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{title, status, detail})
	if err == nil { // strings and a number have no error
		w.Write(append(body, '\n')) // nobody is left to tell of an error
	}
}

// ReadError answers a request whose body could not be read, or was too long or too slow.
func ReadError(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		tooLarge(w, large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		Problem(w, http.StatusRequestTimeout, "Request too slow", "The body did not arrive in time.")
	default:
		Problem(w, http.StatusBadRequest, "Body not whole", "The body ends early.")
	}
}

func tooLarge(w http.ResponseWriter, limit int64) {
	Problem(w, http.StatusRequestEntityTooLarge, "Body too large", fmt.Sprintf("At most %d bytes are taken.", limit))
}
