package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the two kinds that are made
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// maintainer stands in packages, as both kinds need one.
const maintainer = "Exeunt <https://github.com/exeunt/exeunt/issues>"

// installed returns what a package puts where.
func (r *release) installed(program, docs string) (files.Contents, error) {
	var out files.Contents
	add := func(from, to, kind string, mode os.FileMode) {
		out = append(out, &files.Content{Source: from, Destination: to, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.date}})
	}
	deploy := filepath.Join(r.root, "deploy", "package")
	add(program, "/usr/bin/exeunt", files.TypeFile, 0o755)
	add(filepath.Join(deploy, "exeunt.service"), "/usr/lib/systemd/system/exeunt.service", files.TypeFile, 0o644)
	add(filepath.Join(deploy, "sysusers.conf"), "/usr/lib/sysusers.d/exeunt.conf", files.TypeFile, 0o644)
	add(filepath.Join(deploy, "tmpfiles.conf"), "/usr/lib/tmpfiles.d/exeunt.conf", files.TypeFile, 0o644)
	add(filepath.Join(deploy, "default"), "/etc/default/exeunt", files.TypeConfigNoReplace, 0o644)
	add(filepath.Join(docs, "exeunt.bash"), "/usr/share/bash-completion/completions/exeunt", files.TypeFile, 0o644)
	add(filepath.Join(docs, "_exeunt"), "/usr/share/zsh/vendor-completions/_exeunt", files.TypeFile, 0o644)
	add(filepath.Join(docs, "exeunt.fish"), "/usr/share/fish/vendor_completions.d/exeunt.fish", files.TypeFile, 0o644)
	add(filepath.Join(docs, "exeunt.toml"), "/usr/share/doc/exeunt/examples/exeunt.toml", files.TypeFile, 0o644)
	add(filepath.Join(docs, "copyright"), "/usr/share/doc/exeunt/copyright", files.TypeFile, 0o644)
	add(filepath.Join(r.root, "CHANGELOG.md"), "/usr/share/doc/exeunt/CHANGELOG.md", files.TypeFile, 0o644)
	for _, name := range []string{"filter.d", "jail.d"} {
		inside, err := filepath.Glob(filepath.Join(r.root, "contrib", "fail2ban", name, "*"))
		if err != nil {
			return nil, err
		}
		for _, file := range inside {
			add(file, "/usr/share/doc/exeunt/examples/fail2ban/"+name+"/"+filepath.Base(file), files.TypeFile, 0o644)
		}
	}
	pages, err := filepath.Glob(filepath.Join(docs, "man", "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if err := compress(page); err != nil {
			return nil, err
		}
		add(page+".gz", "/usr/share/man/man1/"+filepath.Base(page)+".gz", files.TypeFile, 0o644)
	}
	return out, nil
}

// compress writes FILE.gz beside a file, without name and time.
func compress(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file+".gz", out.Bytes(), 0o644)
}

// packages writes the deb and the rpm.
func (r *release) packages(arch string, contents files.Contents) error {
	script := func(name string) string { return filepath.Join(r.root, "deploy", "package", name) }
	for _, kind := range []string{"deb", "rpm"} {
		info := nfpm.WithDefaults(&nfpm.Info{
			Name: "exeunt", Arch: arch, Platform: "linux", Version: r.version, Release: "1", Section: "net", Priority: "optional",
			Maintainer: maintainer, Vendor: "Exeunt", License: "Apache-2.0", Homepage: "https://github.com/exeunt/exeunt",
			Description: "session authority: when somebody signs out, they are signed out\n" +
				"Exeunt holds the sessions of one or many apps, and ends them for good: on every\n" +
				"device, in every app, recorded before it is confirmed.",
			MTime: r.date,
			Overridables: nfpm.Overridables{
				Contents: contents, Umask: 0o022, Recommends: map[string][]string{"deb": {"ca-certificates"}, "rpm": {"ca-certificates"}}[kind],
				Scripts: nfpm.Scripts{PostInstall: script("postinstall.sh"), PreRemove: script("preremove.sh"),
					PostRemove: script("postremove.sh")},
				Deb: nfpm.Deb{Compression: "gzip"},
				RPM: nfpm.RPM{BuildHost: "exeunt", Compression: "gzip", Summary: "Session authority: when somebody signs out, they are signed out",
					Group: "System Environment/Daemons"},
			},
		})
		if kind == "rpm" { // its own tools find these where its distributions have them
			info.Overridables.Contents = moved(contents, "/usr/share/zsh/vendor-completions/", "/usr/share/zsh/site-functions/")
		}
		packager, err := nfpm.Get(kind)
		if err != nil {
			return err
		}
		if err := nfpm.PrepareForPackager(info, kind); err != nil {
			return err
		}
		var out bytes.Buffer
		if err := packager.Package(info, &out); err != nil {
			return err
		}
		if err := os.WriteFile(r.named(packager.ConventionalFileName(info)), out.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moved returns the contents with one folder in another place.
func moved(contents files.Contents, from, to string) (out files.Contents) {
	for _, c := range contents {
		other := *c
		if rest, ok := strings.CutPrefix(c.Destination, from); ok {
			other.Destination = to + rest
		}
		out = append(out, &other)
	}
	return out
}
