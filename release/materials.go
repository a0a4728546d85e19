package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// The parts of a CycloneDX 1.6 bill of materials that ours has.
type bill struct {
	Format   string      `json:"bomFormat"`
	Spec     string      `json:"specVersion"`
	Serial   string      `json:"serialNumber"`
	Version  int         `json:"version"`
	Metadata metadata    `json:"metadata"`
	Parts    []component `json:"components"`
	Needs    []needs     `json:"dependencies"`
}

type metadata struct {
	Time      string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"purl,omitempty"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type needs struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// materials writes which modules a program has in it, as the program itself says, and its hash.
func (r *release) materials(arch, program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	self := component{Type: "application", Ref: "exeunt", Name: "exeunt", Version: r.version,
		URL: "pkg:golang/github.com/exeunt/exeunt@v" + r.version, Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sum)}}}
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial:   asUUID(sum),
		Metadata: metadata{Time: r.date.Format(time.RFC3339), Component: self}}
	all := needs{Ref: self.Ref}
	add := func(name, version string) {
		url := "pkg:golang/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")
		b.Parts = append(b.Parts, component{Type: "library", Ref: url, Name: name, Version: version, URL: url})
		all.On = append(all.On, url)
	}
	add("stdlib", info.GoVersion)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(m.Path, m.Version)
	}
	b.Needs = []needs{all}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.named("exeunt-"+r.version+"-linux-"+arch+".cdx.json"), append(text, '\n'), 0o644)
}

// asUUID makes a UUID (version 8, RFC 9562) of a hash.
func asUUID(sum [32]byte) string {
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
