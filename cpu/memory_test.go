package cpu

import (
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"
)

// What the host has no memory for is an error that says what was needed, and
// memory that was given back counts again.
func TestMemory(t *testing.T) {
	b := New[float64]()
	b.memory = 1000
	s := network.Samples{Rows: 13, Features: 2, Bytes: make([]byte, 26)}
	plan, err := b.Propose([]int{2, 2}, s, 13)
	must.OK(t, err)
	e, err := b.Prepare([]int{2, 2}, plan)
	must.OK(t, err)
	first, err := e.NewBuffer(100)
	must.OK(t, err)
	if _, err := e.NewBuffer(26); err == nil || !strings.Contains(err.Error(), "needs 208 bytes beside the 800 in use, this machine has 1000") {
		t.Errorf("buffer: %v", err)
	}
	if _, err := e.Load(s, []int{13}); err == nil || !strings.Contains(err.Error(), "input needs 208 bytes") {
		t.Errorf("input: %v", err)
	}
	for range 2 { // closing twice gives back once
		must.OK(t, first.Close())
	}
	x, err := e.Load(s, []int{6, 7})
	must.OK(t, err)
	if _, err := e.NewBuffer(100); err == nil {
		t.Error("a buffer beside an input that leaves no room for it")
	}
	if err := e.Close(); err != nil || b.used != 0 {
		t.Errorf("%d bytes in use after the executor was closed, %v", b.used, err)
	}
	if err := x.Close(); err != nil || b.used != 0 {
		t.Errorf("%d bytes in use at the end, %v", b.used, err)
	}
}
