package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"go.yaml.in/yaml/v3"
)

// made is a small release that the tests share.
func made(t *testing.T) *release {
	t.Helper()
	once.Do(func() { shared = small(t, sharedFolder) })
	if shared == nil {
		t.Fatal("the release could not be made")
	}
	return shared
}

var (
	once         sync.Once
	shared       *release
	sharedFolder string
)

func TestMain(m *testing.M) {
	var err error
	if sharedFolder, err = os.MkdirTemp("", "exeunt-release-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(sharedFolder)
	os.Exit(code)
}

// small is a release whose program is this test, and whose documents are a few words: what is packed, and not what is built.
func small(t *testing.T, out string) *release {
	t.Helper()
	r, err := newRelease("..", out, "", []string{"amd64", "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	docs := t.TempDir()
	for _, name := range []string{"man/exeunt.1", "exeunt.bash", "_exeunt", "exeunt.fish", "exeunt.toml", "copyright"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(docs, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(docs, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	programs := map[string]string{}
	for _, arch := range r.archs {
		programs[arch] = program
		files, err := r.installed(program, docs)
		if err == nil {
			err = r.packages(arch, files)
		}
		if err == nil {
			err = r.archive(arch, program, docs)
		}
		if err == nil {
			err = r.materials(arch, program)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.image(programs); err != nil {
		t.Fatal(err)
	}
	if err := r.chart(); err != nil {
		t.Fatal(err)
	}
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever is made of the same program is the same, byte for byte, and complete.
func TestTheSameBytes(t *testing.T) {
	one, two := made(t), small(t, t.TempDir())
	a, err := os.ReadFile(one.named(sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(two.named(sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("first\n%s\nand then\n%s", a, b)
	}
	for _, name := range []string{"_amd64.deb", "_arm64.deb", ".x86_64.rpm", ".aarch64.rpm", "-amd64.tar.gz", "-arm64.tar.gz", "-oci.tar",
		"-amd64.cdx.json", "-arm64.cdx.json", ".tgz"} {
		if !strings.Contains(string(a), name+"\n") {
			t.Errorf("there is no %s among\n%s", name, a)
		}
	}
	check := exec.Command("sha256sum", "--check", "--quiet", sumsFile)
	check.Dir = one.out
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the checksums are wrong: %v\n%s", err, out)
	}
}

// The image runs as nobody's user, says whether it is well, and has nothing that this user may change but its data.
func TestImage(t *testing.T) {
	r := made(t)
	for _, arch := range r.archs {
		img, done, err := r.readImage(arch) // checks all digests
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		c := file.Config
		if file.Architecture != arch || c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/exeunt"}) ||
			c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/exeunt", "health"}) || len(c.Volumes) != 1 {
			t.Errorf("%s: the image's settings are %+v", arch, file)
		}
		to := t.TempDir()
		files := mutate.Extract(img)
		if err := untar(files, to); err != nil {
			t.Fatal(err)
		}
		files.Close()
		var found []string
		err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == to {
				return err
			}
			name, _ := filepath.Rel(to, path)
			found = append(found, name)
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o022 != 0 {
				t.Errorf("others may write %s", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"data", "etc", "etc/group", "etc/passwd", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt",
			"exeunt"}; !slices.Equal(found, want) {
			t.Errorf("the image has %v, want %v", found, want)
		}
	}
}

// Debian's own tool reads the package, and nothing in it is writable for others or of anybody but root.
func TestDebianPackage(t *testing.T) {
	r := made(t)
	deb := r.named("exeunt_" + r.version + "-1_amd64.deb")
	list, err := exec.Command("dpkg-deb", "--contents", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/bin/exeunt", "usr/lib/systemd/system/exeunt.service", "usr/lib/sysusers.d/exeunt.conf",
		"usr/lib/tmpfiles.d/exeunt.conf", "usr/share/man/man1/exeunt.1.gz", "usr/share/bash-completion/completions/exeunt",
		"usr/share/zsh/vendor-completions/_exeunt", "usr/share/fish/vendor_completions.d/exeunt.fish",
		"usr/share/doc/exeunt/examples/exeunt.toml", "usr/share/doc/exeunt/copyright"} {
		if !strings.Contains(string(list), " ./"+name+"\n") {
			t.Errorf("there is no %s in\n%s", name, list)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		if !strings.Contains(line, " root/root ") || line[8] == 'w' || line[5] == 'w' {
			t.Error(line)
		}
	}
	conf, err := exec.Command("dpkg-deb", "--info", deb, "conffiles").Output()
	if err != nil || string(conf) != "/etc/default/exeunt\n" {
		t.Errorf("its conffiles are %q, %v", conf, err)
	}
}

// The unit is as closed as is promised.
func TestUnitIsHardened(t *testing.T) {
	unit := "../deploy/package/exeunt.service"
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze (is it installed?): %v\n%s", err, out)
	}
	level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("it says no level:\n%s", out)
	}
	if x, err := strconv.ParseFloat(string(level[1]), 64); err != nil || x > 2.0 {
		t.Errorf("its exposure is %s, more than 2.0", level[1])
	}
}

// The bill of materials has what the program itself says.
func TestBillOfMaterials(t *testing.T) {
	r := made(t)
	text, err := os.ReadFile(r.named("exeunt-" + r.version + "-linux-amd64.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || len(b.Parts) < 10 || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		t.Errorf("the bill is %+v", b)
	}
	if !slices.ContainsFunc(b.Parts, func(c component) bool {
		return c.Name == "github.com/google/go-containerregistry" && strings.HasPrefix(c.URL, "pkg:golang/") && c.Version != ""
	}) {
		t.Error("it lacks a module that this test has in it")
	}
}

// Files that other programs read are YAML, and the compose file names the image that the release has.
func TestComposeFile(t *testing.T) {
	r, err := newRelease("..", t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image    string   `yaml:"image"`
			ReadOnly bool     `yaml:"read_only"`
			CapDrop  []string `yaml:"cap_drop"`
			Volumes  []string `yaml:"volumes"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	ours := compose.Services["exeunt"]
	if ours.Image != "localhost/exeunt:"+r.version || !ours.ReadOnly || !slices.Equal(ours.CapDrop, []string{"ALL"}) {
		t.Errorf("the service is %+v", ours)
	}
	if len(compose.Services) != 3 {
		t.Errorf("there are %d services", len(compose.Services))
	}
	for name, s := range compose.Services {
		for _, v := range s.Volumes {
			if file, _, _ := strings.Cut(v, ":"); strings.HasPrefix(file, "./") {
				if _, err := os.Stat(filepath.Join("../deploy", file)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	for _, file := range []string{"Chart.yaml", "values.yaml", "ci/test-values.yaml"} {
		text, err := os.ReadFile(filepath.Join("../deploy/helm/exeunt", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &map[string]any{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
