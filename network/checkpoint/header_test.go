package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// A header says of every kind of file what the whole file does: earlier versions, checkpoints, others' networks.
func TestLoadHeader(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "version*.safetensors"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, filepath.Join("testdata", "pytorch", "named.safetensors")) {
		whole, err := Load(file)
		must.OK(t, err)
		header, err := LoadHeader(file)
		want := Model{Sizes: whole.Sizes, Precision: whole.Precision, Layers: whole.Layers, Run: whole.Run}
		if diff := cmp.Diff(want, header); err != nil || diff != "" {
			t.Errorf("%s: %v, (-whole +header):\n%s", file, err, diff)
		}
		// Damaged numbers are not looked at, a file that is cut short is found out.
		content, err := os.ReadFile(file)
		must.OK(t, err)
		damaged := filepath.Join(t.TempDir(), FileName)
		changed := slices.Clone(content)
		changed[len(changed)-1] ^= 1
		for _, c := range []struct {
			content []byte
			want    string
		}{{changed, ""}, {content[:len(content)-4], damaged + ": "}, {content[:4], damaged + ": "}} {
			must.Write(t, c.content, damaged)
			if _, err := LoadHeader(filepath.Dir(damaged)); (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s, %d of %d bytes: error %v", file, len(c.content), len(content), err)
			}
		}
	}
}
