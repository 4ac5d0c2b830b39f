package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network/checkpoint"
	"clgrad/network/checkpoint/onnx"
)

type exportCommand struct {
	Model     recipe.Path `arg:"" help:"A safetensors file, or the directory of a run (train --out): its model, or its newest checkpoint if the run is not finished."`
	Format    string      `required:"" placeholder:"FORMAT" enum:"onnx, npz, safetensors" help:"File format: ${enum}. onnx is a graph that takes raw features, scales them, and returns probabilities and logits. npz contains weights, biases, scaling and classes as arrays. safetensors contains the network without the state of its optimizer, under PyTorch's names."`
	Out       recipe.Path `placeholder:"FILE" help:"File to write. Default: the model's name with the extension of the format, unless such a file exists."`
	Precision string      `placeholder:"float32|float64" help:"Precision of weights and biases in an NPZ or safetensors file. Default: that of the model. An ONNX file has float32."`
}

// Help is shown by clgrad export --help.
func (exportCommand) Help() string {
	return "Examples:\n\n  clgrad export run1 --format onnx\n  clgrad export run1 --format npz --out digits.npz\n  clgrad export run1 --format safetensors --out digits.safetensors"
}

// Run writes a model in another format.
func (c exportCommand) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := checkOut(c.Out, c.Model, "", nil); err != nil {
		return err
	}
	m, err := loadModel(a, c.Model)
	if err != nil {
		return err
	}
	if c.Format != "safetensors" && m.Columns != nil && m.Columns.Offsets != nil {
		return fmt.Errorf("%s: some of its features are stored as differences from numbers that need more than float32, and the format %s has no place for these numbers", c.Model, c.Format)
	}
	out, err := c.out()
	if err != nil {
		return err
	}
	precision := m.Precision
	switch {
	case c.Precision == "float32", c.Format == "onnx":
		precision = checkpoint.F32
	case c.Precision == "float64":
		precision = checkpoint.F64
	}
	if m.Precision == checkpoint.F64 && precision == checkpoint.F32 && c.Precision == "" {
		a.note("%s: weights and biases are rounded to float32", c.Model)
	}
	if m, err = m.Finished(precision); err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	if m.Layers != nil {
		a.note("%s: how its features were scaled in training is unknown: %s has no scaling", c.Model, out)
	}
	write := map[string]func(io.Writer, checkpoint.Model) error{
		"onnx": onnx.Write, "npz": checkpoint.WriteNPZ, "safetensors": checkpoint.Write,
	}[c.Format]
	if err := replaceFile(out, func(w io.Writer) error { return write(w, m) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s, layers %s, %s\n", out, c.Format, strings.Trim(fmt.Sprint(m.Sizes), "[]"), strings.Replace(string(precision), "F", "float", 1))
	return err
}

// check reports flags that contradict each other.
func (c exportCommand) check() error {
	switch {
	case c.Precision != "" && c.Precision != "float32" && c.Precision != "float64":
		return misused("--precision %.40q: float32 or float64 is expected", c.Precision)
	case c.Precision == "float64" && c.Format == "onnx":
		return misused("--precision float64: an ONNX file has float32")
	case c.Format == "safetensors" && c.Out == "":
		return misused("--format safetensors: the model is such a file itself: --out with another name is expected")
	}
	return nil
}

// out returns the name of the file to write.
func (c exportCommand) out() (string, error) {
	if c.Out != "" {
		return string(c.Out), nil
	}
	name := string(c.Model)
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, checkpoint.FileName)
	}
	name = strings.TrimSuffix(name, filepath.Ext(name)) + "." + c.Format
	if _, err := os.Lstat(name); err == nil {
		return "", fmt.Errorf("%s: is there already: --out %[1]s replaces it", name)
	}
	return name, nil
}
