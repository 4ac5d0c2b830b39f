package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A search goes from tile to tile, of one operation and shape or of a network's whole
// iterations.
type search[T interface {
	comparable
	fmt.Stringer
}] struct {
	shape      string                  // its key
	standard   T                       // the default
	fit        func(T) T               // tiles that it makes equal are one candidate
	neighbours func(T) []T             // where to go from a tile
	try        func(T) (*trial, error) // returns a trial with a tile that has given the right numbers
	deadline   time.Time
	tried      func(T) // is told of every candidate
}

// run returns the best tile, and what was found but for the tiles.
func (s search[T]) run(ctx context.Context) (tile T, found TunedShape, err error) {
	tile, found = s.standard, TunedShape{Shape: s.shape}
	standard, err := s.try(s.standard)
	if err != nil {
		return tile, found, fmt.Errorf("%s: the default tile %s: %w", s.shape, s.standard, err)
	}
	best := standard
	defer func() {
		if best != standard {
			err = errors.Join(err, best.Close())
		}
		err = errors.Join(err, standard.Close())
	}()
	repeat, err := best.calibrate()
	if err != nil {
		return tile, found, err
	}
	seen := []T{s.fit(s.standard)}
search:
	for {
		for _, next := range s.neighbours(tile) {
			if err := ctx.Err(); err != nil {
				return tile, found, err
			}
			if !time.Now().Before(s.deadline) {
				found.Untried = s.unseen(tile, seen)
				break search
			}
			if next = s.fit(next); slices.Contains(seen, next) {
				continue
			}
			seen = append(seen, next)
			s.tried(next)
			found.Tried++
			candidate, err := s.try(next)
			if err == nil {
				var won bool
				if won, _, _, err = compare(best, candidate, compareRounds, repeat); err == nil && won {
					best, candidate = candidate, best
					tile = next
				}
				if candidate != standard {
					err = errors.Join(err, candidate.Close())
				}
				if err == nil && won {
					continue search
				}
			}
			if err != nil {
				line, _, _ := strings.Cut(err.Error(), "\n")
				found.Rejected = append(found.Rejected, fmt.Sprintf("%s: %s", next, line))
			}
		}
		break
	}
	if best == standard {
		found.DefaultSeconds, err = standard.seconds(repeat)
		found.Seconds = found.DefaultSeconds
		return tile, found, err
	}
	// What won by chance, once in many comparisons, has to win once more.
	won, was, is, err := compare(standard, best, finalRounds, repeat)
	if err != nil {
		return tile, found, err
	}
	found.DefaultSeconds, found.Seconds = was, is
	if !won {
		tile, found.Seconds = s.standard, was
	}
	return tile, found, nil
}

// unseen returns how many neighbours of a tile are not among those that were seen.
func (s search[T]) unseen(tile T, seen []T) (n int) {
	seen = slices.Clone(seen)
	for _, next := range s.neighbours(tile) {
		if next = s.fit(next); !slices.Contains(seen, next) {
			seen = append(seen, next)
			n++
		}
	}
	return n
}
