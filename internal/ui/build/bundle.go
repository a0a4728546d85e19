package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle makes all assets from the sources below root, by name.
func bundle(root string) (map[string][]byte, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	source := filepath.Join(root, "internal", "ui", "assets")
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: root,
		EntryPoints: []string{filepath.Join(source, "app.js"), filepath.Join(source, "app.css"),
			filepath.Join(source, "locked.js"), filepath.Join(source, "check.js"), filepath.Join(source, "picture.js"), filepath.Join(source, "sw.js")},
		Outdir:            filepath.Join(root, "out"), // only names the results; nothing is written
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Format:            api.FormatESModule,
		Charset:           api.CharsetUTF8,
		Engines: []api.Engine{ // features that these lack, such as nesting, are rewritten
			{Name: api.EngineChrome, Version: "111"}, {Name: api.EngineFirefox, Version: "115"},
			{Name: api.EngineSafari, Version: "16"},
		},
	})
	if len(result.Errors) > 0 {
		return nil, errors.New(api.FormatMessages(result.Errors, api.FormatMessagesOptions{})[0])
	}
	files := map[string][]byte{}
	for _, out := range result.OutputFiles {
		files[filepath.Base(out.Path)] = out.Contents
	}
	for _, name := range []string{"sprite.svg", "favicon.svg", "icon-192.png", "icon-512.png"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return nil, fmt.Errorf("picture: %w", err)
		}
		files[name] = content
	}
	return files, nil
}
