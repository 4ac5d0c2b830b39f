package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"clgrad/network/durable"
)

// sharesFile holds how devices that compute together share the rows of a batch.
const sharesFile = "shares.json"

// Bounds of it.
const (
	maxSets   = 1024 // sets of shares; the oldest make room
	maxShares = 64   // of a set
)

// A shareSet is what was found under a key.
type shareSet struct {
	Key    string `json:"key"`
	Shares []int  `json:"shares"`
}

// Shares returns the shares that are kept under a key ([Key]) in a directory, nil where
// there are none. The error, one line, names a file that is of no use.
func Shares(dir, key string) ([]int, error) {
	all, err := readShares(filepath.Join(dir, sharesFile))
	for _, s := range all {
		if s.Key == key {
			return s.Shares, err
		}
	}
	return nil, err
}

// KeepShares keeps shares under a key and returns what is kept there now: those of an earlier
// call where there are some, so that all who ask get the same. Where the error, one line, says
// why they cannot be kept, it returns the shares.
func KeepShares(dir, key string, shares []int) ([]int, error) {
	file := filepath.Join(dir, sharesFile)
	kept := shares
	err := locked(dir, func() error {
		all, err := readShares(file)
		if err != nil && !errors.As(err, new(useless)) {
			return err
		}
		if i := slices.IndexFunc(all, func(s shareSet) bool { return s.Key == key }); i >= 0 && len(all[i].Shares) == len(shares) {
			kept = all[i].Shares
			return nil
		}
		all = append(slices.DeleteFunc(all, func(s shareSet) bool { return s.Key == key }), shareSet{key, shares})
		text, err := json.MarshalIndent(all[max(0, len(all)-maxSets):], "", " ")
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return durable.WriteFile(file, append(text, '\n'))
	})
	return kept, err
}

// readShares returns what is in a file, and nothing with an error.
func readShares(file string) (all []shareSet, err error) {
	text, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if text == nil {
		return nil, nil
	}
	if all, err = parseShares(text); err != nil {
		return nil, useless{fmt.Errorf("%s: %w", file, err)}
	}
	return all, nil
}

// parseShares returns the sets in a file's text, or why they are of no use.
func parseShares(text []byte) (all []shareSet, err error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("has more than %d bytes: shares of devices take less", maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("is no list of shares: %w", err)
	}
	if d.More() {
		return nil, errors.New("is no list of shares: something follows its end")
	}
	for _, s := range all {
		if err := checkKey(s.Key); err != nil {
			return nil, err
		}
		if len(s.Shares) < 1 || len(s.Shares) > maxShares || slices.Min(s.Shares) < 1 || slices.Max(s.Shares) > maxShares {
			return nil, fmt.Errorf("shares %.99s: numbers from 1 to %d are expected, at most as many", fmt.Sprint(s.Shares), maxShares)
		}
	}
	return all, nil
}
