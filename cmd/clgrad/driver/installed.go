package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// vendors is where drivers are registered unless the environment says otherwise.
const vendors = "/etc/OpenCL/vendors"

// Installed returns the libraries of the OpenCL drivers that the loader will
// call, as they are registered in its files and variables; none where it finds
// drivers in another way.
func Installed() (libraries []string) {
	if names := os.Getenv("OCL_ICD_FILENAMES"); names != "" {
		libraries = filepath.SplitList(names)
	}
	place := os.Getenv("OCL_ICD_VENDORS")
	if place == "" {
		place = vendors
	}
	info, err := os.Stat(place)
	var files []string
	switch {
	case err == nil && info.IsDir():
		entries, _ := os.ReadDir(place) // what the loader cannot read it passes over
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".icd" {
				files = append(files, filepath.Join(place, e.Name()))
			}
		}
	case err == nil && filepath.Ext(place) == ".icd":
		files = []string{place}
	case place != vendors:
		return append(libraries, place) // the name of a library
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		libraries = append(libraries, name)
	}
	return libraries
}

// isPoCL reports whether a library is that of the Portable Computing Language.
func isPoCL(library string) bool { return strings.HasPrefix(filepath.Base(library), "libpocl") }

// steering are the prefixes of the variables that change what drivers do.
var steering = []string{"OCL_", "POCL_", "RUSTICL_"}

// Fingerprint returns a digest of the drivers and of what steers them: how they
// behaved under one says nothing of another.
func Fingerprint(libraries []string) string {
	h := sha256.New()
	for _, l := range libraries {
		fmt.Fprintf(h, "%q", l)
		if info, err := os.Stat(l); err == nil {
			fmt.Fprint(h, info.Size(), info.ModTime().UnixNano())
		}
	}
	variables := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return !slices.ContainsFunc(steering, func(p string) bool { return strings.HasPrefix(v, p) })
	})
	slices.Sort(variables)
	fmt.Fprintf(h, "%q", variables)
	return hex.EncodeToString(h.Sum(nil))
}
