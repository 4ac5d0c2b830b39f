package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed static
var folder embed.FS

// types are the content types of the embedded files, by the end of their names. A machine's own
// list may have others.
var types = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".png":  "image/png",
	".svg":  "image/svg+xml",
}

// A file is an embedded one.
type file struct {
	content   []byte
	kind, tag string // Content-Type and ETag
}

// files are the embedded files, by their names.
var files = readFiles(folder)

func readFiles(of fs.FS) map[string]file {
	all := map[string]file{}
	names, err := fs.Glob(of, "static/*")
	if err != nil {
		panic("a bad pattern")
	}
	for _, name := range names {
		content, err := fs.ReadFile(of, name)
		if err != nil {
			continue // a folder
		}
		sum := sha256.Sum256(content)
		all[path.Base(name)] = file{content, types[path.Ext(name)], `"` + hex.EncodeToString(sum[:12]) + `"`}
	}
	return all
}

// File returns a handler that answers with an embedded file of the folder static. It panics where there is none
// of this name, or its type is not known.
func File(name string) http.Handler {
	f, ok := files[name]
	if !ok || f.kind == "" {
		panic("no embedded file " + name + " of a known type")
	}
	return f
}

// ServeHTTP answers with the file, or with 304 where the client has it.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache") // ask whether it has changed: another version may listen tomorrow
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// static answers requests below /static/.
func static(w http.ResponseWriter, r *http.Request) {
	f, ok := files[r.PathValue("name")]
	if !ok || f.kind == "" {
		Problem(w, http.StatusNotFound, "Not found", "There is no such file.")
		return
	}
	f.ServeHTTP(w, r)
}
