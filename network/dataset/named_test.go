package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// A fake is a source that gives what a test wants and counts how it was asked.
type fake struct {
	name    string
	content map[string][]byte // by file name
	err     error             // of open
	remote  bool              // of no use offline
	opened  int
	got     []string
}

func (f *fake) String() string { return f.name }

func (f *fake) open(_ context.Context, offline bool) (getter, error) {
	f.opened++
	if f.err != nil {
		return nil, f.err
	}
	if f.remote && offline {
		return nil, errOffline
	}
	return func(ctx context.Context, file File, _ func(done, total int64)) ([]byte, error) {
		f.got = append(f.got, file.Name)
		content, ok := f.content[file.Name]
		if !ok {
			return nil, errors.New("has no " + file.Name)
		}
		return content, ctx.Err()
	}, nil
}

// toyContent are the compressed files of the toy set by name.
func toyContent() map[string][]byte {
	content := map[string][]byte{}
	for i, raw := range toyFiles() {
		content[partNames[i]+".gz"] = gzipped(raw)
	}
	return content
}

// toyLibrary has the toy set under the given sources, a cache of its own and
// the lines that were logged.
func toyLibrary(t *testing.T, sources ...source) (l library, lines *[]string) {
	t.Helper()
	set := namedSet{name: "toy", description: "three and two images", classes: []string{"a", "b", "c"}, sources: sources}
	for i, raw := range toyFiles() {
		content := gzipped(raw)
		sum := sha256.Sum256(content)
		set.files[i] = File{partNames[i] + ".gz", int64(len(content)), hex.EncodeToString(sum[:]), ""}
	}
	lines = new([]string)
	log := func(line string) { *lines = append(*lines, line) }
	return library{[]namedSet{set}, Options{CacheDir: filepath.Join(t.TempDir(), "cache"), Log: log}}, lines
}

func checkToy(t *testing.T, l library) {
	t.Helper()
	got, err := l.load(context.Background(), "toy")
	must.OK(t, err)
	want := toySet("toy")
	want.Named, want.ClassNames = true, []string{"a", "b", "c"}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// Info is told of a download, and Log then is not.
func TestInfo(t *testing.T) {
	l, lines := toyLibrary(t, &fake{name: "first", content: toyContent()})
	steps := 0
	l.Info = func(string) { steps++ }
	if checkToy(t, l); len(*lines) != 0 || steps != 5 { // asking, and four files
		t.Errorf("Info is told of %d steps, and Log %q", steps, *lines)
	}
}

func TestLoadNamed(t *testing.T) {
	s := &fake{name: "first", content: toyContent()}
	second := &fake{name: "second", content: toyContent()}
	l, lines := toyLibrary(t, s, second)
	checkToy(t, l)
	if s.opened != 1 || len(s.got) != 4 || second.opened != 0 {
		t.Errorf("the first source was opened %d times for %v, the second %d times", s.opened, s.got, second.opened)
	}
	if all := strings.Join(*lines, "\n"); !strings.Contains(all, "toy: getting t10k-labels-idx1-ubyte.gz (") {
		t.Errorf("nothing is said of the download: %q", all)
	}

	*lines = nil
	checkToy(t, l)
	if s.opened != 1 || len(*lines) != 0 {
		t.Errorf("with a filled cache a source was asked: %q", *lines)
	}
	entries, err := os.ReadDir(filepath.Join(l.CacheDir, "toy"))
	if err != nil || len(entries) != 4 {
		t.Errorf("the cache holds %v, %v, want the four files and nothing temporary", entries, err)
	}
}

func TestDamagedCacheIsReplaced(t *testing.T) {
	good := toyContent()[partNames[testImages]+".gz"]
	for name, bad := range map[string][]byte{
		"flipped": append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"short":   good[:10],
		"long":    append(slices.Clone(good), 0),
		"empty":   {},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fake{name: "source", content: toyContent()}
			l, lines := toyLibrary(t, s)
			checkToy(t, l)
			path := filepath.Join(l.CacheDir, "toy", partNames[testImages]+".gz")
			must.Write(t, bad, path)
			*lines, s.got = nil, nil
			checkToy(t, l)
			if want := []string{partNames[testImages] + ".gz"}; !slices.Equal(s.got, want) {
				t.Errorf("fetched %v, want %v", s.got, want)
			}
			if len(*lines) == 0 || !strings.HasPrefix((*lines)[0], "toy: "+path+" cannot be used and will be replaced: ") {
				t.Errorf("the damage is not reported first: %q", *lines)
			}
			if now, err := os.ReadFile(path); err != nil || !slices.Equal(now, good) {
				t.Errorf("the damaged file is still there: %v", err)
			}
		})
	}
}

// A damaged cache without a source must not be used either.
func TestDamagedCacheIsNeverUsed(t *testing.T) {
	s := &fake{name: "source", content: toyContent()}
	l, _ := toyLibrary(t, s)
	checkToy(t, l)
	dir := filepath.Join(l.CacheDir, "toy")
	other := gzipped(idx([]int{2}, 0, 1)) // a sound file, but another one
	must.Write(t, other, dir, partNames[testLabels]+".gz")
	s.err = errors.New("gone")
	_, err := l.load(context.Background(), "toy")
	if err == nil || !strings.HasPrefix(err.Error(), "toy: t10k-labels-idx1-ubyte.gz could not be had: cache "+dir+": t10k-labels-idx1-ubyte.gz has ") ||
		!strings.HasSuffix(err.Error(), "; source: gone") {
		t.Errorf("got %v", err)
	}
}

// Each file comes from the first source that has it unharmed, and a source that
// cannot be opened is tried once.
func TestSourcesFallBack(t *testing.T) {
	wrong := toyContent()
	wrong[partNames[trainImages]+".gz"] = gzipped(idx([]int{1, 2, 3}, 1, 2, 3, 4, 5, 6))
	delete(wrong, partNames[testLabels]+".gz")
	closed := &fake{name: "closed", err: errors.New("no key")}
	damaged := &fake{name: "damaged", content: wrong}
	good := &fake{name: "good", content: toyContent()}
	l, _ := toyLibrary(t, closed, damaged, good)
	checkToy(t, l)
	if closed.opened != 1 || damaged.opened != 1 || good.opened != 1 {
		t.Errorf("sources were opened %d, %d, %d times, want once each", closed.opened, damaged.opened, good.opened)
	}
	if want := []string{partNames[trainImages] + ".gz", partNames[testLabels] + ".gz"}; !slices.Equal(good.got, want) {
		t.Errorf("the last source gave %v, want %v", good.got, want)
	}
}

func TestAllSourcesFail(t *testing.T) {
	wrong := toyContent()
	wrong[partNames[trainImages]+".gz"][12] ^= 1
	l, _ := toyLibrary(t,
		&fake{name: "one", err: errors.New("two\n  lines\n")},
		&fake{name: "two", content: wrong},
		&fake{name: "three"})
	_, err := l.load(context.Background(), "toy")
	if err == nil {
		t.Fatal("a set without a source was loaded")
	}
	pattern := []string{
		"toy: train-images-idx3-ubyte.gz could not be had: cache " + filepath.Join(l.CacheDir, "toy") + ": not there; ",
		"one: two lines; ",
		"two: train-images-idx3-ubyte.gz has SHA-256 ",
		" where " + l.sets[0].files[0].SHA256 + " is expected; ",
		"three: has no train-images-idx3-ubyte.gz",
	}
	rest := err.Error()
	for _, p := range pattern {
		_, after, found := strings.Cut(rest, p)
		if !found {
			t.Fatalf("error %q lacks %q in its place", err, p)
		}
		rest = after
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is not one line", err)
	}
}

// blocked makes the cache unwritable, for root too: a file stands in its place.
func blocked(t *testing.T, l library) {
	t.Helper()
	must.Write(t, "", l.CacheDir)
}

func TestUnwritableCache(t *testing.T) {
	l, lines := toyLibrary(t, &fake{name: "source", content: toyContent()})
	blocked(t, l)
	checkToy(t, l)
	if n := len(*lines); n == 0 || !strings.HasPrefix((*lines)[n-1], "toy: is used without being kept: ") {
		t.Errorf("the note is missing: %q", *lines)
	}
	_, err := l.fetch(context.Background(), "toy")
	if err == nil || !strings.HasPrefix(err.Error(), "toy: was fetched but cannot be kept: ") {
		t.Errorf("fetching into an unwritable cache: got %v", err)
	}
}

// Without a home directory there is no cache directory, and loading still works.
func TestNoCacheDirectory(t *testing.T) {
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData", "home"} {
		t.Setenv(name, "")
	}
	l, lines := toyLibrary(t, &fake{name: "source", content: toyContent()})
	l.CacheDir = ""
	if _, err := os.UserCacheDir(); err == nil {
		t.Skip("this system has a cache directory all the same")
	}
	checkToy(t, l)
	if n := len(*lines); n == 0 || !strings.HasPrefix((*lines)[n-1], "toy: is used without being kept: no cache directory: ") {
		t.Errorf("the note is missing: %q", *lines)
	}
	if _, err := l.verify(context.Background(), "toy"); err == nil || !strings.HasPrefix(err.Error(), "toy: no cache directory: ") {
		t.Errorf("verifying without a cache: got %v", err)
	}
}

func TestDefaultCacheDirectory(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", base)
	if user, _ := os.UserCacheDir(); user != base {
		t.Skip("the cache directory is found otherwise on this system")
	}
	l, _ := toyLibrary(t, &fake{name: "source", content: toyContent()})
	l.CacheDir = ""
	checkToy(t, l)
	if _, err := os.Stat(filepath.Join(base, "clgrad", "toy", partNames[0]+".gz")); err != nil {
		t.Error(err)
	}
}

func TestOffline(t *testing.T) {
	far := &fake{name: "far", content: toyContent(), remote: true}
	l, _ := toyLibrary(t, far)
	l.Offline = true
	_, err := l.load(context.Background(), "toy")
	if err == nil || !strings.HasSuffix(err.Error(), "far: not asked while offline") || far.got != nil {
		t.Errorf("offline: got %v after asking for %v", err, far.got)
	}
	// Asked again with the network, and then from the cache without it.
	l.Offline = false
	checkToy(t, l)
	l.Offline = true
	checkToy(t, l)
}

func TestFetchingStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("interrupt"))
	later := &fake{name: "later", content: toyContent()}
	l, _ := toyLibrary(t, &fake{name: "source", content: toyContent()}, later)
	_, err := l.load(ctx, "toy")
	if err == nil || err.Error() != "toy: fetching train-images-idx3-ubyte.gz was stopped: interrupt" || later.opened != 0 {
		t.Errorf("a cancelled load returns %v, having opened the next source %d times", err, later.opened)
	}
}

func TestFetchAndVerify(t *testing.T) {
	ctx := context.Background()
	s := &fake{name: "source", content: toyContent()}
	l, _ := toyLibrary(t, s)
	dir := filepath.Join(l.CacheDir, "toy")

	status, err := l.verify(ctx, "toy")
	if err != nil || status.OK || len(status.Files) != 4 || status.Files[3].Problem != "not there" {
		t.Errorf("an empty cache is %+v, %v", status, err)
	}
	if s.opened != 0 {
		t.Error("verifying asked a source")
	}

	if status, err = l.fetch(ctx, "toy"); err != nil || !status.OK {
		t.Fatalf("fetched: %+v, %v", status, err)
	}
	want := Status{Name: "toy", Description: "three and two images", Dir: dir, OK: true}
	for _, f := range l.sets[0].files {
		want.Files = append(want.Files, FileStatus{
			Name: f.Name, Path: filepath.Join(dir, f.Name), Size: f.Size, SHA256: f.SHA256, Expected: f, OK: true, Origin: "source",
		})
	}
	if d := cmp.Diff(want, status); d != "" {
		t.Error(d)
	}

	bad := slices.Clone(s.content[partNames[1]+".gz"])
	bad[3] ^= 1
	for name, content := range map[string][]byte{want.Files[0].Path: []byte("short"), want.Files[1].Path: bad} {
		must.Write(t, content, name)
	}
	must.OK(t, os.Remove(want.Files[2].Path))
	must.OK(t, os.Mkdir(want.Files[2].Path, 0o755))
	if status, err = l.verify(ctx, "toy"); err != nil || status.OK {
		t.Errorf("a damaged cache is %+v, %v", status, err)
	}
	for i, problem := range []string{"has 5 bytes where ", "has SHA-256 ", want.Files[2].Path + ": is no regular file", ""} {
		if f := status.Files[i]; !strings.HasPrefix(f.Problem, problem) || f.OK != (problem == "") || f.Origin != "" {
			t.Errorf("file %d is %+v, want the problem %q", i, f, problem)
		}
	}
	must.OK(t, os.Remove(want.Files[2].Path))
	if status, err = l.fetch(ctx, "toy"); err != nil || !status.OK {
		t.Errorf("fetched again: %+v, %v", status, err)
	}
	if got := []string{status.Files[0].Origin, status.Files[3].Origin}; !slices.Equal(got, []string{"source", fromCache}) {
		t.Errorf("origins %v", got)
	}

	text, err := json.Marshal(status.Files[3])
	if err != nil || !strings.HasPrefix(string(text), `{"name":"t10k-labels-idx1-ubyte.gz","path":`) || !strings.Contains(string(text), `"size_bytes":`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}

func TestUnknownNamedSet(t *testing.T) {
	want := `data set "nist" is unknown: one of mnist, fashion-mnist is expected`
	if _, err := Verify(context.Background(), "nist", Options{}); err == nil || err.Error() != want {
		t.Errorf("Verify: got %v, want %s", err, want)
	}
	if _, err := Fetch(context.Background(), "nist", Options{}); err == nil || err.Error() != want {
		t.Errorf("Fetch: got %v, want %s", err, want)
	}
}

// A file that was packed again is used if it holds the same, and nothing else is.
func TestRepacked(t *testing.T) {
	again := func(raw []byte, level int) []byte {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, level)
		must.OK(t, err)
		w.Write(raw)
		w.Close()
		return b.Bytes()
	}
	s := &fake{name: "source", content: map[string][]byte{}}
	l, _ := toyLibrary(t, s)
	files := &l.sets[0].files
	for i, raw := range toyFiles() {
		content := again(raw, gzip.BestCompression)
		s.content[files[i].Name] = content
		sum := sha256.Sum256(raw)
		files[i].Size = int64(len(content)) + 20
		files[i].SHA256 = strings.Repeat("0", 64) // what the publishers packed is not at hand
		files[i].Unpacked = hex.EncodeToString(sum[:])
	}
	checkToy(t, l)
	if status, err := l.verify(t.Context(), "toy"); err != nil || !status.OK {
		t.Errorf("the cache is %+v, %v", status, err)
	}

	raw := toyFiles()[testLabels]
	raw[len(raw)-1] ^= 1
	for name, content := range map[string][]byte{
		"other content": again(raw, gzip.BestCompression),
		"cut short":     s.content[files[testLabels].Name][:20],
		"not packed":    toyFiles()[testLabels],
		"too long":      append(slices.Clone(s.content[files[testLabels].Name]), make([]byte, 21)...),
	} {
		s.content[files[testLabels].Name] = content
		l.CacheDir = t.TempDir()
		if _, err := l.load(t.Context(), "toy"); err == nil || !strings.Contains(err.Error(), "t10k-labels-idx1-ubyte.gz has ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The table itself: a slip in it would only show where a source is reached.
func TestTable(t *testing.T) {
	if got, want := Names(), []string{"mnist", "fashion-mnist"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	sum := regexp.MustCompile("^[0-9a-f]{64}$")
	for _, s := range sets {
		for i, f := range s.files {
			if f.Name != partNames[i]+".gz" || f.Size < 1 || !sum.MatchString(f.SHA256) || f.Unpacked != "" && !sum.MatchString(f.Unpacked) {
				t.Errorf("%s: file %d is %+v", s.name, i, f)
			}
		}
		if len(s.sources) == 0 || s.description == "" || len(s.classes) < 2 {
			t.Errorf("%s has no source, no description or no classes", s.name)
		}
	}
}
