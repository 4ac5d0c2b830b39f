package cpu

import (
	"strings"
	"testing"

	"clgrad/network"
)

// What the host has no memory for is an error that says what was needed, and
// memory that was given back counts again.
func TestMemory(t *testing.T) {
	b := New[float64]()
	b.memory = 1000
	first, err := b.NewBuffer(100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.NewBuffer(26); err == nil || !strings.Contains(err.Error(), "needs 208 bytes beside the 800 in use, this machine has 1000") {
		t.Errorf("buffer: %v", err)
	}
	s := network.Samples{Rows: 13, Features: 2, Bytes: make([]byte, 26)}
	if _, err := b.Load(s, 13); err == nil || !strings.Contains(err.Error(), "input needs 208 bytes") {
		t.Errorf("input: %v", err)
	}
	for range 2 { // closing twice gives back once
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Load(s, 13)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil || b.used != 0 {
		t.Errorf("%d bytes in use at the end, %v", b.used, err)
	}
}
