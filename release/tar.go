package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is a file or folder of an archive.
type entry struct {
	name  string // a folder ends with /
	mode  int64
	owner int
	data  []byte
}

// tarOf returns an archive of entries in their order, all of one time.
func tarOf(entries []entry, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.data)),
			ModTime: at, Format: tar.FormatUSTAR}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// untar puts an archive of ours into a folder, with owners if root does it.
func untar(from io.Reader, to string) error {
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		name := filepath.Clean(h.Name)
		if h.Typeflag == tar.TypeDir {
			err = root.MkdirAll(name, fs.FileMode(h.Mode))
		} else if err = root.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			err = writeInto(root, name, r, fs.FileMode(h.Mode))
		}
		if err == nil && os.Getuid() == 0 {
			err = root.Lchown(name, h.Uid, h.Gid)
		}
		if err != nil {
			return err
		}
	}
}

func writeInto(root *os.Root, name string, from io.Reader, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

func gzipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}

// entriesOf reads a folder's files, sorted, under a name in the archive.
func entriesOf(folder, as string) ([]entry, error) {
	var out []entry
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		out = append(out, entry{name: as + "/" + filepath.ToSlash(name), mode: 0o644, data: data})
		return err
	})
	slices.SortFunc(out, func(a, b entry) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return out, err
}

// archive writes the program with its documents, for systems without one of the packages.
func (r *release) archive(arch, program, docs string) error {
	name := "exeunt-" + r.version + "-linux-" + arch
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	all := []entry{{name: name + "/exeunt", mode: 0o755, data: data}}
	for _, folder := range []struct{ from, as string }{
		{docs, name + "/doc"}, {filepath.Join(r.root, "deploy", "package"), name + "/systemd"},
	} {
		more, err := entriesOf(folder.from, folder.as)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	all = slices.DeleteFunc(all, func(e entry) bool { return filepath.Ext(e.name) == ".gz" || filepath.Ext(e.name) == ".sh" })
	text, err := tarOf(all, r.date)
	if err != nil {
		return err
	}
	if text, err = gzipped(text); err != nil {
		return err
	}
	return os.WriteFile(r.named(name+".tar.gz"), text, 0o644)
}

// chart writes the Helm chart as helm packages it, with the release's version.
func (r *release) chart() error {
	all, err := entriesOf(filepath.Join(r.root, "deploy", "helm", "exeunt"), "exeunt")
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].name == "exeunt/Chart.yaml" {
			all[i].data = bytes.ReplaceAll(all[i].data, []byte("0.0.0"), []byte(r.version))
		}
	}
	text, err := tarOf(all, r.date)
	if err != nil {
		return err
	}
	if text, err = gzipped(text); err != nil {
		return err
	}
	return os.WriteFile(r.named("exeunt-chart-"+r.version+".tgz"), text, 0o644)
}
