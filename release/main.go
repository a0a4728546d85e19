// Command release builds what is released: static programs, deb and rpm packages, an OCI image without an engine, the
// Helm chart, a bill of materials and checksums.
//
//	go run -C release . --out ../dist
//
// It owns what is in which of them. All of it is made from the sources alone: the time in files is the day of the version
// in CHANGELOG.md, and the same sources make the same bytes.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", "..", "the repository")
	out := flag.String("out", "../dist", "where to; what is in it is removed")
	version := flag.String("version", "", "the version, instead of that of CHANGELOG.md")
	archs := flag.String("arch", "amd64,arm64", "for which processors")
	check := flag.Bool("check", false, "build again, from a copy elsewhere and without the cache, and compare with what is in --out")
	unpack := flag.String("unpack", "", "put the files of --out's image for this machine's processor into a folder, and build nothing")
	flag.Parse()
	err := func() error {
		r, err := newRelease(*root, *out, *version, strings.Split(*archs, ","))
		switch {
		case err != nil:
			return err
		case *unpack != "":
			return r.unpack(*unpack)
		case *check:
			return r.again()
		}
		return r.build()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one version and where its files go.
type release struct {
	root, out string // absolute
	version   string
	date      time.Time
	archs     []string
	env       []string // of builds, besides ours
}

var versionLine = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+\S*) \((\d{4}-\d\d-\d\d)\)$`)

func newRelease(root, out, version string, archs []string) (*release, error) {
	changes, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	newest := versionLine.FindStringSubmatch(string(changes))
	if newest == nil {
		return nil, errors.New(`CHANGELOG.md has no version: begin one with "## 1.2.3 (2026-12-31)"`)
	}
	r := &release{version: version, archs: archs}
	if version == "" {
		r.version = newest[1]
	}
	if r.date, err = time.Parse(time.DateOnly, newest[2]); err != nil {
		return nil, err
	}
	if r.root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	r.out, err = filepath.Abs(out)
	return r, err
}

// build makes all files.
func (r *release) build() error {
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	made, err := os.MkdirTemp("", "exeunt-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	programs := map[string]string{}
	for _, arch := range r.archs {
		programs[arch] = filepath.Join(made, arch, "exeunt")
		if err := r.program(arch, programs[arch]); err != nil {
			return err
		}
	}
	docs, err := r.documents(filepath.Join(made, "docs"))
	if err != nil {
		return err
	}
	for _, arch := range r.archs {
		files, err := r.installed(programs[arch], docs)
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return r.packages(arch, files) },
			func() error { return r.archive(arch, programs[arch], docs) },
			func() error { return r.materials(arch, programs[arch]) },
		} {
			if err := step(); err != nil {
				return fmt.Errorf("%s: %w", arch, err)
			}
		}
	}
	if err := r.image(programs); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := r.chart(); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return r.sums()
}

// program builds the program: without C, without the paths of this machine, and without what differs between two builds.
func (r *release) program(arch, to string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X main.release="+r.version,
		"-o", to, "./cmd/exeunt")
	c.Dir = r.root
	c.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=-mod=readonly", "GOAMD64=v1",
		"GOARM64=v8.0", "GOEXPERIMENT="), r.env...)
	c.Stderr = os.Stderr
	return c.Run()
}

// documents has the program itself write its manual pages, completions and settings. It is built for this machine, so
// that packages of another processor have them, too.
func (r *release) documents(folder string) (string, error) {
	program := filepath.Join(folder, "exeunt")
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X main.release="+r.version,
		"-o", program, "./cmd/exeunt")
	c.Dir, c.Env, c.Stderr = r.root, append(append(os.Environ(), "CGO_ENABLED=0"), r.env...), os.Stderr
	if err := c.Run(); err != nil {
		return "", err
	}
	defer os.Remove(program)
	if err := exec.Command(program, "manual", filepath.Join(folder, "man")).Run(); err != nil {
		return "", fmt.Errorf("manual pages: %w", err)
	}
	for file, args := range map[string][]string{
		"exeunt.bash": {"completion", "bash"}, "_exeunt": {"completion", "zsh"}, "exeunt.fish": {"completion", "fish"},
		"exeunt.toml": {"settings"}, "copyright": {"licenses"},
	} {
		text, err := exec.Command(program, args...).Output()
		if err != nil {
			return "", fmt.Errorf("exeunt %s: %w", strings.Join(args, " "), err)
		}
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o644); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// named is a file of the release.
func (r *release) named(name string) string { return filepath.Join(r.out, name) }

const sumsFile = "SHA256SUMS"

// sums writes the checksums of all files.
func (r *release) sums() error {
	text, err := sumsOf(r.out)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.named(sumsFile), []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

func sumsOf(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, e := range entries {
		if e.Name() == sumsFile {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return out.String(), nil
}

// again builds from a copy of the sources in another folder, with an empty cache, and compares.
func (r *release) again() error {
	want, err := os.ReadFile(r.named(sumsFile))
	if err != nil {
		return fmt.Errorf("%w: run this without --check first", err)
	}
	there, err := os.MkdirTemp("", "exeunt-release-again-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(there)
	root := filepath.Join(there, "elsewhere")
	if err := copySources(r.root, root); err != nil {
		return err
	}
	other := *r
	other.root, other.out = root, filepath.Join(there, "dist")
	other.env = []string{"GOCACHE=" + filepath.Join(there, "cache")}
	if err := other.build(); err != nil {
		return err
	}
	got, err := os.ReadFile(other.named(sumsFile))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the second build differs.\nIn %s:\n%sthen:\n%s", r.out, want, got)
	}
	fmt.Println("Both builds are the same, byte for byte.")
	return nil
}

// copySources copies the files that git has or would take.
func copySources(from, to string) error {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range slices.Compact(strings.Split(strings.TrimRight(string(names), "\x00"), "\x00")) {
		info, err := os.Lstat(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		} else if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}
