package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageUser is as whom the image runs: nobody's number anywhere else.
const imageUser = 65532

// imageFiles is the image's whole file system: the program, who its user is, whom it trusts for TLS, and its data folder.
func (r *release) imageFiles(program string) ([]entry, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	user := fmt.Sprintf("exeunt:x:%d:%d:Exeunt:/data:/nowhere\n", imageUser, imageUser)
	group := fmt.Sprintf("exeunt:x:%d:\n", imageUser)
	return []entry{
		{name: "data/", mode: 0o700, owner: imageUser},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: []byte(group)},
		{name: "etc/passwd", mode: 0o644, data: []byte(user)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: authorities()},
		{name: "exeunt", mode: 0o755, data: data},
	}, nil
}

// authorities are Mozilla's, in PEM, less those that it trusts with conditions: a file cannot say them.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory
		}
	}
	return out.Bytes()
}

// image writes an image of all processors as an archive of an OCI layout, which engines load and registries take.
func (r *release) image(programs map[string]string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range r.archs {
		img, err := r.imageOf(arch, programs[arch])
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		}}).(v1.ImageIndex)
	}
	folder, err := os.MkdirTemp("", "exeunt-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	err = at.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "exeunt:" + r.version,
		"io.containerd.image.name": "localhost/exeunt:" + r.version}))
	if err != nil {
		return err
	}
	entries, err := entriesOf(folder, ".")
	if err != nil {
		return err
	}
	for i := range entries {
		entries[i].name = filepath.ToSlash(filepath.Clean(entries[i].name))
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	text, err := tarOf(entries, r.date)
	if err != nil {
		return err
	}
	return os.WriteFile(r.named("exeunt-"+r.version+"-oci.tar"), text, 0o644)
}

func (r *release) imageOf(arch, program string) (v1.Image, error) {
	files, err := r.imageFiles(program)
	if err != nil {
		return nil, err
	}
	text, err := tarOf(files, r.date)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Created = arch, "linux", v1.Time{Time: r.date}
	file.History = []v1.History{{Created: v1.Time{Time: r.date}, CreatedBy: "exeunt release"}}
	file.Config = v1.Config{
		Entrypoint: []string{"/exeunt"}, Cmd: []string{"serve"}, User: fmt.Sprintf("%d:%d", imageUser, imageUser),
		Env:          []string{"EXEUNT_DATA=/data", "EXEUNT_ADDR=:8443"},
		ExposedPorts: map[string]struct{}{"8443/tcp": {}}, Volumes: map[string]struct{}{"/data": {}}, WorkingDir: "/data",
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/exeunt", "health"}, Interval: 10 * time.Second, Timeout: 6 * time.Second,
			StartPeriod: 30 * time.Second, Retries: 3},
		Labels: map[string]string{"org.opencontainers.image.title": "Exeunt", "org.opencontainers.image.version": r.version,
			"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://github.com/exeunt/exeunt"},
	}
	return mutate.ConfigFile(img, file)
}

// readImage reads an image of ours back, as an engine would, and checks that its digests are right.
func (r *release) readImage(arch string) (v1.Image, func(), error) {
	folder, err := os.MkdirTemp("", "exeunt-image-")
	if err != nil {
		return nil, nil, err
	}
	done := func() { os.RemoveAll(folder) }
	fail := func(err error) (v1.Image, func(), error) { done(); return nil, nil, err }
	f, err := os.Open(r.named("exeunt-" + r.version + "-oci.tar"))
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if err := untar(f, folder); err != nil {
		return fail(err)
	}
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return fail(err)
	}
	list, err := outer.IndexManifest()
	if err != nil || len(list.Manifests) != 1 {
		return fail(fmt.Errorf("the layout has no single index: %v", err))
	}
	inner, err := outer.ImageIndex(list.Manifests[0].Digest)
	if err != nil {
		return fail(err)
	}
	images, err := inner.IndexManifest()
	if err != nil {
		return fail(err)
	}
	for _, m := range images.Manifests {
		if m.Platform == nil || m.Platform.Architecture != arch {
			continue
		}
		img, err := inner.Image(m.Digest)
		if err != nil {
			return fail(err)
		}
		if err := validate.Image(img); err != nil {
			return fail(err)
		}
		return img, done, nil
	}
	return fail(fmt.Errorf("there is no image for %s", arch))
}

// unpack puts the image's file system into a folder.
func (r *release) unpack(to string) error {
	img, done, err := r.readImage(runtime.GOARCH)
	if err != nil {
		return err
	}
	defer done()
	files := mutate.Extract(img)
	defer files.Close()
	return untar(files, to)
}
