package gpu

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"clgrad/kernels"
	"clgrad/network/durable"
)

// A Tuning holds the tiles that were fastest on one device, by shape. [Options]
// take it into a backend's default plans; what a run uses stands in its plan, so
// a later tuning does not change a run that goes on.
type Tuning struct {
	Device TunedDevice             `json:"tuned_for"`
	Shapes map[string]kernels.Tile `json:"shapes"` // by kernels.Key, OpPacked included
}

// TunedDevice is all that a tuning depends on.
type TunedDevice struct {
	Device   string `json:"device"`
	Driver   string `json:"driver"`
	Platform string `json:"platform"`
	Version  string `json:"platform_version"`
	Units    int    `json:"compute_units"`
	Kernels  string `json:"kernels"` // kernels.Digest
}

func (d Device) tuned() TunedDevice {
	return TunedDevice{d.Name, d.Driver, d.PlatformName, d.PlatformVersion, d.ComputeUnits, kernels.Digest()}
}

// TuningDir returns where tunings are kept unless a caller has another place:
// clgrad/tuning in the user's cache directory.
func TuningDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "clgrad", "tuning"), nil
}

// file returns the path of the tuning of a device. Drivers and kernels are not in
// the name, so that a new one replaces the old.
func (d TunedDevice) file(dir string) string {
	h := sha256.Sum256([]byte(d.Platform + "\x00" + d.Device))
	return filepath.Join(dir, hex.EncodeToString(h[:8])+".json")
}

// maxTuning bounds a tuning's file in bytes; a shape takes about 150.
const maxTuning = 1 << 20

// LoadTuning returns the tuning of a device that is kept in dir, an empty one
// where there is none. A file that cannot be read, is no tuning, was made for
// another device, driver or version of the kernels, or asks for what the device
// cannot do is an error in one line that names it; a caller then goes on without.
func LoadTuning(dir string, d Device) (Tuning, error) {
	key := d.tuned()
	name := key.file(dir)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Tuning{}, nil
	}
	if err != nil {
		return Tuning{}, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxTuning+1))
	if err != nil {
		return Tuning{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(content) > maxTuning {
		return Tuning{}, fmt.Errorf("%s: has more than %d bytes: a tuning is smaller", name, maxTuning)
	}
	t, err := parseTuning(content, key, d.limits())
	if err != nil {
		return Tuning{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// parseTuning returns the tuning in a file's content, or why it is of no use.
func parseTuning(content []byte, key TunedDevice, l kernels.Limits) (Tuning, error) {
	var t Tuning
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return Tuning{}, fmt.Errorf("is no tuning: %w", err)
	}
	if decoder.More() {
		return Tuning{}, errors.New("is no tuning: something follows its end")
	}
	for _, f := range []struct {
		what       string
		file, here any
	}{
		{"device", t.Device.Device, key.Device},
		{"driver", t.Device.Driver, key.Driver},
		{"platform", t.Device.Platform, key.Platform},
		{"platform version", t.Device.Version, key.Version},
		{"number of compute units", t.Device.Units, key.Units},
	} {
		if f.file != f.here {
			return Tuning{}, fmt.Errorf("was made for another %s (%v, here %v)", f.what, f.file, f.here)
		}
	}
	if t.Device.Kernels != key.Kernels {
		return Tuning{}, errors.New("was made for another version of the kernels")
	}
	for shape, tile := range t.Shapes {
		if err := checkShape(shape, tile, l); err != nil {
			return Tuning{}, err
		}
	}
	return t, nil
}

// checkShape reports what a device cannot be asked for, or a key that is none.
func checkShape(shape string, tile kernels.Tile, l kernels.Limits) error {
	op, sizes, _ := strings.Cut(shape, " ")
	var n, p int
	if _, err := fmt.Sscanf(sizes, "%dx%d", &n, &p); err != nil || n < 1 || p < 1 || kernels.Key(op, n, p) != shape {
		return fmt.Errorf("shape %q: an operation, inputs and outputs are expected, as in %q", shape, kernels.Key(kernels.OpForward, 784, 128))
	}
	c := kernels.Specification()
	c.Shapes = map[string]kernels.Tile{shape: tile}
	return c.Check(l)
}

// Save keeps the tuning in dir, in place of what is there for the device, and
// returns its file.
func (t Tuning) Save(dir string) (file string, err error) {
	file = t.Device.file(dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	content, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return "", err
	}
	return file, durable.WriteFile(file, append(content, '\n'))
}
