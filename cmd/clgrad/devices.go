package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"clgrad/cmd/clgrad/text"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
)

type devicesCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// devicesReport is the output of --json.
type devicesReport struct {
	CPU     []network.Info `json:"cpu"`
	OpenCL  []gpu.Device   `json:"opencl"`
	Problem string         `json:"problem,omitempty"` // why there is no OpenCL device, or not all of them
}

// Run lists the CPU's backends and all OpenCL devices.
func (c devicesCommand) Run(a *app) error {
	r := devicesReport{
		CPU:    []network.Info{cpu.New[float32]().Info(), cpu.New[float64]().Info()},
		OpenCL: []gpu.Device{},
	}
	devices, problem, err := a.drivers().devices(a)
	if err := errors.Join(problem, err); err != nil {
		r.Problem = oneLine(err)
	}
	r.OpenCL = append(r.OpenCL, devices...)
	if c.JSON {
		return json.NewEncoder(a.out).Encode(r)
	}
	t := text.Table{Columns: []string{"BACKEND", "DEVICE", "TYPE", "UNITS", "MEMORY", "LARGEST BUFFER", "DRIVER"}}
	for _, i := range r.CPU {
		t.Row(i.Backend, i.Device, "CPU", strconv.Itoa(i.ComputeUnits), gibibytes(i.Memory), "", i.Driver)
	}
	for _, d := range r.OpenCL {
		t.Row("opencl:"+d.ID(), d.Name, string(d.Type), strconv.Itoa(d.ComputeUnits), gibibytes(d.Memory), gibibytes(d.MaxBuffer), d.PlatformName+" "+d.Driver)
	}
	if err := t.Write(a.out, a.width()); err != nil {
		return err
	}
	for _, d := range r.OpenCL {
		if d.Problem != "" {
			a.note("opencl:%s cannot be used: %s", d.ID(), d.Problem)
		}
	}
	if r.Problem != "" {
		a.note("%s", r.Problem)
	}
	return nil
}

// gibibytes writes a number of bytes, or a question mark where it is unknown.
func gibibytes(n int64) string {
	if n <= 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
